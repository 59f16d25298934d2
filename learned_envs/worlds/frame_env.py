"""Any Gymnasium environment as one whose observations are pictures of one size."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit

Picture = Literal["observation", "render"]

_REGISTERED_BY = {"ALE/": "ale_py", "MiniGrid-": "minigrid", "BabyAI-": "minigrid"}
"""Modules to import for ids that begin so, where whoever gives an id does not name the module."""


def make_env(env: str, kwargs: Mapping[str, Any]) -> gym.Env[Any, Any]:
    """Makes an environment that draws itself.

    What is called is a class of environments or what is registered under an id, never any other
    function: the name may come from a checkpoint's file.

    Args:
        env: A Gymnasium id (`CarRacing-v3`, `ALE/Pong-v5`, `module:Id-v0`), or the import path of a
            class of environments (`package.module:MyEnv`).
        kwargs: What it is made with, besides `render_mode="rgb_array"`.

    Raises:
        ValueError: If there is no such environment, or it does not draw itself.
        gymnasium.error.DependencyNotInstalled: If a package is missing; the message names it.
    """
    given = {"render_mode": "rgb_array", **kwargs}
    module, _, name = env.rpartition(":")
    maker: Any = getattr(_imported(module, env), name, None) if module else None
    try:
        if isinstance(maker, type) and issubclass(maker, gym.Env):
            return maker(**given)
        for begin, registering in _REGISTERED_BY.items():
            if name.startswith(begin) and not module:
                gym.register_envs(_imported(registering, env))
        return gym.make(env, disable_env_checker=True, **given)
    except (gym.error.UnregisteredEnv, gym.error.VersionNotFound) as error:
        raise ValueError(
            f"there is no environment {env!r} ({error}): give a registered id, behind the module "
            "that registers it (`module:Id-v0`) if importing that is needed, or the import path "
            "of a class of environments (`package.module:MyEnv`)"
        ) from error
    except TypeError as error:
        raise ValueError(
            f"{env!r} cannot be made with {given} ({error}): it must take "
            '`render_mode="rgb_array"`, and what --kwargs says'
        ) from error


def _imported(module: str, env: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and (module == error.name or module.startswith(f"{error.name}.")):
            raise gym.error.DependencyNotInstalled(
                f"the environment {env!r} needs the module {module!r}, which is not installed or "
                "not on the import path: install its package, or set PYTHONPATH"
            ) from None
        raise


def shows_pictures(space: gym.Space[Any]) -> bool:
    """Whether observations of that space are pictures: (H, W), (H, W, 1) or (H, W, 3) uint8."""
    return (
        isinstance(space, spaces.Box)
        and space.dtype == np.uint8
        and (len(space.shape) == 2 or (len(space.shape) == 3 and space.shape[2] in (1, 3)))
        and min(space.shape[:2]) >= 8
    )


class FrameEnv(gym.Env[np.ndarray, Any]):
    """An environment seen as a person sees it: observations are RGB pictures of one size.

    Discrete actions are numbered from 0, however the environment numbers them.

    `get_state` keeps the seed and the actions since, and `set_state` plays them again, so that any
    environment that is deterministic from its seed can branch; one that is not is found out.

    Args:
        env: As `make_env` takes it.
        image_size: (H, W) of the pictures; they are shrunk by area.
        picture: Whether the environment's `observation` is shown or what it `render`s.
        env_kwargs: What the environment is made with.
        render_mode: None or `rgb_array`.

    Attributes:
        native: The environment's own last observation, for policies that were trained on it.
        first_action: What the environment calls action 0.

    Raises:
        ValueError: If there is no such environment or it has no pictures.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}

    def __init__(
        self,
        env: str,
        *,
        image_size: tuple[int, int],
        picture: Picture = "render",
        env_kwargs: Mapping[str, Any] | None = None,
        render_mode: str | None = None,
    ):
        self._env = make_env(env, env_kwargs or {})
        self._name, self._size, self._picture = env, tuple(image_size), picture
        if picture == "observation" and not shows_pictures(self._env.observation_space):
            raise ValueError(
                f"the observations of {env!r} are {self._env.observation_space}, not pictures "
                "(H, W, 3) of uint8: use what it renders"
            )
        self.metadata = {**self.metadata, "render_fps": fps_of(self._env)}
        self.render_mode = render_mode
        self.action_space, self.first_action = from_zero(self._env.action_space)
        self.observation_space = spaces.Box(0, 255, (*self._size, 3), np.uint8)
        self.native: Any = None
        self._frame: np.ndarray | None = None
        self._seed, self._options = 0, None
        self._actions: list[Any] = []

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begins an episode; `options` are the environment's own."""
        super().reset(seed=seed)
        self._seed = int(self.np_random.integers(2**31)) if seed is None else seed
        self._options, self._actions = options, []
        self.native, info = self._env.reset(seed=self._seed, options=options)
        return self._show(), info

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Steps the environment; the frame is its picture after the step."""
        self._actions.append(np.copy(action))
        if isinstance(self.action_space, spaces.Discrete):
            action = int(action) + self.first_action  # many take no NumPy integers
        elif isinstance(self.action_space, spaces.MultiDiscrete):
            action = action + self.first_action
        self.native, reward, terminated, truncated, info = self._env.step(action)
        return self._show(), float(reward), bool(terminated), bool(truncated), info

    def render(self) -> np.ndarray | None:
        """Returns the current frame (H, W, 3) uint8 in `rgb_array` mode, else None."""
        if self._frame is None or self.render_mode != "rgb_array":
            return None
        return self._frame.copy()

    def close(self) -> None:
        """Closes the environment."""
        self._env.close()

    def get_state(self) -> dict[str, Any]:
        """The seed and all that was done since, with the frame that it led to.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset.
        """
        if self._frame is None:
            raise gym.error.ResetNeeded("there is no state before the first reset: call reset()")
        return {
            "seed": self._seed,
            "options": self._options,
            "actions": tuple(self._actions),
            "frame": self._frame.copy(),
            "random": self.np_random.bit_generator.state,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Plays again what `get_state` returned, here or in another `FrameEnv` of the same kind.

        Raises:
            ValueError: If the same seed and actions led elsewhere: the environment cannot branch.
        """
        self.reset(seed=state["seed"], options=state["options"])
        for action in state["actions"]:
            self.step(action)
        self.np_random.bit_generator.state = state["random"]
        if self._frame is None or not np.array_equal(self._frame, state["frame"]):
            raise ValueError(
                f"{self._name!r} did not come to the same frame from the same seed and actions: it "
                "draws from more than its seeded generator, and cannot branch"
            )

    def _show(self) -> np.ndarray:
        shown = self.native if self._picture == "observation" else self._env.render()
        self._frame = resized(rgb(shown, self._name), self._size)
        return self._frame.copy()


def from_zero(space: gym.Space[Any]) -> tuple[gym.Space[Any], Any]:
    """A space whose discrete actions are numbered from 0, and what the first of them were."""
    if isinstance(space, spaces.Discrete) and space.start:
        return spaces.Discrete(int(space.n)), int(space.start)
    if isinstance(space, spaces.MultiDiscrete) and np.any(space.start):
        return spaces.MultiDiscrete(space.nvec), np.asarray(space.start)
    return space, 0


def fps_of(env: gym.Env[Any, Any], default: int = 15) -> int:
    """Steps a second that an environment asks to be shown at."""
    return max(1, round(env.metadata.get("render_fps") or default))


def rgb(shown: Any, name: str) -> np.ndarray:
    """A picture as (H, W, 3) uint8.

    Raises:
        ValueError: If it is none; the message names the environment.
    """
    picture = np.asarray(shown)
    if picture.dtype == np.uint8:
        if picture.ndim == 2 or (picture.ndim == 3 and picture.shape[2] == 1):
            return np.repeat(picture.reshape(*picture.shape[:2], 1), 3, axis=2)
        if picture.ndim == 3 and picture.shape[2] == 3:
            return picture
    raise ValueError(
        f"{name!r} showed {type(shown).__name__} of shape {picture.shape} and dtype "
        f"{picture.dtype}, expected a picture (H, W, 3) of uint8: it must render in `rgb_array` "
        "mode or observe pictures"
    )


def resized(frame: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A picture (H, W, 3) uint8 in another size (H, W): by area, sharp where it is enlarged."""
    import cv2

    height, width = size
    if frame.shape[:2] == (height, width):
        return np.ascontiguousarray(frame)
    smaller = height <= frame.shape[0] and width <= frame.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
    return cv2.resize(frame, (width, height), interpolation=how)


def make_frame_vec(
    num_envs: int,
    *,
    max_episode_steps: int | None = None,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    **settings: Any,
) -> SyncVectorEnv:
    """A batch of `FrameEnv`, one after the other in this process.

    Args:
        num_envs: Rows.
        max_episode_steps: Steps after which a row is truncated, or None.
        autoreset_mode: As for any batch of Gymnasium's.
        **settings: Of `FrameEnv`.
    """

    def make() -> gym.Env[Any, Any]:
        env = FrameEnv(**settings)
        return env if max_episode_steps is None else TimeLimit(env, max_episode_steps)

    return SyncVectorEnv([make] * num_envs, autoreset_mode=AutoresetMode(autoreset_mode))
