"""Figures of prediction error, on frames whose error is known."""

import numpy as np
import pytest

from learned_envs import worlds
from learned_envs.data import Window
from learned_envs.evaluation.metrics import (
    PSNR_CAP,
    errors_by_horizon,
    psnr,
    ssim,
    ssim_map,
)
from learned_envs.recording.live import LiveWindows


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)


def window(frames: np.ndarray, valid: np.ndarray | None = None) -> Window:
    rows, steps = len(frames), frames.shape[1] - 1
    return Window(
        observation=frames,
        action=np.tile(np.arange(steps), (rows, 1)),
        reward=np.zeros((rows, steps), np.float32),
        terminated=np.zeros((rows, steps), bool),
        first=np.zeros((rows, steps + 1), bool),
        valid=np.ones((rows, steps), bool) if valid is None else valid,
        metadata={},
    )


def test_psnr_is_that_of_the_mean_squared_error_of_each_frame():
    truth = np.full((2, 3, 16, 16, 3), 100, np.uint8)
    frames = truth.copy()
    frames[0, 1] += 5
    frames[1, 2, :8] += 10
    expected = np.full((2, 3), PSNR_CAP)
    expected[0, 1] = 10 * np.log10(255**2 / 25)
    expected[1, 2] = 10 * np.log10(255**2 / 50)
    np.testing.assert_allclose(psnr(frames, truth), expected, rtol=1e-5)


def test_ssim_is_one_for_equal_frames_and_falls_with_noise():
    truth = noise(3, 32, 32, 3)
    frames = truth.copy()
    frames[1] = 255 - frames[1]
    value = ssim(frames, truth)
    assert value.shape == (3,)
    assert value[0] == pytest.approx(1) and value[2] == pytest.approx(1)
    assert value[1] < 0.1


def test_the_map_of_ssim_has_it_as_its_mean_and_is_exactly_one_for_equal_frames():
    frames, other = noise(2, 24, 40, 3), noise(2, 24, 40, 3)
    other[:, 5:20] = frames[:, 5:20]
    np.testing.assert_allclose(ssim_map(frames, other).mean((1, 2)), ssim(frames, other), atol=1e-5)
    assert (ssim_map(np.full_like(frames, 255), np.full_like(frames, 255)) == 1).all()


def test_frames_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="equal shapes"):
        psnr(noise(2, 16, 16, 3), noise(3, 16, 16, 3))


def test_a_perfect_predictor_is_told_from_a_copy_and_from_its_codec():
    frames = noise(4, 7, 16, 16, 3)

    def predict(context, actions):
        assert context.shape[1] == 3 and actions.shape == (4, 5)
        return frames[:, 3:6]

    found = errors_by_horizon(
        predict, [window(frames)], context=3, horizon=3, codec=lambda f: f[:, -1] // 16 * 16
    )
    assert found.windows == 4
    np.testing.assert_array_equal(found.errors["prediction"].psnr, PSNR_CAP)
    np.testing.assert_array_equal(found.errors["prediction"].changing_psnr, PSNR_CAP)
    assert (found.errors["copy last"].psnr < 10).all()
    assert ((found.errors["codec"].psnr > 25) & (found.errors["codec"].psnr < 35)).all()
    assert "copy last" in found.table() and len(found.to_json()["codec"]["ssim"]) == 3


def test_changing_psnr_counts_only_pixels_that_change_in_truth():
    frames = np.full((1, 3, 16, 16, 3), 50, np.uint8)
    frames[:, 1:, 4, 4, 0] = 90  # changes into frame 1, not into frame 2

    def predict(context, actions):
        guess = frames[:, 1:].copy()
        guess[:, :, 4, 4] += 10
        guess[:, :, 9] += 100
        return guess

    error = errors_by_horizon(predict, [window(frames)], context=1, horizon=2).errors["prediction"]
    assert error.changing_psnr[0] == pytest.approx(10 * np.log10(255**2 / 100))
    assert np.isnan(error.changing_psnr[1])


def test_windows_are_pooled_and_rows_with_a_seam_left_out():
    frames = noise(3, 4, 16, 16, 3)
    valid = np.ones((3, 3), bool)
    valid[1, 1] = False
    valid[2, 2] = False  # after the last step needed
    seen = []

    def predict(context, actions):
        seen.append(len(context))
        return np.repeat(context[:, -1:], 2, 1)

    both = [window(frames, valid), window(frames)]
    found = errors_by_horizon(predict, both, context=1, horizon=2)
    assert seen == [2, 3] and found.windows == 5
    copy = found.errors["copy last"]
    np.testing.assert_allclose(found.errors["prediction"].psnr, copy.psnr)
    np.testing.assert_allclose(
        copy.psnr[0], psnr(frames[[0, 2, 0, 1, 2], 0], frames[[0, 2, 0, 1, 2], 1]).mean()
    )


def test_windows_too_short_or_without_a_whole_row_are_refused():
    frames = noise(1, 3, 16, 16, 3)
    with pytest.raises(ValueError, match="expected at least 4"):
        errors_by_horizon(lambda c, a: c, [window(frames)], context=2, horizon=3)
    with pytest.raises(ValueError, match="no row"):
        torn = window(frames, np.zeros((1, 2), bool))
        errors_by_horizon(lambda c, a: c, [torn], context=1, horizon=1)


def test_breakout_copied_is_good_over_all_pixels_and_bad_over_those_that_change():
    windows = LiveWindows(worlds.get("breakout"), 8, 12, seed=0)
    found = errors_by_horizon(
        lambda context, actions: np.repeat(context[:, -1:], 4, 1),
        [next(windows) for _ in range(3)],
        context=4,
        horizon=4,
    )
    copy = found.errors["copy last"]
    assert copy.psnr[0] > 24 and copy.changing_psnr[0] < 14
    assert (np.diff(copy.psnr) < 0).all()
