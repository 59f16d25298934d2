"""The stopwatch's command: cost of a step, steps a second, and what bounds them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from learned_envs.dream.weights import packaged, resolve
from learned_envs.evaluation.results import Table, as_markdown, record_table
from learned_envs.evaluation.speed.bound import bound_table, bounds
from learned_envs.evaluation.speed.cost import (
    cost_table,
    count_gflop,
    moments_of,
    reference_models,
    step_costs,
)
from learned_envs.evaluation.speed.stopwatch import Budget, devices, dtypes, matrix_peak
from learned_envs.evaluation.speed.throughput import (
    dream_throughput,
    real_throughput,
    throughput_table,
)
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.worlds import World

BATCHES = (1, 16, 256, 1024)
BATCH = 256


def bench(
    world: World,
    weights: str | None = None,
    *,
    batches: Sequence[int] = BATCHES,
    batch: int = BATCH,
    turns: int = 5,
    sizes: Sequence[int] = (),
    budget: Budget | None = None,
    out: Path | None = None,
    docs: Path | None = None,
    command: str = "",
) -> dict[str, Any]:
    """Measures a world's speed on every device there is, and prints its tables.

    Args:
        world: What is dreamed and, where it can be, played.
        weights: Folder of the checkpoint that dreams; the packaged weights if None.
        batches: Rows in the batches of dreams, fewest first; those that do not fit into the memory
            that is free are left out.
        batch: Rows of the real batch, and of the dreams whose time is broken down.
        turns: Of each model in the table of costs.
        sizes: Of the matrices whose product gives the machine's peak; see `matrix_peak`.
        budget: Of everything else that is timed.
        out: Write the figures to this JSON file.
        docs: Also write into this docs folder's results: the costs and, if the weights are packaged
            ones, the other tables.
        command: What the tables say they were measured with.

    Returns:
        The figures as JSON types.

    Raises:
        ValueError: If there are no such weights, or `batch` is none of `batches`.
    """
    if batch not in batches:
        raise ValueError(f"`batch` (={batch}) must be one of `batches` (={tuple(batches)})")
    checkpoint = resolve(weights, world.name)
    moments = moments_of(world)
    gflop = count_gflop(load_checkpoint(checkpoint).model, moments)

    def show(table: Table, of_any_weights: bool = False) -> None:
        print(as_markdown(table), flush=True)
        if docs is not None and (of_any_weights or checkpoint == packaged(world.name)):
            record_table(docs, table)

    costs = step_costs(reference_models(world), moments, turns=turns)
    show(cost_table(world, costs, command), of_any_weights=True)
    peaks = {
        device: {
            dtype: matrix_peak(device, dtype, sizes=sizes, budget=budget)
            for dtype in dtypes(device)
        }
        for device in devices()
    }
    measured = real_throughput(world, batch, budget)
    for device in peaks:
        measured += dream_throughput(
            world, weights, gflop=gflop, batches=batches, device=device, budget=budget
        )
    show(throughput_table(world, measured, peaks, command, batches))
    found = bounds(world, weights, measured, peaks, batch)
    show(bound_table(world, found, command))
    figures = {
        "costs": [asdict(cost) for cost in costs],
        "peaks": peaks,
        "throughput": [
            {**asdict(item), "steps_per_second": item.steps_per_second} for item in measured
        ],
        "bounds": [
            {
                **asdict(bound),
                "of_peak": bound.of_peak,
                "of_peak_in_products": bound.of_peak_in_products,
            }
            for bound in found
        ],
    }
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=1) + "\n")
    return figures
