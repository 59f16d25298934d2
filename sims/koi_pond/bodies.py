"""Fish in the picture: straight textures bent along swimming spines, with sub-pixel smoothness."""

from typing import Any

import cv2
import numpy as np

from sims.koi_pond.koi import MARGIN, REACH, TEXELS
from sims.koi_pond.scenery import SIZE
from sims.koi_pond.shoal import JOINTS

BORDER = 80  # pixels around the frame that the layer of fish also covers

_BOX = 76  # pixels a side of the square in which one fish is drawn
_COARSE = 4  # pixels between the points where its texture coordinates are computed exactly
_POINTS = 33  # of the spine, finer than its joints
_AT = np.linspace(0, 1, _POINTS)
_GRID = np.arange(_BOX // _COARSE) * _COARSE + (_COARSE - 1) / 2
_BLEND = np.linspace(0, JOINTS - 1, _POINTS - 1)
_LOWER = np.minimum(_BLEND.astype(int), JOINTS - 2)
_UPPER_SHARE = _BLEND - _LOWER
_NO_MAP: Any = None  # the other map holds x and y; OpenCV's type stubs know no such call


def swimming_spines(
    head: np.ndarray,
    bend: np.ndarray,
    length: np.ndarray,
    phase: np.ndarray,
    speed: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Smooth spines with the body wave.

    Args:
        head: (m, 2), noses in pixels.
        bend: (m, 12), directions of the segments.
        length: (m,), pixels.
        phase: (m,), of the wave.
        speed: (m,), pixels a second; the faster, the larger the wave.

    Returns:
        Points (m, 33, 2) from nose to tail tip, and the unit tangents there, towards the tail.
    """
    smooth = bend[:, _LOWER] * (1 - _UPPER_SHARE) + bend[:, _LOWER + 1] * _UPPER_SHARE
    vigour = 0.75 + 0.6 * np.clip(speed / 110, 0, 1)
    at = (_AT[:-1] + _AT[1:]) / 2
    # The slope of a wave that runs to the tail and grows on the way; a little of it in the head.
    swing = (0.07 + 0.46 * at**1.5) * np.cos(phase[:, None] - 5.4 * at) * vigour[:, None]
    angle = smooth + swing
    step = -np.stack([np.cos(angle), np.sin(angle)], -1)
    points = np.empty((len(head), _POINTS, 2))
    points[:, 0] = head
    points[:, 1:] = head[:, None] + np.cumsum(step, 1) * (length / (_POINTS - 1))[:, None, None]
    middle = (
        head[:, None]
        + np.cumsum(-np.stack([np.cos(smooth), np.sin(smooth)], -1), 1)
        * (length / (_POINTS - 1))[:, None, None]
    )
    points += (middle - points[:, 1:]).mean(1, keepdims=True) * 0.5  # the wave rocks the head too
    tangents = np.empty_like(points)
    tangents[:, 1:-1] = points[:, 2:] - points[:, :-2]
    tangents[:, 0], tangents[:, -1] = points[:, 1] - points[:, 0], points[:, -1] - points[:, -2]
    tangents /= np.sqrt((tangents**2).sum(-1, keepdims=True))
    return points, tangents


def draw(
    textures: list[np.ndarray],
    points: np.ndarray,
    tangents: np.ndarray,
    length: np.ndarray,
    phase: np.ndarray,
) -> np.ndarray:
    """Draws fish on a transparent layer.

    Args:
        textures: One a fish, as `koi.paint` made it.
        points: (m, 33, 2), from `swimming_spines`.
        tangents: (m, 33, 2), likewise.
        length: (m,), pixels.
        phase: (m,), of the body wave; the fins beat with it.

    Returns:
        (256 + 2 BORDER, 256 + 2 BORDER, 4) uint8, premultiplied.
    """
    layer = np.zeros((SIZE + 2 * BORDER, SIZE + 2 * BORDER, 4), np.uint8)
    corner = np.floor(points[:, _POINTS // 2]).astype(int) - _BOX // 2
    maps = _texture_maps(points - corner[:, None], tangents, length, phase)
    left_top = corner + BORDER
    drawable = ((left_top >= 0) & (left_top + _BOX <= len(layer))).all(1)
    for fish in np.flatnonzero(drawable).tolist():
        x, y = left_top[fish].tolist()
        fine = cv2.resize(maps[fish], (_BOX, _BOX), interpolation=cv2.INTER_LINEAR)
        body = cv2.remap(
            textures[fish], fine, _NO_MAP, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        area = layer[y : y + _BOX, x : x + _BOX]
        cv2.add(area, body, dst=area)
    return layer


def _texture_maps(
    points: np.ndarray, tangents: np.ndarray, length: np.ndarray, phase: np.ndarray
) -> np.ndarray:
    """Texture coordinates (m, 19, 19, 2) float32 at the coarse grid of each fish's box.

    Every grid point is projected onto the tangent at the nearest point of the spine.
    """
    px, py = points[..., 0][:, None, None], points[..., 1][:, None, None]
    away = (_GRID[:, None, None] - py) ** 2 + (_GRID[:, None] - px) ** 2  # (m, 19, 19, 33)
    nearest = away.argmin(-1)
    fish = np.arange(len(points))[:, None, None]
    foot, tangent = points[fish, nearest], tangents[fish, nearest]
    dx, dy = _GRID - foot[..., 0], _GRID[:, None] - foot[..., 1]
    size = length[:, None, None]
    along = _AT[nearest] * size + dx * tangent[..., 0] + dy * tangent[..., 1]
    across = dy * tangent[..., 0] - dx * tangent[..., 1]
    beyond = np.clip(np.abs(across) - 0.1 * size, 0, None)  # into the paired fins, which beat
    front = np.clip(4 - 6 * along / size, 0, 1)
    side = np.sin(phase)[:, None, None] * np.sign(across)
    along = along - front * beyond * (0.1 + 0.28 * side)
    return np.stack([(along + MARGIN) * TEXELS - 0.5, (across + REACH) * TEXELS - 0.5], -1).astype(
        np.float32
    )
