"""Which frames of play in a row a model looks back on."""

import numpy as np
import pytest
import torch
from tiny_training import tiny_model

from learned_envs.models.dreaming import dream_frames, reconstruction
from learned_envs.models.history import looked_back_on

IDLE = np.array(7)


def row(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Frames that show their number, and actions that are ten more than the frame before them."""
    frames = np.zeros((2, count, 2, 2, 3), np.uint8)
    frames[:] = np.arange(count)[:, None, None, None]
    return frames, np.tile(np.arange(count - 1) + 10, (2, 1))


@pytest.mark.parametrize(
    ("ages", "count", "places", "led"),
    [
        ((2, 1, 0), 6, [3, 4, 5], [13, 14]),
        ((4, 2, 0), 6, [1, 3, 5], [12, 14]),
        ((0,), 3, [2], []),
        ((4, 2, 0), 3, [0, 0, 2], [7, 11]),  # before the first frame all is as it was, and idle
        ((2, 0), 1, [0, 0], [7]),
    ],
)
def test_frames_of_the_ages_are_picked_with_what_led_to_them(ages, count, places, led):
    frames, actions = looked_back_on(*row(count), ages, IDLE)
    assert frames[:, :, 0, 0, 0].tolist() == [places, places]
    assert actions.tolist() == [led, led] and actions.dtype == np.int64


class _Ages:
    """Which frames a model was started with."""

    def __init__(self, model: torch.nn.Module):
        self.seen: list[list[int]] = []
        self._start = model.start
        model.start = self

    def __call__(self, frames: torch.Tensor, actions: torch.Tensor):
        self.seen.append(frames[0, :, 0, 0, 0].tolist())
        return self._start(frames, actions)


def counted(count: int) -> np.ndarray:
    frames = np.full((2, count, 16, 16, 3), 90, np.uint8)
    frames[:, :, 0, 0, 0] = np.arange(count)
    return frames


def test_a_dream_from_many_frames_begins_with_those_of_the_models_ages():
    model = tiny_model()
    model.ages = (6, 3, 1, 0)
    ages = _Ages(model)
    dreamed = dream_frames(model, counted(9), np.zeros((2, 10), int))
    assert ages.seen == [[2, 5, 7, 8]] and dreamed.shape == (2, 2, 16, 16, 3)


def test_what_was_seen_last_is_encoded_and_decoded_with_what_was_seen_before():
    model = tiny_model()
    model.ages = (6, 3, 1, 0)
    ages = _Ages(model)
    seen = reconstruction(model)(counted(9))
    assert ages.seen == [[2, 5, 7, 8]]
    np.testing.assert_array_equal(seen, counted(9)[:, -1])
