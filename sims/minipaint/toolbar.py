"""Minipaint's toolbar as it is drawn: buttons, slider and swatches, in flat colours."""

import numpy as np

from sims.minipaint.layout import (
    CANVAS,
    COLOURS,
    ERASER,
    HANDLE_EDGE,
    HANDLE_GREY,
    IDLE_WIDTH,
    INK,
    LINE_GREY,
    PEN,
    SELECTED_GREY,
    SELECTED_WIDTH,
    SIZE,
    SWATCHES,
    TOOLBAR_GREY,
    TRACK,
    Area,
    handle,
)

_PENCIL = (
    "................###....",
    "...............#+++#...",
    "..............#+++++#..",
    ".............#-#+++++#.",
    "............#---#+++++#",
    "...........#-----#++++#",
    "..........#-------#++#.",
    ".........#-------#.##..",
    "........#-------#......",
    ".......#-------#.......",
    "......#-------#........",
    ".....#-------#.........",
    "....#-------#..........",
    "...#-------#...........",
    "...#o-----#............",
    "..#ooo---#.............",
    "..#oooo-#..............",
    ".##ooo##...............",
    ".####..................",
    "###....................",
)
_RUBBER = (
    "..............####.......",
    ".............#----##.....",
    "............#-------##...",
    "...........#----------##.",
    "..........#------------#.",
    ".........#-------------#.",
    "........##------------#..",
    ".......#oo##---------#...",
    "......#ooooo##------#....",
    ".....#oooooooo##---#.....",
    "....#oooooooooooo##......",
    "...#ooooooooooooo#.......",
    "..#ooooooooooooo#........",
    "..#oooooooooooo#.........",
    "...##ooooooooo#..........",
    ".....##oooooo#...........",
    ".......##ooo#............",
    ".........###.............",
)
_SHADES = {"#": HANDLE_EDGE, "-": HANDLE_GREY, "+": LINE_GREY, "o": 255}
_PENCIL_AT, _RUBBER_AT = (10, 9), (9, 55)


def blank_frame() -> np.ndarray:
    """A frame (224, 224, 3) uint8 with all that never changes; its canvas is yet to be filled."""
    frame = np.full((SIZE, SIZE, 3), TOOLBAR_GREY, np.uint8)
    frame[CANVAS.pixels] = 255
    for rows, (x, y) in ((_PENCIL, _PENCIL_AT), (_RUBBER, _RUBBER_AT)):
        for down, row in enumerate(rows):
            for across, mark in enumerate(row):
                if mark in _SHADES:
                    frame[y + down, x + across] = _SHADES[mark]
    frame[INK.inside(-1).pixels] = LINE_GREY
    return frame


def draw_choice(frame: np.ndarray, erasing: bool, colour: str) -> None:
    """Draws the buttons and the swatches into a frame (224, 224, 3)."""
    for button, selected in ((PEN, not erasing), (ERASER, erasing)):
        _outline(frame, button, SELECTED_WIDTH, TOOLBAR_GREY)
        _mark(frame, button, selected)
    frame[INK.pixels] = COLOURS[colour]
    for name, swatch in SWATCHES.items():
        frame[swatch.pixels] = COLOURS[name]
        _mark(frame, swatch, name == colour and not erasing)


def draw_slider(frame: np.ndarray, brush: int) -> None:
    """Draws the slider with its handle into a frame (224, 224, 3)."""
    knob = handle(brush)
    frame[TRACK.pixels] = LINE_GREY
    frame[knob.pixels] = HANDLE_EDGE
    frame[knob.inside(1).pixels] = HANDLE_GREY


def _mark(frame: np.ndarray, area: Area, selected: bool) -> None:
    if selected:
        _outline(frame, area, SELECTED_WIDTH, SELECTED_GREY)
    else:
        _outline(frame, area, IDLE_WIDTH, LINE_GREY)


def _outline(frame: np.ndarray, area: Area, width: int, grey: int) -> None:
    part = frame[area.pixels]
    part[:width] = part[-width:] = part[:, :width] = part[:, -width:] = grey
