"""Faults planted in real paint programs, each found by its measure from pixels alone."""

import numpy as np
import pytest
from tiny_minipaint import CONTROLS, IDLE, at
from tiny_paint_faults import PAPER, WORLD, Copying, Deaf, Fading, Smudging, Thin

from learned_envs.evaluation.minipaint.episodes import Episodes
from learned_envs.evaluation.minipaint.programs import real_programs
from learned_envs.evaluation.minipaint.report import PaintReport, compare_programs
from learned_envs.evaluation.minipaint.viewer import as_viewed

ROWS, STEPS = 2, 120
MAKE = {
    "none": lambda: real_programs(WORLD, ROWS),
    "copied": lambda: Copying(ROWS),
    "fading": lambda: Fading(ROWS),
    "deaf to green": lambda: Deaf(ROWS, {"green"}, 0.5),
    "deaf to the slider": lambda: Deaf(ROWS, {"slider"}, 0.5),
    "deaf to the eraser": lambda: Deaf(ROWS, {"eraser"}, 0.5),
    "omitting": lambda: Deaf(ROWS, {"canvas"}, 0.5),
    "thin": lambda: Thin(ROWS),
    "smudging": lambda: Smudging(ROWS),
}


def line(x: int, y: int, right: int) -> list[np.ndarray]:
    """A level stroke on the canvas; what the hand does then is no matter."""
    return [at(x, y), at(right, y), at(right, y, 0)]


def press(name: str) -> list[np.ndarray]:
    x, y, width, height = CONTROLS[name]
    return [at(x + width // 2, y + height // 2), IDLE]


def lesson(row: int) -> np.ndarray:
    """A thicker brush, strokes in two colours, a part of them wiped out, and one more colour."""
    top = 20 + 10 * row
    deeds = [
        *press("slider"), *line(60, top, 132), *press("red"), *line(60, top + 40, 132),
        *line(60, top + 70, 132), *press("eraser"), *line(70, top, 130), *line(80, top + 40, 120),
        *press("blue"), *line(60, top + 20, 132), *press("eraser"), *line(70, top + 70, 130),
    ]  # fmt: skip
    return as_viewed(np.stack(deeds * 2))[:STEPS]


@pytest.fixture(scope="module")
def episodes() -> Episodes:
    first, _ = WORLD.make_real_vec(ROWS).reset(seed=0)
    return Episodes(first=first, actions=np.stack([lesson(row) for row in range(ROWS)], 1))


@pytest.fixture(scope="module")
def found(episodes) -> dict[str, PaintReport]:
    return {
        name: compare_programs(
            real_programs(WORLD, ROWS), make(), episodes, paper=PAPER, codec=np.copy, clicks=6
        )
        for name, make in MAKE.items()
    }


def last(report: PaintReport, name: str, of: str = "dream") -> np.ndarray:
    return report.fidelity.at(STEPS, name, of)


def answered(report: PaintReport) -> dict[str, float]:
    return {kind: of.answered.share for kind, of in report.answers["early"].items()}


def test_the_real_program_against_itself_is_perfect(found):
    report = found["none"]
    assert (last(report, "ssim") == 1).all()
    assert (last(report, "psnr") == 60).all()
    assert (last(report, "ink_f1") == 1).all()
    assert not last(report, "wrong").any()
    assert np.isnan(report.fidelity.onset).all()
    for answers in report.answers["early"].values():
        assert answers.exact.hits == answers.answered.hits == answers.answered.trials > 3
    for tool in ("pen", "eraser"):
        strokes = report.strokes[tool, "early"]
        assert (strokes.invisible.hits, strokes.thickness_error, strokes.colour_error) == (0, 0, 0)
        assert strokes.invisible.trials > 8
    assert report.strokes["eraser", "early"].erased.share == 1
    assert np.array_equal(report.stir.real, report.stir.dream)
    assert 0 < report.stir.real.mean() < 0.01


def test_a_codec_without_loss_has_no_ceiling_below_one(found):
    assert (last(found["none"], "ssim", "codec") == 1).all()


def test_a_copied_frame_is_the_baseline_and_answers_nothing(found):
    report = found["copied"]
    assert np.array_equal(last(report, "ssim"), last(report, "ssim", "copy first"))
    assert last(report, "ssim").max() < 0.95
    assert (report.fidelity.onset <= STEPS).all()
    assert (last(report, "ink_f1") == 0).all()
    shares = answered(report)
    assert [kind for kind in CONTROLS if shares[kind] > 0] == []
    assert shares["gaps"] == 1
    assert report.strokes["pen", "early"].invisible.share == 1
    assert report.stir.dream.max() == 0


def test_a_fading_canvas_loses_likeness_and_colour_but_no_control(found):
    report = found["fading"]
    assert last(report, "canvas_ssim").max() < 1
    assert last(report, "canvas_psnr").max() < 40
    assert (last(report, "toolbar_psnr") == 60).all()
    assert min(answered(report).values()) == 1
    assert report.strokes["pen", "early"].colour_error > 5


@pytest.mark.parametrize("deaf", ["green", "slider", "eraser"])
def test_a_control_that_is_not_always_heard_is_found_and_no_other(found, deaf):
    report = found[f"deaf to {deaf}" if deaf == "green" else f"deaf to the {deaf}"]
    shares = answered(report)
    assert shares.pop(deaf) < 0.8
    shares.pop("edges")
    assert min(shares.values()) == 1
    assert report.weakest("early")[0] == deaf


def test_pen_and_eraser_answer_unlike_if_only_one_is_deaf(found):
    assert found["deaf to the eraser"].asymmetry("early") > 0.2
    assert found["none"].asymmetry("early") == 0


def test_strokes_left_out_are_invisible(found):
    assert 0.2 < found["omitting"].invisible("early").share < 0.8


def test_thin_strokes_are_about_a_pixel_too_thin(found):
    strokes = found["thin"].strokes["pen", "early"]
    dreamed, real = strokes.thickness
    assert 0.5 < real - dreamed < 1.5
    assert 0.5 < strokes.thickness_error < 1.5
    assert strokes.colour_error == 0


def test_what_is_erased_a_few_levels_off_is_not_erased_exactly(found):
    report = found["smudging"]
    assert report.strokes["eraser", "early"].erased.share == 0
    assert report.strokes["eraser", "early"].invisible.hits == 0
    assert (last(report, "ink_f1") == 1).all()
    assert not last(report, "wrong").any()
