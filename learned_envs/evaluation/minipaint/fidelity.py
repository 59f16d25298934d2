"""How near a dreamed paint program stays to the real one under the same actions, step by step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from learned_envs.evaluation.metrics import PSNR_CAP, ssim_map
from learned_envs.evaluation.minipaint.episodes import Moment
from learned_envs.evaluation.minipaint.pixels import FRAME, INKED, TOOLBAR, far
from sims.minipaint.reward import canvas_of

NAMED = (1, 50, 150, 500, 800, 1000, 3000)
"""Steps whose figures are shown."""

EVERY = 50
"""Steps between two measured ones, besides those in `NAMED`."""

CLIFF = 0.95
"""SSIM below which an episode has come to the cliff."""

BAND = (0.1, 0.9)
"""Quantiles over episodes between which the band lies."""

_EARLY_SLOPE = 200  # the last step of the first of two slopes

Codec = Callable[[np.ndarray], np.ndarray]
"""Encodes and decodes frames (n, 224, 224, 3) uint8."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Likeness:
    """How like frames are to the real ones, at S steps of n episodes; each (S, n) float64.

    Attributes:
        ssim: Structural similarity, as `metrics.ssim` has it.
        canvas_ssim: Its mean over the pixels of the canvas.
        toolbar_ssim: Its mean over all other pixels.
        psnr: dB from the mean squared error of a frame's values, at most 60.
        canvas_psnr: The same over the canvas.
        toolbar_psnr: The same over all other pixels.
        ink_f1: 2 both / (2 both + one) of the pixels of the canvas that are ink in both frames and
            in one only; ink is what differs from the empty paper by more than 32 levels in any
            channel, whatever its colour. 1 where there is no ink in either.
        wrong: Share of a frame's pixels that differ from the real ones by more than 16 levels in
            any channel.
    """

    ssim: np.ndarray
    canvas_ssim: np.ndarray
    toolbar_ssim: np.ndarray
    psnr: np.ndarray
    canvas_psnr: np.ndarray
    toolbar_psnr: np.ndarray
    ink_f1: np.ndarray
    wrong: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """For each measure its mean, band and worst value by step."""
        found = {}
        for name in (field.name for field in fields(self)):
            values = getattr(self, name)
            low, high = np.quantile(values, BAND, axis=1)
            worst = values.max(1) if name == "wrong" else values.min(1)
            curves = {"mean": values.mean(1), "low": low, "high": high, "worst": worst}
            found[name] = {curve: of.tolist() for curve, of in curves.items()}
        return found


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fidelity:
    """How n episodes went.

    Attributes:
        steps: S measured steps, from 1.
        likeness: Of `dream`; of `copy first`, which shows the first real frame for ever; and, where
            a codec was given, of `codec`: the real frame encoded and decoded.
    """

    steps: tuple[int, ...]
    likeness: Mapping[str, Likeness]

    @property
    def episodes(self) -> int:
        """How many, n."""
        return self.likeness["dream"].ssim.shape[1]

    @property
    def onset(self) -> np.ndarray:
        """(n,) float64: the first measured step at which an episode's SSIM is below 0.95; or nan.

        Between measured steps nothing is seen: it is up to 50 steps late.
        """
        below = self.likeness["dream"].ssim < CLIFF
        first = np.array(self.steps, float)[below.argmax(0)]
        return np.where(below.any(0), first, np.nan)

    @property
    def toolbar_slopes(self) -> tuple[float, float]:
        """Change of the toolbar's mean SSIM a step: up to step 200, and from there on.

        The slope of a straight line fitted to the measured steps by least squares; nan where there
        are fewer than two.
        """
        steps, mean = np.array(self.steps, float), self.likeness["dream"].toolbar_ssim.mean(1)
        early = steps <= _EARLY_SLOPE
        return _slope(steps[early], mean[early]), _slope(steps[~early], mean[~early])

    def at(self, step: int, name: str, of: str = "dream") -> np.ndarray:
        """(n,) values of a measure at one of the measured steps."""
        return getattr(self.likeness[of], name)[self.steps.index(step)]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; an episode without a cliff, or no slope, is None."""
        return {
            "episodes": self.episodes,
            "steps": list(self.steps),
            "onset": [None if np.isnan(v) else int(v) for v in self.onset],
            "toolbar_slopes": [None if np.isnan(v) else v for v in self.toolbar_slopes],
            **{kind: likeness.to_json() for kind, likeness in self.likeness.items()},
        }


class FidelityWatch:
    """Measures at some steps as they pass.

    Args:
        first: (n, 224, 224, 3) uint8, the first real frames.
        paper: (182, 182, 3) uint8, an empty canvas.
        steps: Length of the episodes.
        codec: For the ceiling, if there is one.
    """

    def __init__(
        self, first: np.ndarray, paper: np.ndarray, steps: int, codec: Codec | None = None
    ):
        self._first, self._paper, self._codec = first, paper, codec
        self._steps = measured_steps(steps)
        self._seen: dict[str, list[dict[str, np.ndarray]]] = {}

    def watch(self, moment: Moment) -> None:
        """Looks at the next step."""
        if moment.step not in self._steps:
            return
        shown = {"dream": moment.dream, "copy first": self._first}
        if self._codec is not None:
            shown["codec"] = self._codec(moment.real)
        for kind, frames in shown.items():
            self._seen.setdefault(kind, []).append(_likeness(frames, moment.real, self._paper))

    def fidelity(self) -> Fidelity:
        """What was measured."""
        return Fidelity(
            steps=self._steps,
            likeness={kind: _stacked(rows) for kind, rows in self._seen.items()},
        )


def measured_steps(steps: int) -> tuple[int, ...]:
    """Every 50th step, those in `NAMED` and the last of `steps`."""
    wanted = {*NAMED, *range(EVERY, steps, EVERY), steps}
    return tuple(sorted(step for step in wanted if step <= steps))


def _likeness(frames: np.ndarray, real: np.ndarray, paper: np.ndarray) -> dict[str, np.ndarray]:
    """Each measure of `Likeness` for n frames, (n,)."""
    similar = ssim_map(frames, real)
    apart = (frames.astype(np.float32) - real) ** 2
    found = {}
    for name, where in (("", FRAME), ("canvas_", ~TOOLBAR), ("toolbar_", TOOLBAR)):
        found[f"{name}ssim"] = similar[:, where].mean(1)
        found[f"{name}psnr"] = _psnr(apart[:, where].mean((1, 2), dtype=np.float64))
    one, other = (far(canvas_of(of), paper, INKED) for of in (frames, real))
    both, either = (one & other).sum((1, 2)), one.sum((1, 2)) + other.sum((1, 2))
    found["ink_f1"] = np.where(either > 0, 2 * both / np.maximum(either, 1), 1.0)
    found["wrong"] = far(frames, real).mean((1, 2))
    return found


def _psnr(squared_error: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.minimum(10 * np.log10(255**2 / squared_error), PSNR_CAP)


def _stacked(rows: Sequence[Mapping[str, np.ndarray]]) -> Likeness:
    return Likeness(**{name: np.stack([row[name] for row in rows]) for name in rows[0]})


def _slope(steps: np.ndarray, values: np.ndarray) -> float:
    if len(steps) < 2:
        return float("nan")
    away = steps - steps.mean()
    return float(away @ values / (away @ away))
