"""What each world is measured by: laws, or diagnostics of ponds, paint programs or footage."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

import gymnasium as gym
import numpy as np

from learned_envs.evaluation import make_referee
from learned_envs.evaluation.airstriker.report import flight_table, measure_flights
from learned_envs.evaluation.footage.report import footage_table, measure_footage
from learned_envs.evaluation.held_out import held_out_windows, longest_held_out
from learned_envs.evaluation.judging import LawPair, judge
from learned_envs.evaluation.koi_pond.likeness import codec_likeness, codec_table
from learned_envs.evaluation.koi_pond.report import (
    PondPair,
    measure_ponds,
    pond_standing,
    pond_table,
)
from learned_envs.evaluation.metrics import HorizonErrors, errors_by_horizon
from learned_envs.evaluation.minipaint.plot import likeness_plot, plot_name
from learned_envs.evaluation.minipaint.report import EPISODES, measure_paint
from learned_envs.evaluation.minipaint.tables import (
    controls_table,
    likeness_table,
    paint_standing,
    strokes_table,
)
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.rollouts import Rollout, mixed_players, pieces
from learned_envs.evaluation.tables import (
    error_standing,
    error_table,
    law_table,
    standing_table,
)
from learned_envs.evaluation.told.feeding import whole_rows
from learned_envs.evaluation.told.foretold import (
    foretold_figures,
    foretold_table,
    measure_foretold,
)
from learned_envs.evaluation.told.worth import measure_worth, worth_figures, worth_table
from learned_envs.models.dreaming import dream_frames, reconstruction
from learned_envs.models.world_model import WorldModel
from learned_envs.recording.opened import recordings_of
from learned_envs.worlds import World

Pair = TypeVar("Pair")  # what was measured of a dream, and of the real world

HORIZON = 64
_TOLD_WINDOWS = 4
_FRAMES = 1024  # of a game in which single steps are measured
REAL_PER_DREAM = 4
"""Real games played for each dreamed one, so that what a rate is compared with is well known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A dream that is to be measured, and how long.

    Attributes:
        world: What is dreamed.
        weights: As `evaluate` takes them.
        model: The model in them.
        name: Of the model's preset.
        share: Of its whole training that it got.
        rollouts: As `evaluate` takes them, and so are those below.
        steps: Length of each.
        rows: Games that errors are measured on.
        seed: First seed.
        recordings: Folder of a recording whose test split errors are measured on, or None.
        command: What the tables say they were measured with.
    """

    world: World
    weights: str | None
    model: WorldModel
    name: str
    share: float
    rollouts: int
    steps: int
    rows: int
    seed: int
    recordings: str | None
    command: str

    @property
    def players(self) -> dict[str, tuple[list[str], int]]:
        """Those of the free rollouts, half of them careful, with the first seed of each half."""
        half = self.rollouts // 2
        return {
            "careful": ([next(iter(self.world.behaviours))] * half, self.seed),
            "mixed": (mixed_players(self.world, half), self.seed + 1000),
        }


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What was measured of a dream.

    Attributes:
        figures: As JSON types.
        standing: One row: how it stands, at a glance.
        tables: All of it.
        pictures: SVGs by file name, which tables name.
    """

    figures: dict[str, Any]
    standing: Table
    tables: list[Table]
    pictures: Mapping[str, str] = field(default_factory=dict)


def _laws(subject: Subject) -> Measured:
    """Errors, and how often the laws of the world are kept in free rollouts."""
    return _in_rollouts(subject, "laws", measure_laws, _law_figures, standing_table, law_table)


def _ponds(subject: Subject) -> Measured:
    """Errors, how fish, water and bed fare in free rollouts, and what the codec makes of them."""
    measured = _in_rollouts(
        subject, "pond", measure_ponds, PondPair.to_json, pond_standing, pond_table
    )
    likeness = codec_likeness(subject.model, subject.seed)
    return replace(
        measured,
        figures=measured.figures | {"codec": likeness.to_json()},
        tables=[*measured.tables, codec_table(subject.world, likeness, subject.command)],
    )


def _only_errors(subject: Subject) -> Measured:
    """Errors against the truth, of a world of which nothing else is known."""
    world, command = subject.world, subject.command
    one_step, horizons = _errors(subject)
    return Measured(
        figures={"one_step": one_step.to_json(), "horizons": horizons.to_json()},
        standing=error_standing(world, subject.name, subject.share, one_step, horizons, command),
        tables=[error_table(world, one_step, horizons, command)],
    )


def _flown(subject: Subject) -> Measured:
    """Errors, how free games go, and, of a model that is told variables, what that is worth."""
    measured = _told(subject)
    pairs = {
        who: measure_flights(subject.world, subject.weights, names, subject.steps, first)
        for who, (names, first) in subject.players.items()
    }
    return replace(
        measured,
        figures=measured.figures | {f"flights_{who}": p.to_json() for who, p in pairs.items()},
        tables=[
            *measured.tables,
            *(flight_table(subject.world, who, p, subject.command) for who, p in pairs.items()),
        ],
    )


def _told(subject: Subject) -> Measured:
    """Errors, and, of a model that is told the game's variables, what that is worth to it."""
    measured, model = _only_errors(subject), subject.model
    if model.config.metadata is None:
        return measured
    steps = model.context - 1 + HORIZON
    played = held_out_windows(
        subject.world, subject.recordings, rows=subject.rows, steps=steps, seed=subject.seed
    )
    windows = list(whole_rows(played, _TOLD_WINDOWS, steps))
    foretold = measure_foretold(model, windows, subject.seed)
    worth = measure_worth(model, windows, subject.seed)
    return replace(
        measured,
        figures=measured.figures
        | {"variables": foretold_figures(foretold), "told": worth_figures(worth)},
        tables=[
            *measured.tables,
            foretold_table(subject.world, foretold, windows, subject.command),
            worth_table(subject.world, worth, windows, subject.command),
        ],
    )


def _filmed(subject: Subject) -> Measured:
    """Errors against footage, what goes wrong in longer dreams, and what inputs do in them."""
    if subject.recordings is None:
        raise ValueError(
            f"{subject.world.name} is known from footage only: give the folder of its recording "
            "(--recordings)"
        )
    measured = _only_errors(subject)
    report = measure_footage(
        subject.world, subject.model, subject.recordings, films=subject.rollouts,
        steps=subject.steps, seed=subject.seed,
    )  # fmt: skip
    return replace(
        measured,
        figures=measured.figures | {"footage": report.to_json()},
        tables=[*measured.tables, footage_table(subject.world, report, subject.command)],
    )


def _errors(subject: Subject) -> tuple[HorizonErrors, HorizonErrors]:
    return measure_errors(
        subject.world, subject.model, subject.seed, subject.rows, subject.recordings
    )


def _in_rollouts(
    subject: Subject,
    name: str,
    measure: Callable[[World, str | None, list[str], int, int], Pair],
    to_json: Callable[[Pair], dict[str, Any]],
    standing: Callable[[World, str, float, HorizonErrors, dict[str, Pair], str], Table],
    table: Callable[[World, str, Pair, str], Table],
) -> Measured:
    """Errors against the truth, and what `measure` finds in free rollouts of each of the players.

    Args:
        subject: What is measured.
        name: Of what is measured in the rollouts, in the names of figures.
        measure: Of the world, weights, players, steps and the first seed.
        to_json: Figures of what it finds.
        standing: The table of one row.
        table: The whole table of one kind of players.
    """
    world, command = subject.world, subject.command
    one_step, horizons = _errors(subject)
    found = {
        who: measure(world, subject.weights, names, subject.steps, first)
        for who, (names, first) in subject.players.items()
    }
    return Measured(
        figures={
            "one_step": one_step.to_json(),
            "horizons": horizons.to_json(),
            **{f"{name}_{who}": to_json(pair) for who, pair in found.items()},
        },
        standing=standing(world, subject.name, subject.share, one_step, found, command),
        tables=[
            error_table(world, one_step, horizons, command),
            *(table(world, who, pair, command) for who, pair in found.items()),
        ],
    )


def _paint(subject: Subject) -> Measured:
    """Likeness step by step, and whether controls and strokes do what they should."""
    world, command = subject.world, subject.command
    codec = reconstruction(subject.model)
    report = measure_paint(
        world, subject.weights, lambda frames: codec(frames[:, None]),
        episodes=subject.rollouts, steps=subject.steps, seed=subject.seed,
    )  # fmt: skip
    return Measured(
        figures={"paint": report.to_json()},
        standing=paint_standing(world, subject.name, subject.share, report, command),
        tables=[
            likeness_table(world, report.fidelity, command),
            controls_table(world, report, command),
            strokes_table(world, report, command),
        ],
        pictures={plot_name(world): likeness_plot(world, report.fidelity)},
    )


MEASURES: Mapping[str, Callable[[Subject], Measured]] = {
    "airstriker": _flown,
    "breakout": _laws,
    "koi_pond": _ponds,
    "minipaint": _paint,
    "minipaint_soft": _paint,
    "my_way_home": _filmed,
}
"""By the world's name."""

OWN_ROLLOUTS = 32
ROLLOUTS = {
    "airstriker": 16,
    "breakout": 64,
    "koi_pond": 64,
    "minipaint": EPISODES,
    "minipaint_soft": EPISODES,
    "my_way_home": OWN_ROLLOUTS,
}
"""How many of them are played if nothing else is said."""


def measure_of(world: World) -> tuple[Callable[[Subject], Measured], int]:
    """What a world is measured by, and how many rollouts that takes if nothing else is said."""
    if world.known_as:
        return MEASURES.get(world.name, _only_errors), ROLLOUTS.get(world.name, OWN_ROLLOUTS)
    filmed = world.own is not None and world.own.env is None
    return (_filmed if filmed else _only_errors), OWN_ROLLOUTS


def measure_errors(
    world: World, model: WorldModel, seed: int, rows: int, recordings: str | None = None
) -> tuple[HorizonErrors, HorizonErrors]:
    """One-step errors over many frames, and errors at horizons 1 to 64 over fewer.

    On the test split of a recording, as far as its longest episode goes, or on the real world
    played for it.
    """
    span, horizon = model.span, HORIZON
    if recordings is not None:
        horizon = max(
            1, min(HORIZON, longest_held_out(recordings_of(world, recordings)) - span + 1)
        )

    def predict(frames: np.ndarray, actions: np.ndarray) -> np.ndarray:
        return dream_frames(model, frames, actions, seed)

    def errors(horizon: int, count: int) -> HorizonErrors:
        steps = span - 1 + horizon
        played = held_out_windows(world, recordings, rows=rows, steps=steps, seed=seed)
        return errors_by_horizon(
            predict,
            islice(played, count),
            context=span,
            horizon=horizon,
            codec=reconstruction(model),
        )

    return errors(1, max(4, min(16, _FRAMES // (span + 1)))), errors(horizon, 2)


def measure_laws(
    world: World, weights: str | None, players: Sequence[str], steps: int, seed: int
) -> LawPair:
    """Plays free rollouts, dreamed and real, and has the world's referee watch both."""
    dream = gym.make_vec(world.dream_id, len(players), weights=weights, max_episode_steps=steps)
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
