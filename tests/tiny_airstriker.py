"""Airstriker as tests play it."""

from typing import Any

import numpy as np

from learned_envs import worlds
from sims.retro import RetroEnv, RetroVectorEnv

WORLD = worlds.get("airstriker")
NOOP, LEFT, RIGHT, FIRE = range(4)


def game(**changes: Any) -> RetroEnv:
    """The single env."""
    return RetroEnv(**{**WORLD.real_kwargs, **changes})


def games(count: int, **changes: Any) -> RetroVectorEnv:
    """The batched env."""
    return RetroVectorEnv(count, **{**WORLD.real_kwargs, **changes})


def played(env: RetroEnv, actions: list[int]) -> list[tuple[Any, ...]]:
    """Steps as tuples that compare equal where every byte does."""
    steps = []
    for action in actions:
        frame, *rest = env.step(action)
        steps.append((frame.tobytes(), *rest))
    return steps


def some_actions(count: int, seed: int = 0) -> list[int]:
    """Actions at random."""
    return np.random.default_rng(seed).integers(6, size=count).tolist()


def fire(frame: np.ndarray) -> int:
    """A policy that fires at whatever frames (112, 160, 3) it is shown."""
    assert frame.shape == (112, 160, 3)
    return FIRE
