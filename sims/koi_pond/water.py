"""The pond's surface: a damped wave equation, and the light it bends.

Heights are float32 on a grid of half the picture's resolution. Waves travel at `SPEED` whatever
their length, lose half their height in about a second, and run out at the edges.
"""

from typing import Any

import cv2
import numpy as np

GRID = 128
SPEED = 72.0  # pixels a second
FPS = 15

_CELL = 2  # pixels a cell of the grid
_SUBSTEPS = 4
_COURANT = np.float32((SPEED / _CELL / FPS / _SUBSTEPS) ** 2)
_KEPT = np.float32(np.exp(-0.75 / FPS / _SUBSTEPS))  # of the height and of its change, a substep
_SPLASH, _SPLASH_RADIUS = 9.0, 2.7  # height at full strength, cells
_STILL = 1e-2  # heights below which the surface is flat, and is made so
_NOTHING = 1e-6  # heights that nobody sees; smaller floats would slow the arithmetic
_SHORE = 9  # cells over which waves run out

_BEND = 16.0  # pixels of refraction for a slope of one
_LIGHT = np.array([-1.4, -1.8], np.float32)  # towards the light: from the upper left
_GLINT = -0.24, 0.8  # the darkest and the brightest that a slope looks
_AXES = (1, 0), (0, 1)
_SKY = np.array([150, 196, 206], np.float32)


def _shore() -> np.ndarray:
    cell = np.arange(GRID)
    inland = np.clip(np.minimum(cell, GRID - 1 - cell) / _SHORE, 0, 1)
    return (0.86 + 0.14 * np.minimum(inland[:, None], inland) ** 0.5).astype(np.float32)


_DAMPING = _KEPT * _shore()
_SETTLING = _DAMPING ** np.float32(0.25)
_PULL = _COURANT / 6 * np.array([[1, 4, 1], [4, -20, 4], [1, 4, 1]], np.float32)
_Y, _X = np.mgrid[:GRID, :GRID].astype(np.float32)
_PIXELS = np.dstack(np.meshgrid(*[np.arange(256, dtype=np.float32)] * 2))  # (256, 256, 2): x, y

_NO_MAP: Any = None  # the other map holds x and y; OpenCV's type stubs know no such call


def splash(height: np.ndarray, before: np.ndarray, point: np.ndarray, strength: float) -> None:
    """Presses a dent with a raised rim around `point` (x, y) in pixels; changes both in place."""
    x, y = (point - 0.5) / _CELL
    distance = ((_X - x) ** 2 + (_Y - y) ** 2) / np.float32(2 * _SPLASH_RADIUS**2)
    dent = np.float32(_SPLASH * strength) * (1 - distance) * np.exp(-distance)
    dent[np.abs(dent) < _NOTHING] = 0
    height -= dent
    before -= dent


def flow(height: np.ndarray, before: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """One tick of the wave equation.

    Args:
        height: (128, 128) float32.
        before: The heights one substep earlier.

    Returns:
        The heights one tick later, and those of the substep before.
    """
    for _ in range(_SUBSTEPS):
        after = cv2.filter2D(height, cv2.CV_32F, _PULL, borderType=cv2.BORDER_REPLICATE)
        after += height
        after += (height - before) * _DAMPING
        after *= _SETTLING
        height, before = after, height
    height[np.abs(height) < _NOTHING] = 0
    before[np.abs(before) < _NOTHING] = 0
    if max(abs(height.min()), height.max(), abs(before.min()), before.max()) < _STILL:
        return np.zeros_like(height), np.zeros_like(before)
    return height, before


def seen_through(picture: np.ndarray, height: np.ndarray) -> np.ndarray:
    """What lies below, refracted and lit by one surface.

    Args:
        picture: (256, 256, 3) uint8, the pond under still water.
        height: (128, 128) float32.

    Returns:
        (256, 256, 3) uint8; `picture` itself where the surface is flat.
    """
    if not height.any():
        return picture
    slope = cv2.merge([cv2.Sobel(height, cv2.CV_32F, *axis, scale=1 / 16) for axis in _AXES])
    slope /= 1 + 3 * np.abs(slope)  # a splash on a fish should not tear it
    slope = cv2.resize(slope, (256, 256), interpolation=cv2.INTER_LINEAR)
    bent = cv2.remap(
        picture, _PIXELS + _BEND * slope, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    glint = np.clip(slope[..., 0] * _LIGHT[0] + slope[..., 1] * _LIGHT[1], *_GLINT)
    return cv2.add(bent, cv2.merge([glint * part for part in _SKY]), dtype=cv2.CV_8U)
