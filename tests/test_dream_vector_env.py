import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode
from tiny_dream import save_tiny, tiny_config, tiny_model, tiny_starts

import learned_envs  # noqa: F401
from learned_envs.dream.dream import DreamError
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.dream.dream_vector_env import DreamVectorEnv

STARTS = tiny_starts(tiny_config()).frames.numpy()
NEXT_STEP, SAME_STEP, DISABLED = AutoresetMode


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    settings = {"max_episode_steps": 6}
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny", settings=settings)


@pytest.fixture(scope="module")
def fatal(tmp_path_factory):
    return save_tiny(tmp_path_factory.mktemp("weights") / "fatal", tiny_model(ends=True))


def test_a_row_dreams_as_the_single_env_with_its_seed(weights):
    batch = DreamVectorEnv(3, weights)
    frames, info = batch.reset(seed=10)
    assert info == {"runtime": "torch", "device": "cpu"}
    singles = [DreamEnv(weights) for _ in range(3)]
    starts = [env.reset(seed=10 + i)[0] for i, env in enumerate(singles)]
    assert np.array_equal(frames, starts)
    for t in range(8):
        actions = (np.arange(3) + t) % 3
        frames, reward, terminated, _, info = batch.step(actions)
        for i, env in enumerate(singles):
            frame, single_reward, single_terminated, _, single_info = env.step(actions[i])
            assert np.mean(frames[i] == frame) > 0.999
            assert reward[i] == single_reward
            assert terminated[i] == single_terminated
            assert info["doubt"][i] == pytest.approx(single_info["doubt"], abs=2e-3)


def test_equal_seeds_and_actions_give_equal_bytes(weights):
    first, second = DreamVectorEnv(4, weights), DreamVectorEnv(4, weights)
    assert np.array_equal(first.reset(seed=1)[0], second.reset(seed=1)[0])
    for t in range(8):
        actions = np.full(4, t % 3)
        for one, two in zip(first.step(actions)[:4], second.step(actions)[:4], strict=True):
            assert np.array_equal(one, two)


def test_next_step_begins_anew_in_the_step_after_the_end(weights):
    env = DreamVectorEnv(2, weights, max_episode_steps=3)
    env.reset(seed=0)
    env.step(np.zeros(2, int))
    env.reset(seed=5, options={"reset_mask": np.array([False, True])})
    ends = []
    for t in range(6):
        frames, reward, _, truncated, info = env.step(np.zeros(2, int))
        ends.append(truncated.tolist())
        if t == 2:  # row 0 ended in the step before
            assert frames[0].tobytes() in {start[-1].tobytes() for start in STARTS}
            assert reward[0] == 0
            assert info["_doubt"].tolist() == [False, True]
    expected = [[False, False], [True, False], [False, True], [False, False], [False, False]]
    assert ends[:5] == expected


def test_a_row_that_begins_anew_goes_on_as_the_single_env_does(weights):
    env = DreamVectorEnv(2, weights, max_episode_steps=2)
    single = DreamEnv(weights)
    env.reset(seed=0)
    single.reset(seed=1)
    for t in range(9):
        frames = env.step(np.ones(2, int))[0]
        frame = single.reset()[0] if t % 3 == 2 else single.step(1)[0]
        assert np.mean(frames[1] == frame) > 0.999


def test_same_step_shows_the_new_start_and_keeps_the_end_in_the_info(weights):
    env = DreamVectorEnv(2, weights, max_episode_steps=2, autoreset_mode=SAME_STEP)
    env.reset(seed=0)
    env.step(np.zeros(2, int))
    frames, _, _, truncated, info = env.step(np.zeros(2, int))
    assert truncated.all()
    assert info["_final_obs"].all()
    starts = {start[-1].tobytes() for start in STARTS}
    for i in range(2):
        assert frames[i].tobytes() in starts
        assert info["final_obs"][i].tobytes() not in starts
    assert not env.step(np.zeros(2, int))[3].any()


def test_without_autoreset_an_ended_row_must_be_reset(weights):
    env = DreamVectorEnv(2, weights, max_episode_steps=1, autoreset_mode=DISABLED)
    env.reset(seed=0)
    env.step(np.zeros(2, int))
    with pytest.raises(gym.error.ResetNeeded, match=r"rows \[0, 1\] have ended"):
        env.step(np.zeros(2, int))
    env.reset(options={"reset_mask": np.array([True, True])})
    env.step(np.zeros(2, int))


def test_the_models_termination_ends_rows(fatal):
    env = DreamVectorEnv(2, fatal)
    env.reset(seed=0)
    assert env.step(np.zeros(2, int))[2].all()
    assert not env.step(np.zeros(2, int))[2].any()  # both begin anew
    assert env.step(np.zeros(2, int))[2].all()


def test_the_other_rows_go_on_untouched_when_some_are_reset(weights):
    env, reference = DreamVectorEnv(3, weights), DreamVectorEnv(3, weights)
    for one in (env, reference):
        one.reset(seed=0)
        one.step(np.ones(3, int))
    env.reset(seed=9, options={"reset_mask": np.array([False, True, False])})
    frames, expected = env.step(np.ones(3, int))[0], reference.step(np.ones(3, int))[0]
    assert np.array_equal(frames[[0, 2]], expected[[0, 2]])
    assert not np.array_equal(frames[1], expected[1])


def test_rows_may_be_reset_one_after_the_other(weights):
    env, reference = DreamVectorEnv(2, weights), DreamVectorEnv(2, weights)
    env.reset(seed=4, options={"reset_mask": np.array([False, True])})
    with pytest.raises(gym.error.ResetNeeded):
        env.step(np.zeros(2, int))
    begun = env.reset(seed=4, options={"reset_mask": np.array([True, False])})[0]
    assert np.array_equal(begun, reference.reset(seed=4)[0])
    assert np.array_equal(env.step(np.ones(2, int))[0], reference.step(np.ones(2, int))[0])


def test_starts_are_given_for_all_rows_alike_or_for_each(weights):
    env = DreamVectorEnv(2, weights)
    frames, actions = STARTS[:2], np.zeros((2, 3), int)
    begun = env.reset(options={"frames": frames[0], "actions": actions[0]})[0]
    assert np.array_equal(begun, [frames[0, -1]] * 2)
    begun = env.reset(options={"frames": frames, "actions": actions})[0]
    assert np.array_equal(begun, frames[:, -1])
    begun = env.reset(options={"start": np.array([3, 4])})[0]
    assert np.array_equal(begun, STARTS[3:, -1])
    begun = env.reset(options={"start": 1, "rows": {1: {"start": 2}}})[0]
    assert np.array_equal(begun, STARTS[1:3, -1])


def test_given_frames_reach_only_the_rows_that_are_reset(weights):
    env = DreamVectorEnv(2, weights)
    before = env.reset(seed=0)[0]
    mask = np.array([False, True])
    after = env.reset(options={"frames": STARTS[3:, -1:], "reset_mask": mask})[0]
    assert np.array_equal(after[0], before[0])
    assert np.array_equal(after[1], STARTS[4, -1])


def test_a_leading_axis_of_another_length_is_refused(weights):
    with pytest.raises(ValueError, match="one entry for each of 3 rows"):
        DreamVectorEnv(3, weights).reset(options={"frames": STARTS[:2, -1:]})


@pytest.mark.parametrize("actions", [np.zeros(3, int), np.array([0, 3]), np.array([0.0, 1.0])])
def test_actions_outside_the_space_are_refused(weights, actions):
    env = DreamVectorEnv(2, weights)
    env.reset()
    with pytest.raises((ValueError, gym.error.InvalidAction), match=r"Discrete\(3\)|integers"):
        env.step(actions)


def test_a_state_restored_in_another_batch_has_the_same_future(weights):
    env, other = (DreamVectorEnv(2, weights, max_episode_steps=4) for _ in range(2))
    env.reset(seed=0)
    for _ in range(2):
        env.step(np.ones(2, int))
    state = env.get_state()
    expected = [env.step(np.ones(2, int)) for _ in range(6)]
    other.set_state(state)
    for step in expected:
        for one, two in zip(step[:4], other.step(np.ones(2, int))[:4], strict=True):
            assert np.array_equal(one, two)


def test_a_state_of_another_number_of_rows_is_refused(weights):
    env = DreamVectorEnv(2, weights)
    env.reset()
    with pytest.raises(ValueError, match="number of rows"):
        DreamVectorEnv(3, weights).set_state(env.get_state())


def test_frames_may_be_tensors(weights):
    env, reference = DreamVectorEnv(2, weights, observations="torch"), DreamVectorEnv(2, weights)
    frames, expected = env.reset(seed=0)[0], reference.reset(seed=0)[0]
    assert isinstance(frames, torch.Tensor)
    assert np.array_equal(frames.numpy(), expected)
    frames = env.step(torch.ones(2, dtype=torch.int64))[0]
    assert np.array_equal(frames.numpy(), reference.step(np.ones(2, int))[0])


def test_latents_may_be_observed_and_learned_from(weights):
    env = DreamVectorEnv(2, weights, observations="latent", autoreset_mode=SAME_STEP)
    latents = env.reset(seed=0)[0]
    assert latents.shape == env.observation_space.shape == (2, 3, 16, 16)
    layer = torch.nn.Conv2d(3, 1, 1)
    layer(env.step(np.ones(2, int))[0]).sum().backward()
    assert layer.weight.grad is not None


def test_an_unknown_kind_of_observation_is_refused(weights):
    with pytest.raises(ValueError, match=r"`observations` \(='jax'\)"):
        DreamVectorEnv(2, weights, observations="jax")


def test_observations_are_memory_of_their_own(weights):
    env = DreamVectorEnv(2, weights, render_mode="rgb_array")
    first = env.reset(seed=0)[0]
    kept = first.copy()
    rendered = env.render()
    assert rendered is not None
    rendered[0][:] = 0
    second = env.step(np.ones(2, int))[0]
    assert np.array_equal(first, kept)
    assert not np.shares_memory(first, second)
    assert np.array_equal(env.render()[1], second[1])


def test_nan_from_the_model_names_the_rows(weights):
    env = DreamVectorEnv(2, weights)
    env.reset(seed=0)
    env._dream.runtime.model.dynamics.expected_error.bias.fill_(torch.nan)
    with pytest.raises(DreamError, match=r"in step 1 after the start \(rows \[0, 1\]\)"):
        env.step(np.ones(2, int))


def test_the_id_for_any_checkpoint_keeps_the_checkpoints_own_limit(weights):
    assert gym.make_vec("Dream-v0", 2, weights=weights).max_episode_steps == 6
    assert gym.make_vec("Dream-v0", 2, weights=weights, max_episode_steps=3).max_episode_steps == 3
    assert DreamVectorEnv(2, weights).max_episode_steps is None


@pytest.mark.parametrize("mode", [NEXT_STEP, SAME_STEP, DISABLED])
def test_the_autoreset_mode_is_in_the_metadata(weights, mode):
    assert (
        gym.make_vec("Dream-v0", 2, weights=weights, autoreset_mode=mode).metadata["autoreset_mode"]
        is mode
    )
