"""What torch does in a call, from its profiler: time by operation, and memory at its largest."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from learned_envs.evaluation.speed.stopwatch import wait_for

MATRIX = "matrix products: convolutions, linear layers, attention"
REST = "all other operations on tensors"
OUTSIDE = "outside of them: environment, noise, Python"
_MATRIX_NAME = re.compile(r"conv(olution|\dd)|mm$|matmul|::linear|attention")
_NAMED = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """A part of what a call takes.

    Attributes:
        what: `MATRIX`, an operation's name in torch, `REST` or `OUTSIDE`.
        milliseconds: A call.
        share: Of the whole call, 0 to 1.
    """

    what: str
    milliseconds: float
    share: float


def operation_times(call: Callable[[], object], device: str, calls: int = 3) -> dict[str, float]:
    """Time that each operation of torch takes itself, without those it calls.

    Args:
        call: What to look into; it should have run before.
        device: On a GPU the time is that of its kernels, on a CPU that of the calling thread.
        calls: To take the mean of.

    Returns:
        Milliseconds a call by the operation's name, e.g. `aten::mkldnn_convolution`.
    """
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    with _profiler(activities=activities) as profiler:
        for _ in range(calls):
            call()
        wait_for(device)
    clock = "self_device_time_total" if device == "cuda" else "self_cpu_time_total"
    return {
        event.key: getattr(event, clock) / 1000 / calls
        for event in profiler.key_averages()
        if "::" in event.key
    }


def shares(times: Mapping[str, float], milliseconds: float) -> list[Share]:
    """Sums up where a call's time goes: matrix products, the largest others by name, and the rest.

    Args:
        times: From `operation_times`.
        milliseconds: A call, timed without the profiler, which slows Python down.

    Returns:
        Shares that add up to 1, or to more where the profiler found more time than the call has.
    """
    matrix = sum(time for name, time in times.items() if _MATRIX_NAME.search(name))
    others = {name: time for name, time in times.items() if not _MATRIX_NAME.search(name)}
    largest = sorted(others, key=lambda name: -others[name])[:_NAMED]
    parts = {
        MATRIX: matrix,
        **{name: others[name] for name in largest},
        REST: sum(others.values()) - sum(others[name] for name in largest),
        OUTSIDE: max(milliseconds - sum(times.values()), 0.0),
    }
    return [
        Share(what=what, milliseconds=time, share=time / milliseconds)
        for what, time in parts.items()
    ]


def peak_bytes(call: Callable[[], object], device: str) -> int:
    """Most memory that a call's tensors take at one time, beyond what was there before it.

    On a GPU as torch's allocator counts it. On a CPU it is summed up from the profiler's records of
    every allocation; scratch memory that a kernel takes and gives back within is not among them.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        call()
        wait_for(device)
        return torch.cuda.max_memory_allocated() - before
    with _profiler(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    taken = peak = 0
    for event in sorted(profiler.events() or [], key=lambda event: event.time_range.end):
        taken += event.self_cpu_memory_usage
        peak = max(peak, taken)
    return peak


def _profiler(**settings: Any) -> profile:
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")  # else every profile writes to the terminal
    return profile(**settings)
