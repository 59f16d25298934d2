"""The whole line: a preset becomes a checkpoint."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_training import (
    assert_equal,
    tiny_config,
)

from learned_envs import pipeline, worlds
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.codecs.autoencoder import AutoencoderConfig
from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.identity import IdentityCodec, IdentityConfig
from learned_envs.models.diffusion import DiffusionConfig
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamicsConfig
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
from learned_envs.models.world_model import WorldModelConfig
from learned_envs.packing import HELD_OUT_SEED, collect_starts
from learned_envs.training.codec import CodecRecipe
from learned_envs.training.recipe import Recipe


@pytest.fixture(scope="module")
def world():
    """Breakout with a preset that trains in no time."""

    def tiny() -> WorldModelConfig:
        return tiny_config(64)

    def tiny_recipe() -> Recipe:
        return Recipe(steps=20, round_steps=10, batch=4, window=6, warmup=2)

    breakout = worlds.get("breakout")
    return dataclasses.replace(breakout, presets={"tiny": tiny}, recipes={"tiny": tiny_recipe})


@pytest.fixture(scope="module")
def packed_run(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return folder, pipeline.train_preset(world, "tiny", folder).checkpoint


def test_a_preset_is_trained_into_a_checkpoint_that_loads(packed_run):
    folder, packed = packed_run
    assert packed == folder / "checkpoint"
    checkpoint = load_checkpoint(packed)
    assert checkpoint.world == "breakout"
    trained = checkpoint.settings.pop("trained")
    assert 0 <= trained.pop("cpu_hours") < 1
    assert trained == {"preset": "tiny", "rows": 80, "of": 80, "frames": 0}
    assert checkpoint.settings == {"fps": 15, "max_episode_steps": 1000}
    assert checkpoint.model.config == tiny_config(64)


def test_the_starts_are_frames_of_the_real_reset(packed_run, world):
    frames = load_checkpoint(packed_run[1]).starts.frames.numpy()
    real = world.make_real().reset(seed=0)[0]
    assert frames.shape == (1, 1, 64, 64, 3)
    assert np.array_equal(frames[0, 0], real)


class Watching(IdentityCodec):
    """Wants frames of three ages, and looks at a history as the function it is given."""

    ages = (3, 1, 0)

    def __init__(self, look):
        super().__init__(IdentityConfig(), (64, 64))
        self._look, self.looks = look, 0

    def obscured(self, images):
        self.looks += 1
        return torch.tensor([self._look(self.looks)])


def idle_frames(world, steps):
    env = world.make_real()
    return [
        env.reset(seed=HELD_OUT_SEED)[0],
        *(env.step(world.idle_action)[0] for _ in range(steps)),
    ]


def test_a_start_has_frames_of_the_ages_that_the_codec_wants_and_is_idle(world):
    starts = collect_starts(world, Watching(lambda _: 0.0), count=1)
    played = idle_frames(world, 3)
    assert np.array_equal(starts.frames[0].numpy(), np.stack([played[t] for t in (0, 2, 3)]))
    assert starts.actions.shape == (1, 2)
    assert (starts.actions == world.idle_action).all()


@pytest.mark.parametrize("least", [0.02, 0.4])
def test_a_start_is_a_moment_that_hides_little_or_else_least(world, least):
    codec = Watching(lambda looks: least if looks == 3 else 0.5)
    starts = collect_starts(world, codec, count=1)
    assert codec.looks == 3 if least == 0.02 else codec.looks > 3
    played = idle_frames(world, 13)
    assert np.array_equal(starts.frames[0].numpy(), np.stack([played[t] for t in (10, 12, 13)]))


def test_the_table_of_doubt_is_sorted_and_not_empty(packed_run):
    surprises = load_checkpoint(packed_run[1]).model.surprises
    assert (surprises.diff() >= 0).all()
    assert surprises[0] < surprises[-1]


def test_tensorboard_shows_scalars_sample_grids_and_rollout_strips(packed_run):
    events = EventAccumulator(str(packed_run[0] / "log"))
    events.Reload()
    tags = events.Tags()
    assert {"train/write", "held_out/psnr_1"} <= set(tags["scalars"])
    assert {"one_step", "rollout"} <= set(tags["images"])


def test_the_same_command_again_finds_the_run_complete(packed_run, world):
    folder, packed = packed_run
    before = dict(load_checkpoint(packed).model.named_parameters())
    assert pipeline.train_preset(world, "tiny", folder).checkpoint == packed
    assert_equal(dict(load_checkpoint(packed).model.named_parameters()), before)


def test_a_denoiser_is_told_the_spread_of_the_latents_that_its_codec_came_to(world, tmp_path):
    def tiny() -> WorldModelConfig:
        config = DiffusionDynamicsConfig(
            denoiser=EdmUNetConfig(widths=(8,), blocks=(1,), attention=False, embedding=8),
            diffusion=DiffusionConfig(steps=1),
        )
        codec = AutoencoderConfig(channels=4, factor=8, widths=(8,))
        return dataclasses.replace(tiny_config(64), codec=codec, dynamics=config, heads=None)

    def tiny_recipe() -> Recipe:
        return Recipe(steps=2, batch=4, window=6, codec=CodecRecipe(steps=2, batch=8))

    world = dataclasses.replace(world, presets={"tiny": tiny}, recipes={"tiny": tiny_recipe})
    packed = pipeline.train_preset(world, "tiny", tmp_path / "run").checkpoint
    model = load_checkpoint(packed).model
    frames = next(pipeline.simulated(world, tiny_recipe())[0](0)).observation
    latents = model.codec.encode(to_images(torch.from_numpy(frames)).flatten(0, 1))
    assert model.config.dynamics == model.dynamics.config
    told = model.dynamics.config.diffusion.sigma_data
    assert told == pytest.approx(latents.std().item(), abs=1e-3) != 0.5
    again = pipeline.train_preset(world, "tiny", tmp_path / "more", init_from=str(packed))
    assert again.steps == 2


def test_other_settings_in_the_same_folder_are_refused(packed_run, world):
    with pytest.raises(ValueError, match=r"run with another recipe: give another --out"):
        pipeline.train_preset(world, "tiny", packed_run[0], steps=21)


def test_a_run_that_goes_on_in_another_process_is_refused(packed_run, world):
    folder = packed_run[0]
    hold = (
        "import sys; from pathlib import Path; from learned_envs.disk import only_writer\n"
        "with only_writer(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with other:
        assert other.stdout is not None and other.stdout.readline() == b"held\n"
        with pytest.raises(ValueError, match="is being written by another process: wait"):
            pipeline.train_preset(world, "tiny", folder)
        other.kill()
    assert pipeline.train_preset(world, "tiny", folder).checkpoint == packed_run[1]


def test_a_run_goes_on_that_was_begun_before_there_was_a_setting(packed_run, world):
    begun = packed_run[0] / "run.json"
    settings = json.loads(begun.read_text())
    del settings["recipe"]["metadata"], settings["model"]["metadata"]
    begun.write_text(json.dumps(settings))
    assert pipeline.train_preset(world, "tiny", packed_run[0]).checkpoint == packed_run[1]


def test_an_unknown_preset_is_refused_with_the_known_ones(world, tmp_path):
    with pytest.raises(ValueError, match="breakout has no preset 'huge'; it has tiny"):
        pipeline.train_preset(world, "huge", tmp_path)
    with pytest.raises(ValueError, match="it has none yet"):
        pipeline.train_preset(dataclasses.replace(world, presets={}), "small", tmp_path)


def test_a_preset_out_of_time_is_packed_as_it_is_and_gone_on_with(world, tmp_path):
    stopped = pipeline.train_preset(world, "tiny", tmp_path, minutes=0, steps=4)
    assert (stopped.steps, stopped.of) == (0, 4)
    assert load_checkpoint(stopped.checkpoint).settings["trained"]["rows"] == 0
    done = pipeline.train_preset(world, "tiny", tmp_path, steps=4)
    assert done.steps == 4
    trained = load_checkpoint(done.checkpoint).settings["trained"]
    assert (trained["rows"], trained["of"]) == (16, 80)


def test_a_world_known_from_footage_is_trained_from_a_recording_only(tmp_path):
    world = worlds.get("my_way_home")
    with pytest.raises(ValueError, match=r"my_way_home has no simulator .*\(--recordings\)"):
        pipeline.train_preset(world, "small", tmp_path / "run")
    assert not (tmp_path / "run").exists()
