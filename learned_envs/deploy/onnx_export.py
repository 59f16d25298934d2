"""Exports a dream as ONNX: one file a world, checked against the checkpoint before it is kept."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor, nn

from learned_envs.deploy.parity import TOLERANCE, check_parity
from learned_envs.dream.exported_file import pack
from learned_envs.dream.onnx_graph import EXAMPLE_ROWS, step_graph, trace, weightless
from learned_envs.dream.onnx_runtime import OnnxRuntime
from learned_envs.dream.torch_runtime import TorchRuntime
from learned_envs.dream.weights import resolve
from learned_envs.models.checkpoint import GRAPH, add_graph
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamics
from learned_envs.models.dynamics.dilated_cnn import DilatedCnn
from learned_envs.models.world_model import WorldModel

if TYPE_CHECKING:
    import onnx


class InitGraph(nn.Module):
    """`WorldModel.start` and the frame, on flat tensors."""

    def __init__(self, model: WorldModel):
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Maps frames (B, K, H, W, 3) and actions (B, K - 1, ...) to the state and its frame."""
        frames, actions = tensors
        state = self.model.start(frames, actions)
        return *(state[name] for name in self.model.state_spec), self.model.render(state)


def export(
    checkpoint: str | Path,
    out: str | Path,
    *,
    dtype: Literal["fp32", "fp16", "both"] = "both",
    steps: int = 200,
) -> list[Path]:
    """Exports a checkpoint as `<world>.onnx` (fp32) and `<world>.fp16.onnx`.

    A file holds one step with the sampler unrolled inside, and all else that playing it takes: see
    `learned_envs.dream.exported_file`. For the dilated CNN its network alone is exported, too, as
    `<world>.denoiser.onnx`: planes (1, P, h, w) in, clean latent (1, C, h, w) out.

    Args:
        checkpoint: Folder, or name of a world with packaged weights.
        out: Folder to write to.
        dtype: What the network computes in.
        steps: Re-synchronised steps over which parity is checked.

    Returns:
        The files written.

    Raises:
        ValueError: If there is no such checkpoint or `dtype`; `CheckpointError` if it cannot be
            read; `ParityError` if a graph does not compute what the checkpoint does, in which case
            it is not left behind.
        gymnasium.error.DependencyNotInstalled: If onnx or onnxscript is missing.
    """
    if dtype not in ("fp32", "fp16", "both"):
        raise ValueError(f"`dtype` (={dtype!r}) must be 'fp32', 'fp16' or 'both'")
    runtime = TorchRuntime(resolve(checkpoint))
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    name = runtime.spec.world or Path(runtime.spec.source).name
    endings = {"fp32": ".onnx", "fp16": ".fp16.onnx"}
    dtypes = list(endings) if dtype == "both" else [dtype]
    init = _init_graph(runtime).SerializeToString()
    written = [_export_world(runtime, init, out / f"{name}{endings[d]}", d, steps) for d in dtypes]
    dynamics = runtime.model.dynamics
    if isinstance(dynamics, DiffusionDynamics) and isinstance(dynamics.network, DilatedCnn):
        written.append(_export_planes(dynamics.network, runtime, out / f"{name}.denoiser.onnx"))
    return written


def embed(checkpoint: str | Path, *, steps: int = 200) -> Path:
    """Adds the graph of its step to a checkpoint, so that ONNX Runtime plays it from its folder.

    The graph holds no weights, so that it adds a hundredth of the checkpoint's size or so.

    Args:
        checkpoint: Folder, or name of a world with packaged weights.
        steps: Re-synchronised steps over which parity is checked.

    Returns:
        The graph's path.

    Raises:
        ValueError: If there is no such checkpoint; `CheckpointError` if it cannot be read;
            `ParityError` if the graph does not compute what the checkpoint does, in which case it
            is not added.
        gymnasium.error.DependencyNotInstalled: If onnx or onnxscript is missing.
    """
    folder = resolve(checkpoint)
    runtime = TorchRuntime(folder)
    graph = weightless(runtime.model)
    with tempfile.TemporaryDirectory() as temporary:
        trial = Path(temporary) / folder.name
        shutil.copytree(folder, trial)
        add_graph(trial, graph)
        check_parity(runtime, OnnxRuntime(trial), tolerance=TOLERANCE["fp32"], steps=steps)
    add_graph(folder, graph)
    return folder / GRAPH


def _export_world(runtime: TorchRuntime, init: bytes, path: Path, dtype: str, steps: int) -> Path:
    graph = step_graph(runtime.model, half=dtype == "fp16")
    for key, value in pack(runtime.spec, init, dtype=dtype).items():
        graph.metadata_props.add(key=key, value=value)
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_bytes(graph.SerializeToString())
        check_parity(runtime, OnnxRuntime(temporary), tolerance=TOLERANCE[dtype], steps=steps)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _init_graph(runtime: TorchRuntime) -> onnx.ModelProto:
    """In fp32 always: it runs once a dream, and its codes should be the checkpoint's."""
    spec, actions = runtime.spec, runtime.model.actions
    frames = np.zeros((EXAMPLE_ROWS, spec.context, *spec.observation_space.shape), np.uint8)
    between = torch.zeros(EXAMPLE_ROWS, spec.context - 1, *actions.shape, dtype=actions.dtype)
    return trace(
        InitGraph(runtime.model).eval(),
        [torch.from_numpy(frames), between],
        inputs=["frames", "actions"],
        outputs=[*(f"state_{n}" for n in spec.state), "frame"],
    )


class _Planes(nn.Module):
    def __init__(self, network: DilatedCnn):
        super().__init__()
        self.network = network

    def forward(self, planes: Tensor) -> Tensor:
        return self.network.from_planes(planes)


def _export_planes(network: DilatedCnn, runtime: TorchRuntime, path: Path) -> Path:
    """The published single-forward form, for a player that runs the sampler itself."""
    example = torch.zeros(1, network.stem.in_channels, *runtime.spec.latent_shape[1:])
    graph = trace(
        _Planes(network).eval(), [example], inputs=["planes"], outputs=["clean"], batched=False
    )
    temporary = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    temporary.write_bytes(graph.SerializeToString())
    os.replace(temporary, path)
    return path
