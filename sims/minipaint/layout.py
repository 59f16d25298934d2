"""Where everything is in Minipaint's window, in pixels, and what colour it has."""

from typing import NamedTuple

SIZE = 224

Point = tuple[int, int]  # x and y


class Area(NamedTuple):
    """A rectangle of pixels: left and top edge, width and height."""

    x: int
    y: int
    width: int
    height: int

    def holds(self, x: int, y: int) -> bool:
        """Whether the pixel (x, y) is inside."""
        return 0 <= x - self.x < self.width and 0 <= y - self.y < self.height

    def inside(self, margin: int) -> "Area":
        """The area without `margin` pixels at each side."""
        x, y, width, height = self
        return Area(x + margin, y + margin, width - 2 * margin, height - 2 * margin)

    def crossed(self, start: Point, end: Point) -> tuple[Point, Point] | None:
        """The part of a straight line between two pixels that is inside, or None if there is none.

        Ends inside stay what they are; where the line is cut, it ends on the nearest pixel.
        """
        if self.holds(*start) and self.holds(*end):
            return start, end
        (x, y), dx, dy = start, end[0] - start[0], end[1] - start[1]
        along, until = 0.0, 1.0
        for place, way, low, size in ((x, dx, self.x, self.width), (y, dy, self.y, self.height)):
            if way:
                enter, leave = sorted(((low - place) / way, (low + size - 1 - place) / way))
                along, until = max(along, enter), min(until, leave)
            elif not 0 <= place - low < size:
                return None
        if along > until:
            return None
        first, last = ((round(x + t * dx), round(y + t * dy)) for t in (along, until))
        return first, last

    @property
    def pixels(self) -> tuple[slice, slice]:
        """Its index into a frame."""
        return slice(self.y, self.y + self.height), slice(self.x, self.x + self.width)


COLOURS = {
    "black": (0, 0, 0),
    "red": (255, 0, 0),
    "blue": (0, 0, 255),
    "green": (0, 128, 0),
    "yellow": (255, 255, 0),
    "white": (255, 255, 255),
}
"""What the swatches hold, from left to right: the colours that CSS calls so."""

CANVAS = Area(42, 0, 182, 182)
PEN, ERASER = Area(4, 4, 35, 35), Area(4, 46, 35, 35)
SLIDER = Area(12, 88, 18, 88)
TRACK = Area(16, 88, 9, 88)
SWATCHES = {
    name: Area(x, 186, 26, 26) for name, x in zip(COLOURS, (4, 34, 65, 95, 126, 157), strict=True)
}
CONTROLS = {"pen": PEN, "eraser": ERASER, "slider": SLIDER, **SWATCHES}
INK = Area(8, 32, 28, 4)  # inside the pen's button, a bar of the colour that the pen writes in

TOOLBAR_GREY, LINE_GREY, HANDLE_GREY, HANDLE_EDGE, SELECTED_GREY = 240, 200, 100, 50, 0
SELECTED_WIDTH, IDLE_WIDTH = 2, 1

BRUSHES = 10
_HANDLE = 9  # pixels a side
_LOWEST = SLIDER.y + SLIDER.height - _HANDLE
_STEP = (SLIDER.height - _HANDLE) / (BRUSHES - 1)


def handle(brush: int) -> Area:
    """Where the slider's handle is for a brush from 0, the smallest, at the bottom, to 9."""
    return Area(TRACK.x, round(_LOWEST - brush * _STEP), _HANDLE, _HANDLE)


def brush_at(y: int) -> int:
    """The brush, 0 to 9, whose handle is nearest to a height in pixels."""
    nearest = round((_LOWEST + _HANDLE // 2 - y) / _STEP)
    return min(max(nearest, 0), BRUSHES - 1)


def part_at(x: int, y: int) -> str | None:
    """What is at a pixel: `canvas`, one of `CONTROLS` by its name, or None for a gap."""
    if CANVAS.holds(x, y):
        return "canvas"
    return next((name for name, area in CONTROLS.items() if area.holds(x, y)), None)
