"""The whole line for one world: windows, training, the doubt table, starts, a checkpoint."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import platform
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learned_envs.data.store import EpisodeStore
from learned_envs.data.window import Window
from learned_envs.dream.weights import resolve
from learned_envs.models.checkpoint import Starts, load_checkpoint, save_checkpoint
from learned_envs.models.codecs.autoencoder import Autoencoder
from learned_envs.models.configuration import to_json
from learned_envs.models.world_model import DOUBT_LEVELS, WorldModel, WorldModelConfig, draw_noise
from learned_envs.recording.live import LiveWindows
from learned_envs.training.codec import train_codec
from learned_envs.training.journal import Journal
from learned_envs.training.recipe import Recipe
from learned_envs.training.trainer import dynamics_trainer
from learned_envs.worlds import World

HELD_OUT_SEED = 900_000
HELD_OUT_ROWS = 64
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of malloc.h
Windows = Callable[[int], Iterator[Window]]


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
) -> Path | None:
    """Trains one of a world's presets; called again, it goes on where it stopped.

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

    Returns:
        The checkpoint's folder, or None when `minutes` ran out first.

    Raises:
        ValueError: If there is no such preset, or `folder` holds a run with other settings.
    """
    if preset not in world.presets:
        raise ValueError(
            f"{world.name} has no preset {preset!r}; it has {', '.join(world.presets)}"
        )
    config, recipe = world.presets[preset](), world.recipes[preset]()
    changes = {"steps": steps, "batch": batch}
    recipe = dataclasses.replace(recipe, **{k: v for k, v in changes.items() if v is not None})
    settings = {"world": world.name, "model": to_json(config), "recipe": to_json(recipe)}
    _claim(folder, settings | {"recordings": recordings, "init_from": init_from})
    _keep_freed_memory()
    torch.manual_seed(recipe.seed)
    model = config.build()
    if init_from is not None:
        model = _initial(resolve(init_from, world.name), config)
    windows, held_out = (simulated if recordings == "sim" else recorded)(world, recipe, recordings)
    return train(
        world, model, recipe, folder,
        windows=windows, held_out=held_out, minutes=minutes, device=device,
        source=recordings, init_from=init_from,
    )  # fmt: skip


def _initial(folder: Path, config: WorldModelConfig) -> WorldModel:
    model = load_checkpoint(folder).model
    if model.config != config:
        raise ValueError(
            f"{folder} holds a model of another configuration than the one to be trained: "
            "begin from weights of the same preset, or from none"
        )
    return model.requires_grad_(True)


def _keep_freed_memory() -> None:
    """Has glibc reuse large blocks: asking the kernel for them anew costs a fifth of a CPU step."""
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL("libc.so.6")
        libc.mallopt(M_MMAP_THRESHOLD, 32 * 2**20)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)


def _claim(folder: Path, settings: dict[str, Any]) -> None:
    """Writes a run's settings to its folder, or checks them against those it was begun with."""
    path = folder / "run.json"
    if path.exists():
        begun = json.loads(path.read_text())
        differing = [k for k, v in json.loads(json.dumps(settings)).items() if begun.get(k) != v]
        if differing:
            raise ValueError(
                f"{folder} holds a run with another {' and '.join(differing)}: "
                "give another --out, or the settings it was begun with"
            )
        return
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings, indent=1) + "\n")


def train(
    world: World,
    model: WorldModel,
    recipe: Recipe,
    folder: Path,
    *,
    windows: Windows,
    held_out: Windows,
    minutes: float | None = None,
    device: str = "cpu",
    source: str = "sim",
    init_from: str | None = None,
) -> Path | None:
    """Trains a model's codec, then dynamics and heads, going on from what `folder` holds; packs it.

    Args:
        world: What is dreamed.
        model: What is trained.
        recipe: How.
        folder: Where progress, TensorBoard logs and the checkpoint go.
        windows: Gives the training windows of round r.
        held_out: Gives held-out windows for seed i, for pictures and for the doubt table.
        minutes: Stop at the end of a round after so long.
        device: `cpu` or `cuda`.
        source: What the windows come from, for the model card: `sim` or a recording.
        init_from: What the model began from, for the model card.

    Returns:
        The checkpoint's folder, or None when `minutes` ran out first.
    """
    begun = time.monotonic()
    if isinstance(model.codec, Autoencoder):
        codec = train_codec(
            model.codec, recipe.codec, windows, folder / "codec", minutes=minutes, device=device
        )
        if codec is None:
            return None
        model.codec.load_state_dict(codec.state_dict())
    if minutes is not None:
        minutes -= (time.monotonic() - begun) / 60
    journal = Journal(folder / "log", held_out(0))
    trainer = dynamics_trainer(
        model, recipe, windows, folder, device=device,
        log=journal.log, round_end=journal.round_end,
    )  # fmt: skip
    if not trainer.run(minutes):
        return None
    card = model_card(world, model, recipe, source, init_from)
    return pack(world, trainer.average, folder / "checkpoint", held_out(1), card)


def pack(
    world: World, model: WorldModel, folder: Path, held_out: Iterator[Window], card: str
) -> Path:
    """Fills the doubt table, collects starts and writes the checkpoint with its model card."""
    model = model.to("cpu").eval()
    model.surprises.copy_(measure_surprises(model, held_out))
    save_checkpoint(
        folder,
        model,
        collect_starts(world),
        world=world.name,
        settings={"fps": world.fps, "max_episode_steps": world.max_episode_steps},
        card=card,
    )
    return folder


def model_card(
    world: World, model: WorldModel, recipe: Recipe, source: str, init_from: str | None
) -> str:
    """The part of a model card that is known before anything is measured."""
    dynamics = type(model.config.dynamics).__name__.removesuffix("Config")
    parameters = sum(p.numel() for p in model.parameters())
    played = ", ".join(f"{name} {share:g}" for name, share in world.behaviours.items())
    data = (
        f"The real world's simulator, played while training by its behaviours ({played}) from "
        f"usual and odd starts. Seeds from {HELD_OUT_SEED:,} on were kept for measuring."
        if source == "sim"
        else f"The training split of the recording `{source}`."
    )
    return f"""# {world.id_suffix}, dreamed

A `{dynamics}` of {parameters:,} parameters that dreams `Real-{world.id_suffix}-v0`; play it as
`gymnasium.make("Dream-{world.id_suffix}-v0")`.

## Data

{data}

## Recipe

`learned-envs train {world.name}`, begun from {init_from or "random weights"}, with

```json
{json.dumps(to_json(recipe), indent=1)}
```

## Licence

MIT, like the library: weights and data were made by it.
"""


@torch.no_grad()
def measure_surprises(
    model: WorldModel, held_out: Iterator[Window], windows: int = 4
) -> torch.Tensor:
    """The surprise of one-step predictions on held-out real play, as sorted quantiles (1000,)."""
    context, seen = model.dynamics.context, []
    generators = [np.random.default_rng(row) for row in range(HELD_OUT_ROWS)]
    for window in islice(held_out, windows):
        frames, actions = torch.from_numpy(window.observation), torch.from_numpy(window.action)
        for t in range(context - 1, window.valid.shape[1]):
            begin = t - context + 1
            rows = torch.from_numpy(window.valid[:, begin : t + 1].all(1))
            if not rows.any():
                continue
            state = model.start(frames[rows, begin : t + 1], actions[rows, begin:t])
            draws = draw_noise(model.noise_spec, generators[: int(rows.sum())])
            noise = {name: torch.from_numpy(value) for name, value in draws.items()}
            seen.append(model.step(state, actions[rows, t], noise)[1].surprise)
    levels = (torch.arange(DOUBT_LEVELS) + 0.5) / DOUBT_LEVELS
    return torch.quantile(torch.cat(seen), levels)


def collect_starts(world: World, count: int = 16) -> Starts:
    """The distinct frames that the real env's `reset` shows, over `count` seeds."""
    env = world.make_real()
    frames = np.stack([env.reset(seed=HELD_OUT_SEED + i)[0] for i in range(count)])
    frames = np.unique(frames, axis=0)
    shape = world.action_space.shape or ()
    return Starts(
        frames=torch.from_numpy(frames[:, None]),
        actions=torch.zeros(len(frames), 0, *shape, dtype=_action_dtype(world)),
    )


def _action_dtype(world: World) -> torch.dtype:
    discrete = np.issubdtype(world.action_space.dtype, np.integer)
    return torch.int64 if discrete else torch.float32


def simulated(world: World, recipe: Recipe, _: str = "sim") -> tuple[Windows, Windows]:
    """Training and held-out windows straight from the world's batched simulator."""

    def windows(number: int) -> Iterator[Window]:
        return LiveWindows(
            world, recipe.batch, recipe.window, _seed(recipe.seed, number),
            max_episode_steps=recipe.episode_steps,
        )  # fmt: skip

    def held_out(number: int) -> Iterator[Window]:
        return LiveWindows(
            world, HELD_OUT_ROWS, recipe.window, HELD_OUT_SEED + number,
            warm_up=world.max_episode_steps,
        )  # fmt: skip

    return windows, held_out


def recorded(world: World, recipe: Recipe, folder: str) -> tuple[Windows, Windows]:
    """Training and held-out windows from a recording's training and validation splits."""
    store = EpisodeStore(folder, world.name)

    def windows(number: int) -> Iterator[Window]:
        return store.windows(
            "train", batch=recipe.batch, length=recipe.window, seed=_seed(recipe.seed, number)
        )

    def held_out(number: int) -> Iterator[Window]:
        return store.windows("validation", batch=HELD_OUT_ROWS, length=recipe.window, seed=number)

    return windows, held_out


def _seed(seed: int, number: int) -> int:
    """A seed for round `number`, below those kept for held-out play."""
    return int(np.random.default_rng((seed, number)).integers(HELD_OUT_SEED))
