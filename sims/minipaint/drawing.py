"""A seeded painter, whose drawings are what an episode's canvas is to become."""

import numpy as np

from sims.minipaint.layout import BRUSHES, COLOURS
from sims.minipaint.paint import Paint, paint_of
from sims.minipaint.shapes import SHAPES, walked

_SHARES = {
    "polyline": 0.12, "rectangle": 0.12, "arc": 0.2, "spiral": 0.1, "zigzag": 0.08, "wave": 0.1,
    "scribble": 0.08, "dots": 0.05, "fill": 0.07, "writing": 0.08,
}  # fmt: skip
_INKS = [name for name in COLOURS if name != "white"]
_PACE = 6.0


def drawing(seed: int, soft: bool = False) -> np.ndarray:
    """Paints 4 to 8 shapes on an empty canvas, each in a colour and with a brush of its own.

    Args:
        seed: From 0; equal seeds give equal drawings.
        soft: With soft paint on its paper, not hard paint on white.

    Returns:
        (182, 182, 3) uint8.
    """
    random = np.random.default_rng(seed)
    paint = paint_of(soft)
    canvas = paint.paper.copy()
    for _ in range(random.integers(4, 9)):
        path = SHAPES[random.choice(list(_SHARES), p=list(_SHARES.values()))](random)
        colour, brush = str(random.choice(_INKS)), int(random.integers(BRUSHES))
        for stroke in path:
            draw(canvas, paint, walked(stroke, _PACE), brush, colour)
    return canvas


def draw(
    canvas: np.ndarray, paint: Paint, points: np.ndarray, brush: int, colour: str | None
) -> None:
    """Draws a stroke through points (k, 2) of a canvas into it; see `Paint.stroked`."""
    start = None
    for x, y in points.tolist():
        end = x, y
        region, after = paint.stroked(canvas, start or end, end, brush, colour, start is None)
        canvas[region] = after
        start = end
