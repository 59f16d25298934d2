"""How good a dream is: errors against truth, laws read from pixels, policies ranked, films."""

from learned_envs.evaluation.breakout_laws import BreakoutReferee
from learned_envs.evaluation.laws import Referee

_REFEREES: dict[str, type[Referee]] = {"breakout": BreakoutReferee}


def make_referee(world: str) -> Referee:
    """A fresh referee for one rollout of the world called `world`.

    Raises:
        ValueError: If no laws are written down for that world.
    """
    if world not in _REFEREES:
        raise ValueError(
            f"there are no laws for world {world!r}, only for {', '.join(_REFEREES)}: write a "
            "Referee for it and name it here"
        )
    return _REFEREES[world]()
