"""What was measured of a dreamed paint program, as tables."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from learned_envs.evaluation.minipaint.controls import KINDS, WRONG_PIXELS
from learned_envs.evaluation.minipaint.episodes import EARLY, LATE, PHASES, phase_of
from learned_envs.evaluation.minipaint.fidelity import BAND, CLIFF, NAMED, Fidelity
from learned_envs.evaluation.minipaint.pixels import TOLERANCE
from learned_envs.evaluation.minipaint.plot import plot_name
from learned_envs.evaluation.minipaint.report import PaintReport
from learned_envs.evaluation.minipaint.stir import Stir
from learned_envs.evaluation.minipaint.strokes import TOOLS
from learned_envs.evaluation.proportion import Proportion
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.tables import GREY, standing_row
from learned_envs.worlds import World

_PHASES = {"early": f"steps to {EARLY}", "late": f"from step {LATE}"}


def likeness_table(world: World, fidelity: Fidelity, command: str) -> Table:
    """How near the dream stays, at the named steps."""
    shown = [step for step in NAMED if step in fidelity.steps]
    rows: list[tuple[str, ...]] = []

    def add(head: str, name: str, cell: Callable[[np.ndarray], str], of: str = "dream") -> None:
        if of in fidelity.likeness:
            rows.append((head, *(cell(fidelity.at(step, name, of)) for step in shown)))

    add("SSIM, mean", "ssim", _mean)
    add("SSIM, 10 to 90% of episodes", "ssim", _band)
    add("SSIM, worst episode", "ssim", _least)
    add("SSIM, real frame encoded and decoded", "ssim", _mean, "codec")
    add("SSIM, first frame for ever", "ssim", _mean, "copy first")
    for part, name in (("", ""), (" of the canvas", "canvas_"), (" of the toolbar", "toolbar_")):
        if part:
            add(f"SSIM{part}, mean", f"{name}ssim", _mean)
        add(f"PSNR{part}, dB", f"{name}psnr", lambda values: f"{values.mean():.1f}")
    add("ink F1, mean", "ink_f1", _mean)
    add("ink F1, worst episode", "ink_f1", _least)
    add("wrong pixels", "wrong", lambda values: _percent(float(values.mean())))
    return Table(
        name=f"{world.name}-1-likeness",
        title=f"{world.id_suffix}: against the real program under the same actions",
        command=command,
        columns=("", *(f"step {step:,}" for step in shown)),
        rows=rows,
        note=f"{fidelity.episodes} held-out episodes, driven as the published viewer drives. "
        f"{_cliff(fidelity)} {_slopes(fidelity)} A frame's PSNR is capped at 60 dB.",
        picture=plot_name(world),
    )


def controls_table(world: World, report: PaintReport, command: str) -> Table:
    """How clicks were answered."""
    rows = []
    for kind in KINDS:
        cells = []
        for phase in PHASES:
            answers = report.answers[phase][kind]
            cells += [_with_interval(answers.answered), _percent(answers.exact.share)]
        rows.append((kind, *cells))
    differences = (_points(report.asymmetry(phase)) for phase in PHASES)
    rows.append(("pen against eraser", *(cell for pair in differences for cell in (pair, ""))))
    return Table(
        name=f"{world.name}-2-controls",
        title=f"{world.id_suffix}: clicks that were answered",
        command=command,
        columns=("click on", *(f"{_PHASES[p]}{of}" for p in PHASES for of in ("", ", exactly"))),
        rows=rows,
        note="Each control is clicked where that changes it in the real program; edges are the "
        "pixels on either side of a control's border, gaps those where nothing is. Answered: of "
        f"the toolbar's pixels that the step changed in either program at most {WRONG_PIXELS} are "
        f"wrong by more than {TOLERANCE} levels. Exactly: the whole toolbar is equal. In brackets "
        "95% intervals by Wilson. A click whose outcome the dream showed before is left out.",
    )


def strokes_table(world: World, report: PaintReport, command: str) -> Table:
    """What strokes left."""
    columns = [report.strokes[tool, phase] for tool in TOOLS for phase in PHASES]
    thickness = [strokes.thickness for strokes in columns]
    rows = [
        ("strokes that left nothing", *(_with_interval(s.invisible) for s in columns)),
        ("erased to exactly paper", *(_percent(s.erased.share) for s in columns)),
        ("thickness, dream (real), px", *(f"{_number(a)} ({_number(b)})" for a, b in thickness)),
        ("mean error of a stroke's thickness, px", *(_number(s.thickness_error) for s in columns)),
        ("error of colour, levels", *(_number(s.colour_error) for s in columns)),
    ]
    return Table(
        name=f"{world.name}-2-strokes",
        title=f"{world.id_suffix}: what strokes leave",
        command=command,
        columns=("", *(f"{tool}, {_PHASES[phase]}" for tool in TOOLS for phase in PHASES)),
        rows=rows,
        note="A stroke left nothing if the dream changed less than a tenth of the pixels that "
        "really changed. Thickness is area by length. Places of 4x4 pixels that change in a step: "
        f"{_stirred(report.stir)}.",
    )


def paint_standing(
    world: World, model: str, share: float, report: PaintReport, command: str
) -> Table:
    """One row: how a model stands, at a glance.

    Args:
        world: What is dreamed.
        model: Its name.
        share: Of its whole training that it got; below 1 the row is greyed.
        report: What was measured.
        command: That measured it.
    """
    fidelity = report.fidelity

    def at(step: int, name: str, cell: Callable[[np.ndarray], str]) -> str:
        return cell(fidelity.at(step, name)) if step in fidelity.steps else "–"

    weakest = [report.weakest(phase) for phase in PHASES]
    cells = [
        " / ".join(at(step, "ssim", _mean) for step in (150, 1000, 3000)),
        at(1000, "ssim", _least),
        at(1000, "ink_f1", _mean),
        *(f"{_percent(answered.share)} ({kind})" for kind, answered in weakest),
        *(_percent(report.invisible(phase).share) for phase in PHASES),
        f"`{command}`",
    ]
    return Table(
        name=f"{world.name}-0-standing",
        title=f"{world.id_suffix}: standing",
        columns=(
            "model", "share of its training", "SSIM at step 150 / 1,000 / 3,000",
            "worst episode at 1,000", "ink F1 at 1,000", "click answered least, early", "late",
            "strokes that left nothing, early", "late", "measured by",
        ),
        rows=[standing_row(model, share, cells)],
        note=GREY,
    )  # fmt: skip


def _stirred(stir: Stir) -> str:
    """The share of places that change in a step, by phase."""
    said = []
    for phase in PHASES:
        within = [phase_of(step) == phase for step in range(1, 1 + len(stir.real))]
        if any(within):
            dream, real = (_percent(float(of[within].mean())) for of in (stir.dream, stir.real))
            said.append(f"{dream} {phase} (real {real})")
    return ", ".join(said)


def _mean(values: np.ndarray) -> str:
    return f"{values.mean():.4f}"


def _least(values: np.ndarray) -> str:
    return f"{values.min():.4f}"


def _band(values: np.ndarray) -> str:
    low, high = np.quantile(values, BAND)
    return f"{low:.4f} to {high:.4f}"


def _cliff(fidelity: Fidelity) -> str:
    fallen = fidelity.onset[~np.isnan(fidelity.onset)]
    if not len(fallen):
        return f"No episode's SSIM falls below {CLIFF}."
    return (
        f"SSIM falls below {CLIFF} in {len(fallen)} of them, first at step {fallen.min():.0f}, in "
        f"the middle one of these at step {np.median(fallen):.0f}."
    )


def _slopes(fidelity: Fidelity) -> str:
    slopes = ", ".join("–" if np.isnan(s) else f"{s:+.6f}" for s in fidelity.toolbar_slopes)
    return f"The toolbar's SSIM changes by {slopes} a step, up to step 200 and after."


def _with_interval(found: Proportion) -> str:
    if not found.trials:
        return "–"
    low, high = found.interval
    return f"{_percent(found.share)} of {found.trials:,} ({100 * low:.1f} to {100 * high:.1f})"


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.2f}%"


def _points(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.2f} points"


def _number(value: float) -> str:
    return "–" if np.isnan(value) else f"{value:.2f}"
