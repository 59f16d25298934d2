"""What people draw, as paths: lists of strokes, each (k, 2) float64 points x, y of the canvas.

Every shape takes a random generator and lies about where it draws; parts may lie beside the canvas.
"""

from collections.abc import Callable

import numpy as np

from sims.minipaint.layout import CANVAS

Path = list[np.ndarray]

_SIDE = float(CANVAS.width)
_TURN = 2 * np.pi


def polyline(random: np.random.Generator) -> Path:
    """Two to six straight lines, closed in a third of the cases."""
    corners = random.uniform(0, _SIDE, (random.integers(2, 7), 2))
    return [np.concatenate([corners, corners[:1]]) if random.random() < 0.35 else corners]


def rectangle(random: np.random.Generator) -> Path:
    """An upright rectangle."""
    (left, top), (width, height) = _place(random), random.uniform(14, 90, 2)
    x, y = np.array([0, 1, 1, 0, 0]), np.array([0, 0, 1, 1, 0])
    return [np.stack([left + (x - 0.5) * width, top + (y - 0.5) * height], 1)]


def arc(random: np.random.Generator) -> Path:
    """A part of an ellipse, or the whole of one."""
    sweep = _TURN if random.random() < 0.4 else random.uniform(0.7, 6.0)
    radii = random.uniform(8, 70) * np.array([1, random.uniform(0.5, 1)])
    return [_place(random) + _round(random.uniform(0, _TURN), sweep, radii)]


def spiral(random: np.random.Generator) -> Path:
    """One and a half to four turns outwards or inwards."""
    turns = random.uniform(1.5, 4) * random.choice([-1, 1])
    grown = np.linspace(0.03, 1, 80)[:, None] * random.uniform(12, 55)
    path = _place(random) + _round(random.uniform(0, _TURN), turns * _TURN, grown)
    return [path if random.random() < 0.7 else path[::-1]]


def zigzag(random: np.random.Generator) -> Path:
    """Sharp teeth along a line."""
    teeth = int(random.integers(4, 13))
    side = np.where(np.arange(teeth) % 2, 1, -1) * random.uniform(5, 24)
    along = (np.arange(teeth) - teeth / 2) * random.uniform(5, 14)
    return [_place(random) + _turned(np.stack([along, side], 1), random.uniform(0, _TURN))]


def wave(random: np.random.Generator) -> Path:
    """A sine along a line."""
    along = np.linspace(-1, 1, 60) * random.uniform(25, 90)
    side = random.uniform(4, 18) * np.sin(along * _TURN / random.uniform(18, 50))
    return [_place(random) + _turned(np.stack([along, side], 1), random.uniform(0, _TURN))]


def scribble(random: np.random.Generator) -> Path:
    """A smooth walk without aim."""
    steps = int(random.integers(12, 60))
    bend = np.cumsum(random.normal(0, 0.28, steps))
    heading = random.uniform(0, _TURN) + np.cumsum(bend * 0.5 + random.normal(0, 0.2, steps))
    strides = random.uniform(4, 8) * np.stack([np.cos(heading), np.sin(heading)], 1)
    return [_place(random) + np.cumsum(strides, 0)]


def dots(random: np.random.Generator) -> Path:
    """Touches, scattered or in a row."""
    count = int(random.integers(2, 9))
    if random.random() < 0.5:
        places = _place(random) + random.normal(0, random.uniform(6, 40), (count, 2))
    else:
        ends = random.uniform(0, _SIDE, (2, 2))
        places = ends[0] + np.linspace(0, 1, count)[:, None] * (ends[1] - ends[0])
    return [place[None] for place in places]


def fill(random: np.random.Generator) -> Path:
    """A patch that is hatched to and fro."""
    width, height = random.uniform(16, 60, 2)
    rows = np.arange(0, height, random.uniform(2.5, 7))
    ends = np.where(np.arange(2 * len(rows)) % 4 % 3 == 0, -0.5, 0.5) * width
    patch = np.stack([ends, np.repeat(rows, 2) - height / 2], 1)
    return [_place(random) + _turned(patch, random.choice([0, 0.25, random.random()]) * _TURN)]


def writing(random: np.random.Generator) -> Path:
    """A word of two to eight made-up letters, each of one or two smooth strokes."""
    size, slant = random.uniform(9, 22), random.uniform(-0.1, 0.35)
    letters, at = [], np.array([random.uniform(4, 0.6 * _SIDE), random.uniform(16, _SIDE - 8)])
    for _ in range(random.integers(2, 9)):
        for _ in range(random.integers(1, 3)):
            knots = random.integers(0, 3, (random.integers(3, 6), 2)) / 2
            knots = knots + random.normal(0, 0.06, knots.shape)
            letter = _smooth(knots) * (0.6 * size, -size)
            letters.append(at + letter + letter[:, 1:] * (-slant, 0))
        at = at + (0.85 * size, random.normal(0, 0.5))
    return letters


SHAPES: dict[str, Callable[[np.random.Generator], Path]] = {
    "polyline": polyline,
    "rectangle": rectangle,
    "arc": arc,
    "spiral": spiral,
    "zigzag": zigzag,
    "wave": wave,
    "scribble": scribble,
    "dots": dots,
    "fill": fill,
    "writing": writing,
}


def walked(stroke: np.ndarray, pace: float) -> np.ndarray:
    """The pixels (k, 2) int64 that a cursor passes on a stroke at `pace` pixels a step.

    Corners are cut by at most half a pace; the two ends are kept.
    """
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(stroke, axis=0), axis=1))])
    steps = max(int(np.ceil(lengths[-1] / pace)), 1) if len(stroke) > 1 else 0
    at = np.linspace(0, lengths[-1], steps + 1)
    x, y = (np.interp(at, lengths, values) for values in stroke.T)
    return np.floor(np.stack([x, y], 1)).astype(np.int64)


def _place(random: np.random.Generator) -> np.ndarray:
    return random.uniform(0.06 * _SIDE, 0.94 * _SIDE, 2)


def _turned(points: np.ndarray, angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return points @ np.array([[cosine, sine], [-sine, cosine]])


def _round(start: float, sweep: float, radii: np.ndarray) -> np.ndarray:
    angle = start + np.linspace(0, sweep, 80)
    return radii * np.stack([np.cos(angle), np.sin(angle)], 1)


def _smooth(knots: np.ndarray) -> np.ndarray:
    """A Catmull-Rom curve through knots (k, 2), six points to each piece."""
    padded = np.concatenate([knots[:1], knots, knots[-1:]])
    t = np.linspace(0, 1, 7)[:-1, None]
    pieces = [
        b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
        for a, b, c, d in zip(padded, padded[1:], padded[2:], padded[3:], strict=False)
    ]
    return np.concatenate([*pieces, knots[-1:]])
