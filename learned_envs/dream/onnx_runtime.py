"""Plays an exported file, or a checkpoint that holds its graph, with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from learned_envs.dream.exported_file import unpack
from learned_envs.dream.onnx_graph import read_weightless
from learned_envs.dream.runtime import OUTCOME, Outcome, Runtime, RuntimeState
from learned_envs.dream.torch_runtime import spec_of
from learned_envs.models.checkpoint import GRAPH, CheckpointError, load_checkpoint

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntime(Runtime):
    """A graph; its state holds the newest frame besides the model's own tensors.

    Args:
        path: Of an exported file, or of the folder of a checkpoint with a graph.
        device: `cpu` or `cuda`.

    Raises:
        CheckpointError: If what is there cannot be read or was not made by this library.
        ValueError: If ONNX Runtime does not have the device.
        gymnasium.error.DependencyNotInstalled: If onnxruntime is missing.
    """

    name = "onnx"

    def __init__(self, path: Path, device: str = "cpu"):
        self._path, self.device = Path(path), device
        if not self._path.exists():
            raise CheckpointError(
                f"{path} does not exist: give the path of an exported .onnx file or a checkpoint"
            )
        if self._path.is_dir():
            self._open_checkpoint()
        else:
            self._open_file()
        shape = self.spec.observation_space.shape
        self.state_shapes = {**self.spec.state, "frame": shape}
        self._inputs = [item.name for item in self._session.get_inputs()]
        self._outputs = [item.name for item in self._session.get_outputs()]

    def _open_file(self) -> None:
        # From its bytes, so that the graph cannot have ONNX Runtime read another file.
        self._session = open_session(self._path.read_bytes(), self._path, self.device)
        entries = self._session.get_modelmeta().custom_metadata_map
        self.spec, init = unpack(entries, self._path)
        begin = open_session(init, self._path, self.device)
        wanted = {item.name for item in begin.get_inputs()}  # a context of 1 takes no actions

        def start(frames: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
            feeds = {"frames": frames, "actions": actions}
            return begin.run(None, {k: v for k, v in feeds.items() if k in wanted})

        self._start = start

    def _open_checkpoint(self) -> None:
        checkpoint = load_checkpoint(self._path)
        self.spec, model = spec_of(checkpoint, self._path), checkpoint.model
        place = self._path / GRAPH
        if checkpoint.graph is None:
            raise CheckpointError(f"{place} does not exist: add it with `learned-envs export`")
        try:
            graph, weights = read_weightless(checkpoint.graph, model.state_dict())
        except ValueError as error:
            raise CheckpointError(f"{place} is damaged ({error}): export it again") from error
        self._session = open_session(graph, place, self.device, weights)

        def start(frames: np.ndarray, actions: np.ndarray) -> list[np.ndarray]:
            state = model.start(torch.tensor(frames), torch.tensor(actions))
            begun = [*(state[name] for name in model.state_spec), model.render(state)]
            return [value.numpy() for value in begun]

        self._start = start

    def __reduce__(self) -> tuple[type, tuple[Path, str]]:
        return OnnxRuntime, (self._path, self.device)

    def start(self, frames: np.ndarray, actions: np.ndarray) -> RuntimeState:
        return dict(zip(self.state_shapes, self._start(frames, actions), strict=True))

    def step(
        self, state: RuntimeState, action: np.ndarray, noise: Mapping[str, np.ndarray]
    ) -> tuple[RuntimeState, Outcome]:
        feeds = {f"state_{name}": state[name] for name in self.spec.state}
        feeds |= {f"noise_{name}": value for name, value in noise.items()}
        feeds["action"] = action
        values = self._session.run(self._outputs, {name: feeds[name] for name in self._inputs})
        given = dict(zip(self._outputs, values, strict=True))
        following = {name: given.get(f"next_{name}", state[name]) for name in self.spec.state}
        following["frame"] = given["frame"]
        outcome = {name: given[name] for name in OUTCOME}
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


def open_session(
    graph: bytes, path: Path | str, device: str, weights: Mapping[str, np.ndarray] | None = None
) -> Any:
    """Loads a graph into ONNX Runtime, with as many threads as torch has.

    Args:
        graph: Serialised.
        path: Where it is from, for messages.
        device: `cpu` or `cuda`.
        weights: Its external tensors, by name.

    Raises:
        CheckpointError: If ONNX Runtime cannot play it.
        ValueError: If ONNX Runtime does not have the device.
        gymnasium.error.DependencyNotInstalled: If onnxruntime is missing.
    """
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
    if weights:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(value) for value in weights.values()]
        options.add_external_initializers(list(weights), values)
    try:
        return onnxruntime.InferenceSession(graph, options, providers=[provider])
    except Exception as error:  # ONNX Runtime's errors have no base class of their own
        raise CheckpointError(
            f"{path} is truncated or no ONNX graph that ONNX Runtime can play ({error}): export it "
            "again"
        ) from error
