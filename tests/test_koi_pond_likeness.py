"""What a codec makes of real ponds: on fish, over all, and the reward that is read."""

import numpy as np
import pytest
import torch
from tiny_dream import tiny_config, tiny_model

from learned_envs.evaluation.koi_pond.likeness import Likeness, codec_likeness, codec_table
from learned_envs.models.actions import PointActions
from learned_envs.models.world_model import WorldModel
from learned_envs.worlds import koi_pond


@pytest.fixture
def model() -> WorldModel:
    config = tiny_config(256, actions=PointActions(threshold=0.1))
    return tiny_model(config)


def test_a_codec_that_loses_nothing_is_as_like_as_can_be(model):
    found = codec_likeness(model, 5, ponds=2)
    assert found.fish == 60 and found.ssim == pytest.approx(1, abs=1e-6)


def test_only_fish_count_as_fish(model, monkeypatch):
    def faded(state):
        """What is not dark, as fish are, fades to grey."""
        frames = ((state["latents"][:, -1].movedim(1, -1) + 1) * 127.5).round()
        bright = frames.amax(-1, keepdim=True) > 150
        return torch.where(bright, torch.full_like(frames, 128), frames).to(torch.uint8)

    monkeypatch.setattr(model, "render", faded)
    found = codec_likeness(model, 5, ponds=2)
    assert found.fish < 15
    assert 0.8 < found.ssim < 0.98


def test_a_reward_is_read_exactly_or_not_at_all(model, monkeypatch):
    monkeypatch.setattr(model.heads, "forward", lambda *_: (torch.zeros(1), torch.zeros(1)))
    shares = [codec_likeness(model, seed, ponds=1).rewards for seed in range(4, 10)]
    assert set(shares) == {0.0, 1.0}


def test_a_model_without_a_reward_shows_none():
    nothing = Likeness(fish=25.0, ssim=0.9, rewards=float("nan"), ponds=3)
    row = codec_table(koi_pond.WORLD, nothing, "learned-envs evaluate koi_pond").rows[0]
    assert row == ("25.0", "0.9000", "–", "3")
    assert nothing.to_json()["rewards"] is None
    assert np.isnan(nothing.rewards)
