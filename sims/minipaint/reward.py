"""How much nearer a canvas came to its target, from pixels alone."""

import numpy as np

from sims.minipaint.layout import CANVAS

_VALUES = CANVAS.width * CANVAS.height * 3


def canvas_of(frames: np.ndarray) -> np.ndarray:
    """The canvases (..., 182, 182, 3) of frames (..., 224, 224, 3), without a copy."""
    return frames[..., *CANVAS.pixels, :]


def progress(before: np.ndarray, after: np.ndarray, target: np.ndarray) -> np.ndarray:
    """By how much a canvas's mean absolute difference to a target decreased.

    Real and dreamed pixels are judged by this function: `progress(canvas_of(frame),
    canvas_of(next_frame), target)`.

    Args:
        before: (..., h, w, 3) uint8, the whole canvas, or a part of it that holds every change.
        after: The same part, a step later.
        target: The same part of the target.

    Returns:
        (...,) float64 from -255 to 255, in levels of a colour value, averaged over all values of
        the canvas: exactly the same number from a part as from the whole.
    """
    both = np.stack([before, after])
    apart = np.maximum(both, target)
    apart -= np.minimum(both, target)
    then, now = np.add.reduce(apart, axis=(-3, -2, -1), dtype=np.uint32).astype(np.int64)
    return (then - now) / _VALUES
