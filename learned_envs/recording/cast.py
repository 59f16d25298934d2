"""Who plays: behaviours chosen by weight, for rows that change their player with every episode."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from learned_envs.worlds import Behaviour, World


def behaviour_weights(world: World, behaviours: Mapping[str, float] | None) -> dict[str, float]:
    """Shares of episodes by behaviour, adding up to 1.

    Args:
        world: Whose behaviours they are.
        behaviours: Weights by name; None for the world's own.

    Raises:
        ValueError: If a name is unknown to the world, or the weights are no weights.
    """
    weights = dict(world.behaviours if behaviours is None else behaviours)
    if unknown := sorted(set(weights) - set(world.behaviours)):
        raise ValueError(
            f"{world.name} has no behaviours {unknown}: choose among {sorted(world.behaviours)}"
        )
    total = sum(weights.values())
    if not total > 0 or min(weights.values()) < 0:
        raise ValueError(f"behaviour weights {weights} must be at least 0, and one of them above")
    return {name: weight / total for name, weight in weights.items() if weight > 0}


@dataclass(frozen=True, slots=True)
class _Block:
    """Players made together: seat i plays as `names[i]`, for row `rows[i]` or, at -1, for none."""

    behaviour: Behaviour
    names: np.ndarray
    rows: np.ndarray


class Cast:
    """A `Behaviour` for n rows, each of which may be given another player at any time.

    A `Behaviour` has fixed rows. A cast therefore keeps more players than rows, seats rows with
    free ones of the behaviour that is asked for, and makes more when they run out.

    Args:
        world: Whose behaviours they are.
        names: The behaviour that each row begins with.
        random: Seeds the players.
    """

    def __init__(self, world: World, names: Sequence[str], random: np.random.Generator):
        self._world, self._random = world, random
        idle = np.asarray(world.idle_action, world.action_space.dtype)
        self._idle = np.repeat(idle[None], len(names), axis=0)
        counts = {name: names.count(name) for name in sorted(set(names))}
        seats = [name for name, count in counts.items() for _ in range(count + count // 4 + 1)]
        self._blocks = [self._made(seats)]
        for row, name in enumerate(names):
            self.give(row, name)

    def give(self, row: int, name: str) -> None:
        """From now on, `row` is played by behaviour `name`."""
        for block in self._blocks:
            block.rows[block.rows == row] = -1
        for block in self._blocks:
            free = np.flatnonzero((block.rows < 0) & (block.names == name))
            if free.size:
                block.rows[free[0]] = row
                return
        self._blocks.append(self._made([name] * max(4, len(self._idle) // 8)))
        self._blocks[-1].rows[0] = row

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Actions (n, ...) for frames (n, H, W, 3) uint8; see `Behaviour`."""
        actions = self._idle.copy()
        for block in self._blocks:
            seated = block.rows >= 0
            if seated.any():  # free seats look on at row -1, the last one
                chosen = block.behaviour(observation[block.rows], first[block.rows])
                actions[block.rows[seated]] = chosen[seated]
        return actions

    def _made(self, names: list[str]) -> _Block:
        seeds = self._random.integers(2**31, size=len(names)).tolist()
        behaviour = self._world.make_behaviour(names, seeds)
        return _Block(behaviour, np.array(names), np.full(len(names), -1))
