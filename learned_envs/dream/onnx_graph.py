"""The step of a model as an ONNX graph with named inputs and outputs and a free batch size.

The graph is traced by `torch.export` in strict mode, which follows `len(tensor)` of a free size,
and is written in plain operators of one opset, which ONNX Runtime Web runs, too. For fp16 the trace
runs under autocast, as training does: the network computes in half precision, with its weights
stored so, while the state, the rounding and everything that is marked `.float()` stay in fp32.

An exported file holds its weights, too; a checkpoint, which has them anyway, a graph without.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

from learned_envs.dream.runtime import OUTCOME
from learned_envs.models.codecs.codec import to_frames
from learned_envs.models.world_model import WorldModel, training_noise

if TYPE_CHECKING:
    import onnx

OPSET = 20
EXAMPLE_ROWS = 2
_MODEL, _TRANSPOSED = "model.", ".T"


class StepGraph(nn.Module):
    """`WorldModel.step` and the frame, on flat tensors."""

    def __init__(self, model: WorldModel):
        super().__init__()
        self.model = model

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Maps state, action and noise to what changes of the state, the frame and `OUTCOME`."""
        states, noises = list(self.model.state_spec), list(self.model.noise_spec)
        state = dict(zip(states, tensors, strict=False))
        noise = dict(zip(noises, tensors[len(states) + 1 :], strict=True))
        following, prediction = self.model.step(state, tensors[len(states)], noise)
        frame = to_frames(self.model.decode(following))
        none = torch.zeros_like(prediction.surprise)
        reward = none if prediction.reward is None else prediction.reward
        termination = none if prediction.termination is None else prediction.termination
        assert prediction.doubt is not None
        return (
            *(following[name] for name in _changing(self.model)),
            frame,
            reward,
            termination,
            prediction.doubt,
            prediction.surprise,
        )


def _changing(model: WorldModel) -> list[str]:
    return [name for name in model.state_spec if name not in model.kept_spec]


def step_graph(model: WorldModel, *, half: bool = False) -> onnx.ModelProto:
    """The graph of a model's step, its inputs and outputs named as in `exported_file`.

    Raises:
        gymnasium.error.DependencyNotInstalled: If onnx or onnxscript is missing.
    """
    actions = model.actions
    states = {n: torch.zeros(EXAMPLE_ROWS, *shape) for n, shape in model.state_spec.items()}
    noise = training_noise(model.noise_spec, EXAMPLE_ROWS, torch.device("cpu"))
    action = torch.zeros(EXAMPLE_ROWS, *actions.shape, dtype=actions.dtype)
    return trace(
        StepGraph(model).eval(),
        [*states.values(), action, *noise.values()],
        inputs=[*(f"state_{n}" for n in states), "action", *(f"noise_{n}" for n in noise)],
        outputs=[*(f"next_{n}" for n in _changing(model)), "frame", *OUTCOME],
        half=half,
    )


def weightless(model: WorldModel) -> bytes:
    """The graph of a model's step without the model's own tensors, for `checkpoint.GRAPH`.

    A zip archive: `step.onnx`, in which they are external, and `weights.json`, their names there: a
    tensor's own, with `.T` behind it where the graph holds its transpose.

    Raises:
        gymnasium.error.DependencyNotInstalled: If onnx or onnxscript is missing.
    """
    graph = step_graph(model)
    from onnx import TensorProto, numpy_helper

    tensors = {_MODEL + name: value.numpy() for name, value in model.state_dict().items()}
    renamed: dict[str, str] = {}
    for stored in graph.graph.initializer:
        value = numpy_helper.to_array(stored)
        if name := _source(stored.name, value, tensors):
            renamed[stored.name] = stored.name = name.removeprefix(_MODEL)
            stored.ClearField("raw_data")
            stored.data_location = TensorProto.EXTERNAL
            del stored.external_data[:]
            stored.external_data.add(key="location", value=name)
    for node in graph.graph.node:
        node.input[:] = [renamed.get(name, name) for name in node.input]
        node.ClearField("doc_string")
        del node.metadata_props[:]
    del graph.graph.value_info[:]
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in (
            ("step.onnx", graph.SerializeToString()),
            ("weights.json", json.dumps(sorted(renamed.values()))),
        ):
            file.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED, 9)
    return archive.getvalue()


def _source(name: str, value: np.ndarray, tensors: Mapping[str, np.ndarray]) -> str | None:
    """What an initialiser is among the model's tensors, if it is one of them or its transpose."""
    if name in tensors and np.array_equal(value, tensors[name]):
        return name
    for other, tensor in tensors.items():
        if tensor.ndim == 2 and tensor.size > 1 and np.array_equal(value, tensor.T):
            return other + _TRANSPOSED
    return None


def read_weightless(
    archive: bytes, tensors: Mapping[str, Tensor]
) -> tuple[bytes, dict[str, np.ndarray]]:
    """Opens what `weightless` made: the graph, and its external tensors by their names there.

    Raises:
        ValueError: If it is damaged, or names a tensor that is not among `tensors`.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            graph, names = file.read("step.onnx"), json.loads(file.read("weights.json"))
        return graph, {name: _tensor(name, tensors) for name in names}
    except (zipfile.BadZipFile, zlib.error, LookupError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error


def _tensor(name: str, tensors: Mapping[str, Tensor]) -> np.ndarray:
    value = tensors[name.removesuffix(_TRANSPOSED)]
    return (value.T.contiguous() if name.endswith(_TRANSPOSED) else value).numpy()


def trace(
    module: nn.Module,
    arguments: Sequence[Tensor],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    half: bool = False,
    batched: bool = True,
) -> onnx.ModelProto:
    """Traces a module whose `forward(*tensors)` returns a flat tuple of tensors.

    Args:
        module: In evaluation mode, on the CPU.
        arguments: Examples; with a leading batch axis of more than 1 if `batched`.
        inputs: A name for each argument.
        outputs: A name for each tensor returned.
        half: Let the network compute in fp16.
        batched: Leave the size of the leading axis free.

    Raises:
        gymnasium.error.DependencyNotInstalled: If onnx or onnxscript is missing.
    """
    _require_onnx()
    batch = torch.export.Dim("batch")
    shapes = (tuple({0: batch} for _ in arguments),) if batched else None
    autocast = torch.autocast("cpu", torch.float16, enabled=half)
    with _quiet(), torch.no_grad(), autocast:
        program = torch.export.export(module, tuple(arguments), dynamic_shapes=shapes, strict=True)
        exported = torch.onnx.export(
            program,
            input_names=list(inputs),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert exported is not None
    graph = exported.model_proto
    if half:
        _store_halves(graph)
    if batched:
        for value in (*graph.graph.input, *graph.graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    return graph


def _store_halves(graph: onnx.ModelProto) -> None:
    """Stores weights as fp16 that are cast to it before use; torch does so for small ones only."""
    from onnx import TensorProto, numpy_helper

    nodes, stored = graph.graph.node, graph.graph.initializer
    weights = {tensor.name: tensor for tensor in stored}
    for node in list(nodes):
        if node.op_type == "Cast" and node.input[0] in weights:
            (target,) = (item.i for item in node.attribute if item.name == "to")
            if target == TensorProto.FLOAT16:
                value = numpy_helper.to_array(weights[node.input[0]]).astype(np.float16)
                stored.append(numpy_helper.from_array(value, node.output[0]))
                nodes.remove(node)
    used = {name for node in nodes for name in node.input}
    for tensor in list(stored):
        if tensor.name not in used:
            stored.remove(tensor)


def _require_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise gym.error.DependencyNotInstalled(
            f'{error.name} is not installed, run `pip install "learned-envs[export]"`'
        ) from None


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silences what torch's exporter says about packages and code of its own."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
