"""The cost of a dream step: operations counted, milliseconds measured side by side in one run."""

import dataclasses
import itertools
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
from learned_envs.dream.weights import packaged
from learned_envs.evaluation.results import Table
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.diffusion_dynamics import diamond
from learned_envs.models.dynamics.dynamics import Noise, State
from learned_envs.models.world_model import WorldModel, draw_noise
from learned_envs.packing import HELD_OUT_SEED
from learned_envs.recording.live import LiveWindows
from learned_envs.worlds import World

REFERENCE = "reference at DIAMOND's sizes"


@dataclass(frozen=True, kw_only=True, slots=True)
class StepCost:
    """What one dream step costs, decode included.

    Attributes:
        name: Of the model.
        parameters: Count.
        gflop: Billions of floating-point operations (a multiply-add is two), mean of the moments.
        milliseconds: Mean over the moments of the median time by runtime, on one thread in float32,
            batch of one.
    """

    name: str
    parameters: int
    gflop: float
    milliseconds: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class Moment:
    """A moment of real play: what a model costs there depends on what there is to do.

    Attributes:
        frames: (1, k, H, W, 3) uint8, the history.
        actions: (1, k - 1, ...), between its frames.
        action: (1, ...), the one that is taken now.
    """

    frames: Tensor
    actions: Tensor
    action: Tensor


def moments_of(world: World, context: int = 4, count: int = 10) -> list[Moment]:
    """Moments of held-out play by all of a world's behaviours, one from each of `count` games."""
    live = LiveWindows(
        world, count, context, HELD_OUT_SEED, warm_up=min(200, world.max_episode_steps)
    )
    for window in live:
        if window.valid.all():
            break
    frames, actions = torch.from_numpy(window.observation), torch.from_numpy(window.action)
    return [
        Moment(
            frames=frames[row : row + 1, :-1],
            actions=actions[row : row + 1, :-1],
            action=actions[row : row + 1, -1],
        )
        for row in range(count)
    ]


def step_costs(
    models: dict[str, WorldModel], moments: Sequence[Moment], turns: int = 5
) -> list[StepCost]:
    """Measures models in turn, A B A B, so that a drift of the machine's speed hits all alike.

    A dream is stepped many times on end, so each turn is a step at every moment of one model.

    Args:
        models: By name.
        moments: To step from.
        turns: Of each model in each runtime, after one that warms up.

    Raises:
        gymnasium.error.DependencyNotInstalled: If onnx or onnxscript is missing.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        steppers = {
            (name, runtime): make(model, moments)
            for name, model in models.items()
            for runtime, make in RUNTIMES.items()
        }
        times: dict[tuple[str, str], list[list[float]]] = {key: [] for key in steppers}
        for turn in range(turns + 1):
            for key, stepper in steppers.items():
                taken = []
                for _ in moments:
                    begin = time.perf_counter()
                    stepper()
                    taken.append(1000 * (time.perf_counter() - begin))
                if turn:
                    times[key].append(taken)
        return [
            StepCost(
                name=name,
                parameters=sum(p.numel() for p in model.parameters()),
                gflop=count_gflop(model, moments),
                milliseconds={
                    key: statistics.fmean(
                        map(statistics.median, zip(*times[name, key], strict=True))
                    )
                    for key in RUNTIMES
                },
            )
            for name, model in models.items()
        ]
    finally:
        torch.set_num_threads(threads)


def reference_models(world: World) -> dict[str, WorldModel]:
    """Models to be timed side by side: the world's presets that ask no hub, and `REFERENCE`.

    The preset that is packaged has its packaged weights, the others random ones. The reference is a
    denoiser and sampler of DIAMOND's sizes, built from our own modules for the world's frames and
    actions, without heads.
    """
    offline = (name for name in world.presets if name not in world.begun_pretrained)
    configs = {name: world.presets[name]() for name in offline}
    configs[REFERENCE] = dataclasses.replace(
        next(iter(configs.values())), codec=IdentityConfig(), dynamics=diamond(), heads=None
    )
    models = {name: config.build() for name, config in configs.items()}
    if (folder := packaged(world.name)) is not None:
        checkpoint = load_checkpoint(folder)
        preset = checkpoint.settings.get("trained", {}).get("preset")
        if preset in world.presets:
            models[preset] = checkpoint.model
    return models


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
        note="Decode included; a multiply-add counts as two operations. Packaged weights where "
        "there are any, else random ones. A turn is a step from each of ten moments of held-out "
        "play, and models take turns in one run; medians of the turns, means of the moments. The "
        "reference is no preset of this world: it is a denoiser of "
        "[DIAMOND](https://arxiv.org/abs/2405.12399)'s sizes for 64x64 pixels (64 "
        "channels and two blocks at each of four resolutions, three Euler steps), built from "
        "our modules for this world's frames and actions.",
    )


def count_gflop(model: WorldModel, moments: Sequence[Moment]) -> float:
    """Billions of floating-point operations of one step of one row, mean; decode included."""
    step = _stepper(model, moments)
    with FlopCounterMode(display=False) as counter:
        for _ in moments:
            step()
    return counter.get_total_flops() / 1e9 / len(moments)


def _stepper(model: WorldModel, moments: Sequence[Moment]) -> Callable[[], object]:
    model = convert_conv2d_weight_memory_format(model.eval(), torch.channels_last)
    inputs = itertools.cycle([_inputs(model, moment) for moment in moments])

    @torch.no_grad()
    def step() -> Tensor:
        following, _ = model.step(*next(inputs))
        return model.render(following)

    return step


def _graph_stepper(model: WorldModel, moments: Sequence[Moment]) -> Callable[[], object]:
    feeds = itertools.cycle([_feeds(*_inputs(model, moment)) for moment in moments])
    graph = step_graph(model.eval()).SerializeToString()
    session = open_session(graph, "the graph", "cpu")
    return lambda: session.run(None, next(feeds))


RUNTIMES: Mapping[str, Callable[[WorldModel, Sequence[Moment]], Callable[[], object]]] = {
    "torch": _stepper,
    "ONNX Runtime": _graph_stepper,
}


def _inputs(model: WorldModel, moment: Moment) -> tuple[State, Tensor, Noise]:
    state = model.start(moment.frames, moment.actions)
    draws = draw_noise(model.noise_spec, [np.random.default_rng(0)])
    return state, moment.action, {name: torch.from_numpy(value) for name, value in draws.items()}


def _feeds(state: State, action: Tensor, noise: Noise) -> dict[str, np.ndarray]:
    tensors = {f"state_{name}": value for name, value in state.items()}
    tensors |= {f"noise_{name}": value for name, value in noise.items()} | {"action": action}
    return {name: value.numpy() for name, value in tensors.items()}
