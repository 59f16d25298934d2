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
CONFIG, CARD = "config.json", "README.md"
WEIGHTS, STARTS = "model.safetensors", "starts.safetensors"
_ENTRIES = {"schema", "world", "settings", "model"}


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

    Raises:
        ValueError: If a parameter is no finite number, or the starts do not fit the model.
    """
    folder = Path(folder)
    _check_starts(starts, model.config, "`starts`")
    described = {
        "schema": SCHEMA,
        "world": world,
        "settings": dict(settings or {}),
        "model": to_json(model.config),
    }
    stored = {
        name: value.to(dtype).contiguous() if value.is_floating_point() else value.contiguous()
        for name, value in model.state_dict().items()
    }
    if broken := _not_finite(stored):
        raise ValueError(
            f"the model holds NaN, or values that {dtype} cannot, in {broken[:3]}: nothing was "
            "written; go back to an earlier state of the training, or give a wider `dtype`"
        )
    bank = {"frames": starts.frames.contiguous(), "actions": starts.actions.contiguous()}
    temporary = folder.with_name(f"{folder.name}.tmp-{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        (temporary / CONFIG).write_text(json.dumps(described, indent=1) + "\n")
        save_file(stored, temporary / WEIGHTS)
        save_file(bank, temporary / STARTS)
        (temporary / CARD).write_text(card)
        _replace(folder, temporary)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _replace(folder: Path, by: Path) -> None:
    if not folder.exists():
        os.replace(by, folder)
        return
    old = folder.with_name(f"{folder.name}.old-{os.getpid()}")
    os.replace(folder, old)
    os.replace(by, folder)
    shutil.rmtree(old)


def load_checkpoint(folder: Path | str) -> Checkpoint:
    """Reads a checkpoint.

    Raises:
        CheckpointError: If a file is missing, truncated, of a newer schema, not the library's, or
            does not fit the others; the message names the file and the mismatch.
    """
    folder = Path(folder)
    described = read_config(folder)
    try:
        config = from_json(described["model"])
        if not isinstance(config, WorldModelConfig):
            raise ValueError("`model` is no world model configuration")
        with torch.random.fork_rng(devices=[]):  # loading must not touch the user's generator
            model = config.build()
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    _fill(model, _read_tensors(folder / WEIGHTS), folder / WEIGHTS)
    bank = _read_tensors(folder / STARTS)
    if set(bank) != {"frames", "actions"}:
        raise CheckpointError(
            f"{folder / STARTS}: expected `frames` and `actions`, found {sorted(bank)}"
        )
    starts = Starts(frames=bank["frames"], actions=bank["actions"])
    _check_starts(starts, config, folder / STARTS)
    card = folder / CARD
    return Checkpoint(
        model=model.eval().requires_grad_(False),
        starts=starts,
        world=described["world"],
        settings=described["settings"],
        card=card.read_text() if card.exists() else "",
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Reads what `config.json` says: `schema`, `world`, `settings` and `model`, as plain values.

    Raises:
        CheckpointError: If the file is missing, no JSON, or of another schema.
    """
    path = folder / CONFIG
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist: give the folder of a checkpoint, with {CONFIG} and {WEIGHTS}"
        )
    try:
        described = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{path} is not readable JSON ({error}): copy the file again"
        ) from None
    if not isinstance(described, dict) or not set(described) >= _ENTRIES:
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
    common = sorted(set(expected) & set(tensors))
    shapes = [name for name in common if expected[name].shape != tensors[name].shape]
    if missing or foreign or shapes:
        raise CheckpointError(
            f"{path} does not fit {CONFIG}: {len(missing)} tensors missing {missing[:3]}, "
            f"{len(foreign)} foreign {foreign[:3]}, {len(shapes)} of another shape {shapes[:3]}"
        )
    if broken := _not_finite(tensors):
        raise CheckpointError(
            f"{path} holds NaN or infinite values in {broken[:3]}: the weights are damaged, "
            "copy or train them again"
        )
    model.load_state_dict(tensors)


def _not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    return sorted(n for n, v in tensors.items() if v.is_floating_point() and not v.isfinite().all())


def _check_starts(starts: Starts, config: WorldModelConfig, place: Path | str) -> None:
    frames, actions = tuple(starts.frames.shape), tuple(starts.actions.shape)
    picture = (*config.image_size, 3)
    fits = len(frames) == 5 and frames[2:] == picture and min(frames[:2]) > 0
    if not fits or starts.frames.dtype != torch.uint8:
        raise CheckpointError(
            f"{place}: `frames` has shape {frames} and dtype {starts.frames.dtype}, expected "
            f"(N, k, {config.image_size[0]}, {config.image_size[1]}, 3) uint8 with N, k >= 1"
        )
    expected = (frames[0], frames[1] - 1, *config.actions.shape)
    if actions != expected:
        raise CheckpointError(f"{place}: `actions` has shape {actions}, expected {expected}")
