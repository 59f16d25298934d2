"""Training of a world's presets: what a run's folder was begun with, and where it goes on."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import torch

from learned_envs.disk import full_disk_says, only_writer, replace_file
from learned_envs.dream.weights import resolve
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.packing import Origin
from learned_envs.pipeline.stages import Trained, train, with_sigma_data
from learned_envs.pipeline.windows import frames_recorded, recorded, simulated
from learned_envs.worlds import World

M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1  # of malloc.h


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
        ValueError: If there is no such preset, or `folder` holds a run with other settings or one
            that goes on in another process, or there is neither a recording nor a simulator.
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
    settings |= {"recordings": recordings, "init_from": init_from}
    with (
        full_disk_says(
            f"no space is left for {folder}. What was reached is kept: free some space and run the "
            "same command again to go on"
        ),
        only_writer(folder),
    ):
        _claim(folder, settings)
        _keep_freed_memory()
        torch.manual_seed(recipe.seed)
        model, before = config.build(), 0
        if init_from is not None:
            model, before = _initial(resolve(init_from, world.name), config)
        windows, held_out = (simulated if recordings == "sim" else recorded)(
            world, recipe, recordings
        )
        origin = Origin(
            recipe=recipe, preset=preset, recordings=recordings, init_from=init_from,
            rows_before=before,
            frames=0 if recordings == "sim" else frames_recorded(world, recordings),
        )  # fmt: skip
        return train(
            world, model, origin, folder,
            windows=windows, held_out=held_out, minutes=minutes, device=device,
        )  # fmt: skip


def _initial(folder: Path, config: WorldModelConfig) -> tuple[WorldModel, int]:
    """A checkpoint's model, ready for training, and the rows that it was trained on."""
    checkpoint = load_checkpoint(folder)
    begun = checkpoint.model
    if with_sigma_data(begun.config, 1.0) != with_sigma_data(config, 1.0):
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
