"""Times calls within a budget, and the matrix products that other work is held against.

A machine's *matrix peak* is the best rate of a product of two large square matrices, measured in
the same run and with as many threads as what is compared with it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from learned_envs.models.precision import half_precision_pays

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}
_SIZES = {"cpu": (1024, 2048, 4096), "cuda": (2048, 4096, 8192)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Budget:
    """How long one thing is timed.

    Attributes:
        seconds: Go on until so much time is spent.
        calls: But make at least so many calls.
        limit: Unless so many seconds are spent; a single call may still take longer.
    """

    seconds: float = 1.0
    calls: int = 3
    limit: float = 8.0

    def __post_init__(self):
        if not 0 < self.seconds <= self.limit or self.calls < 1:
            raise ValueError(
                f"`seconds` (={self.seconds}) must be above 0 and at most `limit` (={self.limit}), "
                f"`calls` (={self.calls}) at least 1"
            )


def devices() -> tuple[str, ...]:
    """The devices that torch finds here, as `device=` spells them."""
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def describe(device: str) -> str:
    """What a device is, in words, for the tables."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    threads, kind = torch.get_num_threads(), torch.backends.cpu.get_cpu_capability()
    return f"{threads} thread{'s' * (threads > 1)}, {kind}"


def dtypes(device: str) -> tuple[str, ...]:
    """The precisions worth timing on a device: bf16 only where it is computed as such."""
    return tuple(DTYPES) if half_precision_pays(torch.device(device)) else ("fp32",)


def wait_for(device: str) -> None:
    """Returns when the device has finished what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def call_times(
    call: Callable[[], object],
    device: str = "cpu",
    *,
    budget: Budget | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Times one call after the other, after one that warms up.

    Args:
        call: What to time.
        device: Where its work is done.
        budget: How long to go on.
        clock: Gives seconds.

    Returns:
        Seconds of each call, waiting for the device included.
    """
    budget = budget or Budget()
    call()
    wait_for(device)
    times: list[float] = []
    while sum(times) < (budget.seconds if len(times) >= budget.calls else budget.limit):
        begin = clock()
        call()
        wait_for(device)
        times.append(clock() - begin)
    return times


def matrix_peak(
    device: str,
    dtype: str,
    *,
    sizes: Sequence[int] = (),
    budget: Budget | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Measures the best rate of square matrix products, in GFLOP/s (a multiply-add is two).

    In fp32 on a GPU, TF32 is used where torch's convolutions use it, so that one is a bound for the
    other.

    Args:
        device: `cpu` or `cuda`.
        dtype: `fp32` or `bf16`.
        sizes: Rows of the matrices to try; 1,024 to 4,096, and to 8,192 on a GPU, if not given.
        budget: Of each size.
        clock: Gives seconds.
    """
    rates = []
    with torch.inference_mode(), _convolutions_precision(device):
        for size in sizes or _SIZES[device]:
            one, other = (
                torch.randn(size, size, device=device).to(DTYPES[dtype]) for _ in range(2)
            )
            product = torch.empty_like(one)

            def multiply(one: torch.Tensor = one, other: torch.Tensor = other, out=product):
                torch.mm(one, other, out=out)

            times = call_times(multiply, device, budget=budget, clock=clock)
            rates.append(2 * size**3 / 1e9 / statistics.median(times))
    return max(rates)


@contextmanager
def _convolutions_precision(device: str) -> Iterator[None]:
    """Lets fp32 matrix products on a GPU round as convolutions do there."""
    before = torch.get_float32_matmul_precision()
    if device == "cuda":
        torch.set_float32_matmul_precision("high" if torch.backends.cudnn.allow_tf32 else "highest")
    try:
        yield
    finally:
        if device == "cuda":
            torch.set_float32_matmul_precision(before)
