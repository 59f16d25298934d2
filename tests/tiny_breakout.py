"""One game of Breakout, as its tests begin it."""

from typing import Any

import numpy as np

from sims.breakout import BreakoutEnv

NOOP, LEFT, RIGHT = 0, 1, 2
PADDLE_LINE = (112, 221, 255)  # the colour of the pips, too
FAR_BRICK = np.zeros((6, 12), bool)
FAR_BRICK[0, 0] = True  # in the top left corner, where it disturbs nothing


def game(*, antialias: bool = True, seed: int = 0, **options: Any) -> BreakoutEnv:
    env = BreakoutEnv(antialias=antialias)
    env.reset(seed=seed, options=options)
    return env


def actions(count: int, seed: int = 0) -> list[int]:
    return np.random.default_rng(seed).integers(3, size=count).tolist()


def pips(frame: np.ndarray) -> int:
    """Connected runs of pip colour inside the top bar."""
    lit = (frame[1] == PADDLE_LINE).all(1)
    return int((np.diff(lit.astype(int)) == 1).sum())
