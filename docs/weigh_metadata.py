"""Weighs what a game's own variables are worth: dreams told them, and dreams blind to them.

    python docs/weigh_metadata.py --recordings recordings/airstriker --steps 6000

trains Airstriker's presets `blind` and `small` from the same seeds for as many steps on the same
recording, and writes into docs/results how like the truth their dreams are on its test split:
blind ones, and told ones fed the true variables (oracle), their own (predicted) or another game's
(shuffled). Killed and run again, it goes on.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from learned_envs import worlds
from learned_envs.data.window import Window
from learned_envs.evaluation.held_out import held_out_windows
from learned_envs.evaluation.results import Table, record_table
from learned_envs.evaluation.told.feeding import FEEDS, Feed, whole_rows
from learned_envs.evaluation.told.worth import HORIZONS, Interval, by_stretch
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.world_model import WorldModel
from learned_envs.pipeline import train_preset

DOCS = Path(__file__).parent
SEEDS = 3
MEASURES = {"mse": "squared error", "psnr": "PSNR, dB", "ssim": "SSIM"}


def trained(preset: str, seed: int, steps: int, recordings: str, runs: Path) -> WorldModel:
    """The model of a preset, trained from a seed; what is there already is gone on with."""
    world = worlds.get("airstriker")
    recipe = replace(world.recipes[preset](), seed=seed)
    world = replace(world, recipes={**world.recipes, preset: lambda: recipe})
    folder = runs / f"{preset}-{seed}"
    result = train_preset(world, preset, folder, recordings=recordings, steps=steps)
    assert result.checkpoint is not None
    return load_checkpoint(result.checkpoint).model


def stretches(model: WorldModel, recordings: str, count: int) -> list[Window]:
    """Pieces of the test split, each long enough for the furthest horizon."""
    steps = model.context - 1 + HORIZONS[-1]
    world = worlds.get("airstriker")
    played = held_out_windows(world, recordings, rows=32, steps=steps, seed=0)
    return list(whole_rows(played, count, steps))


def likeness(model: WorldModel, windows: list[Window], feed: Feed) -> np.ndarray:
    """Each of `MEASURES` by horizon and stretch: (3, horizons, stretches)."""
    found = by_stretch(model, windows, feed, seed=0)
    return np.array([[found[horizon][name] for horizon in HORIZONS] for name in MEASURES])


def table(found: dict[str, np.ndarray], measure: int, steps: int, command: str) -> Table:
    """One measure, of arrays (seeds, 3, horizons, stretches) by the kind of dream."""
    rows = []
    for kind, values in found.items():
        cells = []
        for horizon in range(len(HORIZONS)):
            each = values[:, measure, horizon]
            interval = Interval.of(each.mean(0))
            seeds = " / ".join(f"{value:.4g}" for value in each.mean(1))
            cells.append(
                f"{interval.mean:.4g} ({interval.low:.4g} to {interval.high:.4g}): {seeds}"
            )
        rows.append((kind, *cells))
    return Table(
        name=f"airstriker-7-claim-{measure}",
        title=f"Airstriker: what metadata is worth, {list(MEASURES.values())[measure]}",
        columns=("dream", *(f"{h} steps on" for h in HORIZONS)),
        rows=rows,
        note=(
            f"{values.shape[-1]} stretches of held-out play under their own actions, {steps:,} "
            "steps of training each. Mean over seeds, its 95% interval by bootstrap over "
            "stretches, and behind it the mean of each seed's model."
        ),
        command=command,
    )


def main() -> None:
    """Trains, measures and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recordings", default="recordings/airstriker")
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--runs", type=Path, default=Path("runs/metadata"))
    parser.add_argument("--windows", type=int, default=4)
    given = parser.parse_args()
    found: dict[str, list[np.ndarray]] = {}
    for seed in range(SEEDS):
        for preset in ("blind", "small"):
            model = trained(preset, seed, given.steps, given.recordings, given.runs)
            windows = stretches(model, given.recordings, given.windows)
            for feed in FEEDS if preset == "small" else FEEDS[:1]:
                kind = "blind" if preset == "blind" else f"told, {feed}"
                found.setdefault(kind, []).append(likeness(model, windows, feed))
    stacked = {kind: np.stack(values) for kind, values in found.items()}
    command = f"python docs/weigh_metadata.py --recordings {given.recordings} --steps {given.steps}"
    for measure in range(len(MEASURES)):
        record_table(DOCS, table(stacked, measure, given.steps, command))


if __name__ == "__main__":
    main()
