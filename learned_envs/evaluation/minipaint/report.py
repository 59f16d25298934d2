"""All that is measured of a dreamed paint program beside the real one, in one pass."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_envs.evaluation.minipaint.controls import (
    Answers,
    ControlsWatch,
)
from learned_envs.evaluation.minipaint.episodes import (
    Episodes,
    side_by_side,
    viewed_episodes,
)
from learned_envs.evaluation.minipaint.fidelity import Codec, Fidelity, FidelityWatch
from learned_envs.evaluation.minipaint.programs import Programs, dreamed_programs, real_programs
from learned_envs.evaluation.minipaint.stir import Stir, StirWatch
from learned_envs.evaluation.minipaint.strokes import TOOLS, Strokes, StrokesWatch
from learned_envs.evaluation.proportion import Proportion
from learned_envs.worlds import World
from sims.minipaint.reward import canvas_of

EPISODES = 20

CLICKS = 25
"""Probe clicks an episode, of each kind in each phase: 500 of 20 episodes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaintReport:
    """What was measured of a dreamed paint program.

    Attributes:
        fidelity: Step by step against the real program.
        answers: Of the toolbar's controls, by phase and kind of click.
        strokes: By tool and phase.
        stir: How much of the picture changes in a step.
    """

    fidelity: Fidelity
    answers: Mapping[str, Mapping[str, Answers]]
    strokes: Mapping[tuple[str, str], Strokes]
    stir: Stir

    def invisible(self, phase: str) -> Proportion:
        """Strokes of both tools in a phase that left nothing."""
        return sum((self.strokes[tool, phase].invisible for tool in TOOLS), Proportion())

    def asymmetry(self, phase: str) -> float:
        """By how much the shares of clicks that pen and eraser answered differ; nan without any."""
        pen, eraser = (self.answers[phase][tool].answered.share for tool in TOOLS)
        return abs(eraser - pen)

    def weakest(self, phase: str) -> tuple[str, Proportion]:
        """The kind of click that was answered least in a phase; nan without any."""
        answers = {kind: answers.answered for kind, answers in self.answers[phase].items()}
        kind = min(answers, key=lambda kind: np.nan_to_num(answers[kind].share, nan=2.0))
        return kind, answers[kind]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {
            "fidelity": self.fidelity.to_json(),
            "controls": {
                phase: {kind: of.to_json() for kind, of in kinds.items()}
                for phase, kinds in self.answers.items()
            },
            "strokes": {
                f"{tool}, {phase}": of.to_json() for (tool, phase), of in self.strokes.items()
            },
            "stir": self.stir.to_json(),
        }


def measure_paint(
    world: World,
    weights: str | None,
    codec: Codec | None,
    *,
    episodes: int = EPISODES,
    steps: int = 1000,
    seed: int = 900_000,
) -> PaintReport:
    """Plays held-out episodes in the real program and in its dream.

    Args:
        world: A paint program.
        weights: As `gym.make("Dream-v0", weights=...)` takes them; the packaged ones if None.
        codec: For the ceiling, if there is one.
        episodes: How many.
        steps: Of each.
        seed: Of the first episode.
    """
    return compare_programs(
        real_programs(world, episodes),
        dreamed_programs(world, weights, episodes),
        viewed_episodes(world, episodes, steps, seed),
        paper=canvas_of(world.make_real().reset(seed=seed)[0]),
        codec=codec,
        seed=seed,
    )


def compare_programs(
    real: Programs,
    dream: Programs,
    episodes: Episodes,
    *,
    paper: np.ndarray,
    codec: Codec | None = None,
    clicks: int = CLICKS,
    seed: int = 0,
) -> PaintReport:
    """Plays episodes in two batches of programs side by side.

    Args:
        real: What is right.
        dream: What is measured, as many.
        episodes: As many.
        paper: (182, 182, 3) uint8, an empty canvas.
        codec: For the ceiling, if there is one.
        clicks: Probe clicks an episode, of each kind in each phase.
        seed: Of the choice of clicks.
    """
    begun = real.start(episodes.first), dream.start(episodes.first)
    steps = len(episodes.actions)
    fidelity = FidelityWatch(begun[0], paper, steps, codec)
    strokes, stir = StrokesWatch(*begun, paper), StirWatch(*begun)
    controls = ControlsWatch(steps, clicks=clicks * len(episodes.first), seed=seed)
    for moment in side_by_side(real, dream, episodes):
        for watched in (fidelity, strokes, stir):
            watched.watch(moment)
        controls.watch(moment, real, dream)
    return PaintReport(
        fidelity=fidelity.fidelity(),
        answers=controls.answers,
        strokes=strokes.strokes,
        stir=stir.stir(),
    )
