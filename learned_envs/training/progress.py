"""What a training run left on disk: parameters, optimiser moments, where it is. Never pickle."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

FILE = "progress.safetensors"


def save_progress(
    folder: Path, step: int, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer
) -> None:
    """Writes everything a run needs to go on, atomically."""
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
    temporary = folder / f"{FILE}.tmp"
    save_file(tensors, temporary, metadata={"step": str(step)})
    os.replace(temporary, folder / FILE)


def load_progress(
    folder: Path, modules: Mapping[str, nn.Module], optimiser: torch.optim.Optimizer
) -> int:
    """Restores what `save_progress` wrote and returns its step; 0 where there is nothing yet."""
    path = folder / FILE
    if not path.exists():
        return 0
    tensors = load_file(path)
    for name, module in modules.items():
        module.load_state_dict(_below(tensors, name))
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    saved: dict[int, dict[str, Tensor]] = {}
    for key, value in _below(tensors, "optimiser").items():
        index, _, part = key.partition("/")
        saved.setdefault(int(index), {})[part] = _laid_out(value, parameters[int(index)])
    optimiser.load_state_dict({**optimiser.state_dict(), "state": saved})
    return _step(path)


def _laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    """Copies a moment into its parameter's memory layout: fused optimisers go by memory order."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        key.removeprefix(f"{prefix}/"): value
        for key, value in tensors.items()
        if key.startswith(f"{prefix}/")
    }


def _step(path: Path) -> int:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return int(json.loads(file.read(length))["__metadata__"]["step"])
