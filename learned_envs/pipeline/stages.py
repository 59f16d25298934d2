"""The stages of a training, one after another: codec, what comes between, dynamics, packing."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import nn

from learned_envs.data.window import Window
from learned_envs.disk import replace_file
from learned_envs.models.codecs.codec import Codec, TrainableCodec, to_images
from learned_envs.models.codecs.pretrained import PretrainedAutoencoder
from learned_envs.models.codecs.sprites import Sprites
from learned_envs.models.dynamics.diffusion_dynamics import (
    DiffusionDynamics,
    DiffusionDynamicsConfig,
)
from learned_envs.models.dynamics.pointer_editor import PointerEditor
from learned_envs.models.dynamics.pretrained_unet import PretrainedUNet
from learned_envs.models.place_reward import PlaceReward
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.packing import Origin, pack
from learned_envs.pipeline.windows import Windows
from learned_envs.training.codec import latent_spread, train_codec
from learned_envs.training.frames import frames_trainer
from learned_envs.training.journal import Journal
from learned_envs.training.metadata import metadata_trainer
from learned_envs.training.motion import MotionRecipe, motion_trainer
from learned_envs.training.places import places_trainer
from learned_envs.training.progress import cpu_seconds, has_progress
from learned_envs.training.recipe import AnyRecipe, Recipe
from learned_envs.training.ripples import ripples_trainer
from learned_envs.training.rounds import Rounds
from learned_envs.training.sprites import train_sprites
from learned_envs.training.trainer import dynamics_trainer
from learned_envs.worlds import World

_WINDOWS = 8  # that tell what places change to


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a training came to.

    Attributes:
        checkpoint: The packed model's folder; None while its codec is still being trained.
        steps: Optimiser steps of the dynamics so far.
        of: How many the recipe has.
    """

    checkpoint: Path | None
    steps: int
    of: int


def train(
    world: World,
    model: WorldModel,
    origin: Origin,
    folder: Path,
    *,
    windows: Windows,
    held_out: Windows,
    minutes: float | None = None,
    device: str = "cpu",
) -> Trained:
    """Trains a model's codec, then dynamics and heads, going on from what `folder` holds; packs it.

    Between the two come what predicts the world's variables, where a model is told any, and the
    first stage of a pretrained UNet.

    Args:
        world: What is dreamed.
        model: What is trained.
        origin: The recipe, and what else the model card shall say.
        folder: Where progress, TensorBoard logs and the checkpoint go.
        windows: Gives the training windows of round r.
        held_out: Gives held-out windows for seed i, for pictures and for the doubt table.
        minutes: Stop at the end of a round after so long, and pack what there is.
        device: `cpu` or `cuda`.
    """
    clock, recipe = _Clock(minutes), origin.recipe
    stopped = Trained(checkpoint=None, steps=0, of=recipe.steps)
    codec = _trained_codec(model.codec, recipe, windows, folder / "codec", clock, device)
    if codec is None:
        return stopped
    model.codec.load_state_dict(codec.state_dict())
    learned = isinstance(codec, TrainableCodec | PretrainedAutoencoder)
    if learned and isinstance(model.dynamics, DiffusionDynamics):
        spread = _kept(folder / "spread.json", lambda: latent_spread(codec, next(windows(0))))
        begun_with = model.state_dict()
        model = with_sigma_data(model.config, spread).build()
        model.load_state_dict(begun_with)
    fresh = origin.init_from is None and not has_progress(folder)
    if fresh and isinstance(model.dynamics, PointerEditor):
        model.dynamics.begin_with(_changed(model, windows(0)))
    for module, stage in _between(model, recipe, windows, folder, device, fresh):
        if not stage.run(clock.left()):
            return stopped
        module.load_state_dict(stage.average.state_dict())
    journal = Journal(folder / "log", held_out(0))
    shown = {"device": device, "log": journal.log, "round_end": journal.round_end}
    if isinstance(recipe, MotionRecipe):
        trainer = motion_trainer(model, recipe, windows, folder, **shown)
    else:
        trainer = dynamics_trainer(model, recipe, windows, folder, **shown)
    trainer.run(clock.left())
    cost = cpu_seconds(folder) / 3600
    origin = dataclasses.replace(origin, steps=trainer.step, cpu_hours=cost)
    checkpoint = pack(world, trainer.average, folder / "checkpoint", held_out(1), origin)
    return Trained(checkpoint=checkpoint, steps=trainer.step, of=recipe.steps)


def _between(
    model: WorldModel, recipe: AnyRecipe, windows: Windows, folder: Path, device: str, fresh: bool
) -> Iterator[tuple[nn.Module, Rounds[Any]]]:
    """What is trained between codec and dynamics, and by what; each once the one before is done."""

    def place(name: str) -> dict[str, Any]:
        own = folder / name
        return {"folder": own, "device": device, "log": Journal(own / "log").log}

    if isinstance(recipe, MotionRecipe):
        yield model, ripples_trainer(model, recipe.ripples, windows, **place("ripples"))
        if isinstance(model.heads, PlaceReward):
            yield model, places_trainer(model, recipe.places, windows, **place("places"))
        return
    if model.metadata is not None:
        told = metadata_trainer(
            model.metadata, model.codec, model.actions, recipe.metadata, windows,
            **place("metadata"),
        )  # fmt: skip
        yield model.metadata, told
    dynamics = model.dynamics
    if isinstance(dynamics, DiffusionDynamics) and isinstance(dynamics.network, PretrainedUNet):
        if fresh and not has_progress(folder / "frames"):
            dynamics.network.fetch()
        yield (
            dynamics,
            frames_trainer(dynamics, model.codec, recipe.frames, windows, **place("frames")),
        )


@torch.no_grad()
def _changed(model: WorldModel, windows: Iterator[Window]) -> torch.Tensor:
    """What places of latents that changed in a step have become, (N, C), in some windows."""
    became: list[torch.Tensor] = []
    for window in islice(windows, _WINDOWS):
        for frames, valid in zip(window.observation, window.valid, strict=True):
            latents = model.codec.begin(to_images(torch.from_numpy(frames)[None]))[0][0]
            before, after = latents[:-1][valid], latents[1:][valid]
            became.append(after.movedim(1, -1)[(after != before).any(1)])
    return torch.cat(became)


def _kept(path: Path, measure: Callable[[], float]) -> float:
    """A number that is measured once in a run, and read from then on, to four digits."""
    if not path.exists():
        replace_file(path, f"{measure():.4f}\n".encode())
    return float(path.read_text())


class _Clock:
    """The minutes that are left of `minutes`, for one stage after another; None for no bound."""

    def __init__(self, minutes: float | None):
        self._end = None if minutes is None else time.monotonic() + 60 * minutes

    def left(self) -> float | None:
        return None if self._end is None else (self._end - time.monotonic()) / 60


def _trained_codec(
    codec: Codec,
    recipe: AnyRecipe,
    windows: Windows,
    folder: Path,
    clock: _Clock,
    device: str,
) -> Codec | None:
    """The codec as its recipe trains it; None when the time ran out first."""
    left = clock.left()
    if isinstance(codec, PretrainedAutoencoder):
        codec.fetch()
    if isinstance(codec, TrainableCodec) and isinstance(recipe, Recipe):
        return train_codec(codec, recipe.codec, windows, folder, minutes=left, device=device)
    if isinstance(codec, Sprites) and isinstance(recipe, MotionRecipe):
        log = Journal(folder / "log").log
        return train_sprites(
            codec, recipe.codec, windows, folder, minutes=left, device=device, log=log
        )
    return codec


def with_sigma_data(config: WorldModelConfig, spread: float) -> WorldModelConfig:
    """A configuration whose denoiser, if any, takes latents to have that standard deviation."""
    dynamics = config.dynamics
    if not isinstance(dynamics, DiffusionDynamicsConfig):
        return config
    diffusion = dataclasses.replace(dynamics.diffusion, sigma_data=spread)
    return dataclasses.replace(config, dynamics=dataclasses.replace(dynamics, diffusion=diffusion))
