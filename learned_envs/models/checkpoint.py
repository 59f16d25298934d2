"""A checkpoint: a folder that holds a world model, its starts and its model card.

    config.json          resolved configuration, world, schema version, SHA-256 of all but the card
    model.safetensors    parameters, stored in half precision unless asked otherwise
    starts.safetensors   recorded contexts that a dream may begin from
    graph.zip            where it was added, the step as an ONNX graph without weights
    README.md            the model card

Nothing is ever unpickled: the files are JSON, safetensors, ONNX and text. `docs/security.md` says
what a checkpoint of unknown origin can do.
"""

import glob
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from learned_envs.disk import full_disk_says, remove_abandoned, replace_folder
from learned_envs.models.configuration import from_json, to_json
from learned_envs.models.world_model import WorldModel, WorldModelConfig

SCHEMA = 1
CONFIG, CARD = "config.json", "README.md"
WEIGHTS, STARTS, GRAPH = "model.safetensors", "starts.safetensors", "graph.zip"
_ENTRIES = {"schema", "world", "settings", "model"}
_CHECKSUMS = "sha256"
_UNFIT = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RuntimeError)


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
        graph: What `add_graph` added, or None.
    """

    model: WorldModel
    starts: Starts
    world: str | None
    settings: Mapping[str, Any]
    card: str
    graph: bytes | None = None


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
        folder: Where to; a checkpoint that stands there is replaced, other files are left.
        model: The model.
        starts: At least one context.
        world: Name of the world.
        settings: Plain values that the dream env reads: `fps`, `max_episode_steps`.
        card: Text of the model card.
        dtype: Of the stored floating-point parameters.

    Raises:
        ValueError: If a parameter is no finite number, or the starts do not fit the model.
        OSError: If it cannot be written (a full disk, say); what stood there still does.
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
    files = {
        WEIGHTS: save(stored),
        STARTS: save(
            {"frames": starts.frames.contiguous(), "actions": starts.actions.contiguous()}
        ),
        CARD: card.encode(),
    }
    described = json.loads(json.dumps(described))  # tuples become lists, as they will be read
    _write(folder, files, described)


def add_graph(folder: Path, graph: bytes) -> None:
    """Adds the graph of its step to a checkpoint, in place of one that it may have.

    Raises:
        CheckpointError: If there is no checkpoint, or its tensors do not add up to their checksums.
        OSError: If it cannot be written (a full disk, say); the checkpoint is as it was.
    """
    folder = Path(folder)
    described = read_config(folder)
    checksums = described.get(_CHECKSUMS, {})
    files = {name: _read(folder / name, checksums.get(name)) for name in (WEIGHTS, STARTS)}
    if (card := folder / CARD).exists():
        files[CARD] = card.read_bytes()
    _write(folder, {**files, GRAPH: graph}, described)


def _write(folder: Path, files: dict[str, bytes], described: dict[str, Any]) -> None:
    """Writes a whole folder: `files`, what describes them, and what else lies there already."""
    described[_CHECKSUMS] = {
        name: hashlib.sha256(content).hexdigest() for name, content in files.items() if name != CARD
    }
    described[_CHECKSUMS][CONFIG] = _own_checksum(described)
    files[CONFIG] = (json.dumps(described, indent=1) + "\n").encode()
    full = full_disk_says(
        f"no space is left for {folder}. What stood there before is whole: free some space and "
        "write it again (a training: run the same command again)"
    )
    with full:
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent, f".{glob.escape(folder.name)}-*.tmp")
        temporary = folder.with_name(f".{folder.name}-{os.getpid()}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir()
        try:
            for name, content in files.items():
                (temporary / name).write_bytes(content)
            _take_along(folder, temporary)
            replace_folder(folder, temporary)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _take_along(folder: Path, to: Path) -> None:
    """Copies what is in a folder and not of a checkpoint, such as footage that comes with it."""
    for entry in folder.iterdir() if folder.is_dir() else ():
        if entry.name in {CONFIG, WEIGHTS, STARTS, GRAPH, CARD}:
            continue
        if entry.is_dir():
            shutil.copytree(entry, to / entry.name)
        else:
            shutil.copy2(entry, to / entry.name)


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
    except _UNFIT as error:
        raise CheckpointError(f"{folder / CONFIG}: {error}") from error
    checksums = described.get(_CHECKSUMS, {})
    weights = _read_tensors(folder / WEIGHTS, checksums.get(WEIGHTS))
    _fill(model, weights, folder / WEIGHTS)
    bank = _read_tensors(folder / STARTS, checksums.get(STARTS))
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
        card=card.read_text("utf-8", errors="replace") if card.exists() else "",
        graph=_read(folder / GRAPH, checksums.get(GRAPH)) if (folder / GRAPH).exists() else None,
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Reads what `config.json` says: `schema`, `world`, `settings` and `model`, as plain values.

    `sha256`, where it is there, holds the checksums of the tensor files and of the rest of itself.

    Raises:
        CheckpointError: If the file is missing, no JSON, of another schema, or not as it was
            written.
    """
    path = folder / CONFIG
    if not path.exists():
        raise CheckpointError(
            f"{path} does not exist: give the folder of a checkpoint, with {CONFIG} and {WEIGHTS}"
        )
    try:
        described = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
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
    if not _adds_up(described):
        raise CheckpointError(
            f"{path} is damaged: it does not add up to its checksum. Copy the folder again; if it "
            f"was edited on purpose, remove its entry `{_CHECKSUMS}`"
        )
    world, settings = described["world"], described["settings"]
    named = world is None or (isinstance(world, str) and Path(world).name == world)
    if not named or not isinstance(settings, dict):  # the name becomes part of a path
        raise CheckpointError(
            f"{path}: `world` (={world!r}) must be a name or null, and `settings` an object"
        )
    return described


def _adds_up(described: Mapping[str, Any]) -> bool:
    """Whether a configuration is as it was written, as far as it has checksums to tell."""
    checksums = described.get(_CHECKSUMS)
    if checksums is None:
        return set(described) == _ENTRIES
    return isinstance(checksums, dict) and checksums.get(CONFIG) == _own_checksum(described)


def _own_checksum(described: Mapping[str, Any]) -> str:
    """SHA-256 of all that the configuration says but this checksum itself."""
    others = {name: value for name, value in described[_CHECKSUMS].items() if name != CONFIG}
    text = json.dumps({**described, _CHECKSUMS: others}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _read_tensors(path: Path, checksum: str | None) -> dict[str, Tensor]:
    content = _read(path, checksum)
    try:
        return load(content)
    except SafetensorError as error:
        raise CheckpointError(
            f"{path} is truncated or no safetensors file ({error}): copy it again"
        ) from None


def _read(path: Path, checksum: str | None) -> bytes:
    if not path.exists():
        raise CheckpointError(f"{path} is missing: copy the whole folder again")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if checksum not in (None, found):
        raise CheckpointError(
            f"{path} is truncated, damaged or of another checkpoint: its SHA-256 is {found}, "
            f"{CONFIG} says {checksum}. Copy the whole folder again"
        )
    return content


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
