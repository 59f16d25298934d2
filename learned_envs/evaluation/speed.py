"""The cost of a dream step: operations counted, milliseconds measured side by side in one run."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.utils.flop_counter import FlopCounterMode

from learned_envs.evaluation.results import Table, as_markdown, record_table
from learned_envs.models.world_model import WorldModel, draw_noise
from learned_envs.worlds import World


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """What one dream step costs, decode included.

    Attributes:
        name: Of the model.
        parameters: Count.
        gflop: Billions of floating-point operations (a multiply-add is two).
        milliseconds: Median time on one thread in float32, batch of one.
    """

    name: str
    parameters: int
    gflop: float
    milliseconds: float


def step_costs(models: dict[str, WorldModel], turns: int = 5, steps: int = 10) -> list[StepCost]:
    """Measures models in turn, A B A B, so that a drift of the machine's speed hits all alike.

    A dream is stepped many times on end, so each turn is several steps of one model.

    Args:
        models: By name.
        turns: Of each model, after one that warms up.
        steps: Timed in each turn.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steppers = {name: _stepper(model) for name, model in models.items()}
        times: dict[str, list[float]] = {name: [] for name in models}
        for turn in range(turns + 1):
            for name, stepper in steppers.items():
                for _ in range(steps):
                    begin = time.perf_counter()
                    stepper()
                    if turn:
                        times[name].append(1000 * (time.perf_counter() - begin))
        return [
            StepCost(
                name=name,
                parameters=sum(p.numel() for p in model.parameters()),
                gflop=count_gflop(model),
                milliseconds=statistics.median(times[name]),
            )
            for name, model in models.items()
        ]
    finally:
        torch.set_num_threads(threads)


def bench(world: World, *, docs: Path | None = None, command: str = "") -> str:
    """Measures every preset of a world and returns the table as text; `docs` also keeps it."""
    costs = step_costs({name: preset().build() for name, preset in world.presets.items()})
    fastest = min(cost.milliseconds for cost in costs)
    table = Table(
        name=f"{world.name}-speed",
        title=f"{world.id_suffix}: cost of one dream step",
        command=command,
        columns=("preset", "parameters", "GFLOP", "ms, one thread, fp32", "times the fastest"),
        rows=[
            (
                cost.name,
                f"{cost.parameters:,}",
                f"{cost.gflop:.3f}",
                f"{cost.milliseconds:.2f}",
                f"{cost.milliseconds / fastest:.1f}",
            )
            for cost in costs
        ],
        note="Decode included; a multiply-add counts as two operations. Presets take turns of "
        "ten steps in one run; medians.",
    )
    if docs is not None:
        record_table(docs, table)
    return as_markdown(table)


def count_gflop(model: WorldModel) -> float:
    """Billions of floating-point operations of one step of one row, decode included."""
    step = _stepper(model)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops() / 1e9


def _stepper(model: WorldModel) -> Callable[[], Tensor]:
    model = convert_conv2d_weight_memory_format(model.eval(), torch.channels_last)
    frames = torch.zeros(1, 1, *model.config.image_size, 3, dtype=torch.uint8)
    shape = model.actions.shape
    state = model.start(frames, torch.zeros(1, 0, *shape, dtype=model.actions.dtype))
    action = torch.zeros(1, *shape, dtype=model.actions.dtype)
    draws = draw_noise(model.noise_spec, [np.random.default_rng(0)])
    noise = {name: torch.from_numpy(value) for name, value in draws.items()}

    @torch.no_grad()
    def step() -> Tensor:
        following, _ = model.step(state, action, noise)
        return model.render(following)

    return step
