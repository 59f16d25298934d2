"""Paint programs in a batch: the one thing that is measured, whether real, dreamed or faulty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from learned_envs.evaluation.minipaint.pixels import chosen
from learned_envs.worlds import World
from sims.minipaint.reward import canvas_of

_SEED = 900_000  # of envs whose actions and first frames are all given
_WITHOUT_END = 10**9  # steps; a dream without a limit of its own gets its world's


class Programs(Protocol):
    """n paint programs that are stepped together.

    States hold a leading axis of n in all that they hold; see `rows_of`.
    """

    def start(self, frames: np.ndarray) -> np.ndarray:
        """Begins from frames (n, 224, 224, 3) uint8, the button up; returns what is shown."""
        ...

    def step(self, actions: np.ndarray) -> np.ndarray:
        """Plays actions (n, 3) and returns the frames (n, 224, 224, 3) uint8."""
        ...

    def get_state(self) -> Any:
        """A copy of the whole state."""
        ...

    def set_state(self, state: Any) -> None:
        """Restores what `get_state` returned, or other rows of it."""
        ...


class EnvPrograms:
    """A batched environment of paint programs, real or dreamed.

    Args:
        env: With `get_state` and `set_state`, and without a limit of steps.
        options: The reset options with which it begins from frames.
    """

    def __init__(self, env: VectorEnv[Any, Any, Any], options: Callable[[np.ndarray], Any]):
        self._env: Any = env.unwrapped
        self._options = options

    def start(self, frames: np.ndarray) -> np.ndarray:
        return self._env.reset(seed=_SEED, options=self._options(frames))[0]

    def step(self, actions: np.ndarray) -> np.ndarray:
        return self._env.step(actions)[0]

    def get_state(self) -> Any:
        return self._env.get_state()

    def set_state(self, state: Any) -> None:
        self._env.set_state(state)


def real_programs(world: World, rows: int) -> EnvPrograms:
    """The real program of a world, n times; begins with what its given frames say is chosen."""
    return EnvPrograms(world.make_real_vec(rows, max_episode_steps=None), _as_shown)


def dreamed_programs(world: World, weights: str | None, rows: int) -> EnvPrograms:
    """The dream of a world, n times; `weights` as `gym.make("Dream-v0", weights=...)` has them."""
    made = world.dream_id
    env = gym.make_vec(made, rows, weights=weights, max_episode_steps=_WITHOUT_END)
    return EnvPrograms(env, lambda frames: {"frames": frames[:, None]})


def rows_of(state: Any, rows: np.ndarray) -> Any:
    """The state of as many programs, of which program i is in the state of program `rows[i]`."""
    if isinstance(state, dict):
        return {name: rows_of(value, rows) for name, value in state.items()}
    if isinstance(state, list):
        return [state[row] for row in rows.tolist()]
    return state[rows]


def _as_shown(frames: np.ndarray) -> dict[str, Any]:
    rows = {row: chosen(frame) | {"canvas": canvas_of(frame)} for row, frame in enumerate(frames)}
    return {"rows": rows}
