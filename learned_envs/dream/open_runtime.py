"""Which runtime plays given weights."""

from __future__ import annotations

from pathlib import Path

from learned_envs.dream.runtime import Runtime
from learned_envs.models.checkpoint import GRAPH


def open_runtime(
    path: Path, runtime: str = "auto", device: str = "cpu", sampler_steps: int | None = None
) -> Runtime:
    """Loads weights into a runtime.

    Args:
        path: A checkpoint's folder or an exported `.onnx` file.
        runtime: `torch`, `onnx`, or `auto`: `onnx` for an exported file and, on the CPU, for a
            checkpoint that holds a graph, since it takes a step in less than half the time.
        device: `cpu` or `cuda`.
        sampler_steps: Of a diffusion model, instead of the checkpoint's; torch only.

    Raises:
        ValueError: If the runtime is unknown or cannot play these weights so, or the device is not
            there; `CheckpointError` if the weights cannot be read.
        gymnasium.error.DependencyNotInstalled: If a package is missing; the message names it.
    """
    if runtime not in ("auto", "torch", "onnx"):
        raise ValueError(f"`runtime` (={runtime!r}) must be 'auto', 'torch' or 'onnx'")
    if path.suffix == ".onnx":
        if runtime == "torch":
            raise ValueError(
                f"{path} is an exported graph, which torch does not play: use runtime='onnx', or "
                "give the folder of the checkpoint"
            )
        return _onnx(path, device, sampler_steps)
    holds_graph = (path / GRAPH).exists()
    if runtime == "onnx" and not holds_graph:
        raise ValueError(
            f"runtime='onnx' plays a graph, and {path} holds none: add one with `learned-envs "
            f"export NAME --weights {path} --embed`, or use runtime='torch'"
        )
    fastest = holds_graph and device == "cpu" and sampler_steps is None
    if runtime == "onnx" or (runtime == "auto" and fastest):
        return _onnx(path, device, sampler_steps)
    from learned_envs.dream.torch_runtime import TorchRuntime

    return TorchRuntime(path, device, sampler_steps)


def _onnx(path: Path, device: str, sampler_steps: int | None) -> Runtime:
    if sampler_steps is not None:
        raise ValueError(
            f"`sampler_steps` (={sampler_steps}) was given, but {path} has its sampler unrolled "
            "inside: leave it out, or use runtime='torch' with the folder of the checkpoint"
        )
    from learned_envs.dream.onnx_runtime import OnnxRuntime

    return OnnxRuntime(path, device)
