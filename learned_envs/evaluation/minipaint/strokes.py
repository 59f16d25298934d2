"""Do strokes leave what they should: paint, as thick and of the colour; clean paper?"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import dist, isnan
from typing import Any

import numpy as np

from learned_envs.evaluation.minipaint.episodes import PHASES, Moment, phase_of
from learned_envs.evaluation.minipaint.pixels import far
from learned_envs.evaluation.proportion import Proportion
from learned_envs.worlds.minipaint_painters import eraser_chosen
from sims.minipaint.layout import CANVAS, Point
from sims.minipaint.program import PRESSED, pixel_at
from sims.minipaint.reward import canvas_of

TOOLS = ("pen", "eraser")

LEAST = 4
"""Pixels of the real canvas that a stroke must have changed to be counted: a dot of the smallest
brush."""

VISIBLE = 0.1
"""Share of those pixels that the dream must have changed for a stroke to be visible."""

LONG = 12.0
"""Pixels that the cursor must have moved on the canvas for a stroke's thickness to be measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Strokes:
    """Strokes with one tool in one phase; they add up.

    A stroke is what happens from the step in which the button goes down to the one in which it is
    let go, if at least 4 pixels of the real canvas changed meanwhile; a pixel changed if its values
    differ by more than 16 levels in any channel.

    Attributes:
        invisible: Strokes of which the dream changed less than a tenth of the pixels that really
            changed.
        erased: Of the pixels that really became paper, exactly, those that are exactly paper in the
            dream.
        long: Strokes of at least 12 pixels; thickness is measured on these.
        length: Pixels that the cursor moved on the canvas in them, in straight lines.
        area: Pixels that they changed, really.
        dreamed_area: Pixels that they changed in the dream.
        thickness_errors: Sum over them of |dreamed area - area| / length, pixels.
        colour_errors: Sum over the pixels that a stroke changed both really and in the dream of
            their mean absolute difference over the channels afterwards, levels of 255.
        coloured: Those pixels.
    """

    invisible: Proportion = Proportion()
    erased: Proportion = Proportion()
    long: int = 0
    length: float = 0.0
    area: int = 0
    dreamed_area: int = 0
    thickness_errors: float = 0.0
    colour_errors: float = 0.0
    coloured: int = 0

    def __add__(self, other: Strokes) -> Strokes:
        return Strokes(
            invisible=self.invisible + other.invisible,
            erased=self.erased + other.erased,
            long=self.long + other.long,
            length=self.length + other.length,
            area=self.area + other.area,
            dreamed_area=self.dreamed_area + other.dreamed_area,
            thickness_errors=self.thickness_errors + other.thickness_errors,
            colour_errors=self.colour_errors + other.colour_errors,
            coloured=self.coloured + other.coloured,
        )

    @property
    def thickness(self) -> tuple[float, float]:
        """Area by length, pixels, of all long strokes together, dreamed and real; nan of none."""
        return _ratio(self.dreamed_area, self.length), _ratio(self.area, self.length)

    @property
    def thickness_error(self) -> float:
        """Mean over long strokes of the absolute error of their thickness, pixels; nan of none."""
        return _ratio(self.thickness_errors, self.long)

    @property
    def colour_error(self) -> float:
        """Mean absolute error on changed pixels, levels of 255; nan of none."""
        return _ratio(self.colour_errors, self.coloured)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; what was not seen is None."""
        dreamed, real = self.thickness
        return {
            "invisible": self.invisible.to_json(),
            "erased": self.erased.to_json(),
            "long": self.long,
            "thickness": _or_none(dreamed),
            "real_thickness": _or_none(real),
            "thickness_error": _or_none(self.thickness_error),
            "colour_error": _or_none(self.colour_error),
        }


class StrokesWatch:
    """Follows the strokes of n episodes that two programs go through side by side.

    A stroke belongs to the phase in which it ends; those of no phase are left out.

    Args:
        real: (n, 224, 224, 3) uint8, the first real frames.
        dream: The first dreamed ones.
        paper: (182, 182, 3) uint8, an empty canvas.

    Attributes:
        strokes: By tool and phase.
    """

    def __init__(self, real: np.ndarray, dream: np.ndarray, paper: np.ndarray):
        self.strokes = {(tool, phase): Strokes() for tool in TOOLS for phase in PHASES}
        self._paper = paper
        self._last = real, dream
        self._before: list[tuple[np.ndarray, np.ndarray] | None] = [None] * len(real)
        self._paths: list[list[Point]] = [[] for _ in real]

    def watch(self, moment: Moment) -> None:
        """Looks at the next step."""
        for row, (u, v, pressed) in enumerate(moment.actions.tolist()):
            before = self._before[row]
            if pressed >= PRESSED:
                if before is None:
                    real, dream = (canvas_of(frames[row]).copy() for frames in self._last)
                    self._before[row] = real, dream
                    self._paths[row] = []
                self._paths[row].append(pixel_at(u, v))
            elif before is not None:
                self._enter(moment, row, before)
                self._before[row] = None
        self._last = moment.real, moment.dream

    def _enter(self, moment: Moment, row: int, before: tuple[np.ndarray, np.ndarray]) -> None:
        phase = phase_of(moment.step)
        if phase is None:
            return
        after = canvas_of(moment.real[row]), canvas_of(moment.dream[row])
        tool = "eraser" if eraser_chosen(moment.real[row]) else "pen"
        self.strokes[tool, phase] += _stroke(before, after, self._paper, _length(self._paths[row]))


def _stroke(
    before: tuple[np.ndarray, np.ndarray],
    after: tuple[np.ndarray, np.ndarray],
    paper: np.ndarray,
    length: float,
) -> Strokes:
    """One stroke, from canvases, real and dreamed, before and after it."""
    changed, dreamed = (far(*canvases) for canvases in zip(before, after, strict=True))
    area, dreamed_area, both = int(changed.sum()), int(dreamed.sum()), changed & dreamed
    if area < LEAST:
        return Strokes()
    blank, dreamed_blank = ((canvas == paper).all(-1) for canvas in after)
    erased = changed & blank
    off = abs(after[0][both].astype(np.float64) - after[1][both]).mean(-1)
    found = Strokes(
        invisible=Proportion(hits=int(both.sum() < VISIBLE * area), trials=1),
        erased=Proportion(hits=int((erased & dreamed_blank).sum()), trials=int(erased.sum())),
        colour_errors=float(off.sum()),
        coloured=len(off),
    )
    if length < LONG:
        return found
    return found + Strokes(
        long=1,
        length=length,
        area=area,
        dreamed_area=dreamed_area,
        thickness_errors=abs(dreamed_area - area) / length,
    )


def _length(path: list[Point]) -> float:
    """Pixels of a path's segments that lie on the canvas."""
    crossed = [CANVAS.crossed(start, end) for start, end in pairwise(path)]
    return sum(dist(*segment) for segment in crossed if segment is not None)


def _ratio(value: float, of: float) -> float:
    return value / of if of else float("nan")


def _or_none(value: float) -> float | None:
    return None if isnan(value) else value
