"""Breakout, one game: its picture, hard and smooth, from which its state can be read."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_breakout import FAR_BRICK, NOOP, PADDLE_LINE, actions, game, pips

BACKGROUND, TOP_BAR, SIDE_BAR = (8, 10, 18), (24, 30, 48), (18, 23, 38)
BRICK_COLOURS = (
    (251, 92, 92), (255, 178, 76), (250, 225, 87), (87, 217, 139), (73, 190, 255), (166, 129, 255),
)  # fmt: skip
PADDLE = (235, 241, 252)
BALL, BALL_CENTRE = (255, 255, 255), (255, 221, 103)


def published_frame(state: dict[str, Any]) -> np.ndarray:
    """The published picture: whole pixels, drawn one rectangle at a time."""
    frame = np.empty((80, 64, 3), np.uint8)
    frame[:] = BACKGROUND
    frame[:, :2] = frame[:, 62:] = SIDE_BAR
    frame[:3] = TOP_BAR
    for life in range(state["lives"]):
        frame[1, 4 + 5 * life : 7 + 5 * life] = PADDLE_LINE
    for row, column in np.argwhere(state["bricks"]):
        x, y = 4 + 5 * column, 8 + 4 * row
        frame[y : y + 2, x : x + 4] = BRICK_COLOURS[row]
    x = int(np.floor(state["paddle"] + 0.5))
    frame[56, x : x + 12] = PADDLE_LINE
    frame[57:59, x : x + 12] = PADDLE
    x, y = np.floor(state["ball"] + 0.5).astype(int)
    frame[y - 1 : y + 2, x - 1 : x + 2] = BALL
    frame[y, x] = BALL_CENTRE
    return frame[:64]


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), lives=st.integers(1, 3), paddle=st.floats(2, 50))
def test_without_antialiasing_every_frame_is_the_published_one(seed, lives, paddle):
    env = game(antialias=False, seed=seed, lives=lives, paddle=paddle)
    for action in actions(80, seed):
        frame, _, terminated, _, _ = env.step(action)
        assert np.array_equal(frame, published_frame(env.get_state()))
        if terminated:
            return


def test_antialiasing_changes_nothing_on_whole_pixels():
    whole = dict(paddle=30, ball=(20, 50), velocity=(1, 1))
    assert np.array_equal(*(game(antialias=a, **whole).reset(options=whole)[0] for a in (0, 1)))


def coverage(frame: np.ndarray, rows: slice, red: int) -> np.ndarray:
    """How much of each pixel is covered by something of so much red, over the background."""
    return (frame[rows, :, 0].astype(float) - BACKGROUND[0]) / (red - BACKGROUND[0])


@settings(deadline=None, max_examples=40)
@given(x=st.floats(3, 59), y=st.floats(14, 52))
def test_the_ball_can_be_read_from_the_picture_to_a_fiftieth_of_a_pixel(x, y):
    frame, _ = game().reset(options={"bricks": FAR_BRICK, "ball": (x, y)})
    cover = coverage(frame, slice(12, 55), red=255)
    cover[:, :2] = cover[:, 62:] = 0
    assert cover.sum() == pytest.approx(9, abs=0.05)
    assert cover.sum(0) @ np.arange(64) / cover.sum() == pytest.approx(x, abs=0.02)
    assert cover.sum(1) @ np.arange(12, 55) / cover.sum() == pytest.approx(y, abs=0.02)


@settings(deadline=None, max_examples=40)
@given(left=st.floats(2, 50))
def test_the_paddle_can_be_read_from_the_picture_to_a_fiftieth_of_a_pixel(left):
    frame, _ = game().reset(options={"paddle": left})
    cover = coverage(frame, slice(58, 59), red=PADDLE[0])[0]
    cover[:2] = cover[62:] = 0
    assert cover.sum() == pytest.approx(12, abs=0.05)
    assert cover @ np.arange(64) / cover.sum() - 5.5 == pytest.approx(left, abs=0.02)


@pytest.mark.parametrize("lives", [1, 2, 3])
def test_as_many_pips_as_lives_are_shown(lives):
    assert pips(game().reset(options={"lives": lives})[0]) == lives


@pytest.mark.parametrize("lives", [1, 2, 3])
def test_a_pip_goes_with_the_life_in_the_same_frame(lives):
    env = game(ball=(50, 65.5), velocity=(0, 0.92), lives=lives)
    assert pips(env.step(NOOP)[0]) == lives - 1
