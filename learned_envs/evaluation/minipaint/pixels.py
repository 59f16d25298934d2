"""What a paint program's pixels say: what is chosen, what changed, what is paint."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_envs.worlds.minipaint_painters import eraser_chosen
from sims.minipaint.layout import BRUSHES, CANVAS, COLOURS, INK, SIZE, handle

TOLERANCE = 16
"""Levels of 255: a pixel is off, or has changed, where one of its values is farther than this."""

INKED = 32
"""Levels of 255: a pixel of the canvas is ink where a value is farther than this from the paper."""

FRAME = np.ones((SIZE, SIZE), bool)
"""(224, 224) bool, all of it."""

TOOLBAR = FRAME.copy()
"""(224, 224) bool, all of the frame that is not canvas."""
TOOLBAR[CANVAS.pixels] = False


def far(one: np.ndarray, other: np.ndarray, levels: int = TOLERANCE) -> np.ndarray:
    """Where two pictures (..., 3) uint8 differ by more than `levels` in any channel: (...) bool."""
    apart = np.maximum(one, other) - np.minimum(one, other) > levels
    return apart[..., 0] | apart[..., 1] | apart[..., 2]


def chosen(frame: np.ndarray) -> dict[str, Any]:
    """What a frame (224, 224, 3) says is chosen: `tool`, `colour` and `brush` as reset options.

    The tool by the eraser's border; the colour as the one nearest to the bar in the pen's button;
    the brush as the one in whose place the slider is darkest.
    """
    bar = frame[INK.pixels].mean((0, 1))
    colour = min(COLOURS, key=lambda name: float(abs(bar - COLOURS[name]).sum()))
    brush = min(range(BRUSHES), key=lambda brush: float(frame[handle(brush).pixels].mean()))
    return {
        "tool": "eraser" if eraser_chosen(frame) else "pen",
        "colour": colour,
        "brush": brush,
    }
