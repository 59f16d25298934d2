"""A pretrained pipeline taught a world in two stages: a tiny one saved to disk; no hub is asked."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from tiny_airstriker import WORLD as AIRSTRIKER

from learned_envs import pipeline, worlds
from learned_envs.data.window import Window
from learned_envs.models import pretrained
from learned_envs.models.actions import DiscreteActions
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.diffusion import Conditioning, predicting_noise
from learned_envs.models.dynamics.diffusion_dynamics import (
    DiffusionDynamics,
    DiffusionDynamicsConfig,
)
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
from learned_envs.models.dynamics.pretrained_unet import PretrainedUNet, pretrained_unet
from learned_envs.models.world_model import draw_noise
from learned_envs.recording.recorder import record
from learned_envs.training.frames import FramesRecipe, frames_trainer
from learned_envs.worlds.look import describe

diffusers = pytest.importorskip("diffusers")
pytest.importorskip("peft")

ACTIONS = DiscreteActions(count=3)
LATENT = (4, 8, 12)
CONTEXT = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A pipeline as `LCM_Dreamshaper_v7` is laid out: autoencoder, UNet and schedule."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("pipeline")
    diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4, scaling_factor=0.5,
    ).save_pretrained(folder / "vae")  # fmt: skip
    unet().save_pretrained(folder / "unet")
    diffusers.LCMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear"
    ).save_pretrained(folder / "scheduler")
    return folder


def unet(**changes: Any) -> Any:
    shape = {
        "in_channels": 4, "out_channels": 4, "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1, "cross_attention_dim": 24, "attention_head_dim": 8,
        "norm_num_groups": 8, "time_cond_proj_dim": 32,
    }  # fmt: skip
    return diffusers.UNet2DConditionModel(**{**shape, **changes})


@pytest.fixture
def network(folder) -> PretrainedUNet:
    torch.manual_seed(1)
    network = pretrained_unet(str(folder), rank=2).build(LATENT, CONTEXT, ACTIONS)
    network.fetch()
    return network


def dynamics(folder: Path) -> DiffusionDynamics:
    torch.manual_seed(1)
    config = DiffusionDynamicsConfig(
        context=CONTEXT, denoiser=pretrained_unet(str(folder), rank=2), diffusion=predicting_noise()
    )
    made = config.build(LATENT, ACTIONS)
    assert isinstance(made.network, PretrainedUNet)
    made.network.fetch()
    return made


def conditioning(seed: int = 0) -> Conditioning:
    generator = torch.Generator().manual_seed(seed)
    return Conditioning(
        context=torch.randn(2, CONTEXT, *LATENT, generator=generator),
        actions=torch.randn(2, CONTEXT, 3, generator=generator),
        level=torch.rand(2, 1, generator=generator),
    )


@torch.no_grad()
@pytest.mark.parametrize("with_past", [False, True])
def test_it_begins_as_the_pretrained_unet(folder, network, with_past):
    noisy, steps = torch.randn(2, *LATENT), torch.tensor([3, 700])
    original = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet")
    expected = original(noisy, steps, network.words.expand(2, -1, -1)).sample
    kept = diffusers.LCMScheduler.from_pretrained(folder / "scheduler").alphas_cumprod[steps]
    sigma = ((1 - kept) / kept).sqrt()
    written = network(noisy, sigma, conditioning() if with_past else None)
    assert torch.allclose(written, expected, atol=1e-4)


@torch.no_grad()
def test_levels_lie_where_the_schedule_has_them(network):
    table = network.log_sigmas
    steps = torch.tensor([0, 1, 500, 999])
    assert torch.allclose(network._time(table[steps].exp()), steps.float(), atol=0.02)
    between = ((table[500] + table[501]) / 2).exp()[None]
    assert network._time(between).item() == pytest.approx(500.5, abs=0.02)
    assert network._time(torch.tensor([1e-4, 1e4])).tolist() == [0, 999]


@torch.no_grad()
def test_what_predicts_the_noise_rightly_finds_the_picture(folder, monkeypatch):
    made = dynamics(folder)
    clean, noise = torch.randn(2, *LATENT), torch.randn(2, *LATENT)
    sigma = torch.tensor([0.1, 14.0])

    def oracle(scaled, told, _):
        level = told[:, None, None, None]
        unit = (clean + level * noise) / (level**2 + 1).sqrt()
        assert torch.allclose(scaled, unit, atol=1e-4)
        return noise

    monkeypatch.setattr(made.network, "forward", oracle)
    noisy = clean + sigma[:, None, None, None] * noise
    assert torch.allclose(made.denoise(noisy, sigma, conditioning()), clean, atol=1e-3)


def windows(number: int):
    """Frames of noise, as an identity codec takes them."""
    random = np.random.default_rng(number)
    while True:
        yield Window(
            observation=random.integers(0, 256, (2, 5, 8, 12, 3), np.uint8),
            action=np.zeros((2, 4), np.int64),
            reward=np.zeros((2, 4)),
            terminated=np.zeros((2, 4), bool),
            first=np.zeros((2, 5), bool),
            valid=np.ones((2, 4), bool),
            metadata={},
        )


def test_the_first_stage_moves_adapters_and_words_alone(tmp_path):
    folder = tmp_path / "pipeline"
    unet(in_channels=3, out_channels=3).save_pretrained(folder)
    config = DiffusionDynamicsConfig(
        context=CONTEXT, denoiser=pretrained_unet(str(folder), rank=2), diffusion=predicting_noise()
    )
    made = config.build((3, 8, 12), ACTIONS)
    assert isinstance(made.network, PretrainedUNet)
    made.network.fetch()
    before = {name: value.clone() for name, value in made.state_dict().items()}
    recipe = FramesRecipe(steps=3, round_steps=3, warmup=0, batch=4, learning_rate=1e-2)
    codec = IdentityConfig().build((8, 12))
    trainer = frames_trainer(made, codec, recipe, windows, tmp_path / "run")
    assert trainer.run(progress=False)
    moved = {name for name, value in made.state_dict().items() if not value.equal(before[name])}
    adapters = {name for name in before if "lora_" in name}
    assert moved == adapters | {"network.words"}


def test_the_second_stage_moves_all_that_was_added_and_nothing_else(folder):
    made = dynamics(folder)
    state = {"latents": torch.randn(4, CONTEXT, *LATENT), "actions": torch.randn(4, CONTEXT - 1, 3)}
    optimiser = torch.optim.Adam([p for p in made.parameters() if p.requires_grad], lr=1e-2)
    before = {name: value.clone() for name, value in made.state_dict().items()}
    for _ in range(2):  # what writes nothing at first passes no gradient on
        optimiser.zero_grad()
        loss = made.loss(
            state, torch.randn(4, 3), torch.randn(4, *LATENT), {}, state["latents"][:, -1]
        )
        loss.total.backward()
        optimiser.step()
    moved = {name for name, value in made.state_dict().items() if not value.equal(before[name])}
    added = ("lora_", "network.words", "network.tell.", "conv_in.beside.")
    assert moved == {name for name in before if any(part in name for part in added)}


def test_only_a_pretrained_unet_draws_frames_alone():
    made = DiffusionDynamicsConfig(
        denoiser=EdmUNetConfig(widths=(8,), blocks=(1,), attention=False)
    ).build(LATENT, ACTIONS)
    with pytest.raises(TypeError, match="EdmUNet always needs a past"):
        made.frame_loss(torch.zeros(1, *LATENT))


def test_its_configuration_comes_back_from_json(folder):
    config = pretrained_unet(str(folder))
    assert config.place == "unet"
    assert config.betas == (0.00085, 0.012)
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"in_channels": 9}, "reads 9 planes and writes 4"),
        ({"class_embed_type": "timestep"}, "needs class_embed_type"),
    ],
)
def test_a_unet_of_another_kind_is_refused(tmp_path, changes, message):
    unet(**changes).save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match=message):
        pretrained_unet(str(tmp_path / "unet"))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ({"prediction_type": "v_prediction"}, "predicts 'v_prediction'"),
        ({"beta_schedule": "linear"}, "has the schedule 'linear'"),
    ],
)
def test_a_schedule_of_another_kind_is_refused(tmp_path, schedule, message):
    unet().save_pretrained(tmp_path / "unet")
    usual = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    diffusers.DDIMScheduler(**{**usual, **schedule}).save_pretrained(tmp_path / "scheduler")
    with pytest.raises(ValueError, match=message):
        pretrained_unet(str(tmp_path))


def test_bad_use_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="UNet2DConditionModel .* cannot be read"):
        pretrained_unet(str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="latents of 8 channels were given"):
        pretrained_unet(str(folder)).build((8, 8, 8), CONTEXT, ACTIONS)
    with pytest.raises(ValueError, match="`rank` \\(=0\\) must be at least 1"):
        pretrained_unet(str(folder), rank=0)
    with pytest.raises(ValueError, match="must be 'epsilon' with a pretrained UNet"):
        DiffusionDynamicsConfig(denoiser=pretrained_unet(str(folder)))
    other = dataclasses.replace(pretrained_unet(str(folder)), name=str(tmp_path))
    unet(block_out_channels=(16, 16)).save_pretrained(tmp_path / "unet")
    with pytest.raises(ValueError, match="do not fit the shape that it had"):
        other.build(LATENT, CONTEXT, ACTIONS).fetch()


def test_a_preset_that_begins_from_nothing_pretrained_says_so():
    with pytest.raises(ValueError, match=r"begins from nothing pretrained; .*: seed"):
        AIRSTRIKER.with_pretrained("small", "folder")


def test_airstriker_is_told_its_variables(folder):
    config = AIRSTRIKER.with_pretrained("seed", str(folder)).presets["seed"]()
    model = dataclasses.replace(config, dynamics=config.dynamics.with_steps(1)).build()
    assert model.metadata is not None
    network = model.dynamics.network
    assert isinstance(network, PretrainedUNet)
    generators = [np.random.default_rng(row) for row in range(2)]
    noise = {
        name: torch.from_numpy(v) for name, v in draw_noise(model.noise_spec, generators).items()
    }
    frames = torch.zeros(2, 1, 112, 160, 3, dtype=torch.uint8)
    state = model.start(frames, torch.zeros(2, 0, dtype=torch.int64))
    torch.nn.init.normal_(network.tell[-1].weight)
    with torch.no_grad():
        drawn = []
        for score in (0.0, 400.0):
            told = state | {"metadata": torch.full_like(state["metadata"], score)}
            following, prediction = model.step(told, torch.zeros(2, dtype=torch.int64), noise)
            drawn.append(following["latents"][:, -1])
            assert set(prediction.metadata) == {"score", "lives", "gameover", "x", "time"}
    assert not torch.allclose(*drawn)


def test_a_world_is_taught_in_two_stages_and_dreams_without_the_pipeline(
    folder, tmp_path, monkeypatch
):
    recordings = str(tmp_path / "recordings")
    world = describe("own_game:DotEnv").world()
    record(world, recordings, 20, workers=0, max_steps=20, progress=False)
    world, _ = pipeline.suited(worlds.find(recordings), recordings)
    world = world.with_pretrained("pretrained", str(folder))
    recipe = dataclasses.replace(
        world.recipes["pretrained"](), steps=2, batch=2, window=4, warmup=0,
        frames=FramesRecipe(steps=2, round_steps=2, batch=4),
    )  # fmt: skip
    whole = world.presets["pretrained"]()
    quick = dataclasses.replace(whole, dynamics=whole.dynamics.with_steps(1))
    world = dataclasses.replace(
        world, presets={"pretrained": lambda: quick}, recipes={"pretrained": lambda: recipe}
    )
    run = tmp_path / "run"
    made = pipeline.train_preset(world, "pretrained", run, recordings=recordings)
    assert (run / "frames").is_dir()
    monkeypatch.setattr(pretrained, "weights", lambda *_: pytest.fail("was fetched"))
    original = diffusers.UNet2DConditionModel.from_pretrained(folder / "unet").state_dict()
    model = load_checkpoint(made.checkpoint).model
    kept = model.dynamics.network.network.state_dict()
    assert torch.allclose(kept["conv_in.own.weight"], original["conv_in.weight"], atol=1e-3)
    env = gym.make("learned_envs:Dream-v0", weights=str(made.checkpoint))
    env.reset(seed=0)
    frame, *_ = env.step(1)
    assert frame.shape == (40, 40, 3)
    again = pipeline.train_preset(
        world, "pretrained", tmp_path / "further", recordings=recordings,
        init_from=str(made.checkpoint),
    )  # fmt: skip
    further = load_checkpoint(again.checkpoint).model.dynamics.network.network.state_dict()
    assert torch.equal(further["conv_in.own.weight"], kept["conv_in.own.weight"])
