"""Games of stable-retro: seeds, states, batches, and emulators that come and go."""

import importlib.util
import os
import pickle
import select
import signal
import subprocess
import sys
import warnings
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from tiny_airstriker import FIRE, LEFT, NOOP, RIGHT, game, games, played, some_actions

from sims.retro import RetroEnv

ROOT = Path(__file__).parents[1]


def test_the_checker_of_gymnasium_passes():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(game(render_mode="rgb_array"), skip_render_check=True)


def test_equal_seeds_and_actions_give_equal_bytes_and_others_do_not():
    first, second = game(), game()
    frames = [env.reset(seed=3)[0].tobytes() for env in (first, second)]
    assert frames[0] == frames[1]
    actions = some_actions(60)
    assert played(first, actions) == played(second, actions)
    second.reset(seed=4)
    first.reset(seed=3)
    assert played(first, actions) != played(second, actions)


def test_a_seed_draws_how_long_nothing_is_pressed_before_the_first_frame():
    env = game()
    drawn = {env.reset(seed=seed)[0].tobytes() for seed in range(6)}
    assert len(drawn) > 3
    same = {env.reset(seed=seed, options={"noops": 9})[0].tobytes() for seed in range(6)}
    assert len(same) == 1


def test_variables_are_told_from_reset_on_and_the_ship_moves_20_units_a_step():
    env = game()
    _, info = env.reset(seed=0)
    assert info.keys() == {"gameover", "lives", "score", "time", "x"}
    assert (info["lives"], info["score"], info["x"]) == (3, 0, 272)
    assert [env.step(LEFT)[4]["x"] for _ in range(3)][-1] == 272 - 3 * 20
    assert env.step(RIGHT)[4]["x"] == 272 - 2 * 20
    assert env.step(NOOP)[4]["x"] == 272 - 2 * 20


def test_the_time_is_that_since_the_level_began():
    env = game()
    _, info = env.reset(seed=0, options={"noops": 60})
    times = [info["time"]]
    for _ in range(120):
        info = env.step(NOOP)[4]
        times.append(info["time"])
    steps = np.diff(times)
    assert set(steps[steps > 0]) == {4}
    assert (steps < 0).sum() == (info["lives"] == 2) == 1  # a level begins anew after a death


def test_the_reward_is_the_score_and_the_game_ends_when_it_is_over():
    env = game()
    _, info = env.reset(seed=1)
    total, lives = 0.0, [info["lives"]]
    for action in some_actions(2000):
        _, reward, terminated, truncated, info = env.step(action)
        total += reward
        lives.append(info["lives"])
        assert not truncated
        if terminated:
            break
    assert terminated and info["lives"] == 0
    assert total == info["score"] > 0
    assert set(np.diff(lives)) == {0, -1}
    with pytest.raises(gym.error.ResetNeeded, match="reset"):
        env.step(NOOP)


def test_a_tapped_button_fires_at_every_step_and_a_held_one_once():
    def rows_with_shots(tapped: tuple[str, ...]) -> int:
        env = game(tapped=tapped)
        env.reset(seed=0, options={"noops": 60})
        played(env, [FIRE] * 5)
        frame = env.step(FIRE)[0].astype(int)[12:84]
        red = (frame[..., 0] > 120) & (frame[..., 1] < 110) & (frame[..., 2] < 110)
        return int(red.any(1).sum())

    assert rows_with_shots(("B",)) > 2 * rows_with_shots(()) > 0


def test_a_state_goes_on_alike_here_and_in_another_env():
    env, other = game(), game()
    env.reset(seed=5)
    played(env, some_actions(80))
    state = env.get_state()
    actions = some_actions(80, seed=1)
    ahead = played(env, actions)
    env.set_state(state)
    assert played(env, actions) == ahead
    other.set_state(pickle.loads(pickle.dumps(state)))
    assert played(other, actions) == ahead
    assert other.reset()[0].tobytes() == env.reset()[0].tobytes()  # generators, too


def test_a_batch_is_equal_to_single_envs_and_restarts_rows_that_are_over():
    batch, single = games(2, autoreset_mode=AutoresetMode.NEXT_STEP), game()
    frames, info = batch.reset(seed=7)
    frame, told = single.reset(seed=8)
    assert np.array_equal(frames[1], frame) and info["x"][1] == told["x"]
    actions = np.array(some_actions(1200)).reshape(-1, 2)
    ended = False
    for both in actions:
        frames, rewards, over, _, info = batch.step(both)
        if ended:
            frame, told = single.reset()
            assert rewards[1] == 0 and not over[1]
        else:
            frame, reward, ended_now, _, told = single.step(int(both[1]))
            assert (rewards[1], over[1]) == (reward, ended_now)
        assert np.array_equal(frames[1], frame)
        assert {name: info[name][1] for name in told} == told
        if ended:
            break
        ended = bool(over[1])
    else:
        pytest.fail("no game was over")


def test_a_batch_has_a_state_and_a_picture_of_every_game():
    batch = games(2, render_mode="rgb_array")
    batch.reset(seed=1)
    state = batch.get_state()
    first = batch.step(np.array([LEFT, RIGHT]))[0]
    batch.set_state(state)
    assert np.array_equal(batch.step(np.array([LEFT, RIGHT]))[0], first)
    assert np.array_equal(np.stack(batch.render()), first)
    batch.close()
    with pytest.raises(RuntimeError, match="is closed"):
        batch.get_state()


def test_pictures_have_the_size_asked_for_or_the_screens_own():
    assert game(image_size=(56, 80)).reset(seed=0)[0].shape == (56, 80, 3)
    env = game(image_size=None, frame_skip=2, render_mode="rgb_array")
    assert env.reset(seed=0)[0].shape == env.observation_space.shape == (224, 320, 3)
    assert env.metadata["render_fps"] == 30
    assert np.array_equal(env.render(), env.step(NOOP)[0]) is False
    assert game().render() is None


def test_an_env_can_be_pickled_and_is_made_again():
    env = pickle.loads(pickle.dumps(game(max_noops=0)))
    assert env.reset(seed=1)[0].tobytes() == env.reset(seed=2)[0].tobytes()


def test_without_actions_each_button_is_one():
    env = RetroEnv("Airstriker-Genesis-v0")
    assert env.action_space.n == 13


def test_bad_arguments_are_refused():
    for changes, message in (
        ({"game": "Airstrike-Genesis-v0"}, "Did you mean 'Airstriker-Genesis-v0'"),
        ({"game": "SonicTheHedgehog-Genesis-v0"}, "no ROM of 'Sonic.*stable_retro.import FOLDER"),
        ({"actions": {"jump": ("JUMP",)}}, r"no buttons \['JUMP'\]; it has B, A, MODE"),
        ({"tapped": ("Q",)}, r"no buttons \['Q'\]"),
        ({"states": ("Level9",)}, "no state 'Level9'; it has Level1"),
        ({"frame_skip": 0}, "`frame_skip` .=0. must be at least 1"),
        ({"max_noops": -1}, "`max_noops` .=-1. at least 0"),
        (
            {"variables": {"x": {"address": 1, "type": "float"}}},
            r"did not take the variables \['x'\]",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            game(**changes)


def test_bad_options_and_actions_are_refused():
    env = game()
    with pytest.raises(gym.error.ResetNeeded):
        env.step(NOOP)
    for options, message in (
        ({"lives": 9}, r"unknown reset options \['lives'\]; a game knows state, noops"),
        ({"state": "Level9"}, "no state 'Level9'"),
        ({"noops": -1}, "`noops` .=-1. must be"),
        ({"noops": True}, "`noops`"),
    ):
        with pytest.raises(ValueError, match=message):
            env.reset(options=options)
    env.reset(options={"state": "Level1", "noops": 0})
    for action in (6, -1, 0.5, None):
        with pytest.raises(gym.error.InvalidAction, match="an integer from 0 to 5"):
            env.step(action)


def test_without_stable_retro_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"learned-envs\[retro\]"):
        game()


def test_an_emulator_that_dies_is_reported():
    env = game()
    env.reset(seed=0)
    os.kill(env._play._console._process.pid, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="died with exit code -9: make the env again"):
        played(env, [NOOP] * 3)


def test_an_emulator_ends_with_its_env_and_when_whoever_plays_is_killed():
    env = game()
    process = env._play._console._process
    env.close()
    assert process.poll() is not None

    code = (
        "import sys; sys.path[:0] = ['.', 'tests']\n"
        "from tiny_airstriker import game\n"
        "env = game(); print(env._play._console._process.pid, flush=True); input()"
    )
    player = subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert player.stdout is not None
    emulator = os.pidfd_open(int(player.stdout.readline()))
    player.kill()
    player.communicate()
    ended, _, _ = select.select([emulator], [], [], 60)
    os.close(emulator)
    assert ended
