"""Rollouts of batches that reset by themselves, in pieces, and what is counted in them."""

import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from learned_envs import worlds
from learned_envs.evaluation import make_referee
from learned_envs.evaluation.judging import event_drift, judge
from learned_envs.evaluation.rollouts import pieces, rollout

WORLD = worlds.get("breakout")


def players(behaviour: str, rows: int):
    return WORLD.make_behaviour([behaviour] * rows, range(rows))


def test_equal_seeds_give_equal_rollouts_with_every_array_in_its_shape():
    one, two = (
        rollout(WORLD.make_real_vec(3), players("careful", 3), 20, seed=4) for _ in range(2)
    )
    assert one.frames.shape == (21, 3, 64, 64, 3) and one.frames.dtype == np.uint8
    assert one.actions.shape == one.rewards.shape == one.terminated.shape == (20, 3)
    np.testing.assert_array_equal(one.frames, two.frames)
    np.testing.assert_array_equal(one.actions, two.actions)


def test_pieces_join_to_the_whole():
    def play(piece):
        env = WORLD.make_real_vec(2, max_episode_steps=25)
        return list(pieces(env, players("random", 2), 70, seed=1, piece=piece))

    (whole,), cut = play(70), play(16)
    assert [len(piece.actions) for piece in cut] == [16, 16, 16, 16, 6]
    for name in ("actions", "rewards", "truncated"):
        joined = np.concatenate([getattr(piece, name) for piece in cut])
        np.testing.assert_array_equal(joined, getattr(whole, name))
    for name in ("frames", "first", "age"):
        arrays = [getattr(piece, name) for piece in cut]
        joined = np.concatenate([arrays[0][:1], *(array[1:] for array in arrays)])
        np.testing.assert_array_equal(joined, getattr(whole, name))


def test_age_counts_steps_since_the_reset_that_follows_an_end():
    env = WORLD.make_real_vec(1, max_episode_steps=3)
    played = rollout(env, players("idle", 1), 9, seed=0)
    assert played.truncated[:, 0].tolist() == [0, 0, 1, 0, 0, 0, 1, 0, 0]
    assert played.first[:, 0].tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1, 0]
    assert played.age[:, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_resets_within_a_step_are_followed_too():
    env = WORLD.make_real_vec(1, max_episode_steps=3, autoreset_mode=AutoresetMode.SAME_STEP)
    played = rollout(env, players("idle", 1), 7, seed=0)
    assert played.first[:, 0].tolist() == [1, 0, 0, 1, 0, 0, 1, 0]
    report = judge(iter([played]), make_referee("breakout")).report
    assert report.steps.sum() == 5
    assert all(count.violations.sum() == 0 for count in report.counts.values())


def test_doubt_is_kept_where_an_env_gives_it():
    class Doubtful(type(WORLD.make_real_vec(1))):
        def _advance(self, actions, rows):
            return *super()._advance(actions, rows)[:2], {"doubt": np.array([0.25, 0.75])}

    played = rollout(Doubtful(2), players("idle", 2), 4, seed=0)
    np.testing.assert_array_equal(played.doubt, [[0.25, 0.75]] * 4)
    assert np.isnan(rollout(WORLD.make_real_vec(2), players("idle", 2), 4, seed=0).doubt).all()


def test_events_are_counted_in_the_pixels():
    env = WORLD.make_real_vec(8, max_episode_steps=400)
    played = list(pieces(env, players("sleepy", 8), 600, seed=2))
    judged = judge(iter(played), make_referee("breakout"))
    live = sum(int((~piece.first[1:]).sum()) for piece in played)
    assert judged.steps == live
    assert judged.events["bricks broken"] == sum(piece.rewards.sum() for piece in played)
    assert judged.events["lost balls"] >= 3 * sum(piece.terminated.sum() for piece in played) > 0
    assert judged.rates["bricks broken"] == pytest.approx(
        1000 * judged.events["bricks broken"] / live
    )


def test_paddle_hits_are_those_of_the_simulation():
    hits = 0
    env = WORLD.make_real_vec(8)
    simulation, advance = env._simulation, env._simulation.advance

    def counting(*args):
        nonlocal hits
        falling = simulation.velocity[:, 1] > 0
        outcome = advance(*args)
        lifted = falling & (simulation.velocity[:, 1] < 0)
        hits += int((lifted & (simulation.ball[:, 1] == 55)).sum())
        return outcome

    simulation.advance = counting
    judged = judge(pieces(env, players("careful", 8), 400, seed=0), make_referee("breakout"))
    assert abs(judged.events["paddle hits"] - hits) <= 2  # a bounce shows one frame later
    assert hits > 20


def test_drift_compares_rates_and_knows_no_rate_of_nothing():
    drift = event_drift({"hits": 10.0, "losses": 0.0}, {"hits": 11.0, "losses": 1.0})
    assert drift["hits"] == pytest.approx(0.1) and np.isnan(drift["losses"])


def test_judgements_add_up():
    def judged(seed):
        played = pieces(WORLD.make_real_vec(2), players("careful", 2), 30, seed=seed)
        return judge(played, make_referee("breakout"))

    one, two = judged(0), judged(1)
    both = one + two
    assert both.steps == 120 and both.report.rollouts == 4
    assert both.events["bricks broken"] == one.events["bricks broken"] + two.events["bricks broken"]


def test_an_env_that_does_not_reset_itself_is_refused():
    env = WORLD.make_real_vec(1, autoreset_mode=AutoresetMode.DISABLED)
    with pytest.raises(ValueError, match="NEXT_STEP"):
        rollout(env, players("idle", 1), 3, seed=0)


def test_a_rollout_of_no_steps_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        rollout(WORLD.make_real_vec(1), players("idle", 1), 0, seed=0)


def test_a_world_without_laws_is_named():
    with pytest.raises(ValueError, match="no laws for world 'chess'.*breakout"):
        make_referee("chess")
