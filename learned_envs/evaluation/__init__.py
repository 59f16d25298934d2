"""How good a dream is: errors against truth, laws read from pixels, policies ranked, films."""

from learned_envs.evaluation.breakout_laws import BreakoutReferee
from learned_envs.evaluation.laws import Referee

_REFEREES: dict[str, type[Referee]] = {"breakout": BreakoutReferee}


def find_referee(world: str) -> Referee | None:
    """A fresh referee for one rollout of the world called `world`; None where there are no laws."""
    return _REFEREES[world]() if world in _REFEREES else None


def make_referee(world: str) -> Referee:
    """A fresh referee for one rollout of the world called `world`.

    Raises:
        ValueError: If no laws are written down for that world.
    """
    referee = find_referee(world)
    if referee is None:
        raise ValueError(
            f"there are no laws for world {world!r}, only for {', '.join(_REFEREES)}: write a "
            "Referee for it and name it here"
        )
    return referee
