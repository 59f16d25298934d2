"""The whole line for one world: windows, training, packing."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import platform
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learned_envs.data.window import Window
from learned_envs.data.windows import EpisodeCache, StoreWindows
from learned_envs.disk import full_disk_says, replace_file
from learned_envs.dream.weights import resolve
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.codecs.codec import Codec, TrainableCodec, to_images
from learned_envs.models.codecs.pretrained import PretrainedAutoencoder
from learned_envs.models.codecs.sprites import Sprites
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.dynamics.diffusion_dynamics import (
    DiffusionDynamics,
    DiffusionDynamicsConfig,
)
from learned_envs.models.dynamics.pointer_editor import PointerEditor
from learned_envs.models.dynamics.pretrained_unet import PretrainedUNet
from learned_envs.models.place_reward import PlaceReward
from learned_envs.models.precision import mixed_precision
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.packing import HELD_OUT_ROWS, HELD_OUT_SEED, Origin, pack
from learned_envs.recording.facts import facts_of
from learned_envs.recording.live import LiveWindows, affordable_rows
from learned_envs.recording.opened import recordings_of
from learned_envs.training.closed_loop import closed_loop
from learned_envs.training.codec import codec_loss, latent_spread, train_codec
from learned_envs.training.frames import frames_trainer
from learned_envs.training.journal import Journal
from learned_envs.training.metadata import metadata_trainer
from learned_envs.training.motion import MotionRecipe, motion_trainer
from learned_envs.training.places import places_trainer
from learned_envs.training.progress import cpu_seconds, has_progress
from learned_envs.training.recipe import AnyRecipe, Recipe
from learned_envs.training.ripples import ripples_trainer
from learned_envs.training.sprites import train_sprites
from learned_envs.training.trainer import dynamics_trainer
from learned_envs.worlds import World
from learned_envs.worlds.own_presets import Facts, with_presets

_WINDOWS = 8  # that tell what places change to

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of malloc.h
Windows = Callable[[int], Iterator[Window]]


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


def suited(world: World, recordings: str, run: Path | None = None) -> tuple[World, Facts]:
    """A world of one's own with presets made to measure, and what of its recordings they fit.

    Args:
        world: A world of one's own.
        recordings: Folder of its recordings.
        run: Folder of a training. What its recordings were like when it began is kept in it and
            counts from then on, however much is recorded later.

    Raises:
        ValueError: If the folder holds no episodes, or those of another world.
        FileNotFoundError: If there is no such folder.
    """
    store = recordings_of(world, recordings)
    kept = run and run / "facts.json"
    if kept and kept.exists():
        facts = Facts.from_json(json.loads(kept.read_bytes()))
    else:
        facts = facts_of(store)
        if kept:
            for split in ("train", "validation"):
                store.needed(split)
            kept.parent.mkdir(parents=True, exist_ok=True)
            replace_file(kept, (json.dumps(asdict(facts)) + "\n").encode())
    return with_presets(world, facts), facts


def expected_minutes(world: World, preset: str, recordings: str, device: str = "cpu") -> float:
    """How long a preset's whole training takes here, judged by a few steps of each of its parts.

    Rows that go on from predictions of their own cost more; they are counted in.

    Raises:
        ValueError: If the recordings have no training split.
    """
    config, recipe = world.presets[preset](), world.recipes[preset]()
    assert isinstance(recipe, Recipe)
    model = config.build().to(device)
    window = next(recorded(world, recipe, recordings)[0](0))
    seconds = 0.0
    codec = model.codec
    if isinstance(codec, TrainableCodec):
        frames = torch.from_numpy(window.observation).flatten(0, 1)[: recipe.codec.batch]
        images = to_images(frames.to(device))
        step = _seconds(lambda: codec_loss(codec, images, recipe.codec)[0], device)
        seconds += recipe.codec.steps * step
    for share, resync in _closing_parts(recipe):
        walk = closed_loop(
            model, window, resync=resync, divergence=recipe.divergence,
            on_truth=recipe.on_truth, damaged=recipe.damaged, device=torch.device(device),
        )  # fmt: skip
        deque(islice(walk, model.dynamics.context), 0)  # before it, rows that just began are few
        seconds += share * recipe.steps * _seconds(lambda walk=walk: next(walk).loss.total, device)
    return seconds / 60


def _closing_parts(recipe: Recipe) -> list[tuple[float, float]]:
    """Shares of a training, with the probability in each of going back to the truth."""
    steps = np.linspace(0, recipe.steps, 11)[:-1]
    open_share = float(np.mean([recipe.resync_at(int(step)) >= 1 for step in steps]))
    return [(open_share, 1.0), (1 - open_share, 0.5)]


def _seconds(loss: Callable[[], torch.Tensor], device: str, times: int = 4) -> float:
    """The median time of a loss with its gradients, the first apart."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        with mixed_precision(torch.device(device)):
            total = loss()
        total.backward()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken[1:]))


def train_preset(
    world: World,
    preset: str,
    folder: Path,
    *,
    recordings: str = "sim",
    minutes: float | None = None,
    steps: int | None = None,
    batch: int | None = None,
    device: str = "cpu",
    init_from: str | None = None,
) -> Trained:
    """Trains one of a world's presets and packs it; called again, it goes on where it stopped.

    Args:
        world: What is dreamed.
        preset: Name of a preset of the world.
        folder: Of the run.
        recordings: Folder of a recording, or `sim` to play the simulator while training.
        minutes: Stop at the end of a round after so long.
        steps: Optimiser steps, instead of the recipe's.
        batch: Rows in a batch, instead of the recipe's.
        device: `cpu` or `cuda`.
        init_from: Weights of the same configuration to begin from, instead of random ones.

    Raises:
        ValueError: If there is no such preset, or `folder` holds a run with other settings, or
            there is neither a recording nor a simulator.
        OSError: If the disk is full; what was reached is kept.
    """
    if preset not in world.presets:
        known = ", ".join(world.presets) or "none yet"
        raise ValueError(f"{world.name} has no preset {preset!r}; it has {known}")
    if recordings == "sim" and world.real is None:
        raise ValueError(
            f"{world.name} has no simulator to play while training: give a recording of it "
            "(--recordings)"
        )
    config, recipe = world.presets[preset](), world.recipes[preset]()
    changes = {"steps": steps, "batch": batch}
    recipe = dataclasses.replace(recipe, **{k: v for k, v in changes.items() if v is not None})
    settings = {"world": world.name, "model": to_json(config), "recipe": to_json(recipe)}
    _claim(folder, settings | {"recordings": recordings, "init_from": init_from})
    _keep_freed_memory()
    torch.manual_seed(recipe.seed)
    model, before = config.build(), 0
    if init_from is not None:
        model, before = _initial(resolve(init_from, world.name), config)
    windows, held_out = (simulated if recordings == "sim" else recorded)(world, recipe, recordings)
    origin = Origin(
        recipe=recipe, preset=preset, recordings=recordings, init_from=init_from,
        rows_before=before, frames=0 if recordings == "sim" else _frames(world, recordings),
    )  # fmt: skip
    with full_disk_says(
        f"no space is left for {folder}. What was reached is kept: free some space and run the "
        "same command again to go on"
    ):
        return train(
            world, model, origin, folder,
            windows=windows, held_out=held_out, minutes=minutes, device=device,
        )  # fmt: skip


def _initial(folder: Path, config: WorldModelConfig) -> tuple[WorldModel, int]:
    """A checkpoint's model, ready for training, and the rows that it was trained on."""
    checkpoint = load_checkpoint(folder)
    begun = checkpoint.model
    if _with_sigma_data(begun.config, 1.0) != _with_sigma_data(config, 1.0):
        raise ValueError(
            f"{folder} holds a model of another configuration than the one to be trained: "
            "begin from weights of the same preset, or from none"
        )
    rows = checkpoint.settings.get("trained", {}).get("rows", 0)
    model = begun.config.build()  # what a loaded one is made of is frozen
    model.load_state_dict(begun.state_dict())
    return model, rows


def _keep_freed_memory() -> None:
    """Has glibc reuse large blocks: asking the kernel for them anew costs a fifth of a CPU step."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Writes a run's settings to its folder, or checks them against those it was begun with.

    A setting that was not there yet when it was begun counts as what it is by default.
    """
    path = folder / "run.json"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        replace_file(path, (json.dumps(settings, indent=1) + "\n").encode())
        return
    try:
        begun = dict(json.loads(path.read_bytes()))
        begun |= {name: to_json(from_json(begun[name])) for name in ("model", "recipe")}
    except (ValueError, TypeError, LookupError) as error:
        raise ValueError(
            f"{path} is damaged ({error}): delete it if the run was begun with these settings, or "
            "give another --out"
        ) from error
    begun = json.loads(json.dumps(begun))
    differing = [k for k, v in json.loads(json.dumps(settings)).items() if begun.get(k) != v]
    if differing:
        raise ValueError(
            f"{folder} holds a run with another {' and '.join(differing)}: "
            "give another --out, or the settings it was begun with"
        )


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
        model = _with_sigma_data(model.config, spread).build()
        model.load_state_dict(begun_with)
    fresh = origin.init_from is None and not has_progress(folder)
    if fresh and isinstance(model.dynamics, PointerEditor):
        model.dynamics.begin_with(_changed(model, windows(0)))
    if model.metadata is not None and isinstance(recipe, Recipe):
        told = metadata_trainer(
            model.metadata, model.codec, model.actions, recipe.metadata, windows,
            folder / "metadata", device=device, log=Journal(folder / "metadata" / "log").log,
        )  # fmt: skip
        if not told.run(clock.left()):
            return stopped
        model.metadata.load_state_dict(told.average.state_dict())
    dynamics = model.dynamics
    if isinstance(dynamics, DiffusionDynamics) and isinstance(dynamics.network, PretrainedUNet):
        assert isinstance(recipe, Recipe)
        if fresh:
            dynamics.network.fetch()
        frames = frames_trainer(
            dynamics, model.codec, recipe.frames, windows, folder / "frames", device=device,
            log=Journal(folder / "frames" / "log").log,
        )  # fmt: skip
        if not frames.run(clock.left()):
            return stopped
        dynamics.load_state_dict(frames.average.state_dict())
    if isinstance(recipe, MotionRecipe):
        ripples = ripples_trainer(
            model, recipe.ripples, windows, folder / "ripples", device=device,
            log=Journal(folder / "ripples" / "log").log,
        )  # fmt: skip
        if not ripples.run(clock.left()):
            return stopped
        model.load_state_dict(ripples.average.state_dict())
        if isinstance(model.heads, PlaceReward):
            places = places_trainer(
                model, recipe.places, windows, folder / "places", device=device,
                log=Journal(folder / "places" / "log").log,
            )  # fmt: skip
            if not places.run(clock.left()):
                return stopped
            model.load_state_dict(places.average.state_dict())
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


def _with_sigma_data(config: WorldModelConfig, spread: float) -> WorldModelConfig:
    """A configuration whose denoiser, if any, takes latents to have that standard deviation."""
    dynamics = config.dynamics
    if not isinstance(dynamics, DiffusionDynamicsConfig):
        return config
    diffusion = dataclasses.replace(dynamics.diffusion, sigma_data=spread)
    return dataclasses.replace(config, dynamics=dataclasses.replace(dynamics, diffusion=diffusion))


def simulated(world: World, recipe: AnyRecipe, _: str = "sim") -> tuple[Windows, Windows]:
    """Training and held-out windows straight from the world's batched simulator."""

    def windows(number: int) -> Iterator[Window]:
        return LiveWindows(
            world, recipe.batch, recipe.window, _seed(recipe.seed, number),
            behaviours=dict(recipe.behaviours) or None, max_episode_steps=recipe.episode_steps,
        )  # fmt: skip

    def held_out(number: int) -> Iterator[Window]:
        steps = _held_out_steps(recipe)
        rows = affordable_rows(world, HELD_OUT_ROWS, steps)
        return LiveWindows(
            world, rows, steps, HELD_OUT_SEED + number, warm_up=world.max_episode_steps
        )

    return windows, held_out


def recorded(world: World, recipe: AnyRecipe, folder: str) -> tuple[Windows, Windows]:
    """Training and held-out windows from a recording's training and validation splits."""
    store = recordings_of(world, folder)
    for split in ("train", "validation"):
        store.needed(split)
    cache = EpisodeCache(store)

    def windows(number: int) -> Iterator[Window]:
        seed = _seed(recipe.seed, number)
        return StoreWindows(
            store, "train", batch=recipe.batch, length=recipe.window, seed=seed, cache=cache
        )

    def held_out(number: int) -> Iterator[Window]:
        steps = _held_out_steps(recipe)
        rows = affordable_rows(world, HELD_OUT_ROWS, steps)
        return StoreWindows(store, "validation", batch=rows, length=steps, seed=number)

    return windows, held_out


def _frames(world: World, folder: str) -> int:
    """Frames of a recording's training split."""
    store = recordings_of(world, folder)
    return sum(store.headers[name].steps + 1 for name in store.names("train"))


def _held_out_steps(recipe: AnyRecipe) -> int:
    """Steps of windows for measuring."""
    return recipe.span if isinstance(recipe, MotionRecipe) else recipe.window


def _seed(seed: int, number: int) -> int:
    """A seed for round `number`, below those kept for held-out play."""
    return int(np.random.default_rng((seed, number)).integers(HELD_OUT_SEED))
