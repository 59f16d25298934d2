"""The cost of a dream step: operations counted, milliseconds measured side by side in one run."""

import dataclasses
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.utils.flop_counter import FlopCounterMode

from learned_envs.dream.onnx_graph import step_graph
from learned_envs.dream.onnx_runtime import open_session
from learned_envs.evaluation.results import Table
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.diffusion_dynamics import diamond
from learned_envs.models.dynamics.dynamics import Noise, State
from learned_envs.models.world_model import WorldModel, draw_noise
from learned_envs.worlds import World

REFERENCE = "reference at DIAMOND's sizes"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """What one dream step costs, decode included.

    Attributes:
        name: Of the model.
        parameters: Count.
        gflop: Billions of floating-point operations (a multiply-add is two).
        milliseconds: Median time by runtime, on one thread in float32, batch of one.
    """

    name: str
    parameters: int
    gflop: float
    milliseconds: Mapping[str, float]


def step_costs(models: dict[str, WorldModel], turns: int = 5, steps: int = 10) -> list[StepCost]:
    """Measures models in turn, A B A B, so that a drift of the machine's speed hits all alike.

    A dream is stepped many times on end, so each turn is several steps of one model.

    Args:
        models: By name.
        turns: Of each model in each runtime, after one that warms up.
        steps: Timed in each turn.

    Raises:
        gymnasium.error.DependencyNotInstalled: If onnx or onnxscript is missing.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steppers = {
            (name, runtime): make(model)
            for name, model in models.items()
            for runtime, make in RUNTIMES.items()
        }
        times: dict[tuple[str, str], list[float]] = {key: [] for key in steppers}
        for turn in range(turns + 1):
            for key, stepper in steppers.items():
                for _ in range(steps):
                    begin = time.perf_counter()
                    stepper()
                    if turn:
                        times[key].append(1000 * (time.perf_counter() - begin))
        return [
            StepCost(
                name=name,
                parameters=sum(p.numel() for p in model.parameters()),
                gflop=count_gflop(model),
                milliseconds={key: statistics.median(times[name, key]) for key in RUNTIMES},
            )
            for name, model in models.items()
        ]
    finally:
        torch.set_num_threads(threads)


def reference_models(world: World) -> dict[str, WorldModel]:
    """Models with random weights to be timed side by side: the world's presets, and `REFERENCE`.

    The reference is a denoiser and sampler of DIAMOND's sizes, built from our own modules for the
    world's frames and actions, without heads.
    """
    configs = {name: preset() for name, preset in world.presets.items()}
    configs[REFERENCE] = dataclasses.replace(
        next(iter(configs.values())), codec=IdentityConfig(), dynamics=diamond(), heads=None
    )
    return {name: config.build() for name, config in configs.items()}


def cost_table(world: World, costs: Sequence[StepCost], command: str) -> Table:
    """One row for each model."""
    fastest = {key: min(cost.milliseconds[key] for cost in costs) for key in RUNTIMES}
    columns = [cell for key in RUNTIMES for cell in (f"ms in {key}", "times the fastest")]
    return Table(
        name=f"{world.name}-5-cost",
        title=f"{world.id_suffix}: cost of one dream step, on one thread in fp32",
        command=command,
        columns=("preset", "parameters", "GFLOP", *columns),
        rows=[
            (
                cost.name,
                f"{cost.parameters:,}",
                f"{cost.gflop:.3f}",
                *(
                    cell
                    for key, ms in cost.milliseconds.items()
                    for cell in (f"{ms:.2f}", f"{ms / fastest[key]:.1f}")
                ),
            )
            for cost in costs
        ],
        note="Decode included; a multiply-add counts as two operations. Random weights. Models "
        "take turns of ten steps in one run; medians. The reference is no preset of this world: it "
        "is a denoiser of [DIAMOND](https://arxiv.org/abs/2405.12399)'s sizes for 64x64 pixels (64 "
        "channels and two blocks at each of four resolutions, three Euler steps), built from "
        "our modules for this world's frames and actions.",
    )


def count_gflop(model: WorldModel) -> float:
    """Billions of floating-point operations of one step of one row, decode included."""
    step = _stepper(model)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def _stepper(model: WorldModel) -> Callable[[], object]:
    model = convert_conv2d_weight_memory_format(model.eval(), torch.channels_last)
    state, action, noise = _example(model)

    @torch.no_grad()
    def step() -> Tensor:
        following, _ = model.step(state, action, noise)
        return model.render(following)

    return step


def _graph_stepper(model: WorldModel) -> Callable[[], object]:
    state, action, noise = _example(model)
    tensors = {f"state_{name}": value for name, value in state.items()}
    tensors |= {f"noise_{name}": value for name, value in noise.items()} | {"action": action}
    feeds = {name: value.numpy() for name, value in tensors.items()}
    graph = step_graph(model.eval()).SerializeToString()
    session = open_session(graph, "the graph", "cpu")
    return lambda: session.run(None, feeds)


RUNTIMES: Mapping[str, Callable[[WorldModel], Callable[[], object]]] = {
    "torch": _stepper,
    "ONNX Runtime": _graph_stepper,
}


def _example(model: WorldModel) -> tuple[State, Tensor, Noise]:
    frames = torch.zeros(1, 1, *model.config.image_size, 3, dtype=torch.uint8)
    shape = model.actions.shape
    state = model.start(frames, torch.zeros(1, 0, *shape, dtype=model.actions.dtype))
    action = torch.zeros(1, *shape, dtype=model.actions.dtype)
    draws = draw_noise(model.noise_spec, [np.random.default_rng(0)])
    return state, action, {name: torch.from_numpy(value) for name, value in draws.items()}
