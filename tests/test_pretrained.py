"""Latents of a pretrained autoencoder: a tiny one that is saved to disk here; no hub is asked."""

import dataclasses
import json
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
import torch

from learned_envs import pipeline, worlds
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.codecs.pretrained import PretrainedAutoencoder, pretrained_autoencoder
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.dynamics.cross_attention import CrossAttentionConfig
from learned_envs.recording.recorder import record
from learned_envs.worlds.look import describe
from learned_envs.worlds.own_presets import Facts, with_presets

diffusers = pytest.importorskip("diffusers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    torch.manual_seed(0)
    network = diffusers.AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
        block_out_channels=(8, 16), latent_channels=4, norm_num_groups=4, scaling_factor=0.5,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("pretrained")
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def codec(folder) -> PretrainedAutoencoder:
    codec = pretrained_autoencoder(str(folder)).build((16, 24))
    codec.fetch()
    return codec


def test_latents_are_the_networks_own_scaled(folder, codec):
    network = diffusers.AutoencoderKL.from_pretrained(folder)
    images = torch.rand(2, 3, 16, 24) * 2 - 1
    with torch.no_grad():
        expected = network.encode(images).latent_dist.mean
        latents = codec.encode(images)
        assert codec.latent_shape == latents.shape[1:] == (4, 8, 12)
        assert torch.allclose(latents, 0.5 * expected, atol=1e-5)
        assert torch.allclose(codec.decode(latents), network.decode(expected).sample, atol=1e-4)
    assert not any(parameter.requires_grad for parameter in codec.parameters())


def test_its_configuration_comes_back_from_json(folder):
    config = pretrained_autoencoder(str(folder))
    assert from_json(json.loads(json.dumps(to_json(config)))) == config


def test_what_is_no_autoencoder_is_refused(tmp_path, folder, monkeypatch):
    with pytest.raises(ValueError, match="cannot be read: give a folder"):
        pretrained_autoencoder(str(tmp_path / "gone"))
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    with pytest.raises(ValueError, match="is a UNet2DModel, expected an AutoencoderKL"):
        pretrained_autoencoder(str(other))
    with pytest.raises(ValueError, match="must be divisible by 2"):
        pretrained_autoencoder(str(folder)).build((15, 16))
    gone = dataclasses.replace(pretrained_autoencoder(str(folder)), name=str(tmp_path / "gone"))
    with pytest.raises(ValueError, match="cannot be read"):
        gone.build((16, 16)).fetch()
    monkeypatch.setitem(__import__("sys").modules, "diffusers", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match="pretrained"):
        pretrained_autoencoder(str(folder))


def test_the_published_model_is_trained_and_plays_without_what_it_began_with(
    folder, tmp_path, monkeypatch
):
    recordings = str(tmp_path / "recordings")
    world = describe("own_game:DotEnv").world()
    record(world, recordings, 20, workers=0, max_steps=20, progress=False)
    world, _ = pipeline.suited(worlds.find(recordings), recordings)
    world = world.with_pretrained("seed", str(folder))
    whole = world.presets["seed"]()
    small = CrossAttentionConfig(widths=(32, 32), blocks=(1, 1), token=32, embedding=32)
    config = dataclasses.replace(
        whole, dynamics=dataclasses.replace(whole.dynamics, context=3, denoiser=small)
    )
    recipe = dataclasses.replace(world.recipes["seed"](), steps=2, batch=2, window=4, warmup=0)
    world = dataclasses.replace(
        world, presets={"seed": lambda: config}, recipes={"seed": lambda: recipe}
    )
    made = pipeline.train_preset(world, "seed", tmp_path / "run", recordings=recordings)
    monkeypatch.setattr(PretrainedAutoencoder, "fetch", lambda self: pytest.fail("was fetched"))
    network = diffusers.AutoencoderKL.from_pretrained(folder)
    model = load_checkpoint(made.checkpoint).model
    for name, value in network.state_dict().items():
        assert torch.allclose(model.codec.network.state_dict()[name], value, atol=1e-2)
    assert model.config.dynamics.diffusion.sigma_data != 0.5
    env = gym.make("learned_envs:Dream-v0", weights=str(made.checkpoint))
    env.reset(seed=0)
    frame, *_ = env.step(1)
    assert frame.dtype == np.uint8
    assert frame.shape == (40, 40, 3)


def test_the_published_sizes(folder):
    world = describe("own_game:DotEnv", image_size=(256, 256)).world()
    world = with_presets(world, Facts(changing=1.0))
    config = world.with_pretrained("seed", str(folder)).presets["seed"]
    dynamics = config().dynamics
    assert dynamics.context == 10
    count = sum(p.numel() for p in dynamics.build((4, 32, 32), config().actions).parameters())
    assert 45e6 < count < 50e6


@pytest.mark.parametrize("size", [(64, 88), (80, 64), (72, 120), (40, 40)])
def test_it_has_as_many_levels_as_pictures_can_be_halved(folder, size):
    world = describe("own_game:DotEnv", image_size=size).world()
    world = with_presets(world, Facts(changing=1.0))
    config = world.with_pretrained("seed", str(folder)).presets["seed"]
    latents = (4, size[0] // 2, size[1] // 2)
    assert config().dynamics.build(latents, config().actions).context == 10
    assert config().heads.build(latents)
