"""Clients that nobody here wrote play real and dreamed worlds as they come."""

import subprocess
import sys
from importlib.util import find_spec

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium import wrappers
from tiny_play import save_tiny_breakout

import learned_envs  # noqa: F401

pytestmark = pytest.mark.full

IDS = ("Real-Breakout-v0", "Dream-Breakout-v0")
LIMIT = 5


@pytest.fixture(scope="module", params=IDS)
def world(request, tmp_path_factory):
    """An id, and the options that it is made with: a dream has random weights."""
    if request.param.startswith("Real"):
        return request.param, {}
    return request.param, {"weights": save_tiny_breakout(tmp_path_factory.mktemp("w") / "tiny")}


@pytest.fixture
def env(world):
    env_id, options = world
    with gym.make(env_id, render_mode="rgb_array", **options) as env:
        yield env


def test_frames_are_stacked(env):
    stacked = wrappers.FrameStackObservation(env, 4)
    before = stacked.reset(seed=0)[0]
    after = stacked.step(0)[0]
    assert after.shape == (4, 64, 64, 3)
    assert np.array_equal(after[:3], before[1:])
    assert after in stacked.observation_space


def test_frames_are_made_grey(env):
    grey = wrappers.GrayscaleObservation(env)
    frame = grey.reset(seed=0)[0]
    assert frame.shape == (64, 64)
    assert frame in grey.observation_space


def test_frames_are_resized(env):
    pytest.importorskip("cv2")
    small = wrappers.ResizeObservation(wrappers.GrayscaleObservation(env, keep_dim=True), (32, 40))
    small.reset(seed=0)
    frame = small.step(0)[0]
    assert frame.shape[:2] == (32, 40)
    assert frame in small.observation_space


def test_a_video_is_recorded(env, tmp_path):
    pytest.importorskip("moviepy")
    folder = tmp_path / "films"
    filmed = wrappers.RecordVideo(env, str(folder), episode_trigger=lambda episode: True)
    filmed.reset(seed=0)
    for _ in range(LIMIT):
        filmed.step(0)
    filmed.close()
    (film,) = folder.glob("*.mp4")
    assert film.stat().st_size > 0


def test_observations_become_tensors(env):
    pytest.importorskip("array_api_compat")
    tensors = wrappers.NumpyToTorch(env)
    frame, _ = tensors.reset(seed=0)
    assert isinstance(frame, torch.Tensor)
    frame, reward, *_ = tensors.step(torch.tensor(0))
    assert frame.dtype == torch.uint8
    assert isinstance(reward, float)


def test_a_person_plays_in_gymnasiums_window(env):
    import pygame
    from gymnasium.utils.play import play

    seen = []

    def leave_after_three(before, after, action, *_):
        seen.append(action)
        if len(seen) == 3:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    play(env, keys_to_action={"a": 1, "d": 2}, noop=0, fps=1000, callback=leave_after_three)
    assert seen == [0, 0, 0]


def sb3_batch(world, count, **options):
    pytest.importorskip("stable_baselines3")
    from learned_envs.clients.stable_baselines import make_vec

    env_id, own = world
    return make_vec(env_id, count, **own, **options)


def test_stable_baselines_checker_has_nothing_to_say(env):
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(env, warn=True)


def test_the_packaged_dream_passes_the_checker():
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(gym.make("Dream-Breakout-v0"), warn=True)


def test_a_batch_plays_as_single_envs_in_a_dummy_vec_env_do(world):
    dummy = pytest.importorskip("stable_baselines3.common.vec_env")
    env_id, options = world
    ours = sb3_batch(world, 3, max_episode_steps=LIMIT)
    theirs = dummy.DummyVecEnv(
        [lambda: gym.make(env_id, max_episode_steps=LIMIT, **options) for _ in range(3)]
    )
    assert ours.observation_space == theirs.observation_space
    assert ours.action_space == theirs.action_space
    assert ours.seed(7) == theirs.seed(7)
    assert_same_frames(ours.reset(), theirs.reset())
    assert ours.reset_infos == theirs.reset_infos
    random, ends = np.random.default_rng(0), 0
    for _ in range(3 * LIMIT):
        actions = random.integers(3, size=3)
        one, other = ours.step(actions), theirs.step(actions)
        assert_same_frames(one[0], other[0])
        for left, right in zip(one[1:3], other[1:3], strict=True):
            assert left.dtype == right.dtype
            assert np.array_equal(left, right)
        for left, right in zip(one[3], other[3], strict=True):
            assert left.keys() == right.keys()
            assert left["TimeLimit.truncated"] == right["TimeLimit.truncated"]
            if "terminal_observation" in right:
                assert_same_frames(left["terminal_observation"], right["terminal_observation"])
                ends += 1
    assert ends == 9


def assert_same_frames(left, right):
    """Sums in a batch round in another order, so that a dreamed pixel in a thousand may differ."""
    assert left.shape == right.shape
    assert left.dtype == right.dtype == np.uint8
    assert np.mean(left == right) > 0.999


def test_options_reach_the_rows_they_are_meant_for(world):
    ours = sb3_batch(world, 2)
    option = {"lives": 1} if world[0].startswith("Real") else {"start": 1}
    ours.seed(0)
    plain = ours.reset()
    ours.seed(0)
    ours.set_options([{}, option])
    changed = ours.reset()
    assert np.array_equal(plain[0], changed[0])
    assert not np.array_equal(plain[1], changed[1])


def test_an_unknown_option_is_refused(world):
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        sb3_batch(world, 2, colour="red")
    ours = sb3_batch(world, 2)
    ours.set_options({"colour": "red"})
    with pytest.raises(ValueError, match=r"colour"):
        ours.reset()


def test_another_autoreset_is_refused_with_the_remedy(world):
    adapter = pytest.importorskip("learned_envs.clients.stable_baselines")
    env_id, options = world
    with pytest.raises(ValueError, match=r"NEXT_STEP .*autoreset_mode='SameStep'"):
        adapter.BatchVecEnv(gym.make_vec(env_id, 2, **options))


def test_latents_are_refused_with_the_remedy(tmp_path):
    weights = save_tiny_breakout(tmp_path / "tiny")
    batch = sb3_batch((IDS[1], {"weights": weights}), 2, observations="latent")
    with pytest.raises(ValueError, match="observations='numpy'"):
        batch.reset()


def test_single_rows_are_no_environments(world):
    batch = sb3_batch(world, 3, render_mode="rgb_array")
    assert batch.get_attr("max_episode_steps", indices=[0, 2]) == [1000, 1000]
    assert batch.env_is_wrapped(gym.Wrapper) == [False] * 3
    with pytest.raises(NotImplementedError, match=r"vec_env\.env\.get_state"):
        batch.env_method("get_state")
    with pytest.raises(ValueError, match="leave `indices` out"):
        batch.set_attr("max_episode_steps", 3, indices=0)


def test_a_batch_is_rendered_as_tiles(world):
    batch = sb3_batch(world, 4, render_mode="rgb_array")
    batch.seed(0)
    frames = batch.reset()
    assert np.array_equal(batch.render()[:64, :64], frames[0])
    assert batch.render().shape == (128, 128, 3)


@pytest.mark.parametrize("policy", ["CnnPolicy", "MlpPolicy"])
def test_ppo_trains(world, policy):
    ppo = pytest.importorskip("stable_baselines3").PPO
    batch = sb3_batch(world, 4, max_episode_steps=LIMIT)
    agent = ppo(policy, batch, n_steps=8, batch_size=16, n_epochs=1, seed=0, device="cpu")
    before = [parameter.detach().clone() for parameter in agent.policy.parameters()]
    agent.learn(64)
    assert agent.num_timesteps == 64
    changed = zip(before, agent.policy.parameters(), strict=True)
    assert any(not torch.equal(old, new) for old, new in changed)
    assert agent.predict(batch.reset())[0].shape == (4,)


def test_without_stable_baselines_the_adapter_names_the_extra():
    code = (
        "import sys; sys.modules['stable_baselines3'] = None\n"
        "import learned_envs.clients.stable_baselines"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'pip install "learned-envs[rl]"' in run.stderr


@pytest.mark.skipif(find_spec("torchrl") is None, reason="torchrl is not installed")
def test_torchrl_rolls_a_world_out(world):
    from torchrl.envs import GymEnv

    env_id, options = world
    env = GymEnv(env_id, **options)
    env.set_seed(0)
    rollout = env.rollout(LIMIT)
    assert rollout.shape == (LIMIT,)
    assert rollout["next", "pixels"].shape == (LIMIT, 64, 64, 3)
    assert torch.equal(rollout["pixels"][1:], rollout["next", "pixels"][:-1])
