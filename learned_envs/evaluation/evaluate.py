"""The standing of a dream on held-out play: what a world is measured by, policies, trust.

A world with laws is measured by its errors and by how it keeps them; koi ponds and paint programs
have diagnostics of their own, and so has footage; of any other world of one's own nothing is known
but its errors.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from learned_envs.dream.weights import packaged, resolve
from learned_envs.evaluation.card import write_measured
from learned_envs.evaluation.held_out import held_out_footage
from learned_envs.evaluation.measures import Subject, measure_of
from learned_envs.evaluation.policies import compare_policies
from learned_envs.evaluation.results import (
    as_markdown,
    record_picture,
    record_row,
    record_table,
    without_nan,
)
from learned_envs.evaluation.tables import policy_table
from learned_envs.evaluation.trust.clips import LENGTH
from learned_envs.evaluation.trust.report import measure_trust, trust_standing, trust_table
from learned_envs.evaluation.trust.sources import Live, Recorded
from learned_envs.models.checkpoint import Checkpoint, load_checkpoint
from learned_envs.recording.live import affordable_rows
from learned_envs.worlds import World

_CLIP_ROWS = 32, 256  # games in each set of clips of the trust report, at least and at most
_CLIP_BYTES = 2**31  # of a set, as far as that leaves enough games
_CLIPS = 7  # of a game, 16 frames each


def evaluate(
    world: World,
    weights: str | None = None,
    *,
    rollouts: int | None = None,
    steps: int = 1000,
    rows: int = 64,
    seed: int = 900_000,
    policies: int = 0,
    trust: bool = False,
    recordings: str | None = None,
    out: Path | None = None,
    docs: Path | None = None,
    card: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Measures a dream and prints its tables.

    Args:
        world: What is dreamed.
        weights: As `gym.make("Dream-v0", weights=...)` takes them; the packaged ones if None.
        rollouts: Free rollouts: half under the world's first behaviour, half under all by weight;
            of a paint program, all under all by weight, and driven by fixed actions; of footage,
            under its own inputs. 64 if None, 20 of a paint program, 32 of footage; with 0 only what
            else is asked for is measured.
        steps: Length of each.
        rows: Games that errors are measured on, 16 single steps and 2 windows each; of large
            frames as many as windows of 256 MiB hold.
        seed: First seed; row i of a batch is seeded with seed + i.
        policies: Also rank the ladder of policies by so many episodes each in both worlds.
        trust: Also measure the trust report.
        recordings: Folder of a recording whose test split the errors and the trust report are
            measured on; if None, the real world is played, or the footage taken that comes with the
            library. A world of one's own needs one.
        out: Write the figures to this JSON file.
        docs: Also write into this docs folder's results: the tables, if the weights are packaged
            ones or of a world of one's own, and for any weights their rows in the standings.
        card: Also write the tables into the checkpoint's model card.
        command: What the tables say they were measured with.

    Returns:
        The figures as JSON types.
    """
    checkpoint = resolve(weights, world.known_as)
    loaded = load_checkpoint(checkpoint)
    recordings = recordings or held_out_footage(world)
    tables, figures, pictures = [], {}, {}
    measure, usual = measure_of(world)
    rollouts = usual if rollouts is None else rollouts
    if rollouts:
        name, share = _training(loaded)
        measured = measure(
            Subject(
                world=world, weights=weights, model=loaded.model, name=name, share=share,
                rollouts=rollouts, steps=steps, rows=rows, seed=seed, recordings=recordings,
                command=command,
            )
        )  # fmt: skip
        figures |= measured.figures
        tables += measured.tables
        pictures = measured.pictures
        print(as_markdown(measured.standing))
        if docs is not None:
            record_row(docs, measured.standing)
    if policies:
        scores = compare_policies(world, weights, seed=seed, episodes=policies, progress=print)
        figures["policies"] = scores.to_json()
        tables.append(policy_table(world, scores, command))
    if trust and recordings is None and world.own is not None:
        raise ValueError(
            f"{world.name} is a world of one's own, whose trust report is of a recording's test "
            "split: give its folder (--recordings)"
        )
    if trust:
        games = _clip_games(world)
        source = (
            Live(world, weights, games)
            if recordings is None
            else Recorded(world, weights, loaded.model, recordings, games)
        )
        report = measure_trust(
            world, loaded.model, source, seed=seed + 2000, rows=games, progress=print
        )
        figures["trust"] = report.to_json()
        tables.append(trust_table(world, report, command))
        if docs is not None:
            trained = loaded.settings.get("trained", {})
            record_row(docs, trust_standing(world, report, trained, command))
    for table in tables:
        print(as_markdown(table))
    if docs is not None and (world.known_as is None or checkpoint == packaged(world.name)):
        for file, svg in pictures.items():
            record_picture(docs, file, svg)
        for table in tables:
            record_table(docs, table)
    if card:
        write_measured(checkpoint, tables)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(without_nan(figures), indent=1) + "\n")
    return figures


def _clip_games(world: World) -> int:
    """Games in each set of clips of the trust report: fewer of large frames."""
    least, most = _CLIP_ROWS
    return max(least, affordable_rows(world, most, _CLIPS * LENGTH - 1, _CLIP_BYTES))


def _training(checkpoint: Checkpoint) -> tuple[str, float]:
    """Name of the preset, and the share of its training that these weights got."""
    trained = checkpoint.settings.get("trained", {})
    rows, of = trained.get("rows", 0), trained.get("of", 0)
    return trained.get("preset") or "own", rows / of if of else 1.0
