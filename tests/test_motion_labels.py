"""Labels from motion: right where they are given, and unsure where fish touch."""

import numpy as np
import pytest
from tiny_pond import FISH, ground, take, windows

from learned_envs.training.motion_labels import ground_of, label, moving
from learned_envs.training.scenes import crowded, scenes

ACROSS = [(8.0, 14.0, 0.0), (50.0, 30.0, np.pi)]


def test_the_ground_is_what_stays_when_all_has_moved():
    frames = take(ACROSS, 60)
    assert np.abs(ground_of(frames).astype(int) - ground()).max() <= 1
    assert not moving(ground(), ground()).any()


def test_fish_that_swim_alone_are_labelled_with_their_centre_and_their_way():
    frames = take(ACROSS, 60)
    labels = label(frames[12], frames[17], ground(), FISH)
    order = labels.centre[:, 1].argsort()
    np.testing.assert_allclose(labels.centre[order], [(20, 14), (38, 30)], atol=1)
    np.testing.assert_allclose(labels.facing[order], [(1, 0), (-1, 0)], atol=0.05)
    assert labels.directed.all() and not labels.unsure.any()
    assert (labels.extent[:, 0] > 1.5 * labels.extent[:, 1]).all()


def test_fish_that_touch_are_no_label_but_unsure():
    frames = take([(20.0, 30.0, 0.0), (24.0, 35.0, 0.0)], 10)
    labels = label(frames[2], frames[7], ground(), FISH)
    assert not len(labels.centre)
    assert labels.unsure[30, 22] and not labels.unsure[60, 60]


def test_a_fish_that_does_not_move_on_has_no_head():
    frames = take(ACROSS, 10, speed=0.2)
    labels = label(frames[2], frames[7], ground(), FISH)
    assert len(labels.centre) == 2 and not labels.directed.any()


def test_scenes_show_two_moments_of_one_pond():
    random = np.random.default_rng(0)
    drawn = scenes(windows(3), FISH, apart=4, own=0.0, share=0.2, random=random)
    for scene, _ in zip(drawn, range(20), strict=False):
        fish = moving(scene.now, scene.ground) | moving(scene.other, scene.ground)
        assert 0 < fish.mean() < 0.35
        assert moving(scene.now, scene.other).sum() <= fish.sum()


def test_a_frame_in_which_everything_moves_is_left_out():
    window = next(windows(3, rows=1))
    window.observation[0, 10:] = 255 - window.observation[0, 10:]
    still = 255 - ground_of(window.observation[0, 10:])
    drawn = scenes(
        iter([window]), FISH, apart=4, own=0.0, share=1.0, random=np.random.default_rng(0)
    )
    shown = list(drawn)
    assert shown
    assert all(np.abs(scene.now.astype(int) - (255 - still)).mean() < 30 for scene in shown)


def test_windows_too_short_for_a_ground_are_refused():
    short = scenes(
        windows(0, steps=20), FISH, apart=4, own=0.0, share=1.0, random=np.random.default_rng(0)
    )
    with pytest.raises(ValueError, match="20 steps hold no take of 40 frames"):
        next(short)


def test_a_crowded_scene_has_one_fish_more_where_it_says():
    drawn = scenes(windows(5), FISH, apart=4, own=0.0, share=0.5, random=np.random.default_rng(1))
    scene = next(s for s in drawn if len(s.labels.centre) == 2)
    random = np.random.default_rng(2)
    more = next(s for s in (crowded(scene, scene, random) for _ in range(50)) if s is not scene)
    assert len(more.labels.centre) == 3
    x, y = np.rint(more.labels.centre[2]).astype(int)
    assert np.abs(more.now[y, x].astype(int) - scene.now[y, x]).max() > 60
    ahead = np.rint(more.labels.centre[2] + 8 * more.labels.facing[2]).astype(int)
    red = more.now[ahead[1], ahead[0]].astype(int)
    assert red[0] - red[2] > 100 or not more.labels.directed[2]
