"""Which frames of play in a row a model begins from, and the actions that led to them."""

from collections.abc import Sequence

import numpy as np


def looked_back_on(
    frames: np.ndarray, actions: np.ndarray, ages: Sequence[int], idle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Picks the frames that a model wants to begin from among some in a row.

    Before the first of them all is taken to have been as it was there, and idle.

    Args:
        frames: (B, k, H, W, 3), oldest first.
        actions: (B, k - 1, ...), between them.
        ages: How many steps before the last frame those are that are wanted, oldest first; K.
        idle: The idle action.

    Returns:
        Frames (B, K, H, W, 3), and the action before each of them but the first, (B, K - 1, ...).
    """
    places = np.maximum(frames.shape[1] - 1 - np.array(ages), 0)
    before_all = np.broadcast_to(idle, (len(actions), 1, *actions.shape[2:]))
    led = np.concatenate([before_all, actions], 1).astype(actions.dtype)
    return frames[:, places], led[:, places[1:]]
