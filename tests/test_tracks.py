"""Figures are followed through takes of play."""

import numpy as np
import pytest
import torch
from tiny_pond import SIZE, config, take

from learned_envs.data.window import Window
from learned_envs.models.codecs.poses import Poses
from learned_envs.models.codecs.sprites import Sprites
from learned_envs.training.tracks import joined, linked, oriented, read_tracks, takes_of


def placed(*frames: dict[int, tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """Finds of frames, each as find: place."""
    centre, found = np.zeros((len(frames), 3, 2)), np.zeros((len(frames), 3), bool)
    for t, finds in enumerate(frames):
        for find, place in finds.items():
            centre[t, find], found[t, find] = place, True
    return centre, found


def test_figures_keep_their_rows_whatever_the_order_of_the_finds():
    index = linked(*placed({0: (10, 10), 1: (50, 50)}, {1: (12, 10), 0: (50, 48)}))
    assert index.tolist() == [[0, 1, -1], [1, 0, -1]]


def test_of_two_finds_the_nearer_is_the_figure_and_the_other_is_new():
    index = linked(*placed({0: (10, 10)}, {0: (19, 10), 1: (12, 10)}))
    assert index[1].tolist() == [1, 0, -1]


def test_a_figure_that_was_not_found_for_a_while_is_the_same_and_after_long_another():
    lost = placed({0: (10, 10)}, {}, {0: (16, 10)})
    assert linked(*lost)[:, 0].tolist() == [0, -1, 0]
    long_lost = placed({0: (10, 10), 1: (60, 60)}, *[{1: (60, 60)}] * 6, {0: (16, 10), 1: (60, 60)})
    index = linked(*long_lost)
    assert index[-1].tolist() == [0, 1, -1] and (index[1:-1, 0] == -1).all()


def test_a_leap_is_another_figure():
    index = linked(*placed({0: (10, 10)}, {0: (60, 60)}))
    assert index.tolist() == [[0, -1, -1], [-1, 0, -1]]


def test_heads_are_told_from_tails_by_the_frames_around_and_the_way_gone():
    time = np.arange(24)
    centre = np.stack([np.stack([10 + 2 * time, 30 + 0 * time], 1)] * 2, 1).astype(float)
    facing = np.tile([1.0, 0.0], (24, 2, 1))
    facing[[3, 4, 9, 23], 0] *= -1  # for a moment the wrong way round
    facing[4:11, 1] *= -1  # for long
    there = np.ones((24, 2), bool)
    there[4, 0] = False
    right = oriented(centre, facing, there)
    assert (right[there] == (1, 0)).all()
    assert (oriented(centre, facing, ~there)[:, 1] == facing[:, 1]).all()


def window(frames: np.ndarray, first: list[int]) -> Window:
    steps = len(frames) - 1
    begins = np.zeros((1, steps + 1), bool)
    begins[0, first] = True
    action = np.arange(3 * steps, dtype=np.float32).reshape(1, steps, 3)
    return Window(
        observation=frames[None], action=action, reward=np.zeros((1, steps), np.float32),
        terminated=np.zeros((1, steps), bool), first=begins, valid=np.ones((1, steps), bool),
        metadata={},
    )  # fmt: skip


def test_a_windows_takes_end_where_others_begin_and_short_ones_are_left_out():
    frames = np.arange(10, dtype=np.uint8).reshape(10, 1, 1, 1)
    takes = list(takes_of(window(frames, [3, 8]), 3))
    told = [(t.frames.ravel().tolist(), len(t.action), len(t.reward), t.fresh) for t in takes]
    assert told == [([0, 1, 2], 2, 2, False), ([3, 4, 5, 6, 7], 4, 4, True)]


@pytest.fixture
def codec(monkeypatch) -> Sprites:
    """One that finds a fish that swims to the right by 2 pixels a frame, but not in frame 5."""
    torch.manual_seed(0)
    model = config(2).build((SIZE, SIZE)).requires_grad_(False)
    model.figures.reader[-1].weight.zero_()
    seen = 0

    def find(images: torch.Tensor, count: int) -> tuple[Poses, torch.Tensor]:
        nonlocal seen
        time = torch.arange(seen, seen + len(images)).float()
        seen += len(images)
        x = torch.stack([10 + 2 * time, torch.full_like(time, 40.0)], 1)
        poses = Poses(
            centre=torch.stack([x, torch.full_like(x, 30.0)], -1),
            facing=torch.tensor([1.0, 0.0]).expand(len(time), 2, 2),
        )
        return poses, torch.stack([time != 5, torch.zeros_like(time, dtype=torch.bool)], 1)

    monkeypatch.setattr(model.finder, "find", find)
    return model


def test_tracks_tell_where_figures_were_and_where_nothing_was_found(codec):
    frames = take([(10.0, 30.0, 0.0)], 19, speed=2.0)
    tracks = read_tracks(codec, window(frames, [0]))
    assert tracks is not None and tracks.centre.shape == (1, 20, 2, 2)
    assert tracks.there[0, :, 0].tolist() == [t != 5 for t in range(20)]
    assert not tracks.there[..., 1].any()
    right = tracks.centre[0, :, 0, 0][tracks.there[0, :, 0]]
    expected = 10 + 2 * torch.tensor([t for t in range(20) if t != 5]).float()
    torch.testing.assert_close(right, expected)

    part = joined([tracks, tracks]).part(torch.tensor([1, 0]), torch.tensor([6, 9]), 4)
    assert part.centre[:, :, 0, 0].tolist() == [[22, 24, 26, 28, 30], [28, 30, 32, 34, 36]]
    assert part.action[1, :, 0].tolist() == [27, 30, 33, 36]


def test_takes_that_end_within_a_window_give_no_tracks(codec):
    assert read_tracks(codec, window(take([], 19), [0, 7])) is None
