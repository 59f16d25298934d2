"""Breakout, one game: its rules, its state, and what it refuses."""

import pickle
import re
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_breakout import FAR_BRICK, LEFT, NOOP, RIGHT, actions, game, pips

import learned_envs
from sims.breakout import BreakoutEnv

BOTTOM_BRICK = np.zeros((6, 12), bool)
BOTTOM_BRICK[5, 0] = True


def after_a_tick(action: int = NOOP, **options: Any) -> dict[str, Any]:
    """The state one tick after a reset with `options`."""
    env = game(**{"bricks": FAR_BRICK, **options})
    env.step(action)
    return env.get_state()


def play(env: BreakoutEnv, actions: list[int]) -> list[np.ndarray]:
    """The frames that actions lead to; a game that ends is begun anew."""
    frames = []
    for action in actions:
        frame, _, terminated, _, _ = env.step(action)
        frames.append(frame)
        if terminated:
            frames.append(env.reset()[0])
    return frames


@pytest.mark.parametrize("antialias", [True, False])
def test_gymnasiums_checker_finds_nothing(antialias):
    check_env(BreakoutEnv(render_mode="rgb_array", antialias=antialias), skip_render_check=True)


def test_the_registered_env_passes_gymnasiums_checker_with_its_render_modes():
    learned_envs.register_envs()
    check_env(gym.make("Real-Breakout-v0", render_mode="rgb_array").unwrapped)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 2**31), picks=st.lists(st.sampled_from([0, 1, 2]), max_size=150))
def test_equal_seeds_and_actions_give_equal_bytes(seed, picks):
    envs = BreakoutEnv(), BreakoutEnv()
    starts = [env.reset(seed=seed)[0] for env in envs]
    assert np.array_equal(*starts)
    for action in picks:
        (frame, *rest), (other_frame, *other_rest) = (env.step(action) for env in envs)
        assert np.array_equal(frame, other_frame)
        assert rest == other_rest
        if rest[1]:
            return


def test_render_returns_the_observation_in_rgb_array_mode():
    env = BreakoutEnv(render_mode="rgb_array")
    frame, _ = env.reset(seed=0)
    assert np.array_equal(env.render(), frame)


def test_render_returns_nothing_without_a_render_mode():
    assert game().render() is None


def test_a_game_shows_its_board_before_the_first_reset():
    frames = [BreakoutEnv(render_mode="rgb_array").render() for _ in range(2)]
    assert np.array_equal(frames[0], game().reset()[0])
    assert np.array_equal(*frames)


def test_a_pickled_game_goes_on_as_the_original_does():
    env = game(lives=2, ball=(10, 60), velocity=(0, 0.92), paddle=40)
    play(env, actions(3))
    copy = pickle.loads(pickle.dumps(env))
    assert np.array_equal(play(env, actions(60)), play(copy, actions(60)))


@pytest.mark.parametrize(("action", "moved"), [(NOOP, 0), (LEFT, -2.4), (RIGHT, 2.4)])
def test_the_paddle_moves_as_the_action_says(action, moved):
    assert after_a_tick(action)["paddle"] == 26 + moved


@pytest.mark.parametrize(("action", "begin", "end"), [(LEFT, 3, 2), (RIGHT, 49, 50)])
def test_the_paddle_stops_at_the_walls(action, begin, end):
    assert after_a_tick(action, paddle=begin)["paddle"] == end


def test_a_ball_that_meets_nothing_flies_straight_on():
    state = after_a_tick(ball=(30, 40), velocity=(0.7, 0.9))
    assert state["ball"] == pytest.approx((30.7, 40.9))
    assert state["velocity"] == pytest.approx((0.7, 0.9))


@pytest.mark.parametrize(
    ("ball", "velocity", "at", "turned"),
    [
        pytest.param((2.5, 40), (-1, 0.9), (2, 40.9), (1, 0.9), id="left"),
        pytest.param((60.5, 40), (1, 0.9), (61, 40.9), (-1, 0.9), id="right"),
        pytest.param((32, 4.5), (0.3, -0.9), (32.3, 4), (0.3, 0.9), id="top"),
    ],
)
def test_walls_stop_the_ball_and_turn_it_back(ball, velocity, at, turned):
    state = after_a_tick(ball=ball, velocity=velocity)
    assert state["ball"] == pytest.approx(at)
    assert state["velocity"] == pytest.approx(turned)


@settings(deadline=None)
@given(
    paddle=st.floats(4, 48),
    place=st.floats(-0.99, 12.99),
    speed=st.floats(0.5, 1.2),
    depth=st.floats(-0.9, 1.9),
)
def test_the_bounce_off_the_paddle_follows_the_place_that_was_hit(paddle, place, speed, depth):
    ball = paddle + place, 57 + depth - speed
    state = after_a_tick(paddle=paddle, ball=ball, velocity=(0, speed))
    offset = (ball[0] - paddle - 6) / 6
    assert state["velocity"][0] == pytest.approx(np.clip(1.15 * offset, -1.2, 1.2))
    assert state["velocity"][1] == -max(0.8, speed)
    assert state["ball"][1] == 55


@pytest.mark.parametrize(("place", "sideways"), [(-1, -1.2), (0, -1.15), (6, 0), (13, 1.2)])
def test_the_sideways_speed_off_the_paddle_is_clipped(place, sideways):
    state = after_a_tick(paddle=20, ball=(20 + place, 55.5), velocity=(0, 0.92))
    assert state["velocity"][0] == pytest.approx(sideways)


def test_a_slow_ball_leaves_the_paddle_with_a_vertical_speed_of_at_least_0_8():
    state = after_a_tick(paddle=26, ball=(32, 55.75), velocity=(0, 0.5))
    assert state["velocity"][1] == -0.8


@pytest.mark.parametrize("beside", [-1.01, 13.01])
def test_the_paddle_misses_a_ball_more_than_a_pixel_beside_it(beside):
    state = after_a_tick(paddle=20, ball=(20 + beside, 55.5), velocity=(0, 0.92))
    assert state["velocity"][1] == 0.92


@pytest.mark.parametrize("lands", [55.99, 59.01])
def test_the_paddle_misses_a_ball_above_or_below_it(lands):
    state = after_a_tick(paddle=26, ball=(32, lands - 0.5), velocity=(0, 0.5))
    assert state["velocity"][1] == 0.5


def test_a_rising_ball_passes_the_paddle():
    state = after_a_tick(paddle=26, ball=(32, 58), velocity=(0, -0.92))
    assert state["velocity"][1] == -0.92


def test_the_paddle_meets_the_ball_where_the_action_has_just_moved_it():
    caught = dict(paddle=20, ball=(34, 55.5), velocity=(0, 0.92))
    assert after_a_tick(RIGHT, **caught)["velocity"][1] < 0 < after_a_tick(**caught)["velocity"][1]


def test_a_brick_that_is_hit_breaks_turns_the_ball_and_pays_one():
    env = game(ball=(31, 31.5), velocity=(0.1, -1))
    _, reward, *_ = env.step(NOOP)
    state = env.get_state()
    assert reward == 1
    assert not state["bricks"][5, 5]
    assert state["bricks"].sum() == 71
    assert state["velocity"] == pytest.approx((0.1, 1))


def test_a_tick_without_a_brick_pays_nothing():
    assert game().step(NOOP)[1] == 0


@pytest.mark.parametrize(("x", "y"), [(28, 17), (34, 17), (31, 15), (31, 19)])
def test_a_brick_is_hit_up_to_a_pixel_beside_it(x, y):
    wall = FAR_BRICK.copy()
    wall[2, 5] = True  # covers 29 to 33, 16 to 18
    assert not after_a_tick(bricks=wall, ball=(x, y - 0.5), velocity=(0, 0.5))["bricks"][2, 5]


@pytest.mark.parametrize(("x", "y"), [(27.9, 17), (34.1, 17), (31, 14.9), (31, 19.1)])
def test_a_brick_more_than_a_pixel_away_stands(x, y):
    wall = FAR_BRICK.copy()
    wall[2, 5] = True
    assert after_a_tick(bricks=wall, ball=(x, y - 0.5), velocity=(0, 0.5))["bricks"][2, 5]


def test_of_the_bricks_that_are_hit_only_the_first_in_reading_order_breaks():
    everything = np.ones((6, 12), bool)
    # (8.5, 11) touches the bricks (0, 0), (0, 1), (1, 0) and (1, 1)
    state = after_a_tick(bricks=everything, ball=(8, 11.5), velocity=(0.5, -0.5))
    assert np.argwhere(~state["bricks"]).tolist() == [[0, 0]]


def test_the_wall_is_built_anew_when_its_last_brick_breaks():
    env = game(bricks=BOTTOM_BRICK, ball=(6, 31.5), velocity=(0, -0.92))
    _, reward, *_ = env.step(NOOP)
    assert reward == 1
    assert env.get_state()["bricks"].all()


def test_a_ball_below_the_frame_costs_a_life():
    env = game(ball=(50, 65.5), velocity=(0, 0.92))
    _, reward, terminated, truncated, _ = env.step(NOOP)
    assert env.get_state()["lives"] == 2
    assert (reward, terminated, truncated) == (0, False, False)


def test_a_ball_at_the_very_edge_is_not_lost_yet():
    assert after_a_tick(ball=(50, 65.5), velocity=(0, 0.5))["lives"] == 3


def test_after_a_loss_a_new_ball_rises_from_the_middle():
    state = after_a_tick(ball=(50, 65.5), velocity=(0, 0.92))
    assert tuple(state["ball"]) == (32, 45)
    assert abs(state["velocity"][0]) == 0.72
    assert state["velocity"][1] == -0.92


def test_a_lost_ball_leaves_bricks_and_paddle_as_they_are():
    state = after_a_tick(ball=(50, 65.5), velocity=(0, 0.92), paddle=7)
    assert np.array_equal(state["bricks"], FAR_BRICK)
    assert state["paddle"] == 7


def test_the_game_ends_with_the_last_life():
    env = game(ball=(50, 65.5), velocity=(0, 0.92), lives=1)
    _, _, terminated, truncated, _ = env.step(NOOP)
    assert terminated
    assert not truncated
    assert env.get_state()["lives"] == 0


def test_a_game_begins_with_three_lives_a_whole_wall_and_a_rising_ball():
    state = game().get_state()
    assert state["lives"] == 3
    assert state["bricks"].all()
    assert state["paddle"] == 26
    assert tuple(state["ball"]) == (32, 45)
    assert (abs(state["velocity"][0]), state["velocity"][1]) == (0.72, -0.92)


def test_the_seed_draws_the_direction_of_the_first_ball():
    def direction(seed):
        return game(seed=seed).get_state()["velocity"][0]

    assert {direction(seed) for seed in range(20)} == {-0.72, 0.72}
    assert [direction(seed) for seed in range(20)] == [direction(seed) for seed in range(20)]


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 2**31))
def test_a_random_game_keeps_its_bounds(seed):
    env = game(seed=seed, lives=2)
    before = env.get_state()
    for action in actions(150, seed):
        _, reward, terminated, _, _ = env.step(action)
        state = env.get_state()
        assert reward == before["bricks"].sum() - state["bricks"].sum()
        assert before["lives"] - state["lives"] in (0, 1)
        assert 2 <= state["ball"][0] <= 61
        assert state["ball"][1] >= 4
        assert 2 <= state["paddle"] <= 50
        before = state
        if terminated:
            return


@pytest.mark.parametrize("seed", range(6))
def test_a_branch_repeats_the_future_with_its_new_ball(seed):
    env = game(seed=seed, ball=(50, 60), velocity=(0.3, 0.92), paddle=10)
    play(env, actions(3, seed))
    state = env.get_state()
    future = play(env, actions(20, seed))
    assert pips(future[0]) > pips(future[-1])  # a ball was launched in this future
    env.set_state(state)
    assert np.array_equal(play(env, actions(20, seed)), future)


def test_a_state_moves_to_another_env():
    env, other = game(seed=1, ball=(10, 60), velocity=(0.3, 0.92)), game(seed=2)
    play(env, actions(3))
    other.set_state(env.get_state())
    assert np.array_equal(play(env, actions(60)), play(other, actions(60)))


def test_a_state_stays_as_it_was_taken():
    env = game()
    state = env.get_state()
    kept = pickle.dumps(state)
    play(env, actions(50))
    assert pickle.dumps(state) == kept


def test_the_state_of_a_finished_game_is_finished():
    env, other = game(ball=(50, 65.5), velocity=(0, 0.92), lives=1), game()
    env.step(NOOP)
    other.set_state(env.get_state())
    with pytest.raises(gym.error.ResetNeeded):
        other.step(NOOP)


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        ({"speed": 3}, "speed", "velocity"),
        ({"bricks": np.ones((5, 12), bool)}, "(5, 12)", "(6, 12)"),
        ({"bricks": np.zeros((6, 12), bool)}, "0 bricks", "at least one"),
        ({"ball": (1.0, 40.0)}, "(1.0, 40.0)", "from (2.0, 4.0) to (61.0, 66.0)"),
        ({"ball": (30.0, 67.0)}, "(30.0, 67.0)", "from (2.0, 4.0) to (61.0, 66.0)"),
        ({"ball": (30.0, float("nan"))}, "(30.0, nan)", "from (2.0, 4.0) to (61.0, 66.0)"),
        ({"ball": 30.0}, "30.0", "from (2.0, 4.0) to (61.0, 66.0)"),
        ({"ball": "middle"}, "middle", "from (2.0, 4.0) to (61.0, 66.0)"),
        ({"velocity": (1.3, 0.9)}, "(1.3, 0.9)", "from (-1.2, -1.2) to (1.2, 1.2)"),
        ({"velocity": (1.0, 0.05)}, "(1.0, 0.05)", "at least 0.1"),
        ({"paddle": 51.0}, "51.0", "from 2.0 to 50.0"),
        ({"paddle": (2.0, 3.0)}, "(2.0, 3.0)", "from 2.0 to 50.0"),
        ({"lives": 0}, "0", "from 1 to 3"),
        ({"lives": 4}, "4", "from 1 to 3"),
        ({"lives": 2.5}, "2.5", "whole number"),
    ],
)
def test_a_wrong_reset_option_is_refused_with_what_was_given_and_expected(options, given, expected):
    with pytest.raises(ValueError, match=re.escape(next(iter(options)))) as error:
        BreakoutEnv().reset(options=options)
    assert given in str(error.value)
    assert expected in str(error.value)


@pytest.mark.parametrize("action", [-1, 3, 1.0, "left", None, np.array([1])])
def test_a_wrong_action_is_refused_with_the_right_ones_named(action):
    with pytest.raises(gym.error.InvalidAction, match=r"given, expected 0 \(noop\), 1 \(left\)"):
        game().step(action)


def test_a_wrong_action_leaves_the_game_as_it_was():
    env = game()
    before = pickle.dumps(env.get_state())
    with pytest.raises(gym.error.InvalidAction):
        env.step(3)
    assert pickle.dumps(env.get_state()) == before


def test_stepping_before_the_first_reset_is_refused():
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        BreakoutEnv().step(NOOP)


def test_stepping_after_the_end_is_refused_until_the_next_reset():
    env = game(ball=(50, 65.5), velocity=(0, 0.92), lives=1)
    env.step(NOOP)
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        env.step(NOOP)
    env.reset()
    env.step(NOOP)
