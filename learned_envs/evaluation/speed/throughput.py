"""Steps a second of real and dreamed environments, as the environment itself is stepped."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import gymnasium as gym
import psutil
import torch
from gymnasium.vector import VectorEnv

from learned_envs.dream.dream_env import DreamEnv
from learned_envs.dream.dream_vector_env import DreamVectorEnv
from learned_envs.dream.weights import resolve
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.speed.operations import peak_bytes
from learned_envs.evaluation.speed.stopwatch import DTYPES, Budget, call_times, describe, dtypes
from learned_envs.models.checkpoint import GRAPH
from learned_envs.worlds import World

Peaks = Mapping[str, Mapping[str, float]]
"""GFLOP/s by device and dtype."""

REAL, REAL_BATCH, DREAM, DREAM_BATCH = "real env", "real batch", "dream env", "dream batch"


@dataclass(frozen=True, kw_only=True, slots=True)
class Throughput:
    """How fast an environment is stepped.

    Attributes:
        what: `REAL`, `REAL_BATCH`, `DREAM` or `DREAM_BATCH`.
        runtime: `torch` or `onnx`; empty for what is real.
        rows: Steps that one call takes.
        device: Where a dream is computed; `cpu` for what is real.
        dtype: `fp32` or `bf16`; empty for what is real.
        calls: Timed.
        milliseconds: Median of a call.
        gflop: Billions of operations of one row's step; 0 for what is real.
        state_bytes: What the model's state takes, for one row; 0 for what is real.
        peak_bytes: Most that torch's tensors of a call take besides, for one row; 0 where there are
            none.
    """

    what: str
    runtime: str
    rows: int
    device: str
    dtype: str
    calls: int
    milliseconds: float
    gflop: float = 0.0
    state_bytes: int = 0
    peak_bytes: int = 0

    @property
    def steps_per_second(self) -> float:
        """Of all rows together."""
        return 1000 * self.rows / self.milliseconds

    @property
    def gflop_per_second(self) -> float:
        """Over the whole call, with all that is no operation of the model in its time."""
        return self.gflop * self.steps_per_second


def playing(env: gym.Env[Any, Any] | VectorEnv[Any, Any, Any]) -> Callable[[], None]:
    """A call that steps an environment under random actions, resetting it where it does not."""
    env.action_space.seed(0)
    env.reset(seed=0)
    actions = cycle([env.action_space.sample() for _ in range(64)])
    resets_itself = isinstance(env, VectorEnv)

    def call() -> None:
        _, _, terminated, truncated, _ = env.step(next(actions))
        if not resets_itself and (terminated or truncated):
            env.reset()

    return call


def in_dtype(call: Callable[[], None], device: str, dtype: str) -> Callable[[], None]:
    """The call as it is, or for `bf16` under `torch.autocast`, which keeps states in float32."""

    def inside() -> None:
        with torch.autocast(device, DTYPES["bf16"], enabled=dtype == "bf16"):
            call()

    return inside


def dream_batch(
    world: World, weights: str | None, rows: int, device: str, runtime: str = "torch"
) -> DreamVectorEnv:
    """A batch of dreams; in torch its frames stay on the device."""
    return DreamVectorEnv(
        rows, weights, world=world.name, runtime=runtime, device=device,
        observations="torch" if runtime == "torch" else "numpy",
        max_episode_steps=world.max_episode_steps,
    )  # fmt: skip


def real_throughput(world: World, rows: int, budget: Budget | None = None) -> list[Throughput]:
    """Times a single real game and a batch of `rows`; nothing where a world has no such env."""
    envs: list[tuple[str, int, Any]] = []
    if world.real is not None:
        envs.append((REAL, 1, world.make_real()))
    if world.real_vector is not None:
        limit = world.max_episode_steps
        envs.append((REAL_BATCH, rows, world.make_real_vec(rows, max_episode_steps=limit)))
    measured = []
    for what, count, env in envs:
        times = call_times(playing(env), budget=budget)
        measured.append(
            Throughput(
                what=what, runtime="", rows=count, device="cpu", dtype="", calls=len(times),
                milliseconds=1000 * statistics.median(times),
            )
        )  # fmt: skip
    return measured


def dream_throughput(
    world: World,
    weights: str | None,
    *,
    gflop: float,
    batches: Sequence[int],
    device: str,
    budget: Budget | None = None,
) -> list[Throughput]:
    """Times a single dream and batches on a device, in torch in fp32 and, where it pays, bf16.

    On the CPU also in ONNX Runtime in fp32, if the checkpoint holds a graph. A batch that, going by
    those before it, wants more memory than is free is left out.

    Args:
        world: What is dreamed.
        weights: Folder of a checkpoint; the packaged weights if None.
        gflop: Billions of operations of one row's step.
        batches: Rows in each batch, fewest first.
        device: `cpu` or `cuda`.
        budget: Of each row of the table.
    """
    kinds = [("torch", dtype) for dtype in dtypes(device)]
    if device == "cpu" and (resolve(weights, world.name) / GRAPH).exists():
        kinds.append(("onnx", "fp32"))
    measured: list[Throughput] = []
    for what, rows in [(DREAM, 1), *((DREAM_BATCH, rows) for rows in batches)]:
        if rows * max((item.peak_bytes for item in measured), default=0) > _spare_bytes(device):
            break
        for runtime, dtype in kinds:
            if what == DREAM:
                env = DreamEnv(weights, world=world.name, runtime=runtime, device=device)
            else:
                env = dream_batch(world, weights, rows, device, runtime)
            call = in_dtype(playing(env), device, dtype)
            times = call_times(call, device, budget=budget)
            state = env.get_state()["model"].values()
            peak = peak_bytes(call, device) // rows if runtime == "torch" else 0
            measured.append(
                Throughput(
                    what=what, runtime=runtime, rows=rows, device=device, dtype=dtype,
                    calls=len(times), milliseconds=1000 * statistics.median(times), gflop=gflop,
                    state_bytes=sum(value.nbytes for value in state) // rows, peak_bytes=peak,
                )
            )  # fmt: skip
    return measured


def _spare_bytes(device: str) -> float:
    """What a call may take of the device's memory: most of what is free."""
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    return 0.75 * free


def throughput_table(
    world: World,
    measured: Sequence[Throughput],
    peaks: Peaks,
    command: str,
    batches: Sequence[int] = (),
) -> Table:
    """One row for each thing that was timed; says which of `batches` were left out."""
    left_out = [
        f"{rows:,} rows on {device}"
        for device in peaks
        for rows in batches
        if (DREAM_BATCH, rows, device) not in {(m.what, m.rows, m.device) for m in measured}
    ]
    machine = "; ".join(
        f"{device} ({describe(device)}): "
        + ", ".join(f"{peak:,.0f} GFLOP/s in {dtype}" for dtype, peak in of.items())
        for device, of in peaks.items()
    )
    return Table(
        name=f"{world.name}-6-throughput",
        title=f"{world.id_suffix}: steps a second",
        command=command,
        columns=(
            "", "runtime", "rows", "device", "dtype", "steps a second", "ms a call", "calls",
            "GFLOP a step", "GFLOP/s", "of the matrix peak", "state a row", "at most, a row",
        ),
        rows=[_cells(item, peaks) for item in measured],
        note="A call steps every row once under random actions, through the environment itself, "
        "and ends with the frames, which stay on the device in torch. Medians. bf16: the "
        "environment's step under `torch.autocast`. At most: what torch's tensors of a call take "
        "at one time, beyond what was there before it. Matrix peaks, measured in the same run: "
        f"{machine}. See [speed.md](speed.md)."
        + (f" Left out for want of memory: {', '.join(left_out)}." if left_out else ""),
    )  # fmt: skip


def _cells(item: Throughput, peaks: Peaks) -> tuple[str, ...]:
    cells = (
        item.what, item.runtime or "–", f"{item.rows:,}", item.device, item.dtype or "–",
        f"{item.steps_per_second:,.0f}", f"{item.milliseconds:.3g}", f"{item.calls}",
    )  # fmt: skip
    if not item.gflop:
        return *cells, *["–"] * 5
    share = item.gflop_per_second / peaks[item.device][item.dtype]
    return (
        *cells, f"{item.gflop:.3f}", f"{item.gflop_per_second:,.0f}", f"{100 * share:.1f}%",
        _kibibytes(item.state_bytes), _kibibytes(item.peak_bytes) if item.peak_bytes else "–",
    )  # fmt: skip


def _kibibytes(count: int) -> str:
    return f"{count / 1024:,.0f} KiB"
