"""Breakout in batches: equal to single games, and everything Gymnasium's vector API asks for."""

import pickle
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from hypothesis import given, settings
from hypothesis import strategies as st

from sims.breakout import BreakoutEnv, BreakoutVectorEnv

NOOP = 0
MODES = [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP]
LAST_BALL = {"lives": 1, "ball": (50.0, 65.5), "velocity": (0.0, 0.92)}  # ends the game in a tick
STATE = ("paddle", "ball", "velocity", "bricks", "lives")


def idle(count: int) -> np.ndarray:
    return np.full(count, NOOP)


def random_actions(steps: int, count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(3, size=(steps, count))


def odd_starts() -> st.SearchStrategy[dict[str, Any]]:
    """Reset options, any of them left out."""
    bricks = st.integers(0, 2**32 - 1).map(
        lambda seed: np.random.default_rng(seed).random((6, 12)) < 0.3
    )
    falling = st.floats(0.5, 1.2)
    return st.fixed_dictionaries(
        {},
        optional={
            "bricks": bricks.filter(np.any),
            "ball": st.tuples(st.floats(2, 61), st.floats(4, 66)),
            "velocity": st.tuples(st.floats(-1.2, 1.2), falling | falling.map(lambda v: -v)),
            "lives": st.integers(1, 3),
            "paddle": st.floats(2, 50),
        },
    )


def assert_rows_equal_games(batch: BreakoutVectorEnv, games: list[BreakoutEnv]) -> None:
    state = batch.get_state()
    for row, game in enumerate(games):
        alone = game.get_state()
        for name in STATE:
            assert np.array_equal(state[name][row], alone[name]), (row, name)


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**31), picks=st.integers(0, 2**31))
def test_a_batch_equals_single_games_state_by_state_through_autoreset(seed, picks):
    batch = BreakoutVectorEnv(3, max_episode_steps=60)
    games = SyncVectorEnv([lambda: TimeLimit(BreakoutEnv(), 60)] * 3)
    frames = [env.reset(seed=seed)[0] for env in (batch, games)]
    assert np.array_equal(*frames)
    for action in random_actions(150, 3, picks):
        for ours, theirs in zip(batch.step(action)[:4], games.step(action)[:4], strict=True):
            assert np.array_equal(ours, theirs)
        assert_rows_equal_games(batch, [game.unwrapped for game in games.envs])


@settings(deadline=None, max_examples=12)
@given(starts=st.lists(odd_starts(), min_size=3, max_size=3), seed=st.integers(0, 2**31))
def test_rows_with_odd_starts_equal_single_games_with_those_starts(starts, seed):
    batch, games = BreakoutVectorEnv(3), [BreakoutEnv() for _ in starts]
    frames, _ = batch.reset(seed=seed, options={"rows": dict(enumerate(starts))})
    for row, (game, options) in enumerate(zip(games, starts, strict=True)):
        assert np.array_equal(game.reset(seed=seed + row, options=options)[0], frames[row])
    for action in random_actions(20, 3, seed):
        frames, rewards, ended, _, _ = batch.step(action)
        for row, game in enumerate(games):
            frame, reward, terminated, _, _ = game.step(action[row])
            assert np.array_equal(frame, frames[row])
            assert (reward, terminated) == (rewards[row], ended[row])
        assert_rows_equal_games(batch, games)
        if ended.any():
            return


@pytest.mark.parametrize("antialias", [True, False])
def test_a_batch_draws_as_single_games_do(antialias):
    batch, game = BreakoutVectorEnv(2, antialias=antialias), BreakoutEnv(antialias=antialias)
    start = {"paddle": 13.3, "ball": (20.4, 44.6)}
    frames, _ = batch.reset(seed=4, options=start)
    assert np.array_equal(frames[0], game.reset(seed=4, options=start)[0])


@pytest.mark.parametrize("mode", MODES)
def test_a_batch_keeps_gymnasiums_conventions(mode):
    """Observations, rewards, flags and infos are those of `SyncVectorEnv`, ends included."""
    batch = BreakoutVectorEnv(4, max_episode_steps=30, autoreset_mode=mode)
    games = SyncVectorEnv([lambda: TimeLimit(BreakoutEnv(), 30)] * 4, autoreset_mode=mode)
    for env in (batch, games):
        env.reset(seed=7, options=LAST_BALL)
    ends = 0
    for action in random_actions(70, 4):
        *ours, info = batch.step(action)
        *theirs, expected = games.step(action)
        for mine, other in zip(ours, theirs, strict=True):
            assert np.array_equal(mine, other)
            assert mine.dtype == other.dtype
        assert info.keys() == expected.keys()
        if "final_obs" in info:
            ends += 1
            assert np.array_equal(info["_final_obs"], expected["_final_obs"])
            for mine, other in zip(info["final_obs"], expected["final_obs"], strict=True):
                assert np.array_equal(mine, other)
            assert np.array_equal(info["_final_info"], expected["_final_info"])
            assert info["final_info"] == expected["final_info"]
    assert bool(ends) == (mode is AutoresetMode.SAME_STEP)


@pytest.mark.parametrize("mode", [*MODES, AutoresetMode.DISABLED])
def test_spaces_and_metadata_are_those_of_gymnasiums_own_batch(mode):
    batch = BreakoutVectorEnv(3, autoreset_mode=mode.value)
    games = SyncVectorEnv([BreakoutEnv] * 3, autoreset_mode=mode)
    assert batch.single_observation_space == games.single_observation_space
    assert batch.single_action_space == games.single_action_space
    assert batch.observation_space == games.observation_space
    assert batch.action_space == games.action_space
    assert batch.metadata == games.metadata
    assert batch.reset()[0] in batch.observation_space


def test_the_autoreset_mode_is_not_written_into_the_class():
    BreakoutVectorEnv(1, autoreset_mode=AutoresetMode.SAME_STEP)
    assert "autoreset_mode" not in BreakoutVectorEnv.metadata


def test_next_step_shows_the_last_frame_and_begins_anew_with_the_step_after():
    batch = BreakoutVectorEnv(2)
    batch.reset(seed=0, options={"rows": {0: LAST_BALL}})
    frames, _, terminated, _, info = batch.step(idle(2))
    assert terminated.tolist() == [True, False]
    assert not info
    assert batch.get_state()["lives"].tolist() == [0, 3]
    begun, reward, terminated, truncated, _ = batch.step(idle(2))
    assert not (reward[0] or terminated[0] or truncated[0])
    assert batch.get_state()["lives"].tolist() == [3, 3]
    assert not np.array_equal(begun[0], frames[0])


def test_the_action_sent_with_an_autoreset_moves_nothing():
    batch = BreakoutVectorEnv(1)
    batch.reset(seed=0, options=LAST_BALL)
    batch.step(idle(1))
    batch.step(np.array([1]))
    assert batch.get_state()["paddle"] == [26]


def test_same_step_hands_over_the_last_frame_beside_the_new_games_first():
    batch, game = BreakoutVectorEnv(2, autoreset_mode="SameStep"), BreakoutEnv()
    batch.reset(seed=0, options={"rows": {1: LAST_BALL}})
    game.reset(seed=1, options=LAST_BALL)
    last = game.step(NOOP)[0]
    frames, _, terminated, _, info = batch.step(idle(2))
    assert terminated.tolist() == [False, True]
    assert info["_final_obs"].tolist() == [False, True]
    assert info["final_obs"][0] is None
    assert np.array_equal(info["final_obs"][1], last)
    assert np.array_equal(frames[1], game.reset()[0])


def test_without_autoreset_an_ended_row_must_be_reset_first():
    batch = BreakoutVectorEnv(3, autoreset_mode=AutoresetMode.DISABLED)
    batch.reset(seed=0, options={"rows": {1: LAST_BALL}})
    batch.step(idle(3))
    with pytest.raises(gym.error.ResetNeeded, match=r"rows \[1\] have ended.*reset_mask"):
        batch.step(idle(3))
    batch.reset(options={"reset_mask": np.array([False, True, False])})
    batch.step(idle(3))


def test_a_masked_reset_leaves_the_other_rows_alone():
    batch = BreakoutVectorEnv(3)
    batch.reset(seed=0)
    for action in random_actions(20, 3):
        frames, *_ = batch.step(action)
    before = batch.get_state()
    mask = np.array([True, False, True])
    again, _ = batch.reset(seed=5, options={"reset_mask": mask})
    after = batch.get_state()
    fresh, _ = BreakoutVectorEnv(3).reset(seed=5)
    assert np.array_equal(again[mask], fresh[mask])
    assert np.array_equal(again[1], frames[1])
    for name in (*STATE, "elapsed"):
        assert np.array_equal(after[name][1], before[name][1])
    assert after["random"][1] == before["random"][1]


def test_the_time_limit_counts_each_rows_own_steps():
    batch = BreakoutVectorEnv(2, max_episode_steps=5)
    batch.reset(seed=0)
    truncations = []
    for step in range(14):
        if step == 2:
            batch.reset(options={"reset_mask": np.array([False, True])})
        truncations.append(batch.step(idle(2))[3])
    assert np.flatnonzero(np.array(truncations)[:, 0]).tolist() == [4, 10]
    assert np.flatnonzero(np.array(truncations)[:, 1]).tolist() == [6, 12]


def test_without_a_limit_no_row_is_truncated():
    batch = BreakoutVectorEnv(1)
    batch.reset(seed=0)
    assert not any(batch.step(idle(1))[3][0] for _ in range(100))


def test_an_int_seeds_row_i_with_seed_plus_i():
    batch = BreakoutVectorEnv(4)
    frames, _ = batch.reset(seed=10)
    assert np.array_equal(batch.reset(seed=[10, 11, 12, 13])[0], frames)
    assert np.array_equal(batch.reset(seed=np.array([10, 11, 12, 13]))[0], frames)


def test_a_none_among_the_seeds_lets_that_rows_generator_go_on():
    batch, game = BreakoutVectorEnv(2), BreakoutEnv()
    batch.reset(seed=3)
    game.reset(seed=4)
    for again in range(6):
        batch.reset(seed=[again, None])
        game.reset()
        assert batch.get_state()["velocity"][1, 0] == game.get_state()["velocity"][0]


def test_autoreset_begins_where_autoreset_options_say():
    batch = BreakoutVectorEnv(3)
    asked = []
    batch.autoreset_options = lambda rows: asked.extend(rows) or {2: {"paddle": 40.0}}
    batch.reset(seed=0, options={"rows": {0: LAST_BALL, 2: LAST_BALL}})
    batch.step(idle(3))
    batch.step(idle(3))
    assert asked == [0, 2]
    assert batch.get_state()["paddle"].tolist() == [26, 26, 40]


def test_options_for_all_rows_are_overridden_by_those_of_one():
    batch = BreakoutVectorEnv(2)
    batch.reset(options={"paddle": 10.0, "lives": 2, "rows": {1: {"paddle": 20.0}}})
    assert batch.get_state()["paddle"].tolist() == [10, 20]
    assert batch.get_state()["lives"].tolist() == [2, 2]


def test_every_call_returns_observations_of_their_own():
    batch = BreakoutVectorEnv(2, max_episode_steps=2, autoreset_mode=AutoresetMode.SAME_STEP)
    frames = [batch.reset(seed=0)[0]]
    for _ in range(3):
        observation, *_, info = batch.step(idle(2))
        frames += [observation, *info.get("final_obs", [])]
    for i, frame in enumerate(frames):
        assert not any(np.shares_memory(frame, other) for other in frames[i + 1 :])


def test_a_branch_of_a_batch_repeats_its_future():
    batch = BreakoutVectorEnv(4, max_episode_steps=30)
    batch.reset(seed=0, options={"rows": {1: LAST_BALL}})
    for action in random_actions(20, 4):
        batch.step(action)
    state = batch.get_state()
    futures = []
    for env in (batch, BreakoutVectorEnv(4, max_episode_steps=30)):
        env.set_state(state)
        futures.append([env.step(action)[:4] for action in random_actions(60, 4, seed=1)])
    for ours, theirs in zip(*futures, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_state_does_not_change_when_the_batch_goes_on():
    batch = BreakoutVectorEnv(2)
    batch.reset(seed=0)
    state = batch.get_state()
    kept = pickle.dumps(state)
    for action in random_actions(40, 2):
        batch.step(action)
    assert pickle.dumps(state) == kept


def test_a_pickled_batch_goes_on_as_the_original_does():
    batch = BreakoutVectorEnv(2)
    batch.reset(seed=0)
    copy = pickle.loads(pickle.dumps(batch))
    for action in random_actions(40, 2):
        assert np.array_equal(batch.step(action)[0], copy.step(action)[0])


def test_render_gives_one_frame_a_row():
    batch = BreakoutVectorEnv(2, render_mode="rgb_array")
    frames, _ = batch.reset(seed=0)
    assert np.array_equal(batch.render(), frames)
    assert BreakoutVectorEnv(2).render() is None


@pytest.mark.parametrize(
    ("settings_", "told"),
    [
        ({"num_envs": 0}, r"`num_envs` \(=0\) must be at least 1"),
        ({"num_envs": 1, "max_episode_steps": 0}, r"`max_episode_steps` \(=0\) must be at least 1"),
        ({"num_envs": 1, "autoreset_mode": "Sometimes"}, "Sometimes"),
    ],
)
def test_wrong_settings_are_refused(settings_, told):
    with pytest.raises(ValueError, match=told):
        BreakoutVectorEnv(**settings_)


def test_stepping_before_the_first_reset_is_refused():
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        BreakoutVectorEnv(2).step(idle(2))


@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_actions_of_a_wrong_shape_are_refused(shape):
    batch = BreakoutVectorEnv(2)
    batch.reset()
    with pytest.raises(ValueError, match=r"expected \(2,\): one action of Discrete\(3\)"):
        batch.step(np.zeros(shape, int))


@pytest.mark.parametrize("actions", [[0, 3], [-1, 0], [0.0, 1.0]])
def test_actions_outside_the_space_are_refused(actions):
    batch = BreakoutVectorEnv(2)
    batch.reset()
    with pytest.raises(gym.error.InvalidAction, match="expected integers from 0 to 2"):
        batch.step(np.array(actions))


def test_a_list_of_actions_will_do():
    batch = BreakoutVectorEnv(2)
    batch.reset()
    batch.step([1, 2])
    assert batch.get_state()["paddle"].tolist() == [26 - 2.4, 26 + 2.4]


def test_a_refused_action_leaves_the_batch_as_it_was():
    batch = BreakoutVectorEnv(2)
    batch.reset(seed=0, options={"rows": {1: LAST_BALL}})
    batch.step(idle(2))  # row 1 is to be restarted with the next step
    before = pickle.dumps(batch.get_state())
    with pytest.raises(gym.error.InvalidAction):
        batch.step(np.array([0, 5]))
    assert pickle.dumps(batch.get_state()) == before


def test_another_number_of_seeds_than_rows_is_refused():
    with pytest.raises(ValueError, match="3 seeds were given for 2 rows"):
        BreakoutVectorEnv(2).reset(seed=[1, 2, 3])


@pytest.mark.parametrize(
    "mask",
    [np.zeros(2, bool), np.ones(3, bool), np.ones(2, int), [1, 0]],
    ids=["nobody", "too long", "numbers", "list of numbers"],
)
def test_a_wrong_reset_mask_is_refused(mask):
    with pytest.raises(ValueError, match=r"bool array of shape \(2,\) with at least one True"):
        BreakoutVectorEnv(2).reset(options={"reset_mask": mask})


def test_options_for_a_row_that_is_not_reset_are_refused():
    with pytest.raises(ValueError, match=r"rows \[2\], but only rows \[0, 1\] are reset"):
        BreakoutVectorEnv(2).reset(options={"rows": {2: {"lives": 1}}})


def test_a_wrong_option_of_one_row_is_refused_as_in_a_single_game():
    with pytest.raises(ValueError, match="option `lives`"):
        BreakoutVectorEnv(2).reset(options={"rows": {1: {"lives": 9}}})
