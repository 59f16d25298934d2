"""How the published viewer of a dreamed paint program passes a hand's moves on.

It sends a point only when the button is down: the cursor without it leaves no trace. Moves shorter
than the dead zone are held back, long ones come in pieces, and a single idle action ends a stroke.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, hypot

import numpy as np

from sims.minipaint.env import IDLE_ACTION
from sims.minipaint.layout import SIZE
from sims.minipaint.program import PRESSED

DEAD_ZONE = 4.0
"""Pixels that the cursor must have moved from the point sent last before another is sent."""

LONGEST = 12.0
"""Pixels of the longest segment that is sent at once."""

_ROUNDING = 1e-3  # pixels, by which float32 actions may be off

Point = tuple[float, float]  # u and v


def as_viewed(actions: np.ndarray) -> np.ndarray:
    """What the viewer sends while a hand does `actions`.

    Args:
        actions: (T, 3), consecutive, the button up before the first.

    Returns:
        (T', 3) float32: each stroke's first point, then points 4 to 12 pixels apart in a straight
        line to those that the hand passed, then, if the hand let go, one idle action. T' may be
        less or more than T. Of a longer sequence it returns a longer one that begins with the same
        actions.
    """
    sent: list[Sequence[float]] = []
    last: Point | None = None
    for u, v, pressed in np.asarray(actions, float).tolist():
        if pressed >= PRESSED:
            points = [(u, v)] if last is None else _segment(last, (u, v))
            sent += [(*point, 1.0) for point in points]
            last = points[-1] if points else last
        elif last is not None:
            sent.append(IDLE_ACTION)
            last = None
    return np.array(sent, np.float32).reshape(-1, 3)


def _segment(start: Point, end: Point) -> list[Point]:
    """The points that are sent while the cursor moves from `start`, with the button down."""
    (u, v), du, dv = start, end[0] - start[0], end[1] - start[1]
    length = SIZE * hypot(du, dv)
    if length < DEAD_ZONE - _ROUNDING:
        return []
    pieces = ceil((length - _ROUNDING) / LONGEST)
    return [(u + du * i / pieces, v + dv * i / pieces) for i in range(1, pieces + 1)]
