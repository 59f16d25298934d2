"""What moves as a whole is carried along, and the denoiser sees where it went."""

import dataclasses

import pytest
import torch

from learned_envs.models.actions import VectorActions
from learned_envs.models.dynamics.carry import Carry
from learned_envs.models.dynamics.cross_attention import CrossAttentionConfig
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
from learned_envs.models.world_model import training_noise

ACTIONS = VectorActions(idle=(0.0,))
SHAPE, CONTEXT = (2, 8, 12), 3
SMALL = DiffusionDynamicsConfig(
    context=CONTEXT, denoiser=EdmUNetConfig(widths=(16, 32), blocks=(1, 1), embedding=32), carry=16
)


def still(carry: Carry, x: float = 0.0, y: float = 0.0) -> Carry:
    """Moves every place by the same."""
    with torch.no_grad():
        carry.flow.weight.zero_()
        carry.flow.bias.copy_(torch.tensor([x, y]))
    return carry


def given(rows: int = 4):
    torch.manual_seed(1)
    return torch.randn(rows, CONTEXT, *SHAPE), torch.randn(rows, CONTEXT, 1)


def test_without_a_flow_the_newest_latent_stays():
    context, actions = given()
    carried = still(Carry(SHAPE, CONTEXT, ACTIONS, 8))(context, actions)
    torch.testing.assert_close(carried, context[:, -1])


@pytest.mark.parametrize(("x", "y"), [(1, 0), (0, 2), (-3, 1)])
def test_a_flow_is_in_places_of_the_latent(x, y):
    context, actions = given()
    carried = still(Carry(SHAPE, CONTEXT, ACTIONS, 8), x, y)(context, actions)
    rolled = context[:, -1].roll((-y, -x), (2, 3))
    inside = slice(max(0, -y), 8 - max(0, y)), slice(max(0, -x), 12 - max(0, x))
    torch.testing.assert_close(carried[..., *inside], rolled[..., *inside])


def scrolling(rows: int, random: torch.Generator):
    """Smooth pictures that an action moves sideways by up to two places."""
    coarse = torch.randn(rows, SHAPE[0], 4, 12, generator=random)
    wide = torch.nn.functional.interpolate(coarse, (8, 36), mode="bicubic")
    steps = torch.randint(-2, 3, (rows, CONTEXT), generator=random)
    begin = torch.cat([torch.zeros(rows, 1, dtype=torch.long), steps.cumsum(1)], 1) + 12
    frames = torch.stack(
        [
            torch.stack([wide[r, :, :, at : at + 12] for at in begin[r].tolist()])
            for r in range(rows)
        ]
    )
    return frames[:, :-1], steps[:, :, None].float(), frames[:, -1]


def test_a_way_is_learned_from_actions():
    torch.manual_seed(0)
    carry, random = Carry(SHAPE, CONTEXT, ACTIONS, 16), torch.Generator().manual_seed(0)
    optimiser = torch.optim.Adam(carry.parameters(), lr=3e-3)
    for _ in range(300):
        context, actions, target = scrolling(16, random)
        loss = (carry(context, actions) - target).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    context, actions, target = scrolling(64, random)
    missed = (carry(context, actions) - target)[..., 2:-2].abs().mean()
    assert missed < 0.3 * (context[:, -1] - target)[..., 2:-2].abs().mean()


def test_the_denoiser_sees_what_was_carried_and_the_loss_counts_what_was_missed():
    torch.manual_seed(0)
    dynamics = SMALL.build(SHAPE, ACTIONS)
    torch.nn.init.normal_(dynamics.network.write.weight, std=0.2)
    context, actions = given()
    state = {"latents": context, "actions": actions[:, :-1]}
    noise = training_noise(dynamics.noise_spec, 4, torch.device("cpu"))
    predicted = []
    for x in (0.0, 2.0):
        still(dynamics.carry, x)
        with torch.no_grad():
            predicted.append(dynamics.predict(state, actions[:, -1], noise).latent)
    assert (predicted[0] - predicted[1]).abs().max() > 1e-3
    still(dynamics.carry)
    loss = dynamics.loss(state, actions[:, -1], context[:, -1], noise, context[:, -1])
    assert loss.parts["carry"] == pytest.approx(0, abs=1e-5)
    far = dynamics.loss(state, actions[:, -1], context[:, -1] + 1, noise, context[:, -1])
    assert far.parts["carry"] == pytest.approx(1, abs=1e-5)
    far.total.backward()
    assert dynamics.carry.flow.bias.grad.abs().max() > 0


def test_only_an_edm_unet_sees_what_is_carried():
    with pytest.raises(ValueError, match=r"`carry` \(=8\) must be 0 with CrossAttentionConfig"):
        DiffusionDynamicsConfig(denoiser=CrossAttentionConfig(), carry=8)
    with pytest.raises(ValueError, match="7x12 must be even to be carried"):
        dataclasses.replace(SMALL, denoiser=EdmUNetConfig(widths=(16,), blocks=(1,))).build(
            (2, 7, 12), ACTIONS
        )
