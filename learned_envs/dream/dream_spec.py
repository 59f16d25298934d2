"""What has to be known of a dream besides its network: spaces, noise, starts, limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from learned_envs import worlds
from learned_envs.models.dynamics.dynamics import NoiseSpec
from learned_envs.worlds import Task
from learned_envs.worlds.spaces import KINDS_OF_ACTIONS


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DreamSpec:
    """A dream as its environment sees it.

    Attributes:
        source: Folder or file it came from, for messages.
        world: Name of the world it dreams, or None.
        observation_space: Of one row.
        action_space: Of one row.
        ages: How many steps ago the frames were that it starts from, oldest first.
        idle_action: Stands in where a history is padded.
        latent_shape: (C, h, w).
        state: Shapes of the state's tensors, for one row, in the order of the exported graph.
        noise: What one step draws, by name, for one row.
        variables: Names of the world's own variables that the model predicts, in the order of the
            state's `metadata`.
        reward: Where the reward comes from: the model's `head`, its `metadata`, the `frames`,
            judged by the world's task, or `none`: always 0.
        fps: Steps a second for people.
        max_episode_steps: The world's own limit, or None.
        start_frames: (N, k, H, W, 3) uint8, recorded contexts to begin from.
        start_actions: (N, k - 1, ...), the actions between those frames.
    """

    source: str
    world: str | None
    observation_space: spaces.Box
    action_space: gym.Space[Any]
    ages: tuple[int, ...]
    idle_action: Any
    latent_shape: tuple[int, int, int]
    state: Mapping[str, tuple[int, ...]]
    noise: Mapping[str, NoiseSpec]
    variables: tuple[str, ...]
    reward: Literal["head", "metadata", "frames", "none"]
    fps: int
    max_episode_steps: int | None
    start_frames: np.ndarray
    start_actions: np.ndarray

    @property
    def context(self) -> int:
        """K, frames that it starts from."""
        return len(self.ages)

    @property
    def span(self) -> int:
        """Frames of play in a row among which these are."""
        return self.ages[0] + 1

    @property
    def task(self) -> Task | None:
        """What the frames are judged by, where the reward comes from them."""
        return worlds.get(self.world).task if self.world and self.reward == "frames" else None

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one raw action."""
        shape = self.action_space.shape
        assert shape is not None
        return shape


def checked_actions(space: gym.Space[Any], actions: Any) -> np.ndarray:
    """Turns actions into what models take, (n, ...) int64 or float32, if all lie in `space`.

    Args:
        space: Of one action: Box, Discrete, MultiDiscrete or MultiBinary.
        actions: (n, *space.shape), anything that NumPy reads as numbers.

    Raises:
        gymnasium.error.InvalidAction: If shape, dtype or a value is not the space's.
    """
    given = np.asarray(actions)
    kinds = "buif" if isinstance(space, spaces.Box) else "bui"
    if given.dtype.kind not in kinds or given.shape[1:] != space.shape:
        raise gym.error.InvalidAction(
            f"an action of shape {given.shape[1:]} and dtype {given.dtype} was given, expected "
            f"one of {space}"
        )
    match space:
        case spaces.Discrete():
            low, high = space.start, space.start + space.n - 1
        case spaces.MultiDiscrete():
            low, high = space.start, space.start + space.nvec - 1
        case spaces.MultiBinary():
            low, high = 0, 1
        case spaces.Box():
            low, high = space.low, space.high
        case _:
            raise ValueError(f"{space} was given: a dream has {KINDS_OF_ACTIONS}")
    if not ((given >= low) & (given <= high)).all():  # false for NaN, too
        raise gym.error.InvalidAction(
            f"action {given.tolist()} was given, expected values of {space}, for example "
            f"{np.asarray(low).tolist()}"
        )
    whole = isinstance(space, spaces.Discrete | spaces.MultiDiscrete)
    return given.astype(np.int64 if whole else np.float32)
