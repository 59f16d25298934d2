"""What steps a world model: the interface of a runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from learned_envs.dream.dream_spec import DreamSpec

RuntimeState = dict[str, Any]
Outcome = dict[str, np.ndarray]

OUTCOME = ("reward", "termination", "doubt", "surprise")


class Runtime(ABC):
    """Steps a world model in a batch of any size.

    A state is a dict of arrays of the runtime's own kind, with a leading batch axis. Frames,
    actions and noise go in and outcomes come out as NumPy arrays.

    Attributes:
        name: As `runtime=` spells it.
        device: As `device=` spells it.
        spec: What it dreams.
        state_shapes: Shapes of the state's arrays, for one row, by name.
        sampler_steps: Network passes per prediction of a diffusion model that can be loaded with
            another number of them, else None.
    """

    name: str
    device: str
    spec: DreamSpec
    state_shapes: Mapping[str, tuple[int, ...]]
    sampler_steps: int | None = None

    @abstractmethod
    def start(self, frames: np.ndarray, actions: np.ndarray) -> RuntimeState:
        """Makes a state from frames (B, K, H, W, 3) uint8 and actions (B, K - 1, ...)."""

    @abstractmethod
    def step(
        self, state: RuntimeState, action: np.ndarray, noise: Mapping[str, np.ndarray]
    ) -> tuple[RuntimeState, Outcome]:
        """Dreams one step, leaving `state` as it is.

        Args:
            state: From `start` or a step before.
            action: (B, ...) int64 or float32.
            noise: As `spec.noise` says, with a leading batch axis, float32.

        Returns:
            The next state, which may share with `state` what stays as it is, and `reward`,
            `termination` (a probability), `doubt`, `surprise`, all (B,) float32, and `finite` (B,)
            bool: whether all that was predicted are numbers.
        """

    @abstractmethod
    def frames(self, state: RuntimeState) -> Any:
        """The newest frames (B, H, W, 3) uint8, as an array of the runtime's own kind."""

    @abstractmethod
    def latents(self, state: RuntimeState) -> Any:
        """The newest latents (B, C, h, w) float32, as an array of the runtime's own kind."""

    @abstractmethod
    def rows(self, state: RuntimeState, rows: np.ndarray) -> RuntimeState:
        """The state of `rows` (m,) int64, copied."""

    @abstractmethod
    def put(self, state: RuntimeState, rows: np.ndarray, source: RuntimeState) -> None:
        """Overwrites `rows` (m,) int64 of `state` with the m rows of `source`."""

    @abstractmethod
    def to_numpy(self, array: Any) -> np.ndarray:
        """Turns an array of the runtime's own kind, or a NumPy array, into a NumPy array."""

    @abstractmethod
    def from_numpy(self, array: np.ndarray) -> Any:
        """Turns a NumPy array into one of the runtime's own kind that shares no memory with it."""
