"""A world of 4x6 pixels that is recorded in no time. Its frames show the seed and the clock."""

import errno
import os
import signal
import threading
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from learned_envs.worlds import World

BEHAVIOURS = {"up": 3.0, "down": 1.0}
SPACE = spaces.Box(0, 255, (4, 6, 3), np.uint8)


class TinyEnv(gym.Env[np.ndarray, np.int64]):
    """Counts steps; ends after 3 to 12 of them, as its seeded generator draws."""

    observation_space = SPACE
    action_space = spaces.Discrete(2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        self._clock, self._end = 0, int(self.np_random.integers(3, 13))
        self._colour = int(self.np_random.integers(256))
        return self._frame(), {"clock": 0}

    def step(self, action: np.int64) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        self._clock += 1
        terminated = self._clock == self._end
        return self._frame(), float(action), terminated, False, {"clock": self._clock}

    def _frame(self) -> np.ndarray:
        frame = np.full(SPACE.shape, self._colour, np.uint8)
        frame[0] = self._clock
        return frame


class DeadlyEnv(TinyEnv):
    """Kills its process when it is reset with the seed 2."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().reset(seed=seed, options=options)


class HangingEnv(TinyEnv):
    """Never returns when it is reset with the seed 2."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed == 2:
            threading.Event().wait()
        return super().reset(seed=seed, options=options)


class BrokenEnv(TinyEnv):
    """Raises when it is reset with the seed 2."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        if seed == 2:
            raise RuntimeError("the ball is square")
        return super().reset(seed=seed, options=options)


class FullDiskEnv(TinyEnv):
    """Finds the disk full when it is reset."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        raise OSError(errno.ENOSPC, "no space is left")


class Players:
    """`up` always plays 1, `down` plays at random."""

    def __init__(self, names: list[str], seeds: list[int]):
        self._up = np.array([name == "up" for name in names])
        self._random = [np.random.default_rng(seed) for seed in seeds]

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        drawn = np.array([random.integers(2) for random in self._random])
        return np.where(self._up, 1, drawn)


def _reset_options(behaviour: str, random: np.random.Generator) -> None:
    return None


def _events(episode: Any) -> dict[str, int]:
    return {"ends": int(episode.terminated.sum())}


def tiny_world(env: str = "TinyEnv") -> World:
    """The world, played by the env of this module that is called `env`."""
    return World(
        name="tiny",
        id_suffix="Tiny",
        fps=10,
        max_episode_steps=8,
        observation_space=SPACE,
        action_space=spaces.Discrete(2),
        action_names=("stay", "rise"),
        idle_action=0,
        real=f"{__name__}:{env}",
        real_vector=None,
        behaviours=BEHAVIOURS,
        make_behaviour=Players,
        reset_options=_reset_options,
        events=_events,
    )
