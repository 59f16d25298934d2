"""Where figures are, told by motion alone: what differs from the ground of a take and is alone.

These labels are few and rough, but right: a figure that touches another, or that something covers,
is left out and marked as unsure. A detector that learns from them finds those, too.
"""

from dataclasses import dataclass

import cv2
import numpy as np

SHORTEST = 40
"""Frames of a take from which its ground can be told."""

_EVERY = 4  # every fourth frame is enough for a median
_DIFFERENT = 14  # levels of a byte
_SMALLEST = 60  # pixels: less is noise
_ELONGATED = 1.45
_LENGTH, _BREADTH, _AREA = (0.5, 0.95), 0.65, (0.1, 0.36)  # shares of the size a figure may have
_FORTH = 2.0  # pixels along its body that a figure must have moved to tell its head from its tail
_SAME = 25.0  # pixels that it may have moved at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """Figures of one frame (m of them), and where there may be others.

    Attributes:
        centre: (m, 2) float32, x and y in pixels.
        facing: (m, 2) float32, unit vectors along the body.
        directed: (m,) bool, whether `facing` tells the head from the tail.
        extent: (m, 2) float32, length and breadth in pixels.
        unsure: (H, W) bool, what moves and is no figure that stands alone.
    """

    centre: np.ndarray
    facing: np.ndarray
    directed: np.ndarray
    extent: np.ndarray
    unsure: np.ndarray


def ground_of(frames: np.ndarray) -> np.ndarray:
    """The still picture (H, W, 3) uint8 behind frames (T, H, W, 3) of one take: their median."""
    return np.median(frames[::_EVERY], axis=0).astype(np.uint8)


def moving(frame: np.ndarray, ground: np.ndarray) -> np.ndarray:
    """Which pixels (H, W) bool of a frame (H, W, 3) uint8 differ from the ground."""
    apart = cv2.absdiff(frame, ground).max(2)
    marked = cv2.GaussianBlur(apart, (0, 0), 1.0) >= _DIFFERENT
    return cv2.morphologyEx(marked.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3))) > 0


def label(
    frame: np.ndarray, later: np.ndarray, ground: np.ndarray, size: tuple[int, int]
) -> Labels:
    """Labels the figures that stand alone in a frame.

    Args:
        frame: (H, W, 3) uint8.
        later: A frame a few steps later, from which the direction of their motion is told.
        ground: From `ground_of`.
        size: Pixels across and along in which a figure fits.
    """
    mask = moving(frame, ground)
    blobs, then = _blobs(mask, size), _blobs(moving(later, ground), size)
    centre = np.array([blob.centre for blob in blobs], np.float32).reshape(-1, 2)
    axis = np.array([blob.axis for blob in blobs], np.float32).reshape(-1, 2)
    extent = np.array([blob.extent for blob in blobs], np.float32).reshape(-1, 2)
    forth = np.zeros(len(blobs))
    if blobs and then:
        places = np.array([blob.centre for blob in then])
        apart = np.linalg.norm(places - centre[:, None], axis=2)
        moved = places[apart.argmin(1)] - centre
        along = (moved * axis).sum(1)
        sideways = np.linalg.norm(moved - along[:, None] * axis, axis=1)
        told = (apart.min(1) < _SAME) & (np.abs(along) > np.maximum(_FORTH, 1.2 * sideways))
        forth = np.where(told, np.sign(along), 0)
    for blob in blobs:
        mask &= ~blob.pixels
    facing = axis * np.where(forth == 0, 1, forth)[:, None].astype(np.float32)
    return Labels(centre=centre, facing=facing, directed=forth != 0, extent=extent, unsure=mask)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Blob:
    centre: np.ndarray
    axis: np.ndarray
    extent: tuple[float, float]
    pixels: np.ndarray


def _blobs(mask: np.ndarray, size: tuple[int, int]) -> list[_Blob]:
    """The connected parts of a mask that have the shape of one figure by itself."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    across, along = size
    low, high = (share * across * along for share in _AREA)
    found = []
    for i in range(1, count):
        if not max(low, _SMALLEST) < stats[i, cv2.CC_STAT_AREA] < high:
            continue
        pixels = labels == i
        places = np.argwhere(pixels)[:, ::-1]
        spread, axes = np.linalg.eigh(np.cov(places.T))
        breadth, length = 4 * np.sqrt(spread)
        fits = _LENGTH[0] * along < length < _LENGTH[1] * along and breadth < _BREADTH * across
        if fits and length > _ELONGATED * breadth:
            found.append(
                _Blob(
                    centre=places.mean(0), axis=axes[:, 1], extent=(length, breadth), pixels=pixels
                )
            )
    return found
