"""What the published viewer of a dreamed paint program makes of a hand's moves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learned_envs.worlds.minipaint import VIEWER
from sims.minipaint.env import IDLE_ACTION
from sims.minipaint.layout import SIZE
from sims.minipaint.program import PRESSED


def as_viewed(actions: np.ndarray) -> np.ndarray:
    """What the viewer sends while a hand does `actions`, by the same manners as the play window.

    It sends a point only when the button is down: the cursor without it leaves no trace. Moves
    shorter than the dead zone are held back, long ones come in pieces, and a single idle action
    ends a stroke.

    Args:
        actions: (T, 3), consecutive, the button up before the first.

    Returns:
        (T', 3) float32: each stroke's first point, then points 4 to 12 pixels apart in a straight
        line to those that the hand passed, then, if the hand let go, one idle action. T' may be
        less or more than T. Of a longer sequence it returns a longer one that begins with the same
        actions.
    """
    sent: list[Sequence[float]] = []
    last: tuple[float, float] | None = None
    for u, v, pressed in np.asarray(actions, float).tolist():
        if pressed >= PRESSED:
            points = [(u, v)] if last is None else VIEWER.pieces(last, (u, v), (SIZE, SIZE))
            sent += [(*point, 1.0) for point in points]
            last = points[-1] if points else last
        elif last is not None:
            sent.append(IDLE_ACTION)
            last = None
    return np.array(sent, np.float32).reshape(-1, 3)
