"""Actions as numbers and as planes."""

import pytest
import torch

from learned_envs.models.actions import DiscreteActions, PointActions
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
from learned_envs.models.world_model import WorldModelConfig, training_noise

GRID = (8, 16)
PLANES = EdmUNetConfig(widths=(8, 16), blocks=(1, 1), embedding=16, planes=True)


def drawn(*action: float, actions: PointActions | None = None) -> torch.Tensor:
    actions = actions or PointActions()
    return actions.draw(actions.encode(torch.tensor([action])), GRID)[0]


def test_a_touch_peaks_at_its_place_with_its_strength():
    bell, flag = drawn((11 + 0.5) / 16, (2 + 0.5) / 8, 0.7)
    assert bell.argmax() == 2 * 16 + 11
    assert bell.max() == pytest.approx(0.7)
    assert (flag == 1).all()


@pytest.mark.parametrize("spread", [0.5, 1.0, 2.0])
def test_a_touch_between_places_is_still_seen(spread):
    bell, _ = drawn(0.5, 0.5, 1.0, actions=PointActions(spread=spread))
    assert bell.max() > 0.36
    assert torch.equal(bell, bell.flip(0, 1))


@pytest.mark.parametrize("strength", [0.0, 0.1])
def test_no_touch_is_nothing_at_all(strength):
    assert not drawn(0.5, 0.5, strength).any()


def test_a_touch_of_the_second_kind_has_a_plane_of_its_own():
    kinds = PointActions(idle=(0.0,) * 4)
    one, other = drawn(0.5, 0.5, 1.0, 0.4, actions=kinds), drawn(0.5, 0.5, 1.0, 0.5, actions=kinds)
    assert len(one) == kinds.planes == 3
    assert torch.equal(one, other[[1, 0, 2]])
    assert not one[1].any() and one[0].any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"idle": (0.0, 0.0)}, r"`idle` \(=\(0.0, 0.0\)\)"),
        ({"idle": (0.5, 0.5, 1.0)}, "strength of at most `threshold`"),
        ({"spread": 0.1}, "half a place"),
    ],
)
def test_point_actions_that_make_no_sense_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        PointActions(**wrong)


def test_planes_need_actions_that_can_be_drawn():
    with pytest.raises(ValueError, match="actions that can be drawn"):
        PLANES.build((3, 8, 8), 4, DiscreteActions(count=3))


@torch.no_grad()
def test_a_dream_with_planes_is_touched_where_it_is_touched():
    torch.manual_seed(0)
    model = WorldModelConfig(
        image_size=(16, 16), actions=PointActions(), codec=IdentityConfig(),
        dynamics=DiffusionDynamicsConfig(denoiser=PLANES),
    ).build().eval()  # fmt: skip
    stem = model.dynamics.network.stem
    assert stem.in_channels == 3 + 4 * 3 + 2 + 4
    seen = []
    stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    frames = torch.zeros(1, 4, 16, 16, 3, dtype=torch.uint8)
    state = model.start(frames, torch.zeros(1, 3, 3))
    noise = training_noise(model.noise_spec, 1, torch.device("cpu"))
    model.step(state, torch.tensor([[4.5 / 16, 9.5 / 16, 1.0]]), noise)
    bell, flag, levels = seen[0][0, 15], seen[0][0, 16], seen[0][0, 17:]
    assert bell.argmax() == 9 * 16 + 4
    assert (flag == 1).all() and not levels.any()


def test_each_past_latent_has_its_own_noise_in_training():
    torch.manual_seed(0)
    config = DiffusionDynamicsConfig(denoiser=PLANES, context_noise=0.5)
    dynamics = config.build((3, 8, 8), PointActions())
    seen = []
    dynamics.network.stem.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    state = {"latents": torch.zeros(2, 4, 3, 8, 8), "actions": torch.zeros(2, 3, 3)}
    noise = training_noise(dynamics.noise_spec, 2, torch.device("cpu"))
    dynamics.loss(state, torch.zeros(2, 3), torch.zeros(2, 3, 8, 8), noise, torch.zeros(2, 3, 8, 8))
    levels = seen[0][:, 17:, 0, 0]
    context = dynamics.config.diffusion.sigma_data * seen[0][:, 3:15].unflatten(1, (4, 3))
    assert len(levels.unique()) == 8
    assert torch.allclose(context.flatten(2).std(2), levels, rtol=0.3)
