"""One paint program: what the cursor does to its frame, without Gymnasium's bookkeeping."""

from typing import Any

import numpy as np

from sims.minipaint.drawing import drawing
from sims.minipaint.layout import CANVAS, COLOURS, SIZE, SLIDER, Point, brush_at, part_at
from sims.minipaint.options import checked_options
from sims.minipaint.paint import paint_of
from sims.minipaint.reward import canvas_of, progress
from sims.minipaint.toolbar import blank_frame, draw_choice, draw_slider

PRESSED = 0.5  # from here on the button is down

_NAMES = tuple(COLOURS)


class PaintProgram:
    """A canvas, its toolbar and the cursor.

    Attributes:
        frame: (224, 224, 3) uint8, what is to be seen.
        target: (182, 182, 3) uint8, what the canvas is to become.
        erasing: Whether the eraser is chosen, and not the pen.
        colour: What the pen writes in, a name in `COLOURS`.
        brush: 0 to 9.
        cursor: Where the cursor was at the latest step, x and y in pixels.
        pressed: Whether the button was down then.
    """

    def __init__(self, *, soft: bool):
        self._soft = soft
        self._paint = paint_of(soft)
        self.frame = blank_frame()
        self.target = self._paint.paper.copy()
        self._begin({})

    def start(self, random: np.random.Generator, options: dict[str, Any] | None) -> None:
        """Begins an episode; `options` as `MinipaintEnv.reset` documents them."""
        options = checked_options(options or {})
        seed = int(random.integers(2**31))
        self.target = options["target"] if "target" in options else drawing(seed, self._soft)
        self._begin(options)

    def _begin(self, options: dict[str, Any]) -> None:
        self.erasing = options.get("tool", "pen") == "eraser"
        self.colour: str = options.get("colour", "black")
        self.brush: int = options.get("brush", 0)
        self.cursor, self.pressed = (0, 0), False  # as after an idle action
        canvas_of(self.frame)[:] = options.get("canvas", self._paint.paper)
        draw_choice(self.frame, self.erasing, self.colour)
        draw_slider(self.frame, self.brush)

    def act(self, u: float, v: float, pressed: float) -> float:
        """Plays one step; returns the reward."""
        before, held = self.cursor, self.pressed
        x, y = self.cursor = pixel_at(u, v)
        self.pressed = pressed >= PRESSED
        if not self.pressed:
            return 0.0
        if not held:
            self._press(part_at(x, y))
        start = before if held else (x, y)
        if SLIDER.holds(*start) and SLIDER.holds(x, y):
            self._slide(brush_at(y))
        return self._stroke(start, (x, y), held)

    def _press(self, part: str | None) -> None:
        if part in COLOURS:
            self._choose(False, part)
        elif part in ("pen", "eraser"):
            self._choose(part == "eraser", self.colour)

    def _choose(self, erasing: bool, colour: str) -> None:
        if (erasing, colour) != (self.erasing, self.colour):
            self.erasing, self.colour = erasing, colour
            draw_choice(self.frame, erasing, colour)

    def _slide(self, brush: int) -> None:
        if brush != self.brush:
            self.brush = brush
            draw_slider(self.frame, brush)

    def _stroke(self, start: Point, end: Point, held: bool) -> float:
        crossed = CANVAS.crossed(start, end)
        if crossed is None:
            return 0.0
        first, last = crossed
        begins = not held or first != start  # an end that is cut off was not on the canvas
        canvas, colour = canvas_of(self.frame), None if self.erasing else self.colour
        region, after = self._paint.stroked(
            canvas, _on_canvas(*first), _on_canvas(*last), self.brush, colour, begins
        )
        reward = progress(canvas[region], after, self.target[region])
        canvas[region] = after
        return float(reward)

    def info(self) -> dict[str, int]:
        """What is chosen, in numbers; see `MinipaintEnv`."""
        return {
            "tool": int(self.erasing),
            "colour": _NAMES.index(self.colour),
            "brush": self.brush,
        }

    def state(self) -> dict[str, Any]:
        """A copy of the whole state."""
        pictures = {"frame": self.frame.copy(), "target": self.target.copy()}
        return pictures | self.info() | {"cursor": self.cursor, "pressed": self.pressed}

    def restore(self, state: dict[str, Any]) -> None:
        """Restores what `state` returned."""
        self.frame[:], self.target = state["frame"], state["target"].copy()
        self.erasing, self.colour = bool(state["tool"]), _NAMES[state["colour"]]
        self.brush, self.pressed = int(state["brush"]), bool(state["pressed"])
        self.cursor = int(state["cursor"][0]), int(state["cursor"][1])


def pixel_at(u: float, v: float) -> Point:
    """The pixel (x, y) of a frame on which u and v, each from 0 to 1, put the cursor."""
    return min(int(u * SIZE), SIZE - 1), min(int(v * SIZE), SIZE - 1)


def _on_canvas(x: int, y: int) -> Point:
    return x - CANVAS.x, y - CANVAS.y
