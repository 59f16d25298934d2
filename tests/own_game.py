"""A game that the library does not know: a bright dot on a dark field, moved by hand."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

FIELD, DOT = 40, 8
HIDDEN = np.random.default_rng(0)  # a generator that no seed reaches


class DotEnv(gym.Env[np.ndarray, Any]):
    """Left, right or stay; a reward of 1 at either wall, where the game ends.

    Args:
        kind: Of the action space: `discrete`, `multi_discrete`, `multi_binary` or `box`.
        shown: Whether observations are pictures or numbers.
        unseeded: Whether the dot begins where no seed says.
        first: Number of the first discrete action.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}

    def __init__(
        self,
        kind: str = "discrete",
        shown: bool = True,
        unseeded: bool = False,
        first: int = 0,
        render_mode: str | None = None,
    ):
        self.render_mode = render_mode
        self._kind, self._shown, self._unseeded, self._first = kind, shown, unseeded, first
        picture = spaces.Box(0, 255, (FIELD, FIELD, 3), np.uint8)
        self.observation_space = picture if shown else spaces.Box(0, FIELD, (1,), np.float64)
        self.action_space: gym.Space[Any] = {
            "discrete": spaces.Discrete(3, start=first),
            "multi_discrete": spaces.MultiDiscrete([3, 2]),
            "multi_binary": spaces.MultiBinary(2),
            "box": spaces.Box(-2.0, 2.0, (1,), np.float32),
        }[kind]
        self.place = 0

    def get_action_meanings(self) -> list[str]:
        return ["LEFT", "NOOP", "RIGHT"] if self._kind == "discrete" else []

    def get_keys_to_action(self) -> dict[tuple[str, ...], int]:
        return {("x",): self._first + 2, ("x", " "): self._first} if self._first else {}

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        super().reset(seed=seed)
        random = HIDDEN if self._unseeded else self.np_random
        self.place = int(random.integers(8, FIELD - DOT - 8))
        return self._observation(), {"place": self.place, "name": "dot"}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        match self._kind:
            case "discrete":
                moved = action - self._first - 1
            case "multi_discrete":
                moved = action[0] - 1
            case "multi_binary":
                moved = int(action[1]) - int(action[0])
            case _:
                moved = round(float(action[0]))
        self.place = int(np.clip(self.place + moved, 0, FIELD - DOT))
        ended = self.place in (0, FIELD - DOT)
        return self._observation(), float(ended), ended, False, {"place": self.place}

    def render(self) -> np.ndarray:
        frame = np.full((FIELD, FIELD, 3), 30, np.uint8)
        frame[16 : 16 + DOT, self.place : self.place + DOT] = 220
        return frame

    def _observation(self) -> np.ndarray:
        return self.render() if self._shown else np.array([self.place], np.float64)


class Chatty(DotEnv):
    """Tells much of itself that cannot be recorded."""

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        frame, reward, ended, truncated, info = super().step(action)
        return frame, reward, ended, truncated, info | self._more(None if ended else 3)

    def reset(self, **given: Any) -> tuple[np.ndarray, dict[str, Any]]:
        frame, info = super().reset(**given)
        return frame, info | self._more(3)

    def _more(self, lives: int | None) -> dict[Any, Any]:
        legal = list(range(self.place % 3))
        told = {"score/p1": 1.0, 7: 2, "legal": legal, "ragged": [[1], [1, 2]], "own": {"x": 1}}
        return told if lives is None else told | {"lives": lives}


def make_dot(**settings: Any) -> DotEnv:
    """A function that makes one."""
    return DotEnv(**settings)


class Blind(DotEnv):
    """Draws nothing."""

    def render(self) -> Any:
        return None


def go_right(observation: np.ndarray) -> int:
    """A policy that sees the env's own observation."""
    return 2 if observation.shape == (1,) else 0


class Homing:
    """A policy made with its env."""

    def __init__(self, env: gym.Env[Any, Any]):
        self.env = env

    def __call__(self, observation: np.ndarray) -> int:
        return 2


def lawless(observation: np.ndarray) -> int:
    return 7


def stay_at_6(observation: np.ndarray) -> int:
    """Rests, where actions are numbered from 5."""
    return 6
