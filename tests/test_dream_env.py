import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.utils.env_checker import check_env
from tiny_dream import CONTEXTS, SIZE, save_tiny, tiny_config, tiny_model, tiny_starts

import learned_envs  # noqa: F401
from learned_envs.dream.dream import DreamError
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.dream.weights import packaged, resolve
from learned_envs.models.actions import VectorActions
from learned_envs.models.checkpoint import CheckpointError
from learned_envs.models.dynamics.diffusion_dynamics import tiny_denoiser
from learned_envs.worlds.spaces import space_from_json, space_to_json

STARTS = tiny_starts(tiny_config()).frames.numpy()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    settings = {"fps": 12, "max_episode_steps": 6}
    return save_tiny(tmp_path_factory.mktemp("weights") / "tiny", settings=settings)


@pytest.fixture
def env(weights):
    return DreamEnv(weights)


def play(env, actions):
    """Observations, rewards and doubts of a dream that goes on."""
    steps = [env.step(action) for action in actions]
    return [(frame.tobytes(), reward, info["doubt"]) for frame, reward, _, _, info in steps]


def test_gymnasiums_checker_finds_nothing_to_warn_about(weights):
    check_env(gym.make("Dream-v0", weights=weights, render_mode="rgb_array").unwrapped)


def test_equal_seeds_and_actions_give_equal_bytes(weights):
    first, second = DreamEnv(weights), DreamEnv(weights)
    for seed in (3, 4, None):
        start, info = first.reset(seed=seed)
        again, other_info = second.reset(seed=seed)
        assert np.array_equal(start, again)
        assert info == other_info
        assert play(first, [0, 1, 2, 1, 0]) == play(second, [0, 1, 2, 1, 0])


def test_the_noise_comes_from_the_seed(env):
    futures = set()
    for seed in range(6):
        env.reset(seed=seed, options={"start": 0})
        futures.add(tuple(play(env, [1] * 4)))
    assert len(futures) > 1


def test_info_at_reset_names_the_runtime_and_the_device(env):
    assert env.reset()[1] == {"runtime": "torch", "device": "cpu"}


def test_a_dream_begins_with_a_recorded_frame_chosen_by_the_seed(env):
    bank = [frames[-1].tobytes() for frames in STARTS]
    begun = {env.reset(seed=seed)[0].tobytes() for seed in range(40)}
    assert begun == set(bank)


def test_a_start_can_be_chosen_by_its_number(env):
    for number in range(CONTEXTS):
        observation, _ = env.reset(options={"start": number})
        assert np.array_equal(observation, STARTS[number, -1])


def test_a_dream_begins_with_the_frames_that_are_given(env):
    bank = tiny_starts(tiny_config())
    env.reset(seed=1, options={"start": 2})
    expected = play(env, [1, 2])
    frames, actions = bank.frames[2].numpy(), bank.actions[2].numpy()
    env.reset(seed=1, options={"frames": frames, "actions": actions})
    assert play(env, [1, 2]) == expected


def test_a_short_history_is_padded_with_its_first_frame_and_idle_actions(env):
    frame = STARTS[0, -1]
    env.reset(seed=1, options={"frames": frame[None]})
    expected = play(env, [1, 2])
    env.reset(seed=1, options={"frames": np.stack([frame] * 4), "actions": [0, 0, 0]})
    assert play(env, [1, 2]) == expected


def test_only_the_end_of_a_long_history_counts(env):
    frames, actions = STARTS[0], np.array([2, 1, 0])
    env.reset(seed=1, options={"frames": frames, "actions": actions})
    expected = play(env, [1, 2])
    longer = np.concatenate([STARTS[1], frames])
    env.reset(seed=1, options={"frames": longer, "actions": [0, 1, 1, 2, *actions]})
    assert play(env, [1, 2]) == expected


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": STARTS[0].astype(float), "actions": [0] * 3}, "dtype float64, expected"),
        ({"frames": STARTS[0, :, :8], "actions": [0] * 3}, r"expected \(k, 16, 16, 3\) uint8"),
        ({"frames": STARTS[0, :0]}, "k >= 1"),
        ({"frames": STARTS[0], "actions": [0] * 4}, r"shape \(4,\), expected \(3,\)"),
        ({"frames": STARTS[0]}, r"`actions` has shape \(0,\), expected \(3,\)"),
        ({"actions": [0]}, "without `frames`"),
        ({"start": CONTEXTS}, r"`start` \(=5\) must lie in 0..4"),
        ({"bricks": 3}, r"unknown reset options \['bricks'\]"),
    ],
)
def test_options_of_another_shape_are_refused(env, options, message):
    with pytest.raises(ValueError, match=message):
        env.reset(options=options)


def test_a_recorded_action_outside_the_space_is_refused(env):
    with pytest.raises(gym.error.InvalidAction, match="Discrete"):
        env.reset(options={"frames": STARTS[0], "actions": [0, 3, 0]})


@pytest.mark.parametrize("action", [3, -1, 1.0, [1], "left", None])
def test_an_action_outside_the_space_is_refused(env, action):
    env.reset()
    with pytest.raises(gym.error.InvalidAction, match=r"Discrete\(3\)"):
        env.step(action)


def test_stepping_needs_a_reset_first(env):
    with pytest.raises(gym.error.ResetNeeded, match=r"call reset\(\)"):
        env.step(0)


def test_the_models_termination_ends_the_dream(tmp_path):
    env = DreamEnv(save_tiny(tmp_path / "w", tiny_model(ends=True)))
    env.reset()
    assert env.step(0)[2:4] == (True, False)
    with pytest.raises(gym.error.ResetNeeded):
        env.step(0)
    env.reset()
    env.step(0)


def test_the_id_for_any_checkpoint_keeps_the_checkpoints_own_limit(weights):
    env = gym.make("Dream-v0", weights=weights)
    env.reset(seed=0)
    assert [env.step(1)[3] for _ in range(6)] == [False] * 5 + [True]


def test_a_shorter_limit_can_be_asked_for(weights):
    env = gym.make("Dream-v0", weights=weights, max_episode_steps=2)
    env.reset(seed=0)
    assert [env.step(1)[3] for _ in range(2)] == [False, True]


def test_doubt_is_the_surprises_quantile_among_real_ones(tmp_path):
    doubts = []
    for shift in (-100.0, 0.0, 100.0):
        model = tiny_model()
        model.surprises += shift
        env = DreamEnv(save_tiny(tmp_path / str(shift), model))
        env.reset(seed=0)
        doubts.append(env.step(0)[4]["doubt"])
    assert doubts[0] == 1
    assert 0 < doubts[1] < 1
    assert doubts[2] == 0


def test_a_model_without_heads_gives_no_reward_and_never_ends(tmp_path):
    config = tiny_config()
    model = tiny_model(type(config)(**{**fields(config), "heads": None}))
    env = DreamEnv(save_tiny(tmp_path / "w", model))
    env.reset()
    assert {env.step(0)[1:4] for _ in range(5)} == {(0.0, False, False)}


def fields(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


def test_a_state_restored_in_another_env_has_the_same_future(weights):
    env, other = DreamEnv(weights), DreamEnv(weights)
    env.reset(seed=2)
    play(env, [1, 2])
    state = copy.deepcopy(env.get_state())
    expected = play(env, [0, 1, 2])
    env.set_state(state)
    assert play(env, [0, 1, 2]) == expected
    other.set_state(state)
    assert play(other, [0, 1, 2]) == expected


def test_a_state_holds_the_frame_that_is_shown(env):
    env.reset(seed=2)
    observation = env.step(1)[0]
    assert np.array_equal(env.get_state()["frames"][0], observation)


def test_a_state_of_another_model_is_refused(env, tmp_path):
    other = DreamEnv(save_tiny(tmp_path / "w", tiny_model(tiny_config(size=32))))
    other.reset()
    with pytest.raises(ValueError, match="same weights"):
        env.set_state(other.get_state())


def test_there_is_no_state_before_the_first_reset(env):
    with pytest.raises(ValueError, match=r"call reset\(\) first"):
        env.get_state()


def test_a_pickled_env_dreams_on_where_it_was(env):
    env.reset(seed=5)
    play(env, [1])
    other = pickle.loads(pickle.dumps(env))
    assert play(other, [1, 2]) == play(env, [1, 2])


def test_rendering_shows_the_observation(weights):
    env = DreamEnv(weights, render_mode="rgb_array")
    env.reset()
    observation = env.step(2)[0]
    shown = env.render()
    assert shown is not None
    assert np.array_equal(shown, observation)
    assert not np.shares_memory(shown, observation)
    assert DreamEnv(weights).render() is None
    assert env.metadata["render_fps"] == 12


def test_nan_from_the_model_names_the_step_and_the_weights(env, weights):
    env.reset(seed=0)
    env.step(0)
    env._dream.runtime.model.dynamics.expected_error.bias.fill_(torch.nan)
    with pytest.raises(DreamError, match=r"tiny predicted NaN.* in step 2 after the start.*reset"):
        env.step(0)


def test_a_box_of_actions_is_played_within_its_bounds(tmp_path):
    actions = VectorActions(idle=(0.0, 0.0))
    folder = save_tiny(tmp_path / "w", tiny_model(tiny_config(actions=actions)))
    env = gym.make("Dream-v0", weights=folder).unwrapped
    check_env(env)
    env.reset()
    env.step(np.array([0.5, 1.0], np.float32))
    with pytest.raises(gym.error.InvalidAction, match="expected values of Box"):
        env.step(np.array([0.5, 1.01], np.float32))
    with pytest.raises(gym.error.InvalidAction, match=r"shape \(3,\)"):
        env.step(np.zeros(3, np.float32))


def test_a_checkpoint_can_name_its_action_space(tmp_path):
    actions = VectorActions(idle=(0.0, 0.0))
    space = gym.spaces.Box(np.array([0, -1], np.float32), np.array([1, 1], np.float32))
    folder = save_tiny(
        tmp_path / "w",
        tiny_model(tiny_config(actions=actions)),
        settings={"action_space": space_to_json(space)},
    )
    assert DreamEnv(folder).action_space == space


@pytest.mark.parametrize(
    "space",
    [
        gym.spaces.Box(0, 255, (4, 5, 3), np.uint8),
        gym.spaces.Box(np.array([0, -1], np.float32), np.array([1, 2], np.float32)),
        gym.spaces.Discrete(4),
        gym.spaces.MultiBinary(12),
    ],
)
def test_spaces_go_through_json(space):
    assert space_from_json(space_to_json(space)) == space


def test_a_sampler_may_take_other_steps_than_the_checkpoints(tmp_path):
    dynamics = tiny_denoiser(steps=2)
    network = type(dynamics.denoiser)(width=8, blocks=1)
    dynamics = type(dynamics)(**{**fields(dynamics), "denoiser": network})
    folder = save_tiny(tmp_path / "w", tiny_model(tiny_config(dynamics=dynamics)))
    envs = [DreamEnv(folder, sampler_steps=steps) for steps in (None, 2, 3)]
    for env in envs:
        env.reset(seed=0)
    own, same, other = (play(env, [1, 2]) for env in envs)
    assert own == same != other


def test_a_family_without_a_sampler_has_no_steps_to_set(weights):
    with pytest.raises(ValueError, match="SparseEditor has no sampler"):
        DreamEnv(weights, sampler_steps=3)


def test_a_checkpoint_of_other_spaces_than_the_ids_world_is_refused(weights):
    with pytest.raises(ValueError, match=r"tiny dreams .*\(16, 16, 3\).*'breakout' has .*\(64, 64"):
        gym.make("Dream-Breakout-v0", weights=weights)


def test_a_checkpoint_of_other_actions_than_its_world_is_refused(tmp_path):
    actions = VectorActions(idle=(0.0, 0.0))
    model = tiny_model(tiny_config(actions=actions))
    with pytest.raises(
        CheckpointError, match=r"'breakout' has actions Discrete\(3\), but the model"
    ):
        DreamEnv(save_tiny(tmp_path / "w", model, world="breakout"))


def test_an_unknown_source_of_reward_is_refused(tmp_path):
    folder = save_tiny(tmp_path / "w", settings={"reward": "frames"})
    with pytest.raises(CheckpointError, match="source is 'frames'; expected 'head'"):
        DreamEnv(folder)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("Breakut", "Did you mean 'breakout'"),
        ("no/such/folder", "it is no folder"),
        ("gone.onnx", "no .onnx file"),
        (None, "`weights` was not given"),
    ],
)
def test_unknown_weights_are_named(given, message):
    with pytest.raises(ValueError, match=message):
        gym.make("Dream-v0", weights=given)


def test_a_file_that_is_no_graph_is_refused(weights):
    with pytest.raises(ValueError, match="neither a folder nor an .onnx file"):
        DreamEnv(weights / "config.json")


def test_a_world_without_packaged_weights_says_how_to_make_them(monkeypatch, tmp_path):
    monkeypatch.setattr("learned_envs.dream.weights.PACKAGED", tmp_path)
    assert packaged("breakout") is None
    with pytest.raises(ValueError, match="learned-envs train breakout"):
        gym.make("Dream-Breakout-v0")


@pytest.mark.parametrize("make", [gym.make, gym.make_vec])
def test_what_only_the_real_env_can_do_is_refused_with_the_reason(make):
    with pytest.raises(ValueError, match=r"`food` \(=True\) .* was never shown food"):
        make("Dream-KoiPond-v0", food=True)
    with pytest.raises(TypeError, match="`wind` \\(=3\\) is no argument of a dream"):
        make("Dream-KoiPond-v0", wind=3)


def test_a_hub_id_without_the_hubs_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r"learned-envs\[hub\]"):
        resolve("someone/breakout@v1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"runtime": "jax"}, r"`runtime` \(='jax'\) must be 'auto', 'torch' or 'onnx'"),
        ({"runtime": "onnx"}, "learned-envs export"),
    ],
)
def test_a_runtime_that_cannot_play_the_weights_is_refused(weights, arguments, message):
    with pytest.raises(ValueError, match=message):
        DreamEnv(weights, **arguments)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_is_refused(weights):
    with pytest.raises(ValueError, match="torch finds no GPU"):
        DreamEnv(weights, device="cuda")


def test_two_envs_of_a_world_do_not_share_their_action_space(tmp_path):
    folder = save_tiny(tmp_path / "w", world="breakout")
    assert DreamEnv(folder).action_space is not DreamEnv(folder).action_space


def test_the_frame_is_as_large_as_the_space_says(env):
    assert env.observation_space.shape == (SIZE, SIZE, 3)
    assert env.reset()[0] in env.observation_space
