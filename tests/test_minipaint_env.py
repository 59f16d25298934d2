"""Minipaint as an environment: Gymnasium's contract, its reward, its state, its batches."""

import pickle
from itertools import pairwise

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from gymnasium.wrappers import TimeLimit
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_minipaint import IDLE, at, canvas, drag, program

from learned_envs import worlds
from sims.minipaint import (
    IDLE_ACTION,
    VERSION,
    MinipaintEnv,
    MinipaintVectorEnv,
    canvas_of,
    drawing,
    progress,
)

WHITE = np.full((182, 182, 3), 255, np.uint8)
VALUES = 182 * 182 * 3


def actions(steps: int, rows: int, seed: int = 0) -> np.ndarray:
    """Leaps (steps, rows, 3) all over the frame, the button down in most steps."""
    random = np.random.default_rng(seed)
    places = np.cumsum(random.normal(0, 0.15, (steps, rows, 2)), 0) + random.random((rows, 2))
    places = 1 - np.abs(places % 2 - 1)
    pressed = random.random((steps, rows, 1)) < 0.7
    return np.concatenate([places, pressed], 2).astype(np.float32)


def played(env: MinipaintEnv, moves: np.ndarray) -> list[np.ndarray]:
    return [env.step(move)[0] for move in moves[:, 0]]


@pytest.mark.parametrize("soft", [False, True])
def test_gymnasiums_checker_finds_nothing(soft):
    check_env(MinipaintEnv(render_mode="rgb_array", soft=soft), skip_render_check=True)


@pytest.mark.parametrize("soft", [False, True])
def test_equal_seeds_and_actions_give_equal_bytes(soft):
    envs = program(soft, seed=3), program(soft, seed=3)
    for move in actions(60, 1)[:, 0]:
        ours, theirs = (env.step(move) for env in envs)
        assert np.array_equal(ours[0], theirs[0])
        assert ours[1:] == theirs[1:]


def test_the_version_is_an_attribute_of_both_envs():
    assert MinipaintEnv.version == MinipaintVectorEnv.version == VERSION
    assert MinipaintEnv.metadata["version"] == VERSION


def test_the_idle_action_changes_nothing():
    env = program(canvas=drawing(1))
    before = env.render()
    frame, reward, *_ = env.step(np.array(IDLE_ACTION, np.float32))
    assert np.array_equal(frame, before)
    assert reward == 0


def test_render_returns_the_observation_in_rgb_array_mode_only():
    env = program()
    frame, *_ = env.step(at(100, 100))
    assert np.array_equal(env.render(), frame)
    assert MinipaintEnv().render() is None


def test_every_frame_is_the_callers_own():
    env = program()
    kept = env.step(at(100, 100))[0]
    copy = kept.copy()
    later = env.step(at(150, 100))[0]
    assert np.array_equal(kept, copy)
    later[:] = 7
    assert not np.array_equal(env.step(IDLE)[0], later)


def test_the_registered_id_truncates_after_1000_steps_and_nothing_terminates():
    env = gym.make("Real-Minipaint-v0", disable_env_checker=True)
    env.reset(seed=0)
    ends = [env.step(IDLE)[2:4] for _ in range(1000)]
    assert ends == [(False, False)] * 999 + [(False, True)]


def test_the_target_is_told_at_reset_only_and_is_the_callers_own():
    env = MinipaintEnv()
    _, info = env.reset(seed=0)
    target = info["target"].copy()
    assert (target.shape, target.dtype) == ((182, 182, 3), np.uint8)
    info["target"][:] = 0
    assert np.array_equal(env.target(), target)
    assert "target" not in env.step(IDLE)[4]


def test_the_target_is_not_on_the_canvas_and_depends_on_the_seed():
    env, targets = MinipaintEnv(), []
    for seed in (0, 1, 0):
        frame, info = env.reset(seed=seed)
        assert (canvas(frame) == 255).all()
        targets.append(info["target"])
    assert np.array_equal(targets[0], targets[2])
    assert not np.array_equal(targets[0], targets[1])


def test_a_reset_without_a_seed_draws_another_target():
    env = MinipaintEnv()
    first, second = (env.reset(seed=seed)[1]["target"] for seed in (0, None))
    assert not np.array_equal(first, second)


def test_painting_what_the_target_has_pays_the_share_that_it_mends():
    target = WHITE.copy()
    target[49:51, 57:59] = 0
    env = program(target=target)
    assert env.step(at(100, 50))[1] == pytest.approx(4 * 3 * 255 / VALUES)
    assert env.step(IDLE)[1] == 0
    assert env.step(at(100, 50))[1] == 0


def test_painting_beside_the_target_costs_and_erasing_gives_it_back():
    env = program(target=WHITE, colour="red")
    assert drag(env, (100, 50))[1] == pytest.approx(-4 * 2 * 255 / VALUES)
    drag(env, (20, 60))
    assert drag(env, (100, 50))[1] == pytest.approx(4 * 2 * 255 / VALUES)


def test_a_colour_nearer_to_the_target_pays_in_part():
    env = program(target=np.zeros_like(WHITE), colour="green")
    assert env.step(at(100, 50))[1] == pytest.approx(4 * (255 + 127 + 255) / VALUES)


@pytest.mark.parametrize("soft", [False, True])
def test_the_reward_can_be_read_from_pixels_alone(soft):
    env = program(soft, seed=2, canvas=drawing(6))
    frames, rewards = [env.render()], []
    for move in actions(80, 1, seed=5)[:, 0]:
        frame, reward, *_ = env.step(move)
        frames.append(frame)
        rewards.append(reward)
    target = env.target()
    read = [progress(canvas_of(a), canvas_of(b), target) for a, b in pairwise(frames)]
    assert read == rewards
    assert np.count_nonzero(rewards) > 20
    whole = np.stack(frames)
    many = progress(canvas_of(whole[:-1]), canvas_of(whole[1:]), target)
    assert many.tolist() == rewards


def test_rewards_add_up_to_how_much_nearer_the_canvas_came():
    env = program(seed=1)
    target = env.target().astype(int)
    first = np.abs(WHITE - target).mean()
    total = sum(env.step(move)[1] for move in actions(100, 1)[:, 0])
    last = np.abs(canvas(env.render()).astype(int) - target).mean()
    assert total == pytest.approx(first - last)


def test_the_whole_target_is_worth_what_it_differs_from_the_paper():
    target = drawing(4)
    worth = progress(WHITE, target, target)
    assert worth == pytest.approx(np.abs(WHITE.astype(int) - target).mean())
    assert worth > 1


def test_an_episode_begins_as_the_options_say():
    picture, target = drawing(7), drawing(8)
    env = MinipaintEnv()
    frame, info = env.reset(
        seed=0,
        options={"tool": "eraser", "colour": "yellow", "brush": 6, "canvas": picture,
                 "target": target},
    )  # fmt: skip
    assert (info["tool"], info["colour"], info["brush"]) == (1, 4, 6)
    assert np.array_equal(canvas(frame), picture)
    assert np.array_equal(info["target"], target)


def test_pictures_given_to_a_reset_are_copied():
    picture = WHITE.copy()
    env = program(canvas=picture, target=picture)
    drag(env, (100, 100), (150, 150))
    picture[:] = 0
    assert (env.target() == 255).all()
    assert (canvas(env.render()) == 255).any()


@pytest.mark.parametrize(
    ("options", "given_", "expected"),
    [
        ({"size": 3}, "size", "brush"),
        ({"tool": "spray"}, "spray", "pen, eraser"),
        ({"colour": "purple"}, "purple", "black, red, blue, green, yellow, white"),
        ({"colour": 2}, "2", "black, red"),
        ({"brush": 10}, "10", "from 0, the smallest, to 9"),
        ({"brush": -1}, "-1", "from 0"),
        ({"brush": 2.0}, "2.0", "whole number"),
        ({"brush": True}, "True", "whole number"),
        ({"canvas": WHITE[:180]}, "(180, 182, 3)", "(182, 182, 3) of uint8"),
        ({"canvas": WHITE / 255}, "float64", "(182, 182, 3) of uint8"),
        ({"target": "house"}, "str", "(182, 182, 3) of uint8"),
    ],
)
def test_a_wrong_reset_option_is_refused_with_what_was_given_and_expected(
    options, given_, expected
):
    with pytest.raises(ValueError, match=next(iter(options))) as error:
        MinipaintEnv().reset(options=options)
    assert given_ in str(error.value)
    assert expected in str(error.value)


@pytest.mark.parametrize(
    "action", [None, "dot", 1, [0.5, 0.5], [0.5, 0.5, 1.1], [-0.1, 0, 0], [np.nan, 0, 0], [0] * 4]
)
def test_a_wrong_action_is_refused_and_leaves_the_program_as_it_was(action):
    env = program()
    before = pickle.dumps(env.get_state())
    with pytest.raises(gym.error.InvalidAction, match=r"given, expected \(u, v, pressed\)"):
        env.step(action)
    assert pickle.dumps(env.get_state()) == before


def test_stepping_before_the_first_reset_is_refused():
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        MinipaintEnv().step(IDLE)


@pytest.mark.parametrize("held", [(120, 90), (20, 120), (2, 2)], ids=["canvas", "slider", "gap"])
@pytest.mark.parametrize("soft", [False, True])
def test_a_branch_in_the_middle_of_a_press_repeats_the_future_to_the_byte(soft, held):
    env = program(soft, canvas=drawing(3))
    env.step(at(*held))
    state = env.get_state()
    kept = pickle.dumps(state)
    moves = np.concatenate([at(150, 60)[None, None], actions(25, 1)])
    future = played(env, moves)
    target = env.reset()[1]["target"]
    for branch in (env, program(soft, seed=9)):
        branch.set_state(state)
        assert np.array_equal(played(branch, moves), future)
        assert np.array_equal(branch.reset()[1]["target"], target)
    assert pickle.dumps(state) == kept


def test_a_pickled_env_goes_on_as_the_original_does():
    env = program()
    played(env, actions(10, 1))
    copy = pickle.loads(pickle.dumps(env))
    assert np.array_equal(played(env, actions(20, 1, 1)), played(copy, actions(20, 1, 1)))


@pytest.mark.parametrize("soft", [False, True])
@settings(deadline=None, max_examples=4)
@given(seed=st.integers(0, 2**31))
def test_a_batch_equals_single_programs_through_autoreset(soft, seed):
    batch = MinipaintVectorEnv(3, max_episode_steps=20, soft=soft)
    singles = SyncVectorEnv([lambda: TimeLimit(MinipaintEnv(soft=soft), 20)] * 3)
    frames, infos = batch.reset(seed=seed)
    expected, expected_infos = singles.reset(seed=seed)
    for move in actions(50, 3, seed):
        assert np.array_equal(frames, expected)
        assert infos.keys() == expected_infos.keys()
        for name, value in infos.items():
            assert np.array_equal(value, expected_infos[name]), name
        frames, reward, terminated, truncated, infos = batch.step(move)
        expected, *flags, expected_infos = singles.step(move)
        assert all(map(np.array_equal, (reward, terminated, truncated), flags))


def test_make_vec_makes_the_native_batch_with_the_worlds_limit():
    batch = gym.make_vec("Real-Minipaint-v0", 2, soft=True)
    assert isinstance(batch, MinipaintVectorEnv)
    assert batch.max_episode_steps == worlds.get("minipaint").max_episode_steps == 1000


def test_frames_of_a_batch_are_the_callers_own():
    batch = MinipaintVectorEnv(2)
    kept, _ = batch.reset(seed=0)
    copy = kept.copy()
    batch.step(np.stack([at(100, 100), at(20, 60)]))
    assert np.array_equal(kept, copy)


def test_same_step_begins_anew_within_the_step_and_targets_tells_the_new_ones():
    batch = MinipaintVectorEnv(2, max_episode_steps=1, autoreset_mode=AutoresetMode.SAME_STEP)
    _, info = batch.reset(seed=0)
    assert np.array_equal(batch.targets(), info["target"])
    frames, *_, info = batch.step(np.stack([at(100, 100)] * 2))
    assert (canvas_of(frames) == 255).all()
    assert (canvas(info["final_obs"][0]) != 255).any()
    assert "target" not in info
    alone = MinipaintEnv()
    alone.reset(seed=1)
    assert np.array_equal(batch.targets()[1], alone.reset()[1]["target"])


def test_a_branch_of_a_batch_repeats_its_future():
    batch = MinipaintVectorEnv(2, max_episode_steps=15)
    batch.reset(seed=0)
    for move in actions(10, 2):
        batch.step(move)
    state = batch.get_state()
    future = [batch.step(move)[:4] for move in actions(20, 2, seed=1)]
    for branch in (batch, MinipaintVectorEnv(2, max_episode_steps=15)):
        branch.set_state(state)
        for move, expected in zip(actions(20, 2, seed=1), future, strict=True):
            assert all(map(np.array_equal, branch.step(move)[:4], expected))


def test_a_masked_reset_leaves_the_other_programs_alone():
    batch = MinipaintVectorEnv(2, autoreset_mode=AutoresetMode.DISABLED)
    batch.reset(seed=0)
    before = batch.step(np.stack([at(100, 100)] * 2))[0]
    after, info = batch.reset(seed=9, options={"reset_mask": np.array([False, True])})
    assert np.array_equal(before[0], after[0])
    assert (canvas(after[1]) == 255).all()
    assert info["_target"].tolist() == [False, True]
    assert not info["target"][0].any()


def test_a_pickled_batch_goes_on_as_the_original_does():
    batch = MinipaintVectorEnv(2)
    batch.reset(seed=0)
    batch.step(actions(1, 2)[0])
    copy = pickle.loads(pickle.dumps(batch))
    for move in actions(10, 2, seed=1):
        assert np.array_equal(batch.step(move)[0], copy.step(move)[0])


def test_actions_outside_the_space_are_refused_by_a_batch():
    batch = MinipaintVectorEnv(2)
    batch.reset(seed=0)
    with pytest.raises(gym.error.InvalidAction, match="from 0 to 1"):
        batch.step(np.full((2, 3), 1.5, np.float32))
