"""Plays an exported file with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from learned_envs.dream.exported_file import unpack
from learned_envs.dream.runtime import OUTCOME, Outcome, Runtime, RuntimeState
from learned_envs.models.checkpoint import CheckpointError

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime(Runtime):
    """An exported file; its state holds the newest frame besides the model's own tensors.

    Args:
        path: Of the file.
        device: `cpu` or `cuda`.

    Raises:
        CheckpointError: If the file cannot be read or was not exported by this library.
        ValueError: If ONNX Runtime does not have the device.
        gymnasium.error.DependencyNotInstalled: If onnxruntime is missing.
    """

    name = "onnx"

    def __init__(self, path: Path, device: str = "cpu"):
        self._path, self.device = Path(path), device
        if not self._path.exists():
            raise CheckpointError(f"{path} does not exist: give the path of an exported .onnx file")
        # From its bytes, so that the graph cannot have ONNX Runtime read another file.
        self._session = _session(self._path.read_bytes(), self._path, device)
        entries = self._session.get_modelmeta().custom_metadata_map
        self.spec, init = unpack(entries, self._path)
        self._init = _session(init, self._path, device)
        shape = self.spec.observation_space.shape
        self.state_shapes = {**self.spec.state, "frame": shape}
        self._inputs = [item.name for item in self._session.get_inputs()]

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:
        return OnnxRuntime, (self._path, self.device)

    def start(self, frames: np.ndarray, actions: np.ndarray) -> RuntimeState:
        wanted = {item.name for item in self._init.get_inputs()}  # a context of 1 takes no actions
        feeds = {"frames": frames, "actions": actions}
        outputs = self._init.run(None, {k: v for k, v in feeds.items() if k in wanted})
        return dict(zip(self.state_shapes, outputs, strict=True))

    def step(
        self, state: RuntimeState, action: np.ndarray, noise: Mapping[str, np.ndarray]
    ) -> tuple[RuntimeState, Outcome]:
        feeds = {f"state_{name}": state[name] for name in self.spec.state}
        feeds |= {f"noise_{name}": value for name, value in noise.items()}
        feeds["action"] = action
        outputs = self._session.run(None, {name: feeds[name] for name in self._inputs})
        count = len(self.state_shapes)
        following = dict(zip(self.state_shapes, outputs[:count], strict=True))
        outcome = dict(zip(OUTCOME, outputs[count:], strict=True))
        shown = np.isfinite(self.latents(following)).all((1, 2, 3))
        told = np.isfinite(np.stack(list(outcome.values()))).all(0)
        return following, {**outcome, "finite": np.logical_and(shown, told)}

    def frames(self, state: RuntimeState) -> np.ndarray:
        return state["frame"]

    def latents(self, state: RuntimeState) -> np.ndarray:
        return state["latents"][:, -1]

    def rows(self, state: RuntimeState, rows: np.ndarray) -> RuntimeState:
        return {name: value[rows] for name, value in state.items()}

    def put(self, state: RuntimeState, rows: np.ndarray, source: RuntimeState) -> None:
        for name, value in source.items():
            state[name][rows] = value

    def to_numpy(self, array: Any) -> np.ndarray:
        return np.asarray(array)

    def from_numpy(self, array: np.ndarray) -> np.ndarray:
        return np.array(array)


def _session(graph: bytes, path: Path, device: str) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            "onnxruntime is not installed: run `pip install onnxruntime`, or use runtime='torch' "
            "with the folder of a checkpoint"
        ) from None
    provider, available = _PROVIDERS.get(device), onnxruntime.get_available_providers()
    if provider is None or provider not in available:
        raise ValueError(
            f"device={device!r} was given, but this ONNX Runtime has only {available}: use "
            "device='cpu', or run `pip install onnxruntime-gpu` for device='cuda'"
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()  # one dial for both runtimes
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        raise CheckpointError(
            f"{path} is truncated or no ONNX graph that ONNX Runtime can play ({error}): export it "
            "again"
        ) from error
