"""Following places of the picture by the optical flow, and how much they lose of what was there."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

FADED_FRAMES = 15
"""Frames over which a place is followed."""

_BOX = 9  # pixels a side in which detail is measured
_SPACING = 6  # pixels between the places that are followed
_ABRUPT = 6.0  # levels of a step that no motion explains, in the mean over the box
_FLAT = 1.0  # levels of detail: below, there is nothing to lose


def detail(grey: np.ndarray) -> np.ndarray:
    """Standard deviation of brightness (H, W) in the box around each pixel, in levels."""
    light = grey.astype(np.float32)
    mean, square = (cv2.blur(each, (_BOX, _BOX)) for each in (light, light**2))
    return np.sqrt(np.maximum(square - mean**2, 0))


def lost_detail(
    grey: Sequence[np.ndarray], flows: Sequence[np.ndarray], moved: Sequence[np.ndarray]
) -> np.ndarray:
    """How much detail the place that lost most has lost, beyond what the whole picture did.

    Places of the last frame are followed back, since one can only see what vanished by what is
    around where it was. They are lost sight of where a step is not explained by the flow: what goes
    out of view does so at once, what fades, little by little.

    Args:
        grey: Brightness of T + 1 frames (H, W) uint8.
        flows: T flows (H, W, 2), of each frame but the first back to the one before, x first.
        moved: T frames (H, W) uint8: each but the last, moved by the flow to the one after it.

    Returns:
        (T + 1 - FADED_FRAMES,) in levels, one for each stretch of so many steps; none if T is less.
    """
    details = np.stack([detail(frame) for frame in grey])
    ends = np.arange(FADED_FRAMES, len(grey))
    height, width = grey[0].shape
    margin = _BOX // 2
    y, x = np.mgrid[margin : height - margin : _SPACING, margin : width - margin : _SPACING]
    y, x = y.ravel(), x.ravel()
    row, column = (np.tile(each.astype(np.float32), (len(ends), 1)) for each in (y, x))
    inside = np.ones(row.shape, bool)
    flow = np.stack(flows) if len(ends) else np.empty((0, height, width, 2), np.float32)
    unexplained = [
        cv2.blur(cv2.absdiff(now, before).astype(np.float32), (_BOX, _BOX))
        for now, before in zip(grey[1:], moved, strict=True)
    ]
    abrupt = np.stack(unexplained) > _ABRUPT
    for back in range(1, FADED_FRAMES + 1):
        at = (ends - back)[:, None], *_pixels(row, column, height, width)
        inside &= ~abrupt[at]
        column, row = column + flow[(*at, 0)], row + flow[(*at, 1)]
        inside &= (row >= margin) & (row < height - margin)
        inside &= (column >= margin) & (column < width - margin)
    pixel = _pixels(row, column, height, width)
    before = details[((ends - FADED_FRAMES)[:, None], *pixel)]
    after = details[ends[:, None], y, x]
    seen = inside & (before > _FLAT)
    kept = np.where(seen, after / np.maximum(before, _FLAT), np.nan)
    usual = np.array([np.nanmedian(row) if (~np.isnan(row)).any() else 1.0 for row in kept])
    lost = before * np.minimum(usual, 1)[:, None] - after
    return np.where(seen, lost, 0).max(1) if len(ends) else np.empty(0)


def _pixels(
    row: np.ndarray, column: np.ndarray, height: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """The pixels nearest to places, or, of those outside, to the picture's edge."""
    return (
        np.clip(np.rint(row), 0, height - 1).astype(int),
        np.clip(np.rint(column), 0, width - 1).astype(int),
    )
