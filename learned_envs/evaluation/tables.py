"""How measured figures are shown: the tables of results page, model card and terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from learned_envs.evaluation.judging import LawPair, event_drift
from learned_envs.evaluation.metrics import HorizonErrors
from learned_envs.evaluation.policies import PolicyScores
from learned_envs.evaluation.results import Table
from learned_envs.worlds import World

GREY = "Grey: a model that got only a share of its whole training."
"""For the note of a table of `standing_row`s."""


def standing_table(
    world: World,
    model: str,
    share: float,
    one_step: HorizonErrors,
    laws: Mapping[str, LawPair],
    command: str,
) -> Table:
    """One row: how a model stands, at a glance.

    Args:
        world: What is dreamed.
        model: Its name.
        share: Of its whole training that it got; below 1 the row is greyed.
        one_step: Errors of single steps.
        laws: Free rollouts by the name of their players.
        command: That measured it.
    """
    error = one_step.errors["prediction"]
    rates = {
        players: event_drift(pair.real.rates, pair.dream.rates) for players, pair in laws.items()
    }
    drifts = {
        f"{event}, {players}": drift
        for players, of in rates.items()
        for event, drift in of.items()
        if not np.isnan(drift)
    }
    furthest = max(drifts, key=lambda name: abs(drifts[name]), default="–")
    declines = {
        f"{law}, {players}": _decline(pair, law)
        for players, pair in laws.items()
        for law in pair.dream.report.counts
    }
    steepest = max(declines, key=lambda name: declines[name])
    cells = [
        f"{error.psnr[0]:.1f}",
        f"{error.changing_psnr[0]:.1f}",
        *(_worst(pair) for pair in laws.values()),
        f"{100 * drifts[furthest]:+.0f}% ({furthest})" if drifts else "–",
        f"{100 * declines[steepest]:.1f} points ({steepest})",
        " + ".join(f"{pair.dream.report.rollouts}" for pair in laws.values()),
        f"`{command}`",
    ]
    return Table(
        name=f"{world.name}-0-standing",
        title=f"{world.id_suffix}: standing",
        columns=(
            "model", "share of its training", "one step, PSNR dB", "where it changes",
            *(f"law kept least, {players}" for players in laws),
            "event rate furthest from real", "largest decline with age", "rollouts", "measured by",
        ),
        rows=[standing_row(model, share, cells)],
        note=f"{GREY} Decline: from the first to the last 200 steps.",
    )  # fmt: skip


def error_standing(
    world: World,
    model: str,
    share: float,
    one_step: HorizonErrors,
    horizons: HorizonErrors,
    command: str,
) -> Table:
    """One row: how a model stands of whose world nothing is known but errors.

    Args:
        world: What it dreams.
        model: Its name.
        share: Of its whole training that it got.
        one_step: Errors of single steps.
        horizons: Errors of longer dreams.
        command: That measured it.
    """
    error, longer = one_step.errors["prediction"], horizons.errors["prediction"]
    last = horizons.errors["copy last"]
    cells = [
        f"{error.psnr[0]:.1f}",
        f"{error.changing_psnr[0]:.1f}",
        f"{longer.psnr[-1]:.1f} ({last.psnr[-1]:.1f})",
        f"`{command}`",
    ]
    return Table(
        name=f"{world.name}-0-standing",
        title=f"{world.id_suffix}: standing",
        columns=(
            "model", "share of its training", "one step, PSNR dB", "where it changes",
            f"{len(longer.psnr)} steps on (if nothing changed)", "measured by",
        ),
        rows=[standing_row(model, share, cells)],
        note=GREY,
    )  # fmt: skip


def _decline(pair: LawPair, law: str) -> float:
    ages = pair.dream.report.held_by_age(law)
    ages = ages[~np.isnan(ages)]
    return float(ages[0] - ages[-1]) if len(ages) else 0.0


def _worst(pair: LawPair) -> str:
    report = pair.dream.report
    law = min(report.counts, key=report.held)
    return f"{_percent(report.held(law))} ({law})"


def standing_row(model: str, share: float, cells: Sequence[str]) -> list[str]:
    """A model's name, the share of its training that it got, and cells; grey if that is not all."""
    if share >= 1:
        return [model, "whole", *cells]
    cells = [f"{100 * share:.2g}%", *cells]
    return [model, *(f'<span style="color: grey">{cell}</span>' for cell in cells)]


def error_table(
    world: World, one_step: HorizonErrors, horizons: HorizonErrors, command: str
) -> Table:
    """Errors of single steps and at growing horizons, beside codec and copy-last."""
    horizon = len(horizons.errors["prediction"].psnr)
    shown = [h for h in (1, 4, 16, 64) if h <= horizon]
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
        note=f"{one_step.windows} single steps; {horizons.windows} rollouts of {horizon}. "
        "A frame's PSNR is capped at 60 dB. A rollout may rightly part from its true game: what "
        "counts at long horizons is in the tables below.",
    )  # fmt: skip


def law_table(world: World, players: str, pair: LawPair, command: str) -> Table:
    """How often each law held, by age, and how often things happened."""
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


def policy_table(world: World, scores: PolicyScores, command: str) -> Table:
    """Mean returns of the same policies in both worlds, best first."""
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


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.2f}%"
