"""A dataset card: a Markdown page that tells others what a recording holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from learned_envs.recording.inspect import Report
from learned_envs.recording.values import MOST, Values
from learned_envs.recording.variables import Variable

_FEW = 12  # values of rewards that are listed one by one


def dataset_card(report: Report) -> str:
    """Writes what `inspect` found as a page; it names no path of the machine.

    Args:
        report: Of a recording; frames need not have been looked at.
    """
    sizes = ", ".join(f"{height} x {width}" for height, width in report.sizes)
    facts = [
        ("world", report.world),
        ("takes", f"{report.takes:,}"),
        ("episodes", f"{report.episodes:,}, every part of a long take counted"),
        ("frames", f"{report.frames:,}, {sizes} pixels (height x width), RGB, uint8"),
        ("length", f"{report.hours:.2f} hours at {report.fps:g} steps a second"),
        ("size on disk", f"{report.megabytes:.1f} MB"),
        ("reward", f"{report.reward:,.6g} in all"),
    ]
    parts = [
        f"# Recordings of {report.world}",
        "Frames, the action taken at each, rewards, ends, and what the world says of itself.",
        _table(("", ""), facts),
        "## Splits",
        "By a hash of the source, so no take is in two.",
        _table(("split", "episodes", "share"), _shares(report.splits)),
        "## Behaviours",
        _table(("who played", "takes", "share"), _shares(report.behaviours)),
        "## Actions",
        _actions(report),
        "## Events",
        _events(report.events),
        "## Rewards",
        *_rewards(report),
        "## Metadata",
        _metadata(report.variables, report.episodes),
    ]
    return "\n\n".join(parts) + "\n"


def _actions(report: Report) -> str:
    if report.actions[0].low is None:
        return _table(
            ("action", "share of steps"), [(a.name, _share(a.share)) for a in report.actions]
        )
    return _table(
        ("component", "least", "greatest", "share of steps away from its usual value"),
        [(a.name, _number(a.low), _number(a.high), _share(a.share)) for a in report.actions],
    )


def _events(events: Mapping[str, int] | None) -> str:
    if not events:
        return "The library counts none of this world."
    return _table(("event", "count"), [(name, f"{count:,}") for name, count in events.items()])


def _rewards(report: Report) -> Iterable[str]:
    """Of takes by their quartiles; of steps by their values, where these are few."""
    quartiles = np.quantile(report.returns, [0, 0.25, 0.5, 0.75, 1])
    steps = report.rewards
    yield _table(
        ("reward of", "least", "first quartile", "median", "third quartile", "greatest", "mean"),
        [("a take", *map(_number, quartiles), _number(float(np.mean(report.returns))))],
    )
    if steps.distinct is not None and steps.distinct <= _FEW:
        values, counts = steps.counts()
        yield _table(
            ("reward of a step", "steps", "share"),
            [
                (_number(value), f"{count:,.0f}", _share(count / steps.number))
                for value, count in zip(values, counts, strict=True)
            ],
        )
    else:
        yield (
            f"Of a step: from {_number(steps.low)} to {_number(steps.high)}, "
            f"{_number(steps.mean)} on average, and not 0 at {_share(1 - steps.share(0))} of them; "
            f"{_distinct(steps)} different values."
        )


def _metadata(variables: Sequence[Variable], episodes: int) -> str:
    if not variables:
        return "None was recorded."
    rows = [
        (
            f"`{v.name}`" + ("" if v.episodes == episodes else f" (in {v.episodes:,} episodes)"),
            v.dtype.name,
            "varies" if v.shape is None else str(v.shape),
            _number(v.values.low), _number(v.values.high), _number(v.values.mean),
            _distinct(v.values),
        )
        for v in variables
    ]  # fmt: skip
    head = ("variable", "dtype", "shape", "least", "greatest", "mean", "different values")
    return "Of every frame.\n\n" + _table(head, rows)


def _shares(counts: Mapping[str, int]) -> list[tuple[str, str, str]]:
    total = max(1, sum(counts.values()))
    return [(name, f"{count:,}", _share(count / total)) for name, count in counts.items()]


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", r"\|") for c in row) + " |" for row in lines)


def _share(share: float) -> str:
    return f"{share:.1%}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.6g}"


def _distinct(values: Values) -> str:
    return f"more than {MOST:,}" if values.distinct is None else f"{values.distinct:,}"
