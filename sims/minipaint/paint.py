"""Two kinds of paint: which pixels a stroke reaches, and what it makes of them.

A stroke is the way of a round brush along a straight line between whole pixels (x, y) of the
canvas, either of which may lie beside it.
"""

from functools import cache
from typing import Protocol

import numpy as np

from sims.minipaint.layout import BRUSHES, CANVAS, COLOURS

DIAMETERS = tuple(2 + 8 * brush / (BRUSHES - 1) for brush in range(BRUSHES))

Point = tuple[int, int]
Region = tuple[slice, slice]  # rows and columns of a canvas

_INDEX = np.arange(CANVAS.width, dtype=np.float32)  # the canvas is a square
_ZERO, _ONE = np.float32(0), np.float32(1)


class Paint(Protocol):
    """What a brush is dipped in, and the paper that it is put on.

    Attributes:
        paper: (182, 182, 3) uint8, an empty canvas.
    """

    paper: np.ndarray

    def region(self, start: Point | None, end: Point, brush: int) -> Region:
        """The part of the canvas that a stroke may change; empty where it passes beside it."""
        ...

    def stroked(
        self,
        under: np.ndarray,
        region: Region,
        start: Point | None,
        end: Point,
        brush: int,
        colour: str | None,
    ) -> np.ndarray:
        """What a stroke makes of a region.

        Args:
            under: (h, w, 3) uint8, the region as it is; left alone.
            region: Where that is, not empty.
            start: Where the stroke comes from; None where the brush is put down.
            end: Where it goes.
            brush: 0 to 9.
            colour: A name in `COLOURS`, or None to bring back the paper.

        Returns:
            (h, w, 3) uint8, the region as it becomes.
        """
        ...


class HardPaint:
    """Covers a pixel wholly or not at all, so that a canvas holds colours of the palette only.

    Brushes are `DIAMETERS` pixels wide. Where that is nearest to an even number, the brush is
    centred on a pixel's upper left corner: two pixels have none in the middle.
    """

    def __init__(self):
        self.paper = np.full((CANVAS.height, CANVAS.width, 3), 255, np.uint8)
        self._inks = {name: np.array(value, np.uint8) for name, value in COLOURS.items()}

    def region(self, start: Point | None, end: Point, brush: int) -> Region:
        return _around(start or end, end, _HARD_REACH[brush])

    def stroked(
        self,
        under: np.ndarray,
        region: Region,
        start: Point | None,
        end: Point,
        brush: int,
        colour: str | None,
    ) -> np.ndarray:
        distance = _squared_distance(region, start or end, end, _HARD_CENTRE[brush])
        covered = distance <= _HARD_REACH_SQUARED[brush]
        after = under.copy()
        np.copyto(after, self._inks[colour or "white"], where=covered[..., None])
        return after


class SoftPaint:
    """Covers in part, less towards the rim and in the hollows of the paper; strokes build up.

    At half its strength a stroke is `DIAMETERS` pixels wide. A line that is drawn in pieces comes
    out as if drawn at once: a piece adds only what the brush had not covered where it starts.
    """

    def __init__(self):
        self.paper, self._take = _paper()
        self._inks = {name: np.array(value, np.float32) for name, value in COLOURS.items()}

    def region(self, start: Point | None, end: Point, brush: int) -> Region:
        return _around(start or end, end, _SOFT_REACH[brush])

    def stroked(
        self,
        under: np.ndarray,
        region: Region,
        start: Point | None,
        end: Point,
        brush: int,
        colour: str | None,
    ) -> np.ndarray:
        strength = _ERASED if colour is None else self._take[region]
        ink = self.paper[region] if colour is None else self._inks[colour]
        cover = strength * _bell(_squared_distance(region, start or end, end), brush)
        if start is not None:
            before = strength * _bell(_squared_distance(region, start, start), brush)
            cover = _ONE - (_ONE - cover) / (_ONE - before)
        return np.rint(under + cover[..., None] * (ink - under.astype(np.float32))).astype(np.uint8)


@cache
def paint_of(soft: bool) -> Paint:
    """Soft or hard paint; always the same object, since nothing in it changes."""
    return SoftPaint() if soft else HardPaint()


_HARD_REACH = tuple(diameter / 2 for diameter in DIAMETERS)
_HARD_REACH_SQUARED = tuple(np.float32(reach**2) for reach in _HARD_REACH)
_HARD_CENTRE = tuple(0.0 if round(diameter) % 2 else -0.5 for diameter in DIAMETERS)
_SOFT_REACH = tuple(diameter / 2**0.5 for diameter in DIAMETERS)
_SOFT_REACH_SQUARED = tuple(np.float32(reach**2) for reach in _SOFT_REACH)
_LAID, _ERASED = (0.55, 0.85), np.float32(0.9)  # coverage in a hollow and on a ridge; of an eraser
_PAPER, _SHADE, _TILE = (251, 248, 241), 14, 16


def _around(start: Point, end: Point, reach: float) -> Region:
    margin = int(reach) + 1
    (left, right), (top, bottom) = (sorted(pair) for pair in zip(start, end, strict=True))
    rows = slice(max(top - margin, 0), min(bottom + margin + 1, CANVAS.height))
    columns = slice(max(left - margin, 0), min(right + margin + 1, CANVAS.width))
    return rows, columns


def _squared_distance(region: Region, start: Point, end: Point, centre: float = 0.0) -> np.ndarray:
    """Of each pixel of a region to a line whose ends are `centre` right of and below points."""
    rows, columns = region
    (x, y), (dx, dy) = start, (end[0] - start[0], end[1] - start[1])
    across = _INDEX[columns] - np.float32(x + centre)
    down = _INDEX[rows, None] - np.float32(y + centre)
    length = dx * dx + dy * dy
    if length:
        along = across * np.float32(dx / length) + down * np.float32(dy / length)
        np.minimum(np.maximum(along, _ZERO, out=along), _ONE, out=along)
        across = across - along * np.float32(dx)
        down = down - along * np.float32(dy)
    return across * across + down * down


def _bell(squared_distance: np.ndarray, brush: int) -> np.ndarray:
    """1 on a line, falling to 0 at the brush's rim."""
    return np.maximum(_ONE - squared_distance / _SOFT_REACH_SQUARED[brush], _ZERO)


def _paper() -> tuple[np.ndarray, np.ndarray]:
    """The paper (182, 182, 3) uint8, always the same, and how much paint it takes, float32."""
    random = np.random.default_rng(0)
    grain = np.fft.rfft2(random.normal(size=(_TILE, _TILE)))
    down, across = np.fft.fftfreq(_TILE)[:, None], np.fft.rfftfreq(_TILE)
    grain = np.fft.irfft2(grain * np.exp(-6 * (down**2 + across**2)), s=(_TILE, _TILE))
    height = grain.argsort(axis=None).argsort().reshape(grain.shape) / (grain.size - 1)
    times = -(-CANVAS.height // _TILE), -(-CANVAS.width // _TILE)
    height = np.tile(height, times)[: CANVAS.height, : CANVAS.width].astype(np.float32)
    shade = np.rint(_SHADE * (1 - height)).astype(np.uint8)
    hollow, ridge = _LAID
    return np.array(_PAPER, np.uint8) - shade[..., None], hollow + (ridge - hollow) * height
