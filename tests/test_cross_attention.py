"""The denoiser that asks the past by cross-attention, and actions that it is told or not."""

import dataclasses

import pytest
import torch

from learned_envs.models.actions import VectorActions
from learned_envs.models.diffusion import Conditioning, DiffusionConfig
from learned_envs.models.dynamics.cross_attention import CrossAttentionConfig
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
from learned_envs.models.dynamics.dynamics import Prediction

ACTIONS = VectorActions(idle=(0.0, 0.0))
SHAPE, CONTEXT, ROWS = (4, 8, 8), 3, 2
SMALL = CrossAttentionConfig(
    widths=(32, 64), blocks=(1, 1), asking=1, patch=2, token=32, head_width=16, embedding=32
)


def network(**changes):
    torch.manual_seed(0)
    net = dataclasses.replace(SMALL, **changes).build(SHAPE, CONTEXT, ACTIONS)
    for parameter in net.parameters():  # what begins near zero would hide what it is for
        torch.nn.init.normal_(parameter, std=0.2)
    return net


def conditioning():
    torch.manual_seed(1)
    return Conditioning(
        context=torch.randn(ROWS, CONTEXT, *SHAPE),
        actions=torch.randn(ROWS, CONTEXT, 2),
        level=torch.zeros(ROWS, 1),
    )


def denoised(net, given):
    torch.manual_seed(2)
    with torch.no_grad():
        return net(torch.randn(ROWS, *SHAPE), torch.zeros(ROWS), given)


def test_a_clean_latent_has_the_shape_of_the_noisy_one():
    assert denoised(network(), conditioning()).shape == (ROWS, *SHAPE)


@pytest.mark.parametrize("frame", range(CONTEXT))
def test_every_past_frame_is_seen_and_when_it_was(frame):
    net, given = network(), conditioning()
    before = denoised(net, given)
    context = given.context.clone()
    context[:, frame] += 1
    assert (denoised(net, dataclasses.replace(given, context=context)) - before).abs().max() > 1e-3
    swapped = given.context.clone()
    swapped[:, [0, 1]] = swapped[:, [1, 0]]
    assert (denoised(net, dataclasses.replace(given, context=swapped)) - before).abs().max() > 1e-3


@pytest.mark.parametrize("told", ["tokens", "layers", "both"])
def test_actions_reach_the_network_either_way(told):
    net, given = network(told=told), conditioning()
    other = dataclasses.replace(given, actions=given.actions + 1)
    assert (denoised(net, other) - denoised(net, given)).abs().max() > 1e-3
    assert (net.tokens.done is None) == (told == "layers")


def test_without_asking_only_the_newest_frame_is_seen():
    net, given = network(asking=0, told="layers"), conditioning()
    context = given.context.clone()
    context[:, 0] += 1
    assert torch.equal(
        denoised(net, dataclasses.replace(given, context=context)), denoised(net, given)
    )


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"blocks": (1,)}, "must be as many"),
        ({"asking": 3}, r"`asking` \(=3\)"),
        ({"token": 40}, "divisible by `head_width`"),
        ({"told": "never"}, r"`told` \(='never'\)"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(changes, told):
    with pytest.raises(ValueError, match=told):
        dataclasses.replace(SMALL, **changes)


def test_latents_that_cannot_be_cut_are_refused():
    with pytest.raises(ValueError, match="latents of 9x8"):
        SMALL.build((4, 9, 8), CONTEXT, ACTIONS)


def dynamics(**changes):
    torch.manual_seed(0)
    config = DiffusionDynamicsConfig(
        context=CONTEXT, denoiser=SMALL, diffusion=DiffusionConfig(steps=1), **changes
    )
    made = config.build(SHAPE, ACTIONS)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


def predicted(made, action) -> Prediction:
    torch.manual_seed(3)
    state = {
        "latents": torch.randn(ROWS, CONTEXT, *SHAPE),
        "actions": torch.randn(ROWS, CONTEXT - 1, 2),
    }
    noise = {"start": torch.randn(ROWS, *SHAPE)}
    with torch.no_grad():
        return made.predict(state, action, noise)


def test_guidance_goes_on_from_what_would_be_without_actions_to_what_is_with_them():
    action = torch.ones(ROWS, 2)
    plain = predicted(dynamics(action_dropout=0.1), action).latent
    guided = predicted(dynamics(action_dropout=0.1, guidance=3.0), action).latent
    none = predicted(dynamics(action_dropout=0.1, guidance=0.0), action).latent
    assert torch.allclose(guided, none + 3 * (plain - none), atol=1e-4)
    assert (guided - plain).abs().max() > 1e-3


def test_some_rows_are_told_no_actions_in_training(monkeypatch):
    made = dynamics(action_dropout=0.5)
    told = []
    denoise = made.denoise
    monkeypatch.setattr(
        made,
        "denoise",
        lambda noisy, sigma, given: told.append(given) or denoise(noisy, sigma, given),
    )
    latents = torch.randn(64, CONTEXT, *SHAPE)
    state = {"latents": latents, "actions": torch.ones(64, CONTEXT - 1, 2)}
    target = torch.randn(64, *SHAPE)
    made.loss(state, torch.ones(64, 2), target, {}, latents[:, -1])
    left_out = (told[0].actions == made.untold).all(2)
    assert 10 < left_out[:, 0].sum() < 54
    assert torch.equal(left_out.all(1), left_out.any(1))  # all of a row's actions, or none
    assert (told[0].actions[~left_out] == 1).all()


def test_guidance_needs_a_network_that_was_trained_without_actions():
    with pytest.raises(ValueError, match=r"`guidance` \(=2.0\) must be 1 without"):
        DiffusionDynamicsConfig(guidance=2.0)
    with pytest.raises(ValueError, match=r"`action_dropout` \(=1.0\)"):
        DiffusionDynamicsConfig(action_dropout=1.0)
