"""Minipaint's picture: where everything is, what a stroke covers, and how soft paint builds up."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_minipaint import COLOURS, CONTROLS, RGB, canvas, click, drag, program

from sims.minipaint import drawing
from sims.minipaint.paint import DIAMETERS, paint_of

WIDTHS = [2, 3, 4, 5, 6, 6, 7, 8, 9, 10]
HANDLE_TOPS = [167, 158, 149, 141, 132, 123, 114, 106, 97, 88]
WHITE = np.full((182, 182, 3), 255, np.uint8)


def bordered(frame: np.ndarray, name: str, width: int, grey: int) -> None:
    x, y, w, h = CONTROLS[name]
    inner = frame[y + width : y + h - width, x + width : x + w - width].copy()
    frame[y : y + h, x : x + w] = grey
    frame[y + width : y + h - width, x + width : x + w - width] = inner


def expected(tool: str = "pen", colour: str = "black", brush: int = 0) -> np.ndarray:
    """The frame without its icons, drawn from SYSTEMS.md's numbers."""
    frame = np.full((224, 224, 3), 240, np.uint8)
    canvas(frame)[:] = 255
    frame[88:176, 16:25] = 200
    top = HANDLE_TOPS[brush]
    frame[top : top + 9, 16:25] = 50
    frame[top + 1 : top + 8, 17:24] = 100
    for name in COLOURS:
        x, y, w, h = CONTROLS[name]
        frame[y : y + h, x : x + w] = RGB[name]
        chosen = tool == "pen" and name == colour
        bordered(frame, name, 2 if chosen else 1, 0 if chosen else 200)
    for name in ("pen", "eraser"):
        bordered(frame, name, 2 if tool == name else 1, 0 if tool == name else 200)
    frame[31:37, 7:37] = 200
    frame[32:36, 8:36] = RGB[colour]
    return frame


def without_icons(frame: np.ndarray) -> np.ndarray:
    frame = frame.copy()
    frame[8:30, 8:36] = frame[50:77, 8:36] = 240
    return frame


def painted(frame: np.ndarray) -> np.ndarray:
    """(182, 182) bool, True where the canvas is not white."""
    return (canvas(frame) != 255).any(-1)


def extent(covered: np.ndarray) -> tuple[int, int]:
    y, x = np.nonzero(covered)
    return int(np.ptp(x)) + 1, int(np.ptp(y)) + 1


def stroke(soft: bool, points: list, brush: int, colour: str | None, on=None) -> np.ndarray:
    """A canvas with one stroke through points of the canvas."""
    paint = paint_of(soft)
    picture = (paint.paper if on is None else on).copy()
    for step, (start, end) in enumerate(pairwise([points[0], *points])):
        region, after = paint.stroked(picture, start, end, brush, colour, begins=step == 0)
        picture[region] = after
    return picture


def test_the_first_frame_is_as_described_pixel_by_pixel():
    frame = program().render()
    assert frame is not None
    assert np.array_equal(without_icons(frame), expected())


@pytest.mark.parametrize("tool", ["pen", "eraser"])
@pytest.mark.parametrize("colour", COLOURS)
@pytest.mark.parametrize("brush", range(0, 10, 3))
def test_what_is_chosen_is_seen(tool, colour, brush):
    frame = program(tool=tool, colour=colour, brush=brush).render()
    assert frame is not None
    assert np.array_equal(without_icons(frame), expected(tool, colour, brush))


@pytest.mark.parametrize("soft", [False, True])
def test_the_icons_are_the_same_whatever_is_chosen_and_are_grey(soft):
    frames = [program(soft, tool=tool).render() for tool in ("pen", "eraser")]
    icons = [np.concatenate([f[8:30, 8:36], f[50:77, 8:36]]) for f in frames if f is not None]
    assert np.array_equal(*icons)
    assert set(np.unique(icons[0])) == {50, 100, 200, 240, 255}
    assert (icons[0] == icons[0][..., :1]).all()


@pytest.mark.parametrize("brush", range(10))
def test_the_handle_stands_at_one_of_ten_heights_the_smallest_lowest(brush):
    env = program()
    frame, _ = drag(env, (20, HANDLE_TOPS[brush] + 4))
    assert np.array_equal(without_icons(frame), expected(brush=brush))


@pytest.mark.parametrize("brush", range(10))
def test_a_dot_is_as_wide_as_its_brush_and_round(brush):
    frame, _ = drag(program(brush=brush), (130, 90))
    dot = painted(frame)
    assert extent(dot) == (WIDTHS[brush], WIDTHS[brush])
    y, x = np.nonzero(dot)
    dot = dot[y.min() : y.max() + 1, x.min() : x.max() + 1]
    for turned in (dot[::-1], dot[:, ::-1], dot.T):
        assert np.array_equal(dot, turned)
    assert abs(dot.sum() - np.pi * DIAMETERS[brush] ** 2 / 4) < 2 + DIAMETERS[brush]


@pytest.mark.parametrize("brush", range(10))
def test_a_straight_stroke_is_as_thick_as_its_brush_from_end_to_end(brush):
    frame, _ = drag(program(brush=brush), (90, 90), (100, 90), (131, 90))
    thickness = painted(frame)[:, 90 - 42 : 131 - 42].sum(0)
    assert set(thickness.tolist()) == {WIDTHS[brush]}


points = st.tuples(st.integers(-42, 181), st.integers(0, 223))


@settings(deadline=None, max_examples=60)
@given(start=points, end=points, brush=st.integers(0, 9))
def test_a_stroke_covers_just_the_pixels_within_its_reach(start, end, brush):
    covered = (stroke(False, [start, end], brush, "blue") != 255).any(-1)
    shift = 0.0 if WIDTHS[brush] % 2 else -0.5
    y, x = np.mgrid[:182, :182].astype(float)
    (ax, ay), (bx, by) = np.array([start, end]) + shift
    length = (bx - ax) ** 2 + (by - ay) ** 2
    t = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / max(length, 1), 0, 1)
    distance = np.hypot(x - ax - t * (bx - ax), y - ay - t * (by - ay))
    reach = DIAMETERS[brush] / 2
    assert covered[distance < reach - 1e-6].all()
    assert not covered[distance > reach + 1e-6].any()


@settings(deadline=None, max_examples=20)
@given(path=st.lists(points, min_size=2, max_size=5), soft=st.booleans())
def test_a_remembered_stroke_is_no_other(path, soft):
    first = stroke(soft, path, 4, "red")
    assert np.array_equal(stroke(soft, path, 4, "red"), first)
    shifted = [(x + 16, y) for x, y in path]  # the paper repeats after 16 pixels
    away = stroke(soft, shifted, 4, "red")
    assert np.array_equal(away[:, 16:-48], first[:, :-64])


@pytest.mark.parametrize("colour", COLOURS)
def test_a_stroke_has_the_colour_of_its_swatch(colour):
    env = program(canvas=np.full_like(WHITE, 77))
    click(env, colour)
    frame, _ = drag(env, (100, 60), (120, 80))
    changed = canvas(frame)[(canvas(frame) != 77).all(-1)]
    assert len(changed) > 40
    assert (changed == RGB[colour]).all()


def test_the_eraser_brings_back_white_as_wide_as_its_brush():
    env = program(canvas=np.zeros_like(WHITE), tool="eraser", brush=9)
    frame, _ = drag(env, (80, 60), (140, 60))
    erased = (canvas(frame) == 255).all(-1)
    assert set(erased[:, 40:90].sum(0).tolist()) == {10}
    assert (canvas(frame)[~erased] == 0).all()


def strength(picture: np.ndarray, colour: str = "black") -> np.ndarray:
    """How far (182, 182) each pixel is from the paper towards a colour, from 0 to 1."""
    paper = paint_of(True).paper.astype(float)
    ink = np.array(RGB[colour], float)
    return ((paper - picture).sum(-1)) / (paper - ink).sum(-1)


def test_a_soft_dot_falls_off_from_its_middle_to_its_rim():
    dot = strength(stroke(True, [(90, 90)], 9, "black"))
    y, x = np.mgrid[-90:92, -90:92]
    distance = np.hypot(x, y)
    rings = [dot[(distance >= r) & (distance < r + 1)].mean() for r in range(8)]
    assert all(inner > outer for inner, outer in zip(rings, rings[1:], strict=False))
    assert 0.5 < rings[0] < 0.9
    assert 0 < dot[(distance > 6) & (distance < 7)].mean() < 0.15
    assert not dot[distance > DIAMETERS[9] / 2**0.5].any()


@pytest.mark.parametrize("brush", [3, 6, 9])
def test_a_soft_stroke_at_half_its_strength_is_as_wide_as_its_brush(brush):
    line = strength(stroke(True, [(20, 90), (160, 90)], brush, "black"))[:, 40:140].mean(1)
    assert (line > line.max() / 2).sum() == pytest.approx(DIAMETERS[brush], abs=1)


def test_soft_strokes_build_up_and_stay_short_of_the_ink():
    path, picture, strengths = [(30, 90), (150, 90)], None, []
    for _ in range(4):
        picture = stroke(True, path, 6, "black", on=picture)
        strengths.append(strength(picture)[90, 40:140].mean())
    assert strengths == sorted(strengths)
    assert np.diff(strengths)[0] > 0.1
    assert strengths[-1] <= 1


def test_a_soft_line_in_pieces_comes_out_as_if_drawn_at_once():
    whole = stroke(True, [(20, 40), (140, 100)], 7, "blue")
    pieces = stroke(True, [(20 + 6 * k, 40 + 3 * k) for k in range(21)], 7, "blue")
    assert np.abs(whole.astype(int) - pieces).max() <= 4  # the error of rounding, piece by piece


def test_a_soft_brush_at_rest_adds_nothing():
    once = stroke(True, [(60, 60)], 9, "red")
    assert np.array_equal(stroke(True, [(60, 60)] * 5, 9, "red"), once)


def test_a_soft_stroke_crossing_itself_is_darker_there():
    cross = strength(stroke(True, [(40, 90), (140, 90), (90, 140), (90, 40)], 5, "black"))
    assert cross[88:93, 88:93].mean() > cross[88:93, 60:70].mean() + 0.1


def test_the_soft_eraser_brings_back_the_paper_to_the_byte():
    path = [(30, 90), (150, 90)]
    picture = stroke(True, path, 5, "black")
    once = stroke(True, path, 9, None, on=picture)
    assert 0 < strength(once)[88:93, 40:140].max() < strength(picture)[88:93, 40:140].max()
    for _ in range(6):
        once = stroke(True, path, 9, None, on=once)
    assert np.array_equal(once[88:93, 30:151], paint_of(True).paper[88:93, 30:151])


def test_the_paper_has_a_grain_that_is_always_the_same_beside_the_same_toolbar():
    soft, again, hard = program(True).render(), program(True, seed=5).render(), program().render()
    assert soft is not None and again is not None and hard is not None
    assert np.array_equal(soft, again)
    assert 1 < canvas(soft)[..., 0].std() < 10
    assert canvas(soft).min() > 220
    canvas(soft)[:] = canvas(hard)
    assert np.array_equal(soft, hard)


def test_ridges_of_the_paper_take_more_paint_than_hollows():
    light = paint_of(True).paper[..., 0][90, 40:140]
    line = strength(stroke(True, [(20, 90), (160, 90)], 9, "black"))[90, 40:140]
    assert np.corrcoef(light, line)[0, 1] > 0.9


def test_drawings_differ_by_seed_and_only_by_seed():
    drawings = [drawing(seed) for seed in range(6)]
    assert all(np.array_equal(drawing(seed), picture) for seed, picture in enumerate(drawings))
    assert len({picture.tobytes() for picture in drawings}) == 6


@pytest.mark.parametrize("soft", [False, True])
def test_drawings_have_colours_on_the_paper_of_their_program(soft):
    pictures = np.stack([drawing(seed, soft) for seed in range(12)])
    paper = (pictures == paint_of(soft).paper).all(-1).mean((1, 2))
    assert (paper > 0.3).all() and (paper < 0.995).all()


def test_hard_drawings_hold_the_palettes_colours_only():
    values = {tuple(pixel) for seed in range(12) for pixel in np.unique(
        drawing(seed).reshape(-1, 3), axis=0).tolist()}  # fmt: skip
    assert values == set(RGB.values())
