"""The diagnostics of the koi pond: how its fish, water and bed fare over time, from pixels alone.

They are always reported together, since each alone is fooled: area by a frozen pond, count by fish
that come and go, identity by fish that never move.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from learned_envs.evaluation.koi_pond.fates import (
    Fates,
    Passages,
    fates,
    kept_coats,
    passages,
    touching,
    under,
)
from learned_envs.evaluation.koi_pond.surface import BED_WINDOW
from learned_envs.evaluation.koi_pond.taps import Flight, flight
from learned_envs.evaluation.koi_pond.tracks import Track
from learned_envs.evaluation.koi_pond.watch import Pond, watch
from learned_envs.evaluation.rollouts import Rollout
from sims.koi_pond import FPS, TAP_THRESHOLD

AGES = 150, 900, 3000
"""Frames at which a rollout is looked at: 10 seconds, a minute, 3 minutes and 20 seconds."""

SPEED_SHARES = 0.1, 0.5, 0.9
"""Quantiles of the speed of fish in quiet water."""

_WINDOW = 75  # frames up to an age whose mean stands for it
_BEGINNING = 4  # frames whose mean a rollout is compared with: the first is a true one
_STRIDE = 8  # frames over which a speed is measured, so that a pixel of error matters little
_QUIET = 6 * FPS  # frames after a tap until the water is still


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Diagnosis:
    """What became of n ponds. A is the number of `ages`.

    Attributes:
        ages: Frames at which the ponds were looked at.
        count: (n, A) float64, fish over those of the pond's first 4 frames.
        area: (n, A) float64, pixels of fish over those of the first 4 frames.
        motion: (n, A) float64, mean speed of the fish, pixels a second.
        crispness: (n, A) float64, detail of the fish over that of the first 4 frames.
        bed: (n, A) float64, PSNR in dB of the bed against that of the first frame.
        identity: By age, fish of the beginning that are still there with their coat.
        fates: Vanishings, teleports, merges, appearances.
        contacts: Fish that touched another, and came off as they were.
        pads: Fish that swam under a pad, and came out as they were.
        ripples: Fish that a ripple crossed, and were after it as before.
        quiet: Mean change of the water, in levels of 255 a frame, six seconds and more after the
            last tap; nan if there was no such time.
        calm: (S,) float32, speeds of fish in that time, pixels a second.
        flight: How far taps drove the fish.
    """

    ages: Sequence[int]
    count: np.ndarray
    area: np.ndarray
    motion: np.ndarray
    crispness: np.ndarray
    bed: np.ndarray
    identity: Sequence[Passages]
    fates: Fates
    contacts: Passages
    pads: Passages
    ripples: Passages
    quiet: float
    calm: np.ndarray
    flight: Flight

    @property
    def calm_speeds(self) -> np.ndarray:
        """(3,) the `SPEED_SHARES` of `calm`; nan if nothing was calm."""
        if not len(self.calm):
            return np.full(len(SPEED_SHARES), np.nan)
        return np.quantile(self.calm, SPEED_SHARES)

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types; nan is None."""
        arrays = ("count", "area", "motion", "crispness", "bed")
        figures = {name: getattr(self, name).tolist() for name in arrays}
        passed = {name: asdict(getattr(self, name)) for name in ("contacts", "pads", "ripples")}
        return _without_nan(
            {
                "ages": list(self.ages),
                **figures,
                "identity": [asdict(kept) for kept in self.identity],
                "fates": asdict(self.fates),
                **passed,
                "quiet": self.quiet,
                "calm_speeds": self.calm_speeds.tolist(),
                "flight": self.flight.to_json(),
            }
        )


def diagnose(played: Iterator[Rollout], ages: Sequence[int] = AGES) -> Diagnosis:
    """Watches the pieces of one rollout of ponds and says how they fare.

    Args:
        played: As `pieces` yields them; without resets.
        ages: Frames to look at; those that the rollout does not reach are left out, and its last
            is looked at if it reaches none.

    Raises:
        ValueError: As `watch`.
    """
    return diagnosed(watch(played), ages)


def diagnosed(ponds: Sequence[Pond], ages: Sequence[int] = AGES) -> Diagnosis:
    """As `diagnose`, of ponds that have been watched."""
    frames = len(ponds[0].count)
    ages = [age for age in ages if age < frames] or [frames - 1]
    quiet = [_quiet(pond) for pond in ponds]
    swum = [_speeds(pond.tracks) for pond in ponds]
    stir = np.concatenate([p.stir[q] for p, q in zip(ponds, quiet, strict=True)])
    calm = [speed[q[frame]] for (frame, speed), q in zip(swum, quiet, strict=True)]

    def of_each(passed: Any) -> Any:
        return sum(map(passed, ponds[1:]), passed(ponds[0]))

    def crossed(pond: Pond) -> Passages:
        return passages(pond.tracks, frames, lambda track: pond.rippled[track.frame, track.slot])

    def covered(pond: Pond) -> Passages:
        return passages(pond.tracks, frames, lambda track: under(pond.pads, track.centre))

    def met(pond: Pond) -> Passages:
        return passages(pond.tracks, frames, lambda track: touching(track, pond.tracks))

    return Diagnosis(
        ages=ages,
        count=np.array([_relative(pond.count, ages) for pond in ponds]),
        area=np.array([_relative(pond.area, ages) for pond in ponds]),
        motion=np.array([_motion(*way, ages) for way in swum]),
        crispness=np.array([_relative(pond.crisp, ages) for pond in ponds]),
        bed=np.array([[_bed(pond, age) for age in ages] for pond in ponds]),
        identity=[of_each(lambda pond, age=age: kept_coats(pond.tracks, age)) for age in ages],
        fates=of_each(lambda pond: fates(pond.tracks, frames, pond.pads)),
        contacts=of_each(met),
        pads=of_each(covered),
        ripples=of_each(crossed),
        quiet=float(stir.mean()) if len(stir) else float("nan"),
        calm=np.concatenate(calm).astype(np.float32),
        flight=of_each(lambda pond: flight(pond.tracks, pond.actions)),
    )


def share_near(values: np.ndarray, real: np.ndarray, within: float = 0.15) -> np.ndarray:
    """Share of ponds (n, A) within so much of the mean of the real ones (m, A): (A,)."""
    mean = np.nanmean(real, axis=0)
    return (abs(values / mean - 1) <= within).mean(0)


def _relative(series: np.ndarray, ages: Sequence[int]) -> list[float]:
    """The mean of a series (T,) before each age, over that of its beginning."""
    begun = _mean(series[:_BEGINNING])
    return [_mean(series[max(0, age + 1 - _WINDOW) : age + 1]) / begun if begun else np.nan
            for age in ages]  # fmt: skip


def _mean(values: np.ndarray) -> float:
    """The mean of those that are numbers; 0 if none is."""
    known = values[~np.isnan(values.astype(float))]
    return float(known.mean()) if len(known) else 0.0


def _speeds(tracks: Sequence[Track]) -> tuple[np.ndarray, np.ndarray]:
    """Frames (k,), and the speed there, in pixels a second, of all fish in turn."""
    frames, speeds = [np.zeros(0, int)], [np.zeros(0)]
    for track in tracks:
        span = np.diff(np.stack([track.frame[:-_STRIDE], track.frame[_STRIDE:]]), axis=0)[0]
        moved = np.linalg.norm(track.centre[_STRIDE:] - track.centre[:-_STRIDE], axis=1)
        frames.append(track.frame[_STRIDE:])
        speeds.append(moved * FPS / span)
    return np.concatenate(frames), np.concatenate(speeds)


def _motion(frame: np.ndarray, speed: np.ndarray, ages: Sequence[int]) -> list[float]:
    return [_mean(speed[(frame > age - _WINDOW) & (frame <= age)]) for age in ages]


def _bed(pond: Pond, age: int) -> float:
    """Of the last whole window up to an age; nan before the first."""
    last = (age + 1) // BED_WINDOW - 1
    return float(pond.bed[last]) if 0 <= last < len(pond.bed) else float("nan")


def _quiet(pond: Pond) -> np.ndarray:
    """(T,) bool, the frame follows six seconds without a tap."""
    quiet = np.ones(len(pond.count), bool)
    for tap in np.flatnonzero(pond.actions[:, 2] > TAP_THRESHOLD).tolist():
        quiet[tap : tap + _QUIET] = False
    quiet[0] = False
    return quiet


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
