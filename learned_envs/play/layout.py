"""Where things are in the window: arithmetic only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pygame import Rect

from learned_envs.play.widgets import GAP, HEIGHT, flow

MARGIN = 20
CAPTION, LINE, CHART, BLOCKS = 34, 26, 84, 250


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Rectangles in pixels.

    Attributes:
        tabs: One for each control at the top.
        pictures: One for each picture, of the pictures' own shape.
        blocks: For the figures of the network's blocks, or None.
        chart: For doubt over time, or None.
        hint: A line that says which keys play.
        status: A line of figures.
        controls: One for each control at the bottom.
    """

    tabs: tuple[Rect, ...]
    pictures: tuple[Rect, ...]
    blocks: Rect | None
    chart: Rect | None
    hint: Rect
    status: Rect
    controls: tuple[Rect, ...]


def arrange(
    size: tuple[int, int],
    *,
    tabs: Sequence[int],
    controls: Sequence[int],
    pictures: int,
    aspect: float,
    chart: bool,
    blocks: bool,
) -> Layout:
    """Divides a window; pictures get what the rest leaves.

    Args:
        size: Width and height of the window.
        tabs: Widths of the controls at the top.
        controls: Widths of the controls at the bottom.
        pictures: How many pictures.
        aspect: Their width over their height.
        chart: Whether doubt over time is shown.
        blocks: Whether the figures of the blocks are shown.
    """
    width, height = size
    inner = max(width - 2 * MARGIN, 1)
    tab_places, tabs_height = flow(tabs, inner)
    places, below = flow(controls, inner)
    bottom = height - MARGIN - below
    top = MARGIN + tabs_height + GAP
    status = Rect(MARGIN, bottom - LINE - GAP, inner, LINE)
    hint = Rect(MARGIN, status.y - LINE, inner, LINE)
    end = hint.y - GAP
    chart_rect = Rect(MARGIN, end - CHART, inner, CHART) if chart else None
    end -= CHART + GAP if chart else 0
    blocks_rect = Rect(width - MARGIN - BLOCKS, top, BLOCKS, max(end - top, 1)) if blocks else None
    wide = inner - (BLOCKS + MARGIN if blocks else 0)
    room = Rect(MARGIN, top + CAPTION, max(wide, 1), max(end - top - CAPTION, 1))
    return Layout(
        tabs=tuple(
            Rect(MARGIN + x, MARGIN + y, w, HEIGHT)
            for (x, y), w in zip(tab_places, tabs, strict=True)
        ),
        pictures=_pictures(room, pictures, aspect),
        blocks=blocks_rect,
        chart=chart_rect,
        hint=hint,
        status=status,
        controls=tuple(
            Rect(MARGIN + x, bottom + y, w, HEIGHT)
            for (x, y), w in zip(places, controls, strict=True)
        ),
    )


def _pictures(room: Rect, count: int, aspect: float) -> tuple[Rect, ...]:
    """As large as they fit side by side, in the middle of `room`."""
    if not count:
        return ()
    each = (room.width - MARGIN * (count - 1)) / count
    wide = max(int(min(each, room.height * aspect)), 1)
    tall = max(int(wide / aspect), 1)
    x = room.x + (room.width - count * wide - (count - 1) * MARGIN) // 2
    y = room.y + (room.height - tall) // 2
    return tuple(Rect(x + i * (wide + MARGIN), y, wide, tall) for i in range(count))
