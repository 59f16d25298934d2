"""The one thing that training reads: a batch of short pieces of play."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Window:
    """B pieces of T steps each, T + 1 frames.

    The iterators of recordings and of live simulators both yield windows, so training cannot tell
    one from the other.

    Attributes:
        observation: (B, T + 1, H, W, 3) uint8.
        action: (B, T, ...); `action[:, t]` takes frame t to frame t + 1.
        reward: (B, T) float32, earned by step t.
        terminated: (B, T) bool, the world ended with step t.
        first: (B, T + 1) bool, frame t is the first of an episode.
        valid: (B, T) bool, step t joins frame t to frame t + 1 of one episode; False on a seam
            between two episodes and on padding.
        metadata: By name, (B, T + 1, ...): what the world says of itself at each frame.
    """

    observation: np.ndarray
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    first: np.ndarray
    valid: np.ndarray
    metadata: dict[str, np.ndarray]
