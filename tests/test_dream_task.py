"""A dreamed paint program is judged by its pixels, by the same task as the real one."""

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_minipaint import at

import learned_envs  # noqa: F401
from learned_envs.dream.torch_runtime import TorchRuntime
from learned_envs.models.actions import PointActions
from learned_envs.models.checkpoint import CheckpointError, save_checkpoint
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.pointer_editor import PointerEditorConfig
from learned_envs.models.world_model import WorldModelConfig
from learned_envs.packing import collect_starts
from learned_envs.worlds import minipaint
from sims.minipaint.reward import canvas_of, progress

EDITOR = PointerEditorConfig(
    summary=(2, 2, 4), situation=8, width=8, hidden=8, depth=1, position=2, fine=4, values=2, mask=4
)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A small paint program that scribbles somewhere at every step."""
    torch.manual_seed(0)
    model = WorldModelConfig(
        image_size=(224, 224),
        actions=PointActions(threshold=0.4999),
        codec=IdentityConfig(),
        dynamics=EDITOR,
    ).build()
    with torch.no_grad():
        model.dynamics.mask.last.bias.fill_(3.0)
        model.dynamics.rough.weight.mul_(8)
    folder = tmp_path_factory.mktemp("paint") / "weights"
    starts = collect_starts(minipaint.WORLD, model.codec)
    save_checkpoint(folder, model, starts, world="minipaint", settings={"reward": "frames"})
    return folder


@pytest.fixture
def dream(weights):
    return gym.make("Dream-Minipaint-v0", weights=weights)


def test_equal_seeds_give_the_dream_and_the_real_program_one_target(dream):
    real = gym.make("Real-Minipaint-v0")
    for seed in (5, 6):
        frame, info = dream.reset(seed=seed)
        real_frame, real_info = real.reset(seed=seed)
        assert np.array_equal(info["target"], real_info["target"])
        assert np.array_equal(frame, real_frame)


def test_the_reward_is_how_much_nearer_the_dreamed_canvas_came(dream):
    before, info = dream.reset(seed=1)
    earned = []
    for x in range(60, 160, 10):
        after, reward, *_ = dream.step(at(x, 90))
        assert reward == progress(canvas_of(before), canvas_of(after), info["target"])
        earned.append(reward)
        before = after
    assert np.ptp(earned) > 0


def test_a_target_can_be_given(dream):
    target = np.full((182, 182, 3), 7, np.uint8)
    _, info = dream.reset(seed=1, options={"target": target})
    assert np.array_equal(info["target"], target)
    with pytest.raises(ValueError, match=r"option `target` has shape \(3,\).*expected \(182, 182"):
        dream.reset(options={"target": np.zeros(3, np.uint8)})


def test_a_batch_has_the_targets_and_rewards_of_single_dreams(weights, dream):
    batch = gym.make_vec("Dream-Minipaint-v0", 3, weights=weights, max_episode_steps=4)
    _, info = batch.reset(seed=10)
    assert info["_target"].all()
    actions = np.stack([at(70 + 5 * i, 80) for i in range(4)])
    rewards = np.array([batch.step(action[None].repeat(3, 0))[1] for action in actions])
    for row in range(3):
        _, single = dream.reset(seed=10 + row)
        assert np.array_equal(info["target"][row], single["target"])
        assert [dream.step(action)[1] for action in actions] == list(rewards[:, row])


def test_a_row_that_begins_anew_gets_a_target_and_the_others_keep_theirs(weights):
    batch = gym.make_vec("Dream-Minipaint-v0", 2, weights=weights, max_episode_steps=2)
    _, first = batch.reset(seed=3)
    batch.step(np.zeros((2, 3), np.float32))
    batch.reset(seed=[None, 8], options={"reset_mask": np.array([False, True])})
    batch.step(np.zeros((2, 3), np.float32))
    _, _, _, _, info = batch.step(np.zeros((2, 3), np.float32))
    assert info["_target"].tolist() == [True, False]
    assert not np.array_equal(info["target"][0], first["target"][0])
    assert not info["target"][1].any()


def test_a_branch_is_judged_by_its_own_target(dream):
    dream.reset(seed=2)
    state = dream.unwrapped.get_state()
    rewards = [dream.step(at(60 + i, 100))[1] for i in range(3)]
    dream.reset(seed=99)
    dream.unwrapped.set_state(state)
    assert [dream.step(at(60 + i, 100))[1] for i in range(3)] == rewards


def test_frames_of_a_world_without_a_task_cannot_be_judged(weights, tmp_path):
    model = TorchRuntime(weights).model
    starts = collect_starts(minipaint.WORLD, model.codec)
    save_checkpoint(tmp_path / "w", model, starts, world=None, settings={"reward": "frames"})
    with pytest.raises(CheckpointError, match="'frames' \\(of a world with a task"):
        TorchRuntime(tmp_path / "w")
