"""The diagnostics on real koi ponds, and the answer to taps."""

import json

import numpy as np
import pytest
from gymnasium.vector import VectorWrapper
from tiny_ponds import rollout

from learned_envs import worlds
from learned_envs.evaluation.koi_pond.diagnostics import diagnose, share_near
from learned_envs.evaluation.koi_pond.taps import Flight, tap_contrast, tap_point
from learned_envs.evaluation.rollouts import pieces

WORLD = worlds.get("koi_pond")
SEED, STEPS = 900_400, 165
PLAYERS = ["watch", "chase", "random"]


def ponds(rows: int, steps: int | None = None):
    return WORLD.make_real_vec(rows, max_episode_steps=steps)


@pytest.fixture(scope="module")
def real():
    behaviour = WORLD.make_behaviour(PLAYERS, range(SEED, SEED + len(PLAYERS)))
    return diagnose(pieces(ponds(len(PLAYERS), STEPS), behaviour, STEPS, SEED, piece=30))


@pytest.fixture(scope="module")
def contrast():
    env = ponds(4)
    env.reset(seed=SEED)
    return tap_contrast(env, seed=1)


def test_real_fish_keep_their_number_their_size_and_their_detail(real):
    assert real.ages == [150]
    np.testing.assert_allclose(real.count, 1, atol=0.07)
    np.testing.assert_allclose(real.area, 1, atol=0.2)
    np.testing.assert_allclose(real.crispness, 1, atol=0.2)


def test_real_fish_swim(real):
    assert ((real.motion > 15) & (real.motion < 60)).all()
    assert 15 < real.calm_speeds[0] < real.calm_speeds[2] < 50


def test_real_fish_neither_vanish_nor_jump_nor_change(real):
    fates = real.fates
    assert fates.minutes > 3
    assert fates.vanished + fates.teleported + fates.appeared <= 1
    assert real.identity[0].share > 0.95


def test_real_fish_come_through_contacts_pads_and_ripples(real):
    for passages in (real.contacts, real.pads, real.ripples):
        assert passages.fish >= 8
        assert passages.share > 0.9


def test_real_beds_and_quiet_water_do_not_change(real):
    assert real.bed.min() > 45
    assert real.quiet < 0.01


def test_all_figures_are_json(real):
    figures = json.loads(json.dumps(real.to_json(), allow_nan=False))
    assert figures["ages"] == [150]
    assert figures["fates"]["minutes"] > 3


def test_a_rollout_that_is_reset_is_refused():
    frames = np.zeros((3, 1, 256, 256, 3), np.uint8)
    played = rollout(frames, np.zeros((2, 1, 3), np.float32))
    played.first[2] = True
    with pytest.raises(ValueError, match="max_episode_steps"):
        diagnose(iter([played]))


def test_no_pieces_are_refused():
    with pytest.raises(ValueError, match="no pieces"):
        diagnose(iter([]))


def test_a_pond_of_one_colour_has_no_fish_and_breaks_nothing():
    frames = np.full((20, 1, 256, 256, 3), (30, 80, 80), np.uint8)
    found = diagnose(iter([rollout(frames, np.zeros((19, 1, 3), np.float32))]))
    assert found.fates.minutes == 0
    json.dumps(found.to_json(), allow_nan=False)


def test_share_near_counts_ponds_near_the_mean_of_real_ones():
    real = np.array([[10.0], [12.0], [8.0]])
    assert share_near(np.array([[11.4], [8.6], [11.6], [2.0]]), real) == [0.5]


class Deaf(VectorWrapper):
    """Ponds in which taps do nothing."""

    def step(self, actions):
        return self.env.step(np.zeros_like(actions))


def test_a_tap_drives_near_fish_farther_than_no_tap(contrast):
    assert contrast.fish[0].sum() >= 2
    assert contrast.by_distance[0] > 25
    assert abs(contrast.by_distance[3]) < 12


def test_where_taps_do_nothing_both_branches_are_equal():
    env = Deaf(ponds(4))
    env.reset(seed=SEED)
    found = tap_contrast(env, seed=1)
    assert found.fish.sum() > 5
    np.testing.assert_allclose(found.pixels, 0, atol=1e-3)


def test_branching_leaves_a_pond_as_it_was():
    left, kept = ponds(1), ponds(1)
    for env in (left, kept):
        env.reset(seed=SEED)
    tap_contrast(left)
    idle = np.zeros((1, 3), np.float32)
    np.testing.assert_array_equal(left.step(idle)[0], kept.step(idle)[0])


def test_flights_add_up_and_none_is_nan():
    pixels, fish = np.zeros((4, 2)), np.zeros((4, 2), int)
    pixels[1], fish[1] = (30, 60), (3, 1)
    total = Flight(pixels=pixels, fish=fish) + Flight(pixels=pixels, fish=fish)
    np.testing.assert_array_equal(total.mean[1], [10, 60])
    assert total.by_distance[1] == 180 / 8
    assert np.isnan(total.by_distance[0])


def test_a_tap_falls_on_the_pixel_that_the_pond_says():
    np.testing.assert_array_equal(tap_point(np.array([1.0, 0.5, 1.0])), [255, 128])
