"""What lies over the picture and does not move with it, and how late it follows the world."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

MAX_LAG = 15
"""Frames up to which an interface may lag."""

_CHANGED = 6.0  # levels by which a pixel must change to count as changed
_STEADY = 0.25  # of how often the picture's median pixel changes: an interface's pixels, no oftener
_LEAST = 0.02  # share of the picture below which there is no interface
_VISIBLE = 0.1  # correlation below which an interface does not follow the world


def interface_of(films: Sequence[np.ndarray]) -> np.ndarray | None:
    """The pixels (H, W) bool of an interface: those that seldom change while others do.

    Args:
        films: (T + 1, H, W, 3) uint8 each, real ones.

    Returns:
        Them, or None if they are less than a fiftieth of the picture.
    """
    often = np.mean([(_changes(film) > _CHANGED).mean(0) for film in films], 0)
    steady = (often < _STEADY * np.median(often)).astype(np.uint8)
    steady = cv2.morphologyEx(steady, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)).astype(bool)
    return steady if steady.mean() >= _LEAST else None


def interface_lag(films: Sequence[np.ndarray], interface: np.ndarray) -> int | None:
    """Frames by which changes of the interface come later than those of the world.

    It is the shift at which how much the interface changes in a step correlates best with how much
    all else does.

    Args:
        films: (T + 1, H, W, 3) uint8 each.
        interface: Its pixels (H, W) bool.

    Returns:
        The lag in [0, MAX_LAG], or None if no lag shows a correlation of a tenth.
    """
    changes = [_changes(film) for film in films]
    inside = [change[:, interface].mean(1) for change in changes]
    outside = [change[:, ~interface].mean(1) for change in changes]
    found = []
    for lag in range(MAX_LAG + 1):
        later = np.concatenate([each[lag:] for each in inside])
        earlier = np.concatenate([each[: len(each) - lag] for each in outside])
        spread = later.std() * earlier.std()
        both = ((later - later.mean()) * (earlier - earlier.mean())).mean()
        found.append(both / spread if spread > 0 else 0.0)
    best = int(np.argmax(found))
    return best if found[best] >= _VISIBLE else None


def _changes(film: np.ndarray) -> np.ndarray:
    """By how many levels each pixel's brightness changes in each step, (T, H, W)."""
    grey = np.stack([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in film])
    return abs(np.diff(grey.astype(np.int16), axis=0))
