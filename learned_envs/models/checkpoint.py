"""A checkpoint: a folder that holds a world model, its starts and its model card.

    config.json          resolved configuration, world, schema version
    model.safetensors    parameters, stored in half precision unless asked otherwise
    starts.safetensors   recorded contexts that a dream may begin from
    README.md            the model card

Nothing is ever unpickled: the files are JSON, safetensors and text.
"""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.world_model import WorldModel, WorldModelConfig

SCHEMA = 1
CONFIG, WEIGHTS, STARTS, CARD = "config.json", "model.safetensors", "starts.safetensors", "README.md"


class CheckpointError(ValueError):
    """A folder that is not a checkpoint this version can read; the message names the file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Starts:
    """Recorded contexts that a dream may begin from.

    Attributes:
        frames: (N, k, H, W, 3) uint8.
        actions: (N, k - 1, ...) raw actions.
    """

    frames: Tensor
    actions: Tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What a folder holds.

    Attributes:
        model: The model, in evaluation mode and float32.
        starts: Contexts to begin from.
        world: Name of the world it dreams, or None for one the library does not know by name.
        settings: Plain values that the dream env reads: see `save_checkpoint`.
        card: Text of the model card.
    """

    model: WorldModel
    starts: Starts
    world: str | None
    settings: Mapping[str, Any]
    card: str


def save_checkpoint(
    folder: Path,
    model: WorldModel,
    starts: Starts,
    *,
    world: str | None,
    settings: Mapping[str, Any] | None = None,
    card: str = "",
    dtype: torch.dtype = torch.float16,
) -> None:
    """Writes a checkpoint: whole, under a temporary name, then renamed into place.

    Args:
        folder: Where to; what stands there is replaced.
        model: The model.
        starts: At least one context.
        world: Name of the world.
        settings: Plain values that the dream env reads: `fps`, `max_episode_steps`, `runtime`.
        card: Text of the model card.
        dtype: Of the stored floating-point parameters.
    """
    folder = Path(folder)
    temporary = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    described = {
        "schema": SCHEMA,
        "world": world,
        "settings": dict(settings or {}),
        "model": to_json(model.config),
    }
    (temporary / CONFIG).write_text(json.dumps(described, indent=1) + "\n")
    stored = {
        name: value.to(dtype).contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in model.state_dict().items()
    }
    save_file(stored, temporary / WEIGHTS)
    save_file(
        {"frames": starts.frames.contiguous(), "actions": starts.actions.contiguous()},
        temporary / STARTS,
    )
    (temporary / CARD).write_text(card)
    if folder.exists():
        old = folder.with_name(f"{folder.name}.old-{os.getpid()}")
        os.replace(folder, old)
        os.replace(temporary, folder)
        shutil.rmtree(old)
    else:
        os.replace(temporary, folder)


def load_checkpoint(folder: Path | str) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: If a file is missing, truncated, of a newer schema, not the library's, or
            does not fit the others; the message names the file and the mismatch.
    """
    folder = Path(folder)
    described = _read_config(folder / CONFIG)
    try:
        config = from_json(described["model"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    if not isinstance(config, WorldModelConfig):
        raise CheckpointError(f"{folder / CONFIG}: `model` is no world model configuration")
    model = config.build()
    _fill(model, _read_tensors(folder / WEIGHTS), folder / WEIGHTS)
    starts = _read_tensors(folder / STARTS)
    if set(starts) != {"frames", "actions"} or starts["frames"].shape[2:4] != config.image_size:
        raise CheckpointError(
            f"{folder / STARTS}: expected `frames` (N, k, {config.image_size[0]}, "
            f"{config.image_size[1]}, 3) and `actions`, found "
            f"{ {name: tuple(value.shape) for name, value in starts.items()} }"
        )
    card = folder / CARD
    return Checkpoint(
        model=model.eval().requires_grad_(False),
        starts=Starts(frames=starts["frames"], actions=starts["actions"]),
        world=described["world"],
        settings=described["settings"],
        card=card.read_text() if card.exists() else "",
    )


def _read_config(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist: give the folder of a checkpoint, with {CONFIG} and {WEIGHTS}"
        )
    try:
        described = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not readable JSON ({error}): copy the file again") from None
    if not isinstance(described, dict) or not {"schema", "world", "settings", "model"} <= set(described):
        raise CheckpointError(f"{path} was not written by learned_envs: it has no schema and model")
    if described["schema"] != SCHEMA:
        raise CheckpointError(
            f"{path} has schema {described['schema']}, this version reads {SCHEMA}: "
            "install the version of learned_envs that wrote it, or a newer one"
        )
    return described


def _read_tensors(path: Path) -> dict[str, Tensor]:
    if not path.exists():
        raise CheckpointError(f"{path} is missing: copy the whole folder again")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is truncated or no safetensors file ({error}): copy it again"
        ) from None


def _fill(model: WorldModel, tensors: dict[str, Tensor], path: Path) -> None:
    expected = model.state_dict()
    missing, foreign = sorted(set(expected) - set(tensors)), sorted(set(tensors) - set(expected))
    shapes = [n for n in set(expected) & set(tensors) if expected[n].shape != tensors[n].shape]
    if missing or foreign or shapes:
        raise CheckpointError(
            f"{path} does not fit {CONFIG}: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(foreign)} foreign {foreign[:3]}, {len(shapes)} of another shape {sorted(shapes)[:3]}"
        )
    broken = [n for n, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise CheckpointError(
            f"{path} holds NaN or infinite values in {sorted(broken)[:3]}: the weights are damaged, "
            "copy or train them again"
        )
    model.load_state_dict(tensors)
