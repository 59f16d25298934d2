"""What a training run left on disk: parameters, optimiser moments, where it is. Never pickle."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor, nn

from learned_envs.disk import replace_file

FILE = "progress.safetensors"


def save_progress(
    folder: Path,
    step: int,
    modules: Mapping[str, nn.Module],
    optimiser: torch.optim.Optimizer,
    cpu_seconds: float = 0.0,
) -> None:
    """Writes everything a run needs to go on, atomically, and what it has cost so far.

    Raises:
        OSError: If it cannot be written (a full disk, say); what was written before is kept.
    """
    tensors = {
        f"{name}/{key}": value.contiguous()
        for name, module in modules.items()
        for key, value in module.state_dict().items()
    }
    for i, state in optimiser.state_dict()["state"].items():
        tensors |= {
            f"optimiser/{i}/{key}": torch.as_tensor(value).contiguous()
            for key, value in state.items()
        }
    metadata = {"step": str(step), "cpu_seconds": f"{cpu_seconds:.1f}"}
    metadata["sha256"] = _checksum(metadata, tensors)
    replace_file(folder / FILE, save(tensors, metadata))


def load_progress(
    folder: Path, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer
) -> tuple[int, float]:
    """Restores what `save_progress` wrote.

    Returns:
        Its step and what it has cost in CPU seconds; zeros where there is nothing yet.

    Raises:
        ValueError: If the file is truncated or damaged.
    """
    path = folder / FILE
    if not path.exists():
        return 0, 0.0
    step, cost, tensors = _read(path)
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, name))
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    saved: dict[int, dict[str, Tensor]] = {}
    for key, value in _below(tensors, "optimiser").items():
        index, _, part = key.partition("/")
        saved.setdefault(int(index), {})[part] = _laid_out(value, parameters[int(index)])
    optimiser.load_state_dict({**optimiser.state_dict(), "state": saved})
    return step, cost


def has_progress(folder: Path) -> bool:
    """Whether a run in this folder has got somewhere."""
    return (folder / FILE).exists()


def cpu_seconds(folder: Path) -> float:
    """What training has cost so far, of all the runs in a folder and below it, added up."""
    return sum(
        float(_metadata(path.read_bytes()).get("cpu_seconds", 0)) for path in folder.rglob(FILE)
    )


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    return json.loads(content[8 : 8 + length])["__metadata__"]


def _read(path: Path) -> tuple[int, float, dict[str, Tensor]]:
    content = path.read_bytes()
    try:
        tensors, metadata = load(content), _metadata(content)
        step = int(metadata["step"])
        told, plain = metadata.pop("sha256", ""), metadata.keys() == {"step"}
        if told != _checksum(metadata, tensors) and not (plain and told == ""):
            raise ValueError("it does not add up to its checksum")
    except (SafetensorError, ValueError, KeyError) as error:
        raise ValueError(
            f"{path} is truncated or damaged ({error}): put a copy of it back, or delete it to "
            "train from the beginning"
        ) from error
    return step, float(metadata.get("cpu_seconds", 0)), tensors


def _checksum(metadata: Mapping[str, str], tensors: Mapping[str, Tensor]) -> str:
    plain = metadata.keys() == {"step"}  # as it was written at first
    head = metadata["step"] if plain else json.dumps(metadata, sort_keys=True)
    digest = hashlib.sha256(head.encode())
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        numbers = value.detach().cpu().contiguous().flatten().view(torch.uint8)
        digest.update(numbers.numpy().tobytes())
    return digest.hexdigest()


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """Copies a moment into its parameter's memory layout: fused optimisers go by memory order."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{prefix}/"): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}/")
    }
