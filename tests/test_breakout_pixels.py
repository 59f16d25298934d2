"""Breakout's state is read from its picture, from true frames and noisy ones."""

import numpy as np
import pytest

from learned_envs.evaluation.breakout_pixels import read
from sims.breakout import BreakoutSimulation


def scattered(rows: int) -> BreakoutSimulation:
    """Games in arbitrary states: any wall, any paddle, the ball anywhere, over bricks as well."""
    random = np.random.default_rng(0)
    simulation = BreakoutSimulation(rows, antialias=True)
    simulation.ball = random.uniform((2, 4), (61, 64.5), (rows, 2))
    simulation.paddle = random.uniform(2, 50, rows)
    simulation.bricks = random.random((rows, 6, 12)) < random.random((rows, 1, 1))
    simulation.lives = random.integers(0, 4, rows)
    simulation.draw_board(np.arange(rows))
    return simulation


def test_reading_recovers_the_state_to_a_twentieth_of_a_pixel():
    truth = scattered(2000)
    reading = read(truth.frames())
    right = (
        (reading.lives == truth.lives)
        & (reading.bricks == truth.bricks).all((1, 2))
        & (abs(reading.paddle - truth.paddle) < 0.05)
        & (abs(reading.ball - truth.ball) < 0.05).all(1)
        & (reading.fit > 0.99)
        & (reading.ghosts == 0)
    )
    assert right.mean() > 0.998  # a ball deep inside the paddle, where no game puts it, may hide


def test_reading_withstands_noise():
    truth = scattered(1000)
    noise = np.random.default_rng(1).normal(0, 10, (1000, 64, 64, 3))
    reading = read(np.clip(truth.frames() + noise, 0, 255).astype(np.uint8))
    assert (reading.bricks == truth.bricks).mean() > 0.9999
    assert (reading.lives == truth.lives).all()
    assert np.quantile(abs(reading.ball - truth.ball), 0.98) < 0.1
    assert np.quantile(abs(reading.paddle - truth.paddle), 0.98) < 0.2


def test_reading_keeps_the_leading_shape():
    frames = scattered(6).frames()
    flat, folded = read(frames), read(frames.reshape(2, 3, 64, 64, 3))
    assert folded.bricks.shape == (2, 3, 6, 12)
    np.testing.assert_array_equal(folded.ball.reshape(6, 2), flat.ball)


def test_reading_refuses_other_frames():
    with pytest.raises(ValueError, match="expected .*64, 64, 3.* uint8"):
        read(np.zeros((2, 64, 64, 3), np.float32))
