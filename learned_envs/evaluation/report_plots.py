"""The plots of a report: SVG whose colours are the page's, so that they follow its scheme."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from learned_envs.evaluation.film import Reel
from learned_envs.evaluation.plot_style import plot_style

_INK, _SOFT, _LINE, _REAL, _DREAM = (f"#00000{i}" for i in range(1, 6))
_PAGE_COLOURS = {
    _INK: "var(--ink)",
    _SOFT: "var(--soft)",
    _LINE: "var(--line)",
    _REAL: "var(--real)",
    _DREAM: "var(--accent)",
}
"""matplotlib knows no CSS variables: these colours stand for them until the SVG is written."""

_STYLE = plot_style(_INK, _SOFT, _LINE) | {"svg.fonttype": "none", "text.parse_math": False}
_WIDTH, _HEIGHT = 4.6, 2.3  # inches, half the page: text stays readable on a phone
_SMOOTH = 15
_MEASURES = {
    "psnr": ("PSNR", "dB", "All pixels; a frame's PSNR is capped at 60 dB."),
    "changing_psnr": (
        "PSNR where something changes",
        "dB",
        "Only pixels that change in the true game: what a copied frame gets wrong.",
    ),
    "ssim": ("SSIM", "", "Structural similarity; 1 is the true frame."),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Plot:
    """One plot.

    Attributes:
        title: Above it.
        caption: What it shows, in a sentence.
        svg: An `<svg>` element with a text alternative; its ids begin with the plot's name.
        left: Where step 0 is, as a share of the width, in plots over time; None in others.
        per: Share of the width that a step takes.
    """

    title: str
    caption: str
    svg: str
    left: float | None = None
    per: float = 0.0


def step_plots(
    real: Reel,
    dream: Reel,
    broken: Mapping[str, np.ndarray],
    likeness: np.ndarray,
    alike: float,
) -> list[Plot]:
    """What is known of every step of two games.

    Args:
        real: The real game, T + 1 frames.
        dream: The dreamed one.
        broken: By law, (T,) bool: the dream's step broke it; empty in a world without laws.
        likeness: (T + 1,) PSNR between the two games' frames in dB.
        alike: dB above which two frames look alike.
    """
    with style.context(["default", _STYLE]):
        return [
            _doubt(dream.doubt),
            _scores(real.score, dream.score),
            *([_broken(broken)] if broken else []),
            _likeness(likeness, alike),
        ]


def horizon_plots(horizons: Mapping[str, Any]) -> list[Plot]:
    """Errors by steps ahead, of prediction and baselines, from `HorizonErrors.to_json`."""
    with style.context(["default", _STYLE]):
        return [_horizon(horizons, measure) for measure in _MEASURES]


def bar_plot(
    name: str,
    title: str,
    caption: str,
    bars: Mapping[str, tuple[float | None, float | None]],
    *,
    percent: bool = False,
) -> Plot:
    """A pair of bars, real and dreamed, for each name.

    Args:
        name: Of the plot.
        title: Above it.
        caption: What it shows.
        bars: Real and dreamed value by label; None where there is none.
        percent: Values are shares, shown in percent of 100.
    """
    with style.context(["default", _STYLE]):
        figure, axes = _figure(0.7 + 0.28 * len(bars))
        scale, unit = (100, "%") if percent else (1, "")
        top = 100 if percent else max([v or 0 for pair in bars.values() for v in pair] + [1e-9])
        places = np.arange(len(bars))
        for i, (kind, colour) in enumerate((("real", _REAL), ("dream", _DREAM))):
            values = [pair[i] for pair in bars.values()]
            lengths = [scale * (value or 0) for value in values]
            at = places + (i - 0.5) * 0.36
            axes.barh(at, lengths, 0.32, color=colour, label=kind)
            for y, value, length in zip(at, values, lengths, strict=True):
                text = "–" if value is None else f"{scale * value:.2f}{unit}"
                axes.text(length + top / 80, y, text, va="center", fontsize=7, color=_SOFT)
        axes.set(yticks=places, yticklabels=list(bars), xlim=(0, 1.16 * top), ylim=(-0.6, None))
        if percent:
            axes.set_xticks([0, 25, 50, 75, 100], [f"{tick}%" for tick in (0, 25, 50, 75, 100)])
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.tick_params(axis="y", length=0, labelcolor=_INK)
        _legend(axes)
        said = "; ".join(
            f"{label} {_said(real, scale)}{unit} and {_said(dreamed, scale)}{unit}"
            for label, (real, dreamed) in bars.items()
        )
        return _plot(figure, name, title, caption, f"Real and dreamed: {said}.")


def _doubt(doubt: np.ndarray) -> Plot:
    figure, axes = _over_time(len(doubt), ylim=(-0.02, 1.02))
    steps = np.flatnonzero(~np.isnan(doubt))
    if steps.size:
        known = doubt[steps]
        axes.plot(steps, known, color=_DREAM, linewidth=0.6, alpha=0.35)
        weights = np.convolve(np.ones(known.size), np.ones(_SMOOTH), "same")
        axes.plot(steps, np.convolve(known, np.ones(_SMOOTH), "same") / weights, color=_DREAM)
    caption = (
        "How unsure the dream is of each step, as a quantile of its surprise at real play. "
        f"Bold: mean of {_SMOOTH} steps around."
    )
    mean = f"mean {doubt[steps].mean():.2f}" if steps.size else "none given"
    return _plot(figure, "doubt", "Doubt", caption, f"Doubt from 0 to 1 by step; {mean}.", axes)


def _scores(real: np.ndarray, dream: np.ndarray) -> Plot:
    figure, axes = _over_time(len(real))
    axes.plot(real, color=_REAL, linewidth=4, alpha=0.6, label="real", drawstyle="steps-post")
    axes.plot(dream, color=_DREAM, label="dream", drawstyle="steps-post")
    _legend(axes)
    caption = "Of the episode so far; it begins anew with every episode."
    alt = f"Score by step; at the end {real[-1]:g} in the real game and {dream[-1]:g} in the dream."
    return _plot(figure, "score", "Score", caption, alt, axes)


def _broken(broken: Mapping[str, np.ndarray]) -> Plot:
    figure, axes = _over_time(len(next(iter(broken.values()))) + 1)
    steps = [np.flatnonzero(now) + 1 for now in broken.values()]
    axes.eventplot(steps, colors=_DREAM, linelengths=0.7, linewidths=1.0)
    axes.set_yticks(range(len(broken)), list(broken))
    axes.set_ylim(len(broken) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, labelsize=8)
    said = ", ".join(f"{law} {at.size}" for law, at in zip(broken, steps, strict=True))
    caption = "A mark for each step of the dream that broke a law of the game."
    caption += "" if any(at.size for at in steps) else " There was none."
    return _plot(figure, "broken", "Laws broken", caption, f"Steps that broke: {said}.", axes)


def _likeness(likeness: np.ndarray, alike: float) -> Plot:
    figure, axes = _over_time(len(likeness), ylabel="dB")
    axes.plot(likeness, color=_DREAM, linewidth=1)
    axes.axhline(alike, color=_SOFT, linewidth=0.8, linestyle=(0, (1, 2)))
    caption = (
        f"PSNR between the two frames of a step; above {alike:g} dB (dotted) they look alike. Two "
        "games may rightly part, when chance or the player decides otherwise."
    )
    alt = f"PSNR between the two games by step, from {likeness[0]:.0f} to {likeness[-1]:.0f} dB."
    return _plot(figure, "likeness", "Likeness of the two games", caption, alt, axes)


def _horizon(horizons: Mapping[str, Any], measure: str) -> Plot:
    title, unit, caption = _MEASURES[measure]
    figure, axes = _figure(_HEIGHT)
    said = []
    for name, label, look in (
        ("codec", "codec, the ceiling", {"color": _SOFT, "linestyle": (0, (1, 2))}),
        ("prediction", "dream", {"color": _DREAM, "linewidth": 1.8}),
        ("copy last", "copy last", {"color": _REAL, "linestyle": (0, (4, 2))}),
    ):
        if name not in horizons:
            continue
        values = np.array(horizons[name][measure], float)  # None becomes nan
        axes.plot(np.arange(1, len(values) + 1), values, label=label, **look)
        said.append(f"{label} {values[0]:.3g} to {values[-1]:.3g}")
    axes.set(xlabel="steps ahead", ylabel=unit)
    axes.margins(x=0.01)
    _legend(axes)
    alt = f"{title} from one step ahead to the last: {'; '.join(said)} {unit}".strip() + "."
    return _plot(figure, measure.replace("_", "-"), title, caption, alt)


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure((_WIDTH, height), dpi=72, layout="constrained")
    return figure, figure.add_subplot()


def _over_time(frames: int, **settings: Any) -> tuple[Figure, Axes]:
    figure, axes = _figure(_HEIGHT)
    axes.set(xlim=(0, max(frames - 1, 1)), xlabel="step", **settings)
    axes.axvline(0, color=_INK, linewidth=0.8, gid="now")
    return figure, axes


def _legend(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0, handlelength=1.6)


def _plot(
    figure: Figure, name: str, title: str, caption: str, alt: str, timeline: Axes | None = None
) -> Plot:
    """Writes a figure as an element that may stand beside others in one page."""
    text = io.StringIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(text, format="svg", transparent=True, metadata=nothing)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\n?", "", svg, count=1, flags=re.DOTALL)
    svg = re.sub(r'\b(id="|url\(#|href="#)', rf"\g<1>{name}-", svg)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    opened = f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" {box[0]} role="img" '
    svg = f'{opened}aria-label="{escape(alt)}">' + svg[svg.index(">") + 1 :]
    for stand_in, colour in _PAGE_COLOURS.items():
        svg = svg.replace(stand_in, colour)
    if timeline is None:
        return Plot(title=title, caption=caption, svg=svg)
    ends = timeline.transData.transform([(0, 0), (1, 0)])[:, 0]
    width = figure.bbox.width
    return Plot(
        title=title,
        caption=caption,
        svg=svg,
        left=float(ends[0] / width),
        per=float((ends[1] - ends[0]) / width),
    )


def _said(value: float | None, scale: float) -> str:
    return "–" if value is None else f"{scale * value:.2f}"
