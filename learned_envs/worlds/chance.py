"""Players that act by chance, for worlds of which nothing is known but their actions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from learned_envs.worlds.spaces import end_of, space_from_json, space_to_json

BEHAVIOURS = {"held": 0.8, "random": 0.2}
HOLD = 8.0
"""Mean steps for which `held` holds an action."""


class Chance:
    """Players that see nothing and act by chance, for every kind of space.

    `random` draws an action at every step. `held` keeps one for a while, as a person does: things
    then go somewhere, and a model sees what an action does besides how it begins.

    Args:
        space: Of the actions.
        names: `held` or `random`, one a row.
        seeds: One a row.
    """

    def __init__(self, space: spaces.Space[Any], names: Sequence[str], seeds: Sequence[int]):
        if unknown := sorted(set(names) - set(BEHAVIOURS)):
            raise ValueError(f"there are no behaviours {unknown}: choose among {list(BEHAVIOURS)}")
        self._spaces = [space_from_json(space_to_json(space)) for _ in names]
        self._random = [np.random.default_rng(seed) for seed in seeds]
        for own, seed in zip(self._spaces, seeds, strict=True):
            own.seed(int(seed))
        self._held = np.array([name == "held" for name in names])
        self._actions = np.stack([drawn(own) for own in self._spaces])

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Actions (n, ...); see `Behaviour`."""
        for row, own in enumerate(self._spaces):
            if not self._held[row] or self._random[row].random() < 1 / HOLD:
                self._actions[row] = drawn(own)
        return self._actions.copy()


def drawn(space: spaces.Space[Any]) -> np.ndarray:
    """An action at random; half of the components of a Box lie at an end of their range or idle.

    Players of games press a pedal down or not at all: then both ends and idle are drawn alike
    often.
    """
    if not isinstance(space, spaces.Box):
        return np.asarray(space.sample())
    random = space.np_random

    def ends_at(side: int) -> np.ndarray:
        return np.array([end_of(space, place, side) for place in range(space.shape[0])])

    ends = np.stack([ends_at(-1), np.zeros(space.shape), ends_at(1)])
    chosen = np.take_along_axis(ends, random.integers(3, size=(1, *space.shape)), 0)[0]
    value = np.where(random.random(space.shape) < 0.5, chosen, space.sample())
    return np.clip(value, space.low, space.high).astype(space.dtype)
