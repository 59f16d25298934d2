"""Two kinds of paint: which pixels a stroke reaches, and what it makes of them.

A stroke is the way of a round brush along a straight line between whole pixels (x, y) of the
canvas, either of which may lie beside it.
"""

from collections.abc import Callable
from functools import cache, lru_cache
from typing import Protocol

import numpy as np

from sims.minipaint.layout import BRUSHES, CANVAS, COLOURS, Point

DIAMETERS = tuple(2 + 8 * brush / (BRUSHES - 1) for brush in range(BRUSHES))

Region = tuple[slice, slice]  # rows and columns of a canvas


class Paint(Protocol):
    """What a brush is dipped in, and the paper that it is put on.

    Attributes:
        paper: (182, 182, 3) uint8, an empty canvas.
    """

    paper: np.ndarray

    def stroked(
        self,
        canvas: np.ndarray,
        start: Point,
        end: Point,
        brush: int,
        colour: str | None,
        begins: bool,
    ) -> tuple[Region, np.ndarray]:
        """What a stroke makes of the part of a canvas that it may change.

        Args:
            canvas: (182, 182, 3) uint8; left alone.
            start: Where the stroke comes from.
            end: Where it goes; `start` where the brush is put down and does not move.
            brush: 0 to 9.
            colour: A name in `COLOURS`, or None to bring back the paper.
            begins: Whether the brush is put down at `start`; else it is there already.

        Returns:
            That part, empty where the stroke passes beside the canvas, and its new pixels (h, w, 3)
            uint8.
        """
        ...


class HardPaint:
    """Covers a pixel wholly or not at all, so that a canvas holds colours of the palette only.

    Brushes are `DIAMETERS` pixels wide. Where that is nearest to an even number, the brush is
    centred on a pixel's upper left corner: two pixels have none in the middle.
    """

    def __init__(self):
        self.paper = np.full((CANVAS.height, CANVAS.width, 3), 255, np.uint8)
        self._rows = {
            name: np.full((CANVAS.width, 3), value, np.uint8) for name, value in COLOURS.items()
        }

    def stroked(
        self,
        canvas: np.ndarray,
        start: Point,
        end: Point,
        brush: int,
        colour: str | None,
        begins: bool,
    ) -> tuple[Region, np.ndarray]:
        region, part = _reached(start, end, _HARD_REACH[brush])
        covered = _along(_hard_cover, start, end, brush)[part]
        after = canvas[region].copy()
        np.copyto(after, self._rows[colour or "white"][: after.shape[1]], where=covered)
        return region, after


class SoftPaint:
    """Covers in part, less towards the rim and in the hollows of the paper; strokes build up.

    At half its strength a stroke is `DIAMETERS` pixels wide. A line that is drawn in pieces comes
    out as if drawn at once: a piece adds only what the brush had not covered where it starts.
    """

    def __init__(self):
        self.paper, self._take = _paper()
        self._inks = {name: np.array(value, np.float32) for name, value in COLOURS.items()}

    def stroked(
        self,
        canvas: np.ndarray,
        start: Point,
        end: Point,
        brush: int,
        colour: str | None,
        begins: bool,
    ) -> tuple[Region, np.ndarray]:
        region, part = _reached(start, end, _SOFT_REACH[brush])
        line, dab = _along(_soft_cover, start, end, brush)
        strength = _ERASED if colour is None else self._take[region]
        ink = self.paper[region] if colour is None else self._inks[colour]
        cover = strength * line[part]
        if not begins:
            cover = 1 - (1 - cover) / (1 - strength * dab[part])
        under = canvas[region].astype(np.float32)
        return region, np.rint(under + cover * (ink - under)).astype(np.uint8)


@cache
def paint_of(soft: bool) -> Paint:
    """Soft or hard paint; always the same object, since nothing in it changes."""
    return SoftPaint() if soft else HardPaint()


_HARD_REACH = tuple(diameter / 2 for diameter in DIAMETERS)
_HARD_CENTRE = tuple(0.0 if round(diameter) % 2 else -0.5 for diameter in DIAMETERS)
_SOFT_REACH = tuple(diameter / 2**0.5 for diameter in DIAMETERS)
_LAID, _ERASED = (0.55, 0.85), np.float32(0.9)  # coverage in a hollow and on a ridge; of an eraser
_PAPER, _SHADE, _TILE = (251, 248, 241), 14, 16
_SHORT = 20  # pixels across and down up to which a stroke's shape is remembered
_REMEMBERED = 2048


def _margin(reach: float) -> int:
    return int(reach) + 1


def _reached(start: Point, end: Point, reach: float) -> tuple[Region, Region]:
    """The part of the canvas that a brush may reach, and what that is of its whole surroundings."""
    margin = _margin(reach)
    left, top = min(start[0], end[0]) - margin, min(start[1], end[1]) - margin
    right, bottom = max(start[0], end[0]) + margin + 1, max(start[1], end[1]) + margin + 1
    x, right = _clipped(left, CANVAS.width), _clipped(right, CANVAS.width)
    y, bottom = _clipped(top, CANVAS.height), _clipped(bottom, CANVAS.height)
    part = slice(y - top, bottom - top), slice(x - left, right - left)
    return (slice(y, bottom), slice(x, right)), part


def _clipped(place: int, size: int) -> int:
    return min(max(place, 0), size)


def _along(shape: Callable, start: Point, end: Point, brush: int):
    """The shape of a stroke, remembered where it is short: most strokes are like others."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    if abs(dx) > _SHORT or abs(dy) > _SHORT:
        shape = shape.__wrapped__
    return shape(dx, dy, brush)


@lru_cache(_REMEMBERED)
def _hard_cover(dx: int, dy: int, brush: int) -> np.ndarray:
    """Which values (h, w, 3) around a stroke it covers."""
    reach = _HARD_REACH[brush]
    distance = _squared_distance(dx, dy, _margin(reach), _HARD_CENTRE[brush])
    return np.repeat((distance <= reach**2)[..., None], 3, -1)


@lru_cache(_REMEMBERED)
def _soft_cover(dx: int, dy: int, brush: int) -> tuple[np.ndarray, np.ndarray]:
    """How much of the values (h, w, 3) around a stroke it covers, and how much its start alone."""
    margin = _margin(_SOFT_REACH[brush])
    line = _squared_distance(dx, dy, margin)
    dab = _squared_distance(dx, dy, margin, dab=True)
    bells = [np.maximum(1 - far / _SOFT_REACH[brush] ** 2, 0) for far in (line, dab)]
    line, dab = (np.repeat(bell[..., None], 3, -1).astype(np.float32) for bell in bells)
    return line, dab


def _squared_distance(
    dx: int, dy: int, margin: int, centre: float = 0.0, dab: bool = False
) -> np.ndarray:
    """Of the pixels (h, w) within `margin` of a line's box to the line, or to its start.

    The line's ends are `centre` pixels right of and below the middle of their pixels.
    """
    across = np.arange(min(dx, 0) - margin, max(dx, 0) + margin + 1) - centre
    down = (np.arange(min(dy, 0) - margin, max(dy, 0) + margin + 1) - centre)[:, None]
    if dab or not (dx or dy):
        return across**2 + down**2
    along = ((across * dx + down * dy) / (dx**2 + dy**2)).clip(0, 1)
    return (across - along * dx) ** 2 + (down - along * dy) ** 2


def _paper() -> tuple[np.ndarray, np.ndarray]:
    """The paper, always the same, and how much paint it takes: (182, 182, 3) uint8, float32."""
    random = np.random.default_rng(0)
    down, across = np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)
    waves = np.fft.rfft2(random.normal(size=(_TILE, _TILE))) * np.exp(-6 * (down**2 + across**2))
    grain = np.fft.irfft2(waves, s=(_TILE, _TILE))
    height = grain.argsort(axis=None).argsort().reshape(grain.shape) / (grain.size - 1)
    times = -(-CANVAS.height // _TILE), -(-CANVAS.width // _TILE)
    height = np.tile(height, times)[: CANVAS.height, : CANVAS.width, None].repeat(3, -1)
    hollow, ridge = _LAID
    paper = np.rint(_PAPER - _SHADE * (1 - height)).astype(np.uint8)
    return paper, (hollow + (ridge - hollow) * height).astype(np.float32)
