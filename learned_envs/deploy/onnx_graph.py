"""From a torch module to an ONNX graph with named inputs and outputs and a free batch size.

The graph is traced by `torch.export` in strict mode, which follows `len(tensor)` of a free size,
and is written in plain operators of one opset, which ONNX Runtime Web runs, too. For fp16 the trace
runs under autocast, as training does: the network computes in half precision, with its weights
stored so, while the state, the rounding and everything that is marked `.float()` stay in fp32.
"""

from __future__ import annotations

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import gymnasium as gym
import numpy as np
import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    import onnx

OPSET = 20


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
