"""People at Minipaint: what they draw, choose, wipe out and click by mistake."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from sims.minipaint.layout import CANVAS, CONTROLS, ERASER, SIZE, SLIDER, SWATCHES, Area, part_at
from sims.minipaint.reward import canvas_of
from sims.minipaint.shapes import SHAPES, Path, walked

Step = tuple[int, int, bool] | None  # the cursor's pixel x, y, is the button down; None for idle

_SKETCHES = {
    "polyline": 0.16, "rectangle": 0.08, "arc": 0.2, "spiral": 0.12, "zigzag": 0.1, "wave": 0.1,
    "scribble": 0.12, "dots": 0.06, "fill": 0.02, "writing": 0.04,
}  # fmt: skip
_STRIDE = 4  # every fourth pixel is looked at, across and down
_INKED = 200  # the darkest value of a pixel that has more than paper on it is below
_STEPS = 60  # of a stroke at most


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """What somebody does, one thing after another.

    Attributes:
        shapes: What is drawn, with weights; names in `SHAPES`.
        choose: Share of tools, colours and brushes that are chosen.
        erase: Share of what is on the canvas being wiped out.
        stray: Share of clicks and drags that miss, begin in the wrong place or go nowhere.
        rest: Share of doing nothing, or of moving about with the button up.
        flail: Share of strokes from anywhere to anywhere. What is left is drawn.
        pace: Pixels a step of a stroke, least and greatest.
    """

    shapes: Mapping[str, float] = field(default_factory=lambda: _SKETCHES)
    choose: float = 0.3
    erase: float = 0.04
    stray: float = 0.1
    rest: float = 0.05
    flail: float = 0.0
    pace: tuple[float, float] = (3.0, 13.0)


STYLES = {
    "sketcher": Style(),
    "writer": Style(shapes={"writing": 0.8, "wave": 0.1, "dots": 0.1}, pace=(2.5, 6.0)),
    "filler": Style(shapes={"fill": 0.7, "scribble": 0.15, "spiral": 0.15}, pace=(6.0, 16.0)),
    "corrector": Style(erase=0.25, choose=0.25),
    "fiddler": Style(choose=0.7, rest=0.02),
    "stray": Style(stray=0.45, choose=0.2),
    "tester": Style(stray=0.33, choose=0.55),
    "idler": Style(rest=0.6, choose=0.15),
    "random": Style(flail=1.0, choose=0.0, erase=0.0, stray=0.0, rest=0.0),
}


class Painters:
    """People at the program in a batch: they see only frames, so they paint real and dreamed alike.

    Args:
        styles: One a row.
        seeds: One a row.
    """

    def __init__(self, styles: Sequence[Style], seeds: Sequence[int]):
        self._styles = tuple(styles)
        self._random = [np.random.default_rng(seed) for seed in seeds]
        self._plans: list[deque[Step]] = [deque() for _ in self._styles]

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Actions (n, 3) float32 for frames (n, 224, 224, 3) uint8; see `Behaviour`."""
        actions = np.zeros((len(self._styles), 3), np.float32)
        for row, plan in enumerate(self._plans):
            if first[row]:
                plan.clear()
            if not plan:
                plan.extend(planned(self._styles[row], self._random[row], observation[row]))
            step = plan.popleft()
            if step is not None:
                x, y, pressed = step
                actions[row] = (x + 0.5) / SIZE, (y + 0.5) / SIZE, pressed
        return actions


def planned(style: Style, random: np.random.Generator, frame: np.ndarray) -> list[Step]:
    """What somebody does next who sees a frame (224, 224, 3): one or more steps."""
    shares = {name: getattr(style, name) for name in _DEEDS if name != "draw"}
    deed = _DEEDS[_drawn(shares | {"draw": 1 - sum(shares.values())}, random)]
    return [
        step and (_within(step[0]), _within(step[1]), step[2])
        for step in deed(random, style, frame)
    ]


def eraser_chosen(frames: np.ndarray) -> np.ndarray:
    """Whether the eraser's border is dark in frames (..., 224, 224, 3): (...,) bool."""
    return frames[..., ERASER.y, ERASER.x, 0] < 100


def _draw(random: np.random.Generator, style: Style, frame: np.ndarray) -> list[Step]:
    """A shape, mostly with the pen."""
    before = []
    if eraser_chosen(frame) and random.random() < 0.8:
        before = _pen_or_colour(random)
    return before + _strokes(random, style, SHAPES[_drawn(style.shapes, random)](random))


def _erase(random: np.random.Generator, style: Style, frame: np.ndarray) -> list[Step]:
    """Wipes over what is on the canvas somewhere, and mostly goes back to the pen."""
    inked = np.argwhere(canvas_of(frame)[::_STRIDE, ::_STRIDE].min(-1) < _INKED)
    if not len(inked):
        return _draw(random, style, frame)
    shape = str(random.choice(["scribble", "fill", "zigzag", "polyline", "dots"]))
    path, (y, x) = SHAPES[shape](random), random.choice(inked) * _STRIDE
    away = np.array([x, y]) - np.concatenate(path).mean(0)
    before = [] if eraser_chosen(frame) else _click_in(random, ERASER)
    if random.random() < 0.3:
        before += _slide(random)
    after = _pen_or_colour(random) if random.random() < 0.8 else []
    return before + _strokes(random, style, [stroke + away for stroke in path]) + after


def _choose(random: np.random.Generator, style: Style, frame: np.ndarray) -> list[Step]:
    """Any control, now and then at its very edge; the slider by a click or by dragging it.

    The pen is mostly taken by those who hold the eraser, and so the other way round.
    """
    pen, eraser = (0.6, 0.04) if eraser_chosen(frame) else (0.04, 0.4)
    name = _drawn({"colour": 0.3, "slider": 0.22, "pen": pen, "eraser": eraser}, random)
    area = _swatch(random) if name == "colour" else CONTROLS[name]
    if random.random() < 0.15:
        return _click(random, *_edge(random, area))
    return _slide(random) if name == "slider" else _click_in(random, area)


def _rest(random: np.random.Generator, style: Style, frame: np.ndarray) -> list[Step]:
    """Nothing, or moves with the button up."""
    if random.random() < 0.6:
        return [None] * int(random.integers(3, 45))
    there = walked(random.uniform(0, SIZE, (random.integers(2, 4), 2)), random.uniform(4, 30))
    return [(x, y, False) for x, y in there.tolist()]


def _flail(random: np.random.Generator, style: Style, frame: np.ndarray) -> list[Step]:
    """Leaps, with the button down half of the time."""
    steps = int(random.integers(2, 8))
    leaps = random.normal(0, random.choice([6, 25]), (steps, 2))
    there = np.rint(random.uniform(0, SIZE, 2) + np.cumsum(leaps, 0)).astype(int)
    pressed = bool(random.random() < 0.5)
    return [(x, y, pressed) for x, y in there.tolist()]


def _stray(random: np.random.Generator, style: Style, frame: np.ndarray) -> list[Step]:
    """Clicks on gaps and edges, drags that begin or pass beside the canvas, a button held still."""
    deed = _drawn({"gap": 0.36, "edge": 0.36, "drag": 0.1, "leave": 0.12, "hold": 0.06}, random)
    if deed == "gap":
        return _click(random, *_gap(random))
    if deed == "edge":
        return _click(random, *_edge(random, CANVAS if random.random() < 0.2 else _control(random)))
    if deed == "drag":
        begin = _gap(random) if random.random() < 0.4 else _inside(random, _control(random))
        return _dragged(random, [begin, _inside(random, CANVAS)])
    if deed == "leave":
        beside = _gap(random) if random.random() < 0.5 else _inside(random, _control(random))
        back = [_inside(random, CANVAS)] * int(random.integers(2))
        return _dragged(random, [_inside(random, CANVAS), beside, *back])
    x, y = _inside(random, Area(0, 0, SIZE, SIZE))
    return [*[(x, y, True)] * int(random.integers(2, 7)), (x, y, False)]


_DEEDS: dict[str, Callable[[np.random.Generator, Style, np.ndarray], list[Step]]] = {
    "choose": _choose,
    "erase": _erase,
    "stray": _stray,
    "rest": _rest,
    "flail": _flail,
    "draw": _draw,
}


def _strokes(random: np.random.Generator, style: Style, path: Path) -> list[Step]:
    """The strokes of a path on the canvas, now and then without letting go between two."""
    pace, steps = random.uniform(*style.pace), []
    hovers, letting_go = random.random() < 0.5, random.random() < 0.97
    for stroke in path:
        points = (walked(stroke, pace)[:_STEPS] + (CANVAS.x, CANVAS.y)).tolist()
        if hovers:
            steps.append((*points[0], False))
        steps += [(x, y, True) for x, y in points]
        if letting_go:
            steps.append((*points[-1], False))
    return steps if letting_go else [*steps, None]


def _dragged(random: np.random.Generator, corners: list[tuple[int, int]]) -> list[Step]:
    points = walked(np.array(corners, float), random.uniform(5, 16)).tolist()
    return [*((x, y, True) for x, y in points), (*points[-1], False)]


def _slide(random: np.random.Generator) -> list[Step]:
    """The slider: a click in a third of the cases, else a drag that may stray from its track."""
    x, y = _inside(random, SLIDER)
    steps, moves = [(x, y, True)], int(random.integers(1, 9)) if random.random() < 0.65 else 0
    reach = int(random.choice([2, 2, 2, 20]))
    for _ in range(moves):
        x, y = x + int(random.integers(-reach, reach + 1)), y + int(random.integers(-14, 15))
        steps.append((x, y, True))
    return [*steps, (x, y, False)]


def _click_in(random: np.random.Generator, area: Area) -> list[Step]:
    return _click(random, *_inside(random, area))


def _click(random: np.random.Generator, x: int, y: int) -> list[Step]:
    """The button down for one to three steps, after a look around or not."""
    before = [(x, y, False)] if random.random() < 0.4 else []
    after = (x, y, False) if random.random() < 0.7 else None
    return [*before, *[(x, y, True)] * int(random.choice([1, 1, 2, 3])), after]


def _pen_or_colour(random: np.random.Generator) -> list[Step]:
    return _click_in(random, CONTROLS["pen"] if random.random() < 0.4 else _swatch(random))


def _swatch(random: np.random.Generator) -> Area:
    return SWATCHES[str(random.choice(list(SWATCHES)))]


def _control(random: np.random.Generator) -> Area:
    return CONTROLS[str(random.choice(list(CONTROLS)))]


def _inside(random: np.random.Generator, area: Area) -> tuple[int, int]:
    x, y, width, height = area
    return x + int(random.integers(width)), y + int(random.integers(height))


def _edge(random: np.random.Generator, area: Area) -> tuple[int, int]:
    """A place at most two pixels to either side of an area's border."""
    x, y = _inside(random, area.inside(-2))
    beside = int(random.integers(-2, 2))
    if random.random() < 0.5:
        return (area.x + beside, y) if random.random() < 0.5 else (area.x + area.width + beside, y)
    return (x, area.y + beside) if random.random() < 0.5 else (x, area.y + area.height + beside)


def _gap(random: np.random.Generator) -> tuple[int, int]:
    """A place of the toolbar where nothing is."""
    while True:
        beside = Area(0, 0, CANVAS.x, SIZE), Area(0, CANVAS.height, SIZE, SIZE - CANVAS.height)
        x, y = _inside(random, beside[int(random.integers(2))])
        if part_at(x, y) is None:
            return x, y


def _within(pixel: int) -> int:
    return min(max(pixel, 0), SIZE - 1)


def _drawn(shares: Mapping[str, float], random: np.random.Generator) -> str:
    """One of the names, by weight."""
    weights = np.array(list(shares.values()))
    return list(shares)[int(random.choice(len(weights), p=weights / weights.sum()))]
