"""What the cursor does in Minipaint: tools, strokes, the slider, gaps and edges."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_minipaint import COLOURS, CONTROLS, IDLE, at, canvas, chosen, click, drag, program

from sims.minipaint.layout import part_at

PIXELS = st.tuples(st.integers(0, 223), st.integers(0, 223))


def frame_of(env) -> np.ndarray:
    frame = env.render()
    assert frame is not None
    return frame


def corners(name: str, outside: int = 0) -> list[tuple[int, int]]:
    """The corner pixels of a control, or those so many pixels outside of them."""
    x, y, width, height = CONTROLS[name]
    across, down = (x - outside, x + width - 1 + outside), (y - outside, y + height - 1 + outside)
    return [(i, j) for i in across for j in down]


# --- tools and colours ---------------------------------------------------------------------------


def test_it_begins_with_the_pen_black_and_the_smallest_brush():
    assert chosen(program()) == ("pen", "black", 0)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_click_on_a_swatch_chooses_its_colour_at_once(colour):
    x, y, *_ = CONTROLS[colour]
    _, _, _, _, info = program(colour="red" if colour != "red" else "blue").step(at(x + 5, y + 5))
    assert COLOURS[info["colour"]] == colour


@pytest.mark.parametrize("colour", COLOURS)
def test_the_pen_comes_back_from_erasing_with_its_colour(colour):
    env = program(colour=colour)
    click(env, "eraser")
    assert chosen(env) == ("eraser", colour, 0)
    click(env, "pen")
    assert chosen(env) == ("pen", colour, 0)


@pytest.mark.parametrize("colour", COLOURS)
def test_a_colour_chosen_while_erasing_also_chooses_the_pen(colour):
    env = program(tool="eraser")
    click(env, colour)
    assert chosen(env) == ("pen", colour, 0)


@pytest.mark.parametrize("name", ["pen", "black"])
def test_choosing_what_is_chosen_changes_nothing(name):
    env = program()
    before = frame_of(env)
    assert np.array_equal(click(env, name), before)


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_reaches_to_its_corners_and_no_further(name):
    start = {"tool": "pen" if name == "eraser" else "eraser", "colour": "red", "brush": 4}
    for place in corners(name):
        env = program(**start)
        before = chosen(env)
        drag(env, place)
        assert chosen(env) != before, place
    for place in corners(name, outside=1):
        if part_at(*place) is None:
            env = program(**start)
            before = frame_of(env)
            assert np.array_equal(drag(env, place)[0], before), place


@settings(deadline=None, max_examples=60)
@given(place=PIXELS)
def test_a_click_anywhere_changes_what_is_there_and_nothing_else(place):
    env = program(tool="eraser", colour="green", brush=4, canvas=np.zeros((182, 182, 3), np.uint8))
    before = frame_of(env)
    after, _ = drag(env, place)
    inside = [
        name for name, (x, y, w, h) in CONTROLS.items()
        if x <= place[0] < x + w and y <= place[1] < y + h
    ]  # fmt: skip
    on_canvas = place[0] >= 42 and place[1] < 182
    assert np.array_equal(canvas(after), canvas(before)) != on_canvas
    before[:182, 42:] = after[:182, 42:]
    selected = inside and inside != ["eraser"]
    if inside == ["slider"]:
        selected = chosen(env)[2] != 4
    assert np.array_equal(after, before) != bool(selected)


# --- the slider ----------------------------------------------------------------------------------


def test_every_height_of_the_slider_chooses_the_nearest_brush():
    env, brushes = program(brush=5), []
    for y in range(88, 176):
        drag(env, (13, y))
        brushes.append(chosen(env)[2])
    assert sorted(set(brushes)) == list(range(10))
    assert brushes == sorted(brushes, reverse=True)
    tops = [167, 158, 149, 141, 132, 123, 114, 106, 97, 88]
    for y, brush in zip(range(88, 176), brushes, strict=True):
        gaps = [abs(y - top - 4) for top in tops]
        assert gaps[brush] <= min(gaps) + 1


def test_the_handle_follows_a_drag_that_began_on_the_slider_wherever_it_goes():
    env = program()
    env.step(at(20, 171))
    seen = [env.step(at(x, y))[4]["brush"] for x, y in [(20, 130), (100, 92), (200, 5), (3, 220)]]
    assert seen == [5, 9, 9, 0]
    assert (canvas(frame_of(env)) == 255).all()


def test_a_drag_that_began_elsewhere_does_not_move_the_handle():
    for begin in [(120, 90), (2, 2), (20, 20)]:
        env = program()
        drag(env, begin, (20, 92), (20, 100))
        assert chosen(env)[2] == 0


def test_brush_sizes_are_kept_while_tools_change():
    env = program()
    drag(env, (20, 92))
    click(env, "eraser")
    click(env, "red")
    assert chosen(env) == ("pen", "red", 9)


# --- strokes -------------------------------------------------------------------------------------


def test_a_stroke_joins_the_cursors_places_while_the_button_is_down():
    frame, _ = drag(program(), (60, 30), (160, 30), (160, 120))
    ink = (canvas(frame) == 0).all(-1)
    assert ink[29:31, 60 - 42 : 160 - 42].all()
    assert ink[30:120, 159 - 42 : 161 - 42].all()


def test_letting_go_ends_a_stroke():
    env = program()
    drag(env, (60, 30))
    frame, _ = drag(env, (160, 30))
    assert (canvas(frame) == 0).all(-1).sum() == 8


def test_the_cursor_leaves_no_trace_while_the_button_is_up():
    env = program()
    before = frame_of(env)
    for place in [(60, 30), (160, 90), (20, 20), (20, 100), (100, 199)]:
        assert np.array_equal(env.step(at(*place, pressed=0))[0], before)


@pytest.mark.parametrize(("pressed", "paints"), [(0.0, False), (0.49, False), (0.5, True)])
def test_the_button_is_down_from_a_half_on(pressed, paints):
    env = program()
    frame, *_ = env.step(at(100, 100, pressed))
    assert (canvas(frame) != 255).any() == paints


def test_a_stroke_goes_on_where_the_cursor_leaves_the_canvas_and_returns():
    env = program(brush=9)
    toolbar = frame_of(env)
    frame, _ = drag(env, (100, 20), (20, 20), (20, 150), (100, 150))
    ink = (canvas(frame) == 0).all(-1)
    assert ink[15:25, :58].all()
    assert ink[145:155, :58].all()
    assert not ink[40:130].any()
    frame[:182, 42:] = canvas(toolbar)
    assert np.array_equal(frame, toolbar)
    assert chosen(env) == ("pen", "black", 9)


def test_a_long_stroke_along_the_edge_is_cut_off_there():
    frame, _ = drag(program(brush=9), (42, 0), (223, 0), (223, 181), (42, 181), (42, 0))
    ink = (canvas(frame) == 0).all(-1)
    assert ink[:5].all() and ink[:, -5:].all() and ink[-5:].all() and ink[:, :5].all()
    assert not ink[7:-7, 7:-7].any()


@pytest.mark.parametrize("begin", [(20, 20), (20, 60), (20, 100), (70, 199), (2, 2), (200, 220)])
def test_a_press_that_began_in_the_toolbar_does_not_paint_on_the_canvas(begin):
    frame, reward = drag(program(), begin, (60, 60), (150, 120), (60, 150))
    assert (canvas(frame) == 255).all()
    assert reward == 0


def test_a_press_that_began_on_one_tool_does_not_choose_another():
    env = program(tool="eraser")
    drag(env, (2, 2), (20, 20), (70, 199))
    assert chosen(env) == ("eraser", "black", 0)
    drag(env, (20, 60), (70, 199))
    assert chosen(env) == ("eraser", "black", 0)


def test_the_last_pixel_belongs_to_u_and_v_of_one():
    env = program(canvas=np.zeros((182, 182, 3), np.uint8), tool="eraser", brush=1)
    frame, *_ = env.step(np.array([1, 181.5 / 224, 1], np.float32))
    assert (frame[181, 223] == 255).all()
    assert (frame[181, 221] == 0).all()
    env.step(IDLE)
    env.step(np.ones(3, np.float32))
    assert chosen(env) == ("eraser", "black", 1)
