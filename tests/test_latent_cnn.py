"""The flat network of Minipaint's published model: what it is told, and what its error is."""

import dataclasses

import numpy as np
import pytest
import torch

from learned_envs.data.window import Window
from learned_envs.models.actions import PointActions, VectorActions
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.dynamics.latent_cnn import LatentCNN, LatentCNNConfig
from learned_envs.models.world_model import WorldModelConfig
from learned_envs.training.closed_loop import closed_loop

SIZE = 16
CONFIG = LatentCNNConfig(width=8, blocks=2, groups=4)
ACTIONS = PointActions(threshold=0.4999, spread=2.0)
MODEL = WorldModelConfig(
    image_size=(2 * SIZE, 2 * SIZE),
    actions=ACTIONS,
    codec=VariationalAutoencoderConfig(channels=3, widths=(4, 8), blocks=1, groups=4),
    dynamics=CONFIG,
)


def dynamics_of(**changes) -> LatentCNN:
    torch.manual_seed(0)
    return dataclasses.replace(CONFIG, **changes).build((3, SIZE, SIZE), ACTIONS)


def inputs_of(rows: int = 3) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    torch.manual_seed(1)
    state = {"latents": torch.randn(rows, 2, 3, SIZE, SIZE), "actions": torch.rand(rows, 1, 3)}
    state["actions"][..., 2] = 1.0
    action = torch.rand(rows, 3)
    action[:, 2] = 1.0
    return state, action


@torch.no_grad()
def test_a_row_of_a_batch_equals_the_same_row_alone():
    dynamics = dynamics_of()
    state, action = inputs_of()
    batch = dynamics.predict(state, action, {})
    assert batch.latent.shape == (3, 3, SIZE, SIZE) and batch.surprise.shape == (3,)
    alone = dynamics.predict({name: value[1:2] for name, value in state.items()}, action[1:2], {})
    torch.testing.assert_close(alone.latent[0], batch.latent[1], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(alone.surprise[0], batch.surprise[1], atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_it_is_told_the_newest_latent_and_both_actions_and_no_older_latent():
    dynamics = dynamics_of()
    state, action = inputs_of()
    latents, before = state["latents"], dynamics.predict(state, action, {}).latent

    def differs(state: dict[str, torch.Tensor], action: torch.Tensor) -> bool:
        change = dynamics.predict(state, action, {}).latent - state["latents"][:, -1]
        return not torch.equal(change, before - latents[:, -1])

    older, newest = latents.clone(), latents.clone()
    older[:, 0] += 1
    newest[:, 1] *= 2
    assert not differs({**state, "latents": older}, action)
    assert differs({**state, "latents": newest}, action)
    assert differs(state, action.flip(0))
    assert differs({**state, "actions": state["actions"].flip(0)}, action)


@torch.no_grad()
def test_changed_places_weigh_as_much_as_all_others_however_few_they_are():
    dynamics = dynamics_of(context_noise=0.0)
    dynamics.write.weight.zero_()
    dynamics.write.bias.zero_()  # it predicts that nothing changes
    state, action = inputs_of()
    newest = state["latents"][:, -1]
    target = newest.clone()
    target[0, :, 3, 5] += 4.0
    target[:, :, 8:] += 0.01
    loss = dynamics.loss(state, action, target, {}, newest)
    assert loss.parts["changed"].item() == pytest.approx(4.0)
    assert loss.parts["unchanged"].item() == pytest.approx(0.01 / 2, rel=0.01)
    assert loss.total.item() == pytest.approx((4.0 + 0.01 / 2) / 2, rel=0.01)


@torch.no_grad()
def test_what_changed_is_told_by_the_truth_and_the_error_by_the_models_own_latent():
    dynamics = dynamics_of(context_noise=0.0)
    dynamics.write.weight.zero_()
    dynamics.write.bias.zero_()
    state, action = inputs_of()
    truth = state["latents"][:, -1] + 0.5  # the dream is off everywhere
    loss = dynamics.loss(state, action, truth, {}, truth)
    assert loss.parts["changed"] == 0
    assert loss.parts["unchanged"].item() == pytest.approx(0.5, rel=1e-4)


@torch.no_grad()
def test_noise_on_the_latent_is_of_the_latents_own_scale_and_not_in_what_is_predicted(monkeypatch):
    dynamics, seen = dynamics_of(context_noise=0.2), []
    change = dynamics._change
    monkeypatch.setattr(dynamics, "_change", lambda *given: seen.append(given[0]) or change(*given))
    state, action = inputs_of(rows=64)
    state["latents"] *= 50
    newest = state["latents"][:, -1]
    predicted = dynamics.loss(state, action, newest, {}, newest).prediction()
    noise = (seen[0] - newest).flatten(1).std(1) / 50
    assert noise.min() < 0.03 and 0.17 < noise.max() < 0.22
    assert torch.equal(seen[1], newest)
    assert torch.equal(predicted.latent, dynamics.predict(state, action, {}).latent)


def test_the_loss_moves_every_parameter():
    dynamics = dynamics_of().train()
    state, action = inputs_of()
    dynamics.loss(
        state, action, state["latents"][:, 0], {}, state["latents"][:, -1]
    ).total.backward()
    still = [n for n, p in dynamics.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []


def test_it_learns_to_write_where_the_cursor_is_and_nothing_elsewhere():
    dynamics = dynamics_of(context_noise=0.0).train()
    optimiser = torch.optim.Adam(dynamics.parameters(), lr=3e-3)

    def strokes() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
        state, action = inputs_of(rows=8)
        action[:, :2] = torch.rand(8, 2)
        inked = ACTIONS.draw(action, (SIZE, SIZE))[:, :1] > 0.8
        return state, action, torch.where(inked, -2.0, state["latents"][:, -1])

    for _ in range(150):
        state, action, target = strokes()
        optimiser.zero_grad()
        loss = dynamics.loss(state, action, target, {}, state["latents"][:, -1])
        loss.total.backward()
        optimiser.step()
    assert loss.parts["changed"] < 0.5 and loss.parts["unchanged"] < 0.2


def test_the_closed_loop_walks_on_its_own_predictions_over_its_codec():
    torch.manual_seed(0)
    model, random = MODEL.build().train(), np.random.default_rng(0)
    window = Window(
        observation=random.integers(0, 256, (3, 5, 2 * SIZE, 2 * SIZE, 3), np.uint8),
        action=random.random((3, 4, 3), np.float32),
        reward=np.zeros((3, 4), np.float32),
        terminated=np.zeros((3, 4), bool),
        first=np.arange(5)[None].repeat(3, 0) == 0,
        valid=np.ones((3, 4), bool),
        metadata={},
    )
    ages = []
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        cpu = torch.device("cpu")
        for item in closed_loop(model, window, resync=0.0, divergence=np.inf, device=cpu):
            item.loss.total.backward()
            assert item.loss.total.isfinite()
            assert item.loss.prediction().latent.dtype == torch.float32
            ages.append(item.age)
    assert ages == [0, 1, 2, 3]


def test_a_configuration_comes_back_equal_from_json():
    assert from_json(to_json(MODEL)) == MODEL


def test_actions_that_cannot_be_drawn_are_refused():
    model = dataclasses.replace(
        MODEL, codec=IdentityConfig(), actions=VectorActions(idle=(0.0, 0.0, 0.0))
    )
    with pytest.raises(ValueError, match="needs actions that can be drawn, not VectorActions"):
        model.build()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"width": 10}, r"`width` \(=10\) must be divisible by `groups` \(=4\)"),
        ({"context_noise": -0.1}, r"`context_noise` \(=-0.1\) must not be negative"),
        ({"tolerance": -0.1}, r"`tolerance` \(=-0.1\) must not be negative"),
    ],
)
def test_a_configuration_that_makes_no_sense_says_which_value_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)
