"""The standing of a dream on held-out play: error per horizon, laws, event rates, policies."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs.dream.weights import resolve
from learned_envs.evaluation import make_referee
from learned_envs.evaluation.card import write_measured
from learned_envs.evaluation.metrics import HorizonErrors, errors_by_horizon
from learned_envs.evaluation.policies import PolicyScores, compare_policies
from learned_envs.evaluation.results import Table, as_markdown, record_table
from learned_envs.evaluation.rollouts import Judged, Rollout, judge, pieces
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.dreaming import dream_frames, reconstruction
from learned_envs.models.world_model import WorldModel
from learned_envs.recording.live import LiveWindows
from learned_envs.worlds import World

HORIZON = 64
REAL_PER_DREAM = 4
"""Real games played for each dreamed one, so that what a rate is compared with is well known."""


def evaluate(
    world: World,
    weights: str | None = None,
    *,
    rollouts: int = 64,
    steps: int = 1000,
    rows: int = 64,
    seed: int = 900_000,
    policies: int = 0,
    out: Path | None = None,
    docs: Path | None = None,
    card: bool = False,
    command: str = "",
) -> dict[str, Any]:
    """Measures a dream and prints its tables.

    Args:
        world: What is dreamed.
        weights: As `gym.make("Dream-v0", weights=...)` takes them; the packaged ones if None.
        rollouts: Free rollouts: half under the world's first behaviour, half under all by weight.
        steps: Length of each.
        rows: Games that errors are measured on, 16 single steps and 2 windows each.
        seed: First seed; row i of a batch is seeded with seed + i.
        policies: Also rank the ladder of policies by so many episodes each in both worlds.
        out: Write the figures to this JSON file.
        docs: Also write the tables into this docs folder's results.
        card: Also write the tables into the checkpoint's model card.
        command: What the tables say they were measured with.

    Returns:
        The figures as JSON types.
    """
    checkpoint = resolve(weights, world.name)
    model = load_checkpoint(checkpoint).model
    tables, figures = [], {}
    one_step, horizons = measure_errors(world, model, seed, rows)
    figures["one_step"], figures["horizons"] = one_step.to_json(), horizons.to_json()
    tables.append(_error_table(world, one_step, horizons, command))
    judged = {
        "careful": measure_laws(world, weights, [_careful(world)] * (rollouts // 2), steps, seed),
        "mixed": measure_laws(world, weights, _mixed(world, rollouts // 2), steps, seed + 1000),
    }
    for players, pair in judged.items():
        figures[f"laws_{players}"] = _law_figures(pair)
        tables.append(_law_table(world, players, pair, command))
    if policies:
        scores = compare_policies(world, weights, seed=seed, episodes=policies, progress=print)
        figures["policies"] = scores.to_json()
        tables.append(_policy_table(world, scores, command))
    for table in tables:
        print(as_markdown(table))
        if docs is not None:
            record_table(docs, table)
    if card:
        write_measured(checkpoint, tables)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def measure_errors(
    world: World, model: WorldModel, seed: int, rows: int
) -> tuple[HorizonErrors, HorizonErrors]:
    """One-step errors over many frames, and errors at horizons 1 to 64 over fewer."""
    context = model.dynamics.context

    def predict(frames: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return dream_frames(model, frames, actions, seed)

    def errors(horizon: int, count: int) -> HorizonErrors:
        steps = context - 1 + horizon
        live = LiveWindows(world, rows, steps, seed, warm_up=world.max_episode_steps // 2)
        return errors_by_horizon(
            predict,
            islice(live, count),
            context=context,
            horizon=horizon,
            codec=reconstruction(model),
        )

    return errors(1, 16), errors(HORIZON, 2)


@dataclass(frozen=True, kw_only=True, slots=True)
class LawPair:
    """Dreamed and real rollouts of the same players, judged by the same laws.

    Attributes:
        dream: As the referee saw the dream.
        real: As it saw the real games.
        unbroken: Dreamed rollouts in which no episode ended before the time limit.
    """

    dream: Judged
    real: Judged
    unbroken: int


def measure_laws(
    world: World, weights: str | None, players: Sequence[str], steps: int, seed: int
) -> LawPair:
    """Plays free rollouts, dreamed and real, and has the world's referee watch both."""
    dream = gym.make_vec(
        f"Dream-{world.id_suffix}-v0", len(players), weights=weights, max_episode_steps=steps
    )
    ended = np.zeros(len(players), bool)

    def watched(played: Iterator[Rollout]) -> Iterator[Rollout]:
        for piece in played:
            ended[piece.terminated.any(0)] = True
            yield piece

    behaviour = world.make_behaviour(players, range(seed, seed + len(players)))
    dreamed = judge(
        watched(pieces(dream, behaviour, steps, seed)), make_referee(world.name), oldest=steps
    )
    many = list(players) * REAL_PER_DREAM
    real = world.make_real_vec(len(many), max_episode_steps=steps)
    behaviour = world.make_behaviour(many, range(seed, seed + len(many)))
    truth = judge(pieces(real, behaviour, steps, seed), make_referee(world.name), oldest=steps)
    return LawPair(dream=dreamed, real=truth, unbroken=int((~ended).sum()))


def _careful(world: World) -> str:
    return next(iter(world.behaviours))


def _mixed(world: World, rows: int) -> list[str]:
    """Behaviours for rows, in shares that follow their weights."""
    ends = np.cumsum(list(world.behaviours.values()))
    places = (np.arange(rows) + 0.5) / rows * ends[-1]
    names = list(world.behaviours)
    return [names[i] for i in np.searchsorted(ends, places)]


def _error_table(
    world: World, one_step: HorizonErrors, horizons: HorizonErrors, command: str
) -> Table:
    shown = [h for h in (1, 4, 16, 64) if h <= HORIZON]
    rows = []
    for name, error in one_step.errors.items():
        later = horizons.errors[name]
        rows.append(
            (
                name,
                f"{error.psnr[0]:.2f}",
                f"{error.ssim[0]:.4f}",
                f"{error.changing_psnr[0]:.2f}",
                *(f"{later.psnr[h - 1]:.1f} / {later.ssim[h - 1]:.3f}" for h in shown),
            )
        )
    return Table(
        name=f"{world.name}-1-error",
        title=f"{world.id_suffix}: error on held-out play",
        command=command,
        columns=(
            "", "one step, PSNR dB", "SSIM", "PSNR dB where it changes",
            *(f"horizon {h}, PSNR / SSIM" for h in shown),
        ),  # fmt: skip
        rows=rows,
        note=f"{one_step.windows} single steps; {horizons.windows} rollouts of {HORIZON}. "
        "A frame's PSNR is capped at 60 dB. A rollout may rightly part from its true game: what "
        "counts at long horizons are the laws below.",
    )  # fmt: skip


def _law_table(world: World, players: str, pair: LawPair, command: str) -> Table:
    dream, real = pair.dream.report, pair.real.report
    rows = []
    for law in dream.counts:
        ages = dream.held_by_age(law)
        ages = ages[~np.isnan(ages)]
        rows.append(
            (
                law,
                _percent(dream.held(law)),
                _percent(dream.held_when_tested(law)),
                f"{_percent(ages[0])} to {_percent(ages[-1])}",
                _percent(dream.unspoiled(law)),
                _percent(real.held(law)),
            )
        )
    for event, rate in pair.dream.rates.items():
        true = pair.real.rates[event]
        rows.append((f"{event} per 1,000 steps", f"{rate:.2f}", "", "", "", f"{true:.2f}"))
    return Table(
        name=f"{world.name}-2-laws-{players}",
        title=f"{world.id_suffix}: laws in free rollouts, {players} players",
        command=command,
        columns=(
            "law",
            "frames in which it held",
            "of those that tested it",
            "first to last 200 steps",
            "rollouts never broken",
            "real",
        ),  # fmt: skip
        rows=rows,
        note=f"{dream.rollouts} dreamed rollouts, {pair.unbroken} of them without a game over, and "
        f"{real.rollouts} real ones under the same players.",
    )


def _policy_table(world: World, scores: PolicyScores, command: str) -> Table:
    real, dreamed = scores.real.mean(1), scores.dreamed.mean(1)
    order = np.argsort(-real, kind="stable")
    return Table(
        name=f"{world.name}-3-policies",
        title=f"{world.id_suffix}: the same policies in both worlds",
        command=command,
        columns=("policy", "mean return, real", "dreamed", "difference"),
        rows=[
            (
                scores.names[i],
                f"{real[i]:.2f}",
                f"{dreamed[i]:.2f}",
                f"{dreamed[i] - real[i]:+.2f}",
            )
            for i in order
        ],
        note=f"{scores.real.shape[1]} episodes each. Spearman {scores.rank_correlation:.3f}; mean "
        f"error {100 * scores.error:.1f}% of the span {scores.span:.2f} from random to best.",
    )


def _law_figures(pair: LawPair) -> dict[str, Any]:
    dream, real = pair.dream.report, pair.real.report
    return {
        "rollouts": dream.rollouts,
        "without_game_over": pair.unbroken,
        "laws": {
            law: {
                "held": dream.held(law),
                "held_when_tested": _finite(dream.held_when_tested(law)),
                "held_by_age": [_finite(v) for v in dream.held_by_age(law)],
                "unspoiled": dream.unspoiled(law),
                "real": real.held(law),
            }
            for law in dream.counts
        },
        "events_per_1000": {"dream": pair.dream.rates, "real": pair.real.rates},
    }


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.2f}%"


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
