"""What the cursor does in Minipaint: tools, strokes, the slider, gaps and edges."""

from itertools import chain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_minipaint import (
    COLOURS,
    CONTROLS,
    IDLE,
    RGB,
    at,
    canvas,
    chosen,
    click,
    drag,
    program,
)

from sims.minipaint import PRESSED, MinipaintEnv, pixel_at
from sims.minipaint.layout import Area, part_at

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


def test_the_handle_follows_a_drag_on_the_slider_and_waits_where_it_leaves():
    env = program()
    ways = [(20, 171), (29, 130), (30, 92), (29, 100), (20, 92), (20, 87), (12, 175), (20, 176)]
    seen = [env.step(at(*place))[4]["brush"] for place in ways]
    assert seen == [0, 5, 5, 5, 9, 9, 9, 9]


@pytest.mark.parametrize("begin", [(120, 90), (2, 2), (20, 20), (70, 199)])
def test_a_drag_from_elsewhere_moves_the_handle_from_its_second_step_on_the_slider_on(begin):
    env = program()
    seen = [env.step(at(*place))[4]["brush"] for place in [begin, (20, 92), (20, 92), (20, 130)]]
    assert seen == [0, 0, 9, 5]


def test_brush_sizes_are_kept_while_tools_change():
    env = program()
    drag(env, (20, 92))
    click(env, "eraser")
    click(env, "red")
    assert chosen(env) == ("pen", "red", 9)


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


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("begin", [(20, 20), (20, 110), (2, 2), (70, 199), (200, 220)])
def test_a_held_cursor_begins_to_paint_where_it_crosses_the_canvass_edge(begin, soft):
    edge = (42, begin[1]) if begin[1] < 182 else (begin[0], 181)
    inside = (150, begin[1]) if begin[1] < 182 else (begin[0], 60)
    start = {"brush": 7, "colour": "blue"}  # which is what is chosen at these places
    env, other = program(soft, **start), program(soft, **start)
    before = env.step(at(*begin))[0]
    assert np.array_equal(canvas(before), canvas(frame_of(program(soft))))
    crossed = canvas(env.step(at(*inside))[0])
    put_down = canvas(drag(other, edge, inside)[0])
    assert np.abs(crossed.astype(int) - put_down).max() <= (2 if soft else 0)
    assert (crossed != canvas(before)).sum() > 500


def test_a_cursor_that_comes_back_with_the_button_held_paints_on_from_the_edge():
    env = program(soft=True, brush=9)
    drag(env, (60, 40), (30, 40))
    once = canvas(frame_of(env)).copy()
    drag(env, (60, 40), (30, 40), (60, 40))
    twice = canvas(frame_of(env))
    assert (twice[40, :18] < once[40, :18]).all()


def test_a_line_over_a_corner_of_the_canvas_paints_what_it_crosses():
    frame, _ = drag(program(), (32, 131), (122, 221))  # in at (42, 141), out at (82, 181)
    ink = (canvas(frame) == 0).all(-1)
    assert all(ink[141 + k, k] for k in range(41))
    assert 41 <= ink.sum() < 41 * 4


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("ways", [[(38, 20)] * 3, [(41, 5), (41, 175)], [(50, 182), (210, 182)],
                                  [(41, 150), (41, 182), (70, 182)]])  # fmt: skip
def test_a_wide_brush_beside_the_canvas_leaves_it_alone(ways, soft):
    env = program(soft, brush=9, tool="eraser", canvas=np.zeros((182, 182, 3), np.uint8))
    assert not canvas(drag(env, *ways)[0]).any()


def test_the_part_of_a_line_beside_the_canvas_leaves_it_alone():
    frame, _ = drag(program(brush=9), (38, 20), (42, 120))
    ink = (canvas(frame) == 0).all(-1)
    assert ink[116:124, 0].all() and not ink[:114].any()


def test_moving_over_tools_with_the_button_held_does_nothing():
    env = program(tool="eraser")
    for begin in [(2, 2), (120, 90), (20, 60), (20, 100)]:
        drag(env, begin, (20, 20), (21, 20), (70, 199), (20, 60), (110, 199))
        assert chosen(env)[:2] == ("eraser", "black")
    assert (canvas(frame_of(env)) == 255).all()


EVERYWHERE = st.tuples(st.integers(-42, 181), st.integers(0, 223))


@settings(deadline=None, max_examples=300)
@given(start=EVERYWHERE, end=EVERYWHERE)
def test_a_line_is_cut_off_at_an_areas_edges(start, end):
    area = Area(0, 0, 182, 182)
    crossed = area.crossed(start, end)
    t = np.linspace(0, 1, 4000)[:, None]
    line = np.array(start) + t * (np.array(end) - start)
    inside = line[((line >= 0) & (line <= 181)).all(1)]
    if crossed is None:
        assert not len(inside)
        return
    assert area.holds(*crossed[0]) and area.holds(*crossed[1])
    if len(inside) > 1:  # else it touches a corner
        assert np.abs(inside[[0, -1]] - crossed).max() <= 0.6
    for ours, given_ in zip(crossed, (start, end), strict=True):
        assert ours == given_ or not area.holds(*given_)


def test_the_last_pixel_belongs_to_u_and_v_of_one():
    env = program(canvas=np.zeros((182, 182, 3), np.uint8), tool="eraser", brush=1)
    frame, *_ = env.step(np.array([1, 181.5 / 224, 1], np.float32))
    assert (frame[181, 223] == 255).all()
    assert (frame[181, 221] == 0).all()
    env.step(IDLE)
    env.step(np.ones(3, np.float32))
    assert chosen(env) == ("eraser", "black", 1)


def read(frame: np.ndarray) -> dict[str, int]:
    """What is chosen, as a frame shows it."""
    tops = [167, 158, 149, 141, 132, 123, 114, 106, 97, 88]
    return {
        "tool": int(frame[46, 4, 0] == 0),
        "colour": list(RGB.values()).index(tuple(frame[33, 20].tolist())),
        "brush": tops.index(88 + int((frame[88:176, 16, 0] == 50).argmax())),
    }


def places(x: int, y: int, width: int, height: int) -> st.SearchStrategy[tuple[int, int]]:
    """Pixels of an area, and up to three beside it."""
    across = st.integers(max(x - 3, 0), min(x + width + 2, 223))
    return st.tuples(across, st.integers(max(y - 3, 0), min(y + height + 2, 223)))


BUTTONS = st.one_of(places(4, 4, 35, 77), places(4, 186, 179, 26))
SLIDER = places(*CONTROLS["slider"])
WAYS = st.lists(PIXELS | BUTTONS | SLIDER, min_size=1) | st.lists(SLIDER, min_size=2)
DRAGS = st.tuples(WAYS, st.sampled_from([0.0, 0.49, 0.5]))  # and the button in the step after


@pytest.mark.parametrize("soft", [False, True])
@settings(deadline=None, max_examples=60)
@given(drags=st.lists(DRAGS, min_size=1))
def test_a_frame_the_previous_action_and_the_action_decide_the_next_frame(soft, drags):
    env, previous = program(soft), IDLE
    held = [[at(*place) for place in way] + [at(*way[-1], after)] for way, after in drags]
    for action in chain(*held):
        frame, fresh = frame_of(env), MinipaintEnv(soft=soft)
        u, v, button = previous.tolist()
        seen = {"frame": frame, "cursor": pixel_at(u, v), "pressed": button >= PRESSED}
        fresh.set_state(fresh.get_state() | read(frame) | seen | {"playing": True})
        assert np.array_equal(env.step(action)[0], fresh.step(action)[0])
        previous = action


def test_an_episode_begins_as_if_after_an_idle_action():
    begun, idled = program(), program()
    idled.step(IDLE)
    ours, theirs = begun.get_state(), idled.get_state()
    assert ours.keys() == theirs.keys()
    assert (ours["cursor"], ours["pressed"]) == (theirs["cursor"], theirs["pressed"])
