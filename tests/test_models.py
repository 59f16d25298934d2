"""Every family of dynamics over every codec, through the one step function."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_envs.data.window import Window
from learned_envs.models.actions import DiscreteActions, VectorActions
from learned_envs.models.codecs.autoencoder import AutoencoderConfig
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.diffusion import (
    Conditioning,
    DiffusionConfig,
    LogNormalSigma,
    LogUniformSigma,
    warm_start,
)
from learned_envs.models.dynamics.diffusion_dynamics import (
    DiffusionDynamicsConfig,
    diamond,
    tiny_denoiser,
)
from learned_envs.models.dynamics.dilated_cnn import DilatedCnnConfig
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.heads import HeadsConfig
from learned_envs.models.lattice import Lattice
from learned_envs.models.world_model import WorldModel, WorldModelConfig, training_noise
from learned_envs.training.closed_loop import closed_loop

CPU = torch.device("cpu")
SIZE = 16
ROWS = 3
CODECS = {
    "pixels": IdentityConfig(),
    "autoencoder": AutoencoderConfig(channels=4, factor=2, widths=(8, 8)),
    "variational": VariationalAutoencoderConfig(channels=4, widths=(8, 8), blocks=1, groups=4),
    "lattice": AutoencoderConfig(
        channels=4, factor=2, widths=(8,), lattice=Lattice(levels=5, rounding="stochastic")
    ),
}
UNET = EdmUNetConfig(widths=(8, 16), blocks=(1, 1), embedding=16)
GLIMPSE = {"glimpses": 1, "glimpse": 8, "glimpse_widths": (8, 8, 8)}
FAMILIES = {
    "sparse": SparseEditorConfig(patch=2, widths=(8, 12), blocks=(1, 1), head=8, **GLIMPSE),
    "memory": SparseEditorConfig(
        patch=2, widths=(8, 12), blocks=(1, 1), head=8, memory=6, **GLIMPSE
    ),
    "carried": SparseEditorConfig(
        patch=2, widths=(8, 12), blocks=(1, 1), head=8, shifts=((1, 0), (0, -3)), lots=2, **GLIMPSE
    ),
    "unet": DiffusionDynamicsConfig(
        denoiser=UNET, diffusion=DiffusionConfig(steps=2), context_noise=0.2
    ),
    "unet_one_step": DiffusionDynamicsConfig(denoiser=UNET, diffusion=DiffusionConfig(steps=1)),
    "dilated": DiffusionDynamicsConfig(
        denoiser=DilatedCnnConfig(width=8, blocks=2), diffusion=warm_start()
    ),
}
BOTH = [(family, codec) for family in FAMILIES for codec in CODECS]
ACTIONS = DiscreteActions(count=3, idle=1)


def config(family: str = "sparse", codec: str = "pixels") -> WorldModelConfig:
    return WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=ACTIONS,
        codec=CODECS[codec],
        dynamics=FAMILIES[family],
        heads=HeadsConfig(rewards=(0.0, 1.0), patch=2, width=8),
    )


def model_of(family: str, codec: str = "pixels") -> WorldModel:
    torch.manual_seed(0)
    return config(family, codec).build().eval()


def inputs_of(model: WorldModel, rows: int = ROWS) -> tuple[dict, torch.Tensor, dict]:
    torch.manual_seed(1)
    frames = torch.randint(0, 256, (rows, 4, SIZE, SIZE, 3), dtype=torch.uint8)
    state = model.start(frames, torch.randint(0, 3, (rows, 3)))
    noise = training_noise(model.noise_spec, rows, CPU)
    return state, torch.randint(0, 3, (rows,)), noise


@pytest.mark.parametrize(("family", "codec"), BOTH)
@torch.no_grad()
def test_a_step_returns_a_state_of_the_declared_shapes_and_a_prediction_for_every_row(
    family, codec
):
    model = model_of(family, codec)
    state, prediction = model.step(*inputs_of(model))
    assert {name: tuple(value.shape[1:]) for name, value in state.items()} == model.state_spec
    assert prediction.latent.shape == (ROWS, *model.codec.latent_shape)
    assert torch.equal(state["latents"][:, -1], prediction.latent)
    for value in (prediction.reward, prediction.termination, prediction.surprise):
        assert value.shape == (ROWS,) and value.isfinite().all()
    frames = model.render(state)
    assert frames.shape == (ROWS, SIZE, SIZE, 3) and frames.dtype == torch.uint8


@pytest.mark.parametrize(("family", "codec"), BOTH)
@torch.no_grad()
def test_a_step_leaves_its_inputs_as_they_were_and_gives_equal_results_for_equal_inputs(
    family, codec
):
    model = model_of(family, codec)
    state, action, noise = inputs_of(model)
    before = {name: value.clone() for name, value in (state | noise).items()}
    first, _ = model.step(state, action, noise)
    torch.manual_seed(99)
    second, _ = model.step(state, action, noise)
    assert all(torch.equal(before[name], value) for name, value in (state | noise).items())
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(("family", "codec"), BOTH)
@torch.no_grad()
def test_a_row_of_a_batch_equals_the_same_row_alone(family, codec):
    model = model_of(family, codec)
    state, action, noise = inputs_of(model)
    batch = model.dynamics.predict(state, model.actions.encode(action), noise)
    for row in range(ROWS):
        alone = model.dynamics.predict(
            {name: value[row : row + 1] for name, value in state.items()},
            model.actions.encode(action[row : row + 1]),
            {name: value[row : row + 1] for name, value in noise.items()},
        )
        torch.testing.assert_close(alone.latent[0], batch.latent[row], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(alone.surprise[0], batch.surprise[row], atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize(("family", "codec"), BOTH)
def test_gradients_flow_through_two_steps_to_the_first_state(family, codec):
    model = model_of(family, codec)
    state, action, noise = inputs_of(model)
    state["latents"].requires_grad_()
    later, _ = model.step(state, action, noise)
    _, prediction = model.step(later, action, noise)
    prediction.latent.sum().backward()
    gradient = state["latents"].grad
    assert gradient is not None and gradient.isfinite().all() and gradient.abs().sum() > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_loss_moves_every_parameter_and_carries_a_prediction_without_gradients(family):
    model = model_of(family).train()
    state, action, noise = inputs_of(model, rows=16)
    code = model.actions.encode(action)
    loss = model.dynamics.loss(state, code, state["latents"][:, 0], noise, state["latents"][:, -1])
    loss.total.backward()
    still = [n for n, p in model.dynamics.named_parameters() if p.grad is None or not p.grad.any()]
    assert still == []
    assert not loss.prediction().latent.requires_grad
    assert all(not part.requires_grad and part.isfinite() for part in loss.parts.values())


@pytest.mark.parametrize("family", ["unet", "unet_one_step", "dilated"])
def test_the_loss_of_diffusion_predicts_what_a_step_predicts(family):
    model = model_of(family)
    state, action, noise = inputs_of(model)
    code = model.actions.encode(action)
    loss = model.dynamics.loss(state, code, state["latents"][:, 0], noise, state["latents"][:, -1])
    prediction = model.dynamics.predict(state, code, noise)
    assert torch.equal(loss.prediction().latent, prediction.latent)
    assert torch.equal(loss.prediction().surprise, prediction.surprise)


def test_the_error_of_the_change_counts_where_a_row_has_left_the_truth(monkeypatch):
    torch.manual_seed(0)
    model = model_of("unet")
    dynamics = model.dynamics
    config = dataclasses.replace(dynamics.config, delta_weight=0.5)
    monkeypatch.setattr(dynamics, "config", config)
    state, action, noise = inputs_of(model)
    code, newest = model.actions.encode(action), state["latents"][:, -1]
    target = newest + 0.1
    parts = []
    for previous in (newest, newest - 0.3):
        torch.manual_seed(1)
        parts.append(dynamics.loss(state, code, target, noise, previous).parts)
    kept, left = parts
    assert kept["squared_error_of_change"] == kept["squared_error"] == left["squared_error"]
    assert left["squared_error_of_change"] != left["squared_error"]
    assert left["denoise"] != kept["denoise"]


@pytest.mark.parametrize(("family", "codec"), BOTH)
def test_the_closed_loop_walks_on_every_familys_own_predictions(family, codec):
    model = model_of(family, codec).train()
    random = np.random.default_rng(0)
    steps = 5
    window = Window(
        observation=random.integers(0, 256, (ROWS, steps + 1, SIZE, SIZE, 3), np.uint8),
        action=random.integers(0, 3, (ROWS, steps)),
        reward=np.zeros((ROWS, steps), np.float32),
        terminated=np.zeros((ROWS, steps), bool),
        first=np.arange(steps + 1)[None].repeat(ROWS, 0) == 0,
        valid=np.ones((ROWS, steps), bool),
        metadata={},
    )
    ages = []
    with torch.autocast("cpu", dtype=torch.bfloat16, cache_enabled=False):
        for item in closed_loop(model, window, resync=0.0, divergence=np.inf, device=CPU):
            item.loss.total.backward()
            assert item.loss.total.isfinite()
            assert item.loss.prediction().latent.dtype == torch.float32
            ages.append(item.age)
    assert ages == [0, 1, 2, 3, 4]


@torch.no_grad()
def test_the_unet_is_told_how_much_noise_is_on_its_context():
    dynamics = model_of("unet").dynamics
    context, actions = torch.randn(1, 4, 3, SIZE, SIZE), torch.zeros(1, 4, 3)
    quiet, loud = (
        dynamics.denoise(
            torch.zeros(1, 3, SIZE, SIZE),
            torch.ones(1),
            Conditioning(context=context, actions=actions, level=torch.full((1, 1), level)),
        )
        for level in (0.0, 0.2)
    )
    assert not torch.equal(quiet, loud)


def test_context_noise_is_drawn_up_to_its_largest_level_and_told(monkeypatch):
    model, seen = model_of("unet"), []
    state, action, noise = inputs_of(model, rows=64)
    clean = torch.zeros_like(state["latents"])
    denoise = model.dynamics.denoise
    monkeypatch.setattr(
        model.dynamics, "denoise", lambda *given_: seen.append(given_[2]) or denoise(*given_)
    )
    code = model.actions.encode(action)
    still = {**state, "latents": clean}
    model.dynamics.loss(still, code, clean[:, 0], noise, clean[:, 0]).prediction()
    trained, dreamed = seen[:2]
    assert 0.15 < trained.level.max() <= 0.2 and trained.level.min() < 0.05
    deviation = trained.context.flatten(1).std(1)
    torch.testing.assert_close(deviation, trained.level[:, 0], rtol=0.1, atol=1e-3)
    assert torch.equal(dreamed.context, clean) and not dreamed.level.any()


@torch.no_grad()
def test_the_unet_is_told_past_actions_and_the_dilated_cnn_only_the_current_one():
    changes = {}
    for family in ("unet", "dilated"):
        model = model_of(family)
        state, action, noise = inputs_of(model)
        code = model.actions.encode(action)
        before = model.dynamics.predict(state, code, noise).latent
        past = {**state, "actions": state["actions"].flip(-1)}
        now = model.dynamics.predict(state, code.flip(-1), noise).latent
        changes[family] = (
            not torch.equal(model.dynamics.predict(past, code, noise).latent, before),
            not torch.equal(now, before),
        )
    assert changes == {"unet": (True, True), "dilated": (False, True)}


def test_a_short_history_is_padded_with_its_first_frame_and_idle_actions():
    model = model_of("unet")
    frames = torch.randint(0, 256, (2, 2, SIZE, SIZE, 3), dtype=torch.uint8)
    state = model.start(frames, torch.tensor([[0], [2]]))
    assert torch.equal(state["latents"][:, 0], state["latents"][:, 2])
    assert not torch.equal(state["latents"][:, 2], state["latents"][:, 3])
    assert state["actions"].argmax(-1).tolist() == [[1, 1, 0], [1, 1, 2]]


@pytest.mark.parametrize(
    ("frames", "actions", "message"),
    [
        ((2, 4, SIZE, 8, 3), (2, 3), r"\(2, 4, 16, 8, 3\) were given, expected \(B, k, 16, 16, 3"),
        ((2, 0, SIZE, SIZE, 3), (2, 0), "with k >= 1"),
        ((4, SIZE, SIZE, 3), (3,), "expected"),
        ((2, 4, SIZE, SIZE, 3), (2, 4), r"\(2, 4\) were given, expected \(2, 3\): one fewer"),
    ],
)
def test_start_names_the_shape_that_was_given_and_the_one_expected(frames, actions, message):
    model = model_of("dilated")
    with pytest.raises(ValueError, match=message):
        model.start(torch.zeros(frames, dtype=torch.uint8), torch.zeros(actions, dtype=torch.int64))


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: UNET.build((3, 15, 16), 4, ACTIONS), r"15x16 must be divisible by 2"),
        (lambda: FAMILIES["sparse"].build((3, 18, 16), ACTIONS), r"18x16 must be divisible by 4"),
        (lambda: CODECS["autoencoder"].build((15, 16)), r"15x16 must be divisible by `factor`"),
        (lambda: EdmUNetConfig(widths=(8,), blocks=(1, 1)), r"\(1\) and `blocks` \(2\)"),
        (lambda: EdmUNetConfig(widths=(12,), blocks=(1,)), r"`head_width` \(=8\)"),
        (lambda: DilatedCnnConfig(dilations=()), r"`dilations` \(=\(\)\)"),
        (lambda: AutoencoderConfig(factor=2, widths=(8, 8, 8)), r"`factor` \(=2\).*by 4"),
        (lambda: CODECS["variational"].build((15, 16)), r"15x16 must be divisible by 2"),
        (lambda: VariationalAutoencoderConfig(widths=(48,)), r"\(=\(48,\)\).*`groups` \(=32\)"),
        (lambda: VariationalAutoencoderConfig(kl_weight=-1), r"`kl_weight` \(=-1\)"),
        (lambda: AutoencoderConfig(uniform_share=1.5), r"\(=1.5\) must lie in \[0, 1\]"),
        (lambda: DiffusionConfig(steps=0), r"`steps` \(=0\) must be at least 1"),
        (lambda: DiffusionConfig(sigma_min=6.0), r"`sigma_min` \(=6.0\) and `sigma_max` \(=5.0\)"),
        (lambda: DiffusionConfig(start="lats"), r"`start` \(='lats'\) must be one of noise, last"),
        (lambda: LogUniformSigma(low=0.0), r"`low` \(=0.0\)"),
        (lambda: DiffusionDynamicsConfig(context=0), r"`context` \(=0\)"),
        (
            lambda: DiffusionDynamicsConfig(denoiser=DilatedCnnConfig()),
            "must be 'none' with the dilated CNN",
        ),
        (
            lambda: DiffusionDynamicsConfig(
                denoiser=DilatedCnnConfig(), diffusion=warm_start(), context_noise=0.1
            ),
            r"`context_noise` \(=0.1\) must be 0 with the dilated CNN",
        ),
        (lambda: Lattice(levels=1), r"`levels` \(=1\)"),
    ],
)
def test_a_configuration_that_cannot_be_built_says_which_value_is_wrong(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    "value",
    [config(family, codec) for family, codec in BOTH]
    + [diamond(), tiny_denoiser(), VectorActions(idle=(0.5, 0.0)), LogNormalSigma()],
    ids=repr,
)
def test_a_configuration_comes_back_equal_from_json(value):
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


positive = st.floats(1e-4, 1e4)
sigmas = st.tuples(positive, positive).map(sorted)
training_sigmas = sigmas.map(lambda s: LogUniformSigma(low=s[0], high=s[1])) | st.builds(
    LogNormalSigma, mean=st.floats(-3, 3), std=st.floats(0, 3)
)
diffusions = st.builds(
    lambda range_, **rest: DiffusionConfig(sigma_min=range_[0], sigma_max=range_[1], **rest),
    sigmas,
    preconditioning=st.sampled_from(["edm", "none"]),
    training_sigma=training_sigmas,
    schedule=st.sampled_from(["karras", "geometric"]),
    rho=positive,
    steps=st.integers(1, 64),
    sigma_data=positive,
    start=st.sampled_from(["noise", "last"]),
)


@settings(deadline=None)
@given(diffusions, st.lists(st.integers(1, 8).map(lambda n: 8 * n), min_size=1, max_size=4))
def test_any_diffusion_configuration_comes_back_equal_from_json(diffusion, widths):
    denoiser = EdmUNetConfig(widths=tuple(widths), blocks=(1,) * len(widths))
    value = DiffusionDynamicsConfig(denoiser=denoiser, diffusion=diffusion)
    assert from_json(json.loads(json.dumps(to_json(value)))) == value


def test_an_unknown_kind_or_field_is_named():
    with pytest.raises(ValueError, match="'NoSuch' is unknown"):
        from_json({"kind": "NoSuch"})
    with pytest.raises(ValueError, match=r"no fields \['depth'\]"):
        from_json({"kind": "DilatedCnnConfig", "depth": 3})
