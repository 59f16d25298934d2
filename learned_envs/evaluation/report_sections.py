"""The sections of a report: what was played and measured, as HTML."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from learned_envs.evaluation.film import Reel
from learned_envs.evaluation.report_card import html_table, measured_html
from learned_envs.evaluation.report_plots import Plot, bar_plot, horizon_plots, step_plots

KINDS = ("real", "dream")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Match:
    """Two games of T steps under one player, and what was measured of them.

    Attributes:
        figures: As `metrics.json` holds them; see `compare.compare_envs`.
        reels: The games, by `KINDS`, T + 1 frames each.
        broken: By `KINDS` and law, (T,) bool: the step broke it.
        laws: Each law in words; empty in a world without.
        likeness: (T + 1,) PSNR between the two frames in dB.
        alike: dB above which two frames look alike.
    """

    figures: Mapping[str, Any]
    reels: Mapping[str, Reel]
    broken: Mapping[str, Mapping[str, np.ndarray]]
    laws: Mapping[str, str]
    likeness: np.ndarray
    alike: float


def summary(match: Match) -> str:
    """The figures at the top, as entries of a `<dl>`."""
    figures = match.figures
    real, dream = figures["real"], figures["dream"]
    parted, doubt, ahead = figures["parted_at"], figures["mean_doubt"], figures["one_step"]
    shown = [
        ("Score, all episodes", f"{dream['score']:g}", f"in the real game {real['score']:g}"),
        ("Episodes", f"{dream['episodes']}", f"in the real game {real['episodes']}"),
        *_least_kept(match),
        (
            "Frames look alike",
            "to the end" if parted is None else f"until step {parted}",
            f"PSNR above {match.alike:g} dB",
        ),
        ("Doubt", _number(doubt), "mean of all steps, 0 to 1"),
    ]
    if ahead is not None:
        error = ahead["prediction"]["psnr"][0]
        shown.append(("One step ahead", f"{error:.1f} dB", f"PSNR, {ahead['windows']} steps"))
    return "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}<small>{escape(note)}</small></dd></div>"
        for name, value, note in shown
    )


def _least_kept(match: Match) -> list[tuple[str, str, str]]:
    """The law that the dream broke most often, as an entry; none in a world without laws."""
    if not match.laws:
        return []
    laws = {name: law["held"] for name, law in match.figures["dream"]["laws"]["laws"].items()}
    judged = {name: held for name, held in laws.items() if held is not None}
    held = min(judged.values(), default=None)
    least = next((name for name, share in judged.items() if share == held), "none was tested")
    return [("Law kept least", _percent(held), "every law held" if held == 1 else least)]


def sections(match: Match, card: str | None) -> str:
    """All that stands below them: plots by step, laws, errors, the model card's figures."""
    laws = [_laws(match)] if match.laws else []
    return "\n".join([_steps(match), *laws, _errors(match.figures), _card(card)])


def _steps(match: Match) -> str:
    plots = step_plots(
        match.reels["real"],
        match.reels["dream"],
        match.broken["dream"],
        match.likeness,
        match.alike,
    )
    drawn = "\n".join(map(_figure, plots))
    return _section("Step by step", f'<div class="plots">{drawn}</div>')


def _laws(match: Match) -> str:
    figures = match.figures
    real, dream = figures["real"], figures["dream"]
    kept = {kind: figures[kind]["laws"]["laws"] for kind in KINDS}
    rows = [
        (
            law,
            _percent(kept["real"][law]["held"]),
            _percent(counts["held"]),
            _percent(counts["held_when_tested"]),
            f"{sum(counts['violations']):,} of {sum(counts['tests']):,}",
            match.laws[law],
        )
        for law, counts in kept["dream"].items()
    ]
    laws = html_table(
        ("law", "real, kept", "dream, kept", "where tested", "tests it failed", "what it says"),
        rows,
        label="Laws",
        words=(5,),
    )
    told = (
        '<p class="note">Kept: share of frames in which a law held. Where tested: of those dreamed '
        "frames that put it to the test, and how many of these it failed.</p>"
    )
    bars = bar_plot(
        "laws",
        "Laws kept",
        "Share of frames. Both games are judged by the same eye, from their pixels alone.",
        {law: (kept["real"][law]["held"], now["held"]) for law, now in kept["dream"].items()},
        percent=True,
    )
    events = bar_plot(
        "events",
        "Events",
        "Per 1,000 steps, counted in the pixels of both games.",
        {event: (rate, dream["rates"][event]) for event, rate in real["rates"].items()},
    )
    drifts = html_table(
        ("event per 1,000 steps", "real", "dream", "drift"),
        [
            (event, _number(rate), _number(dream["rates"][event]), _drift(figures["drift"][event]))
            for event, rate in real["rates"].items()
        ],
        caption="Drift: the dreamed rate over the real one, minus 1",
    )
    right = f"<div>{_figure(events)}\n{drifts}</div>"
    return _section(
        "The laws of the game", f'<div class="plots">{_figure(bars)}\n{right}</div>\n{told}\n{laws}'
    )


def _errors(figures: Mapping[str, Any]) -> str:
    horizons = figures["horizons"]
    if horizons is None:
        return _section(
            "Error by horizon",
            "<p>Not measured: it is for checkpoints, and these weights are an exported graph.</p>",
        )
    measured = {name: error for name, error in horizons.items() if name != "windows"}
    last = len(measured["prediction"]["psnr"])
    shown = sorted({2**i for i in range(last.bit_length())} | {last})
    rows = [(str(h), *(_error(error, h - 1) for error in measured.values())) for h in shown]
    table = html_table(
        ("steps ahead", *("dream" if name == "prediction" else name for name in measured)),
        rows,
        caption="PSNR in dB / where something changes / SSIM",
    )
    said = (
        f"<p>{horizons['windows']} stretches of held-out play, each predicted {last} steps ahead "
        "from true frames and the true actions, on the dream’s own predictions.</p>"
    )
    plots = "\n".join(map(_figure, horizon_plots(measured)))
    return _section(
        "Error by horizon", f'{said}\n<div class="plots">{plots}\n<div>{table}</div></div>'
    )


def _card(card: str | None) -> str:
    if card is None:
        text = "<p>None: these weights are an exported graph, which carries no model card.</p>"
    else:
        text = measured_html(card) or "<p>The model card of these weights has no figures yet.</p>"
        text = (
            "<p>What <code>learned-envs evaluate</code> found over many games; it stands in the "
            f"model card beside the weights.</p>\n{text}"
        )
    return _section("From the model card", text)


def _section(title: str, content: str) -> str:
    return f"<section>\n<h2>{escape(title)}</h2>\n{content}\n</section>"


def _figure(plot: Plot) -> str:
    place = "" if plot.left is None else f' data-left="{plot.left:.6f}" data-per="{plot.per:.8f}"'
    said = f"<b>{escape(plot.title)}</b><span>{escape(plot.caption)}</span>"
    return f"<figure{place}><figcaption>{said}</figcaption>\n{plot.svg}</figure>"


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.2f}%"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _drift(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}%"


def _error(error: Mapping[str, Sequence[float | None]], place: int) -> str:
    pixels, changing, structure = (error[name][place] for name in ("psnr", "changing_psnr", "ssim"))
    return " / ".join(
        "–" if value is None else f"{value:.{digits}f}"
        for value, digits in ((pixels, 1), (changing, 1), (structure, 3))
    )
