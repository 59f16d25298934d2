"""The koi pond's diagnostics of a dream beside those of real ponds, and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from learned_envs.evaluation.koi_pond.diagnostics import (
    SPEED_SHARES,
    Diagnosis,
    diagnose,
    share_near,
)
from learned_envs.evaluation.koi_pond.fates import Passages
from learned_envs.evaluation.koi_pond.taps import DISTANCES, STRENGTHS, Flight, tap_contrast
from learned_envs.evaluation.metrics import HorizonErrors
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.rollouts import pieces
from learned_envs.evaluation.tables import GREY, standing_row
from learned_envs.worlds import World

PIECE = 16
"""Steps in a piece: 32 ponds of 256x256 pixels are 100 MB."""

_BEFORE = 30  # steps played before the moment from which ponds are branched
_SPEEDS = ("slow", "usual", "fast")


@dataclass(frozen=True, kw_only=True, slots=True)
class PondPair:
    """Dreamed and real ponds under the same players.

    Attributes:
        dream: How the dreamed ponds fared.
        real: How the real ones did.
        dream_contrast: What a tap changes from one state, dreamed.
        real_contrast: The same, real.
    """

    dream: Diagnosis
    real: Diagnosis
    dream_contrast: Flight
    real_contrast: Flight

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {
            kind: found.to_json() | {"contrast": contrast.to_json()}
            for kind, found, contrast in (
                ("dream", self.dream, self.dream_contrast),
                ("real", self.real, self.real_contrast),
            )
        }


def measure_ponds(
    world: World, weights: str | None, players: Sequence[str], steps: int, seed: int
) -> PondPair:
    """Plays free rollouts, dreamed and real, as many of each as there are players."""
    rows = len(players)

    def dreams(limit: int | None) -> VectorEnv[Any, Any, Any]:
        made = world.dream_id
        return gym.make_vec(made, rows, weights=weights, max_episode_steps=limit)

    def reals(limit: int | None) -> VectorEnv[Any, Any, Any]:
        return world.make_real_vec(rows, max_episode_steps=limit)

    def played(env: VectorEnv[Any, Any, Any]) -> Diagnosis:
        behaviour = world.make_behaviour(players, range(seed, seed + rows))
        return diagnose(pieces(env, behaviour, steps, seed, piece=PIECE))

    def contrast(env: VectorEnv[Any, Any, Any]) -> Flight:
        env.reset(seed=seed)
        for _ in range(_BEFORE):
            env.step(np.tile(world.idle_action, (rows, 1)))
        return tap_contrast(env, seed=seed)

    return PondPair(
        dream=played(dreams(steps)), real=played(reals(steps)),
        dream_contrast=contrast(dreams(None)), real_contrast=contrast(reals(None)),
    )  # fmt: skip


def pond_table(world: World, players: str, pair: PondPair, command: str) -> Table:
    """All diagnostics of a dream beside the real ones."""
    rows: list[tuple[str, ...]] = []
    for i, age in enumerate(pair.dream.ages):
        rows += _at_age(pair, i, age)
    both = pair.dream, pair.real
    for what, name in (
        ("vanishings", "vanished"),
        ("teleports", "teleported"),
        ("merges", "merged"),
        ("appearances", "appeared"),
    ):
        rows.append(
            (f"{what} a fish-minute", *(_number(d.fates.per_minute(name), 3) for d in both))
        )
    for what, name in (
        ("unharmed by contact", "contacts"),
        ("out from under pads as they went in", "pads"),
        ("unharmed by ripples", "ripples"),
    ):
        rows.append((f"fish {what}", *(_passed(getattr(d, name)) for d in both)))
    rows.append(("water without taps, change a frame", *(_number(d.quiet, 3) for d in both)))
    speeds = [d.calm_speeds for d in both]
    for i, (name, share) in enumerate(zip(_SPEEDS, SPEED_SHARES, strict=True)):
        what = f"{name} fish without taps ({100 * share:.0f}% quantile), px/s"
        rows.append((what, *(_number(speed[i], 1) for speed in speeds)))
    flights = [d.flight for d in both]
    contrasts = pair.dream_contrast, pair.real_contrast
    for i, (near, far) in enumerate(pairwise(DISTANCES)):
        where = f"{near:.0f} to {far:.0f} px away, px"
        for force, (low, high) in enumerate(pairwise(STRENGTHS)):
            what = f"flight within 1 s of a tap of strength {low:g} to {high:g}, {where}"
            rows.append((what, *(_number(found.mean[i, force], 1) for found in flights)))
        cells = (_number(found.by_distance[i], 1) for found in contrasts)
        rows.append((f"strongest tap against no tap from one state, {where}", *cells))
    return Table(
        name=f"{world.name}-2-pond-{players}",
        title=f"{world.id_suffix}: fish, water and bed in free rollouts, {players} players",
        command=command,
        columns=("read from pixels", "dream", "real"),
        rows=rows,
        note=f"{len(pair.dream.count)} dreamed ponds and {len(pair.real.count)} real ones under "
        "the same players. Within 15%: share of ponds whose value is that near the mean of the "
        "real ones; where real ponds differ among themselves it is below 100% for them too.",
    )


def _at_age(pair: PondPair, i: int, age: int) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, unit in (("count", ""), ("area", ""), ("motion", " px/s"), ("crispness", "")):
        values, real = getattr(pair.dream, name), getattr(pair.real, name)
        cells = (
            f"{_number(_mean(of[:, i]), 2)}{unit}, within 15%: {100 * share_near(of, real)[i]:.0f}%"
            for of in (values, real)
        )
        rows.append((f"frame {age}: {name}" + ("" if unit else " over the first"), *cells))
    both = pair.dream, pair.real
    rows.append((f"frame {age}: fish with their pattern", *(_passed(d.identity[i]) for d in both)))
    beds = (_number(_mean(d.bed[:, i]), 1) for d in both)
    rows.append((f"frame {age}: bed against the first, dB", *beds))
    return rows


def pond_standing(
    world: World,
    model: str,
    share: float,
    one_step: HorizonErrors,
    ponds: Mapping[str, PondPair],
    command: str,
) -> Table:
    """One row: how a model stands, at a glance.

    Args:
        world: What is dreamed.
        model: Its name.
        share: Of its whole training that it got.
        one_step: Errors of single steps.
        ponds: Free rollouts by the name of their players.
        command: That measured it.
    """
    psnr = one_step.errors["prediction"].psnr[0]
    cells = []
    for pair in ponds.values():
        dream, real = pair.dream, pair.real
        near = [
            share_near(getattr(dream, name), getattr(real, name))[-1]
            for name in ("count", "area", "motion")
        ]
        cells += [
            f"{dream.ages[-1]}",
            " / ".join(f"{100 * share:.0f}%" for share in near),
            _passed(dream.identity[-1]),
            " / ".join(_number(dream.fates.per_minute(n), 2) for n in ("vanished", "teleported")),
        ]
    heads = ("frame", "count / area / motion within 15%", "pattern kept", "vanished / teleported")
    return Table(
        name=f"{world.name}-0-standing",
        title=f"{world.id_suffix}: standing",
        columns=(
            "model", "share of its training", "one step, PSNR dB",
            *(f"{head}, {players}" for players in ponds for head in heads), "measured by",
        ),
        rows=[standing_row(model, share, [f"{psnr:.1f}", *cells, f"`{command}`"])],
        note=f"{GREY} Vanished and teleported fish a fish-minute.",
    )  # fmt: skip


def _passed(passages: Passages) -> str:
    return f"{100 * passages.share:.1f}% of {passages.fish:,}" if passages.fish else "–"


def _mean(values: np.ndarray) -> float:
    """Of those that are numbers; nan if none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _number(value: float, digits: int) -> str:
    return "–" if np.isnan(value) else f"{value:.{digits}f}"
