"""The standing of a dream on held-out play: error per horizon, laws, event rates, policies.

A world without laws, the koi pond, has diagnostics of its own in their place.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs.dream.weights import packaged, resolve
from learned_envs.evaluation import has_laws, make_referee
from learned_envs.evaluation.card import write_measured
from learned_envs.evaluation.judging import LawPair, judge
from learned_envs.evaluation.koi_pond.report import measure_ponds, pond_standing, pond_table
from learned_envs.evaluation.metrics import HorizonErrors, errors_by_horizon
from learned_envs.evaluation.policies import compare_policies
from learned_envs.evaluation.results import as_markdown, record_row, record_table
from learned_envs.evaluation.rollouts import Rollout, mixed_players, pieces
from learned_envs.evaluation.tables import error_table, law_table, policy_table, standing_table
from learned_envs.evaluation.trust.report import measure_trust, trust_table
from learned_envs.models.checkpoint import Checkpoint, load_checkpoint
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
    trust: bool = False,
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
            with 0 only what else is asked for is measured.
        steps: Length of each.
        rows: Games that errors are measured on, 16 single steps and 2 windows each.
        seed: First seed; row i of a batch is seeded with seed + i.
        policies: Also rank the ladder of policies by so many episodes each in both worlds.
        trust: Also measure the trust report.
        out: Write the figures to this JSON file.
        docs: Also write into this docs folder's results: the tables, if the weights are packaged
            ones, and for any weights their row in the world's standing.
        card: Also write the tables into the checkpoint's model card.
        command: What the tables say they were measured with.

    Returns:
        The figures as JSON types.
    """
    checkpoint = resolve(weights, world.name)
    loaded = load_checkpoint(checkpoint)
    tables, figures = [], {}
    if rollouts:
        one_step, horizons = measure_errors(world, loaded.model, seed, rows)
        figures["one_step"], figures["horizons"] = one_step.to_json(), horizons.to_json()
        players = {
            "careful": ([_careful(world)] * (rollouts // 2), seed),
            "mixed": (mixed_players(world, rollouts // 2), seed + 1000),
        }
        tables.append(error_table(world, one_step, horizons, command))
        name, share = _training(loaded)
        if has_laws(world.name):
            judged = {
                who: measure_laws(world, weights, names, steps, first)
                for who, (names, first) in players.items()
            }
            figures |= {f"laws_{who}": _law_figures(pair) for who, pair in judged.items()}
            standing = standing_table(world, name, share, one_step, judged, command)
            tables += [law_table(world, who, pair, command) for who, pair in judged.items()]
        else:
            ponds = {
                who: measure_ponds(world, weights, names, steps, first)
                for who, (names, first) in players.items()
            }
            figures |= {f"pond_{who}": pair.to_json() for who, pair in ponds.items()}
            standing = pond_standing(world, name, share, one_step, ponds, command)
            tables += [pond_table(world, who, pair, command) for who, pair in ponds.items()]
        print(as_markdown(standing))
        if docs is not None:
            record_row(docs, standing)
    if policies:
        scores = compare_policies(world, weights, seed=seed, episodes=policies, progress=print)
        figures["policies"] = scores.to_json()
        tables.append(policy_table(world, scores, command))
    if trust:
        report = measure_trust(world, weights, loaded.model, seed=seed + 2000, progress=print)
        figures["trust"] = report.to_json()
        tables.append(trust_table(world, report, command))
    for table in tables:
        print(as_markdown(table))
        if docs is not None and checkpoint == packaged(world.name):
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
    context = model.context

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


def _training(checkpoint: Checkpoint) -> tuple[str, float]:
    """Name of the preset, and the share of its training that these weights got."""
    trained = checkpoint.settings.get("trained", {})
    rows, of = trained.get("rows", 0), trained.get("of", 0)
    return trained.get("preset") or "own", rows / of if of else 1.0


def _careful(world: World) -> str:
    return next(iter(world.behaviours))


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


def _finite(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
