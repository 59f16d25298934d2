"""What bounds a batch of dreams: where the time of a step goes, in shares of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from learned_envs.evaluation.results import Table
from learned_envs.evaluation.speed.operations import MATRIX, Share, operation_times, shares
from learned_envs.evaluation.speed.throughput import (
    DREAM_BATCH,
    Peaks,
    Throughput,
    dream_batch,
    in_dtype,
    playing,
)
from learned_envs.worlds import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """Where the time of one call of a batch goes.

    Attributes:
        batch: The batch, in its best dtype.
        peak: GFLOP/s of the machine's matrix products in that dtype.
        shares: Of the call's time.
    """

    batch: Throughput
    peak: float
    shares: Sequence[Share]

    @property
    def of_peak(self) -> float:
        """Rate over the whole call as a share of the peak."""
        return self.batch.gflop_per_second / self.peak

    @property
    def of_peak_in_products(self) -> float:
        """Rate while matrix products run as a share of the peak; 0 if none were seen."""
        (products,) = (share.share for share in self.shares if share.what == MATRIX)
        return self.of_peak / products if products else 0.0


def best_batch(measured: Sequence[Throughput], device: str, rows: int) -> Throughput:
    """The batch of `rows` dreams in torch, in the dtype that is fastest on the device."""
    batches = [
        item
        for item in measured
        if (item.what, item.runtime, item.device, item.rows) == (DREAM_BATCH, "torch", device, rows)
    ]
    return max(batches, key=lambda item: item.steps_per_second)


def look_into(world: World, weights: str | None, batch: Throughput, peak: float) -> Bound:
    """Profiles a batch that was timed before.

    Args:
        world: What is dreamed.
        weights: Folder of a checkpoint; the packaged weights if None.
        batch: What was timed.
        peak: GFLOP/s of the machine's matrix products in its dtype.
    """
    env = dream_batch(world, weights, batch.rows, batch.device)
    call = in_dtype(playing(env), batch.device, batch.dtype)
    call()
    times = operation_times(call, batch.device)
    return Bound(batch=batch, peak=peak, shares=shares(times, batch.milliseconds))


def bounds(
    world: World, weights: str | None, measured: Sequence[Throughput], peaks: Peaks, rows: int
) -> list[Bound]:
    """Looks into the batch of `rows` dreams, in its best dtype, on every device."""
    found = []
    for device, of in peaks.items():
        batch = best_batch(measured, device, rows)
        found.append(look_into(world, weights, batch, of[batch.dtype]))
    return found


def bound_table(world: World, found: Sequence[Bound], command: str) -> Table:
    """One row for each part of a call's time, by device."""
    rows = [
        (
            f"{bound.batch.device}, {bound.batch.dtype}",
            share.what,
            f"{share.milliseconds:.3g}",
            f"{100 * share.share:.1f}%",
            f"{100 * bound.of_peak_in_products:.1f}%" if share.what == MATRIX else "–",
        )
        for bound in found
        for share in bound.shares
    ]
    return Table(
        name=f"{world.name}-7-bound",
        title=f"{world.id_suffix}: what bounds a batch of {found[0].batch.rows}",
        command=command,
        columns=("device, dtype", "", "ms a call", "share of the call", "of the matrix peak"),
        rows=rows,
        note=" ".join(_sentence(bound) for bound in found)
        + " Operations as torch's profiler times them, the call as it is without the profiler.",
    )


def _sentence(bound: Bound) -> str:
    batch = bound.batch
    return (
        f"On {batch.device} the call of {batch.milliseconds:.3g} ms reaches "
        f"{100 * bound.of_peak:.1f}% of the matrix peak ({batch.gflop_per_second:,.0f} of "
        f"{bound.peak:,.0f} GFLOP/s in {batch.dtype})."
    )
