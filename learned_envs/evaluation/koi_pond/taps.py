"""How koi answer taps: flight by distance and strength, and a tap against no tap from one state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from learned_envs.evaluation.koi_pond.reader import Sightings, read
from learned_envs.evaluation.koi_pond.tracker import Tracker
from learned_envs.evaluation.koi_pond.tracks import Track
from sims.koi_pond import FPS, SIZE, TAP_THRESHOLD

DISTANCES = (0.0, 30.0, 60.0, 90.0, 130.0)
"""Pixels between the bands of distance from a tap; beyond the last no fish is counted."""

STRENGTHS = (TAP_THRESHOLD, 0.55, 1.0)
"""Between the bands of strength."""

WITHIN = FPS
"""Frames, one second, in which a fish flees."""

_SAME = 12.0  # pixels within which a fish in two branches of one state is the same at the start


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Flight:
    """Fish that were tapped at; flights add up.

    Attributes:
        pixels: (4, 2) float64, sum over fish by band of distance and of strength: how much farther
            from the tap each was a second later.
        fish: (4, 2) int64, how many.
    """

    pixels: np.ndarray
    fish: np.ndarray

    @classmethod
    def none(cls) -> Flight:
        """No fish."""
        shape = len(DISTANCES) - 1, len(STRENGTHS) - 1
        return cls(pixels=np.zeros(shape), fish=np.zeros(shape, np.int64))

    @property
    def mean(self) -> np.ndarray:
        """(4, 2) pixels; nan where no fish was."""
        return np.where(self.fish > 0, self.pixels / np.maximum(self.fish, 1), np.nan)

    @property
    def by_distance(self) -> np.ndarray:
        """(4,) pixels, of all strengths together; nan where no fish was."""
        fish = self.fish.sum(1)
        return np.where(fish > 0, self.pixels.sum(1) / np.maximum(fish, 1), np.nan)

    def to_json(self) -> dict[str, Any]:
        """Mean pixels, None where no fish was, and fish, by band of distance and of strength."""
        mean = [[None if np.isnan(v) else v for v in row] for row in self.mean.tolist()]
        return {"mean": mean, "fish": self.fish.tolist()}

    def __add__(self, other: Flight) -> Flight:
        return Flight(pixels=self.pixels + other.pixels, fish=self.fish + other.fish)


def tap_point(action: np.ndarray) -> np.ndarray:
    """Where taps (..., 3) fall: (..., 2), x and y in pixels."""
    return np.minimum(np.floor(np.asarray(action[..., :2], float) * SIZE), SIZE - 1)


def flight(tracks: Sequence[Track], actions: np.ndarray) -> Flight:
    """The flight of one pond's fish from its taps, (T, 3) actions."""
    total = Flight.none()
    for t in np.flatnonzero(actions[:, 2] > TAP_THRESHOLD).tolist():
        places = [(_place(track, t), _place(track, t + WITHIN)) for track in tracks]
        pairs = [(a, b) for a, b in places if a is not None and b is not None]
        if pairs:
            start, end = (np.array(part) for part in zip(*pairs, strict=True))
            total += _banded(start, end, tap_point(actions[t]), float(actions[t, 2]))
    return total


def _place(track: Track, frame: int) -> np.ndarray | None:
    """Where it was in that frame, or in the one before or after."""
    i = int(np.searchsorted(track.frame, frame))
    near = [j for j in (i, i - 1) if 0 <= j < len(track.frame)]
    near = [j for j in near if abs(int(track.frame[j]) - frame) <= 1]
    return track.centre[near[0]] if near else None


def _banded(start: np.ndarray, end: np.ndarray, tap: np.ndarray, strength: float) -> Flight:
    away, later = (np.linalg.norm(part - tap, axis=-1) for part in (start, end))
    band = np.digitize(away, DISTANCES) - 1
    force = min(int(np.digitize(strength, STRENGTHS)) - 1, len(STRENGTHS) - 2)
    counted = band < len(DISTANCES) - 1
    found = Flight.none()
    np.add.at(found.pixels[:, force], band[counted], (later - away)[counted])
    np.add.at(found.fish[:, force], band[counted], 1)
    return found


def tap_contrast(env: Any, *, strength: float = 1.0, seed: int = 0) -> Flight:
    """Branches every pond of a batch from its present state: with a tap, and without.

    The tap falls 20 pixels from a fish that is drawn. The env is left as it was found.

    Args:
        env: A batch of ponds with `get_state` and `set_state`, real or dreamed, that has begun.
        strength: Of the tap.
        seed: Of the choice of fish.

    Returns:
        By band of distance, how much farther from the tap the fish of the tapped branch were a
        second later than the same fish without it; 0 where taps do nothing.
    """
    random, pond = np.random.default_rng(seed), env.unwrapped
    state = pond.get_state()
    idle = np.zeros((env.num_envs, 3), np.float32)
    frame, *_ = env.step(idle)
    pond.set_state(state)
    before = read(frame[None]).centre[0]
    tap, points = idle.copy(), np.zeros((env.num_envs, 2))
    for row, centres in enumerate(before):
        fish = centres[~np.isnan(centres[:, 0])]
        at = random.choice(fish) if len(fish) else np.full(2, SIZE / 2)
        angle = random.uniform(0, 2 * np.pi)
        beside = np.clip(at + 20 * np.array([np.cos(angle), np.sin(angle)]), 2, SIZE - 3)
        tap[row] = *((beside + 0.5) / SIZE), strength
        points[row] = tap_point(tap[row])
    branches = []
    for first in (tap, idle):
        pond.set_state(state)
        frames = [env.step(action)[0] for action in [first, *[idle] * WITHIN]]
        branches.append(read(np.stack(frames)))
    pond.set_state(state)
    return _contrast([_followed(branch) for branch in branches], points, strength)


def _followed(sightings: Sightings) -> list[list[Track]]:
    found = []
    for row in range(sightings.centre.shape[1]):
        tracker = Tracker()
        tracker.watch(sightings, row)
        found.append(tracker.tracks())
    return found


def _contrast(
    branches: Sequence[Sequence[Sequence[Track]]], points: np.ndarray, strength: float
) -> Flight:
    total = Flight.none()
    for tapped, untapped, point in zip(*branches, points, strict=True):
        for track in tapped:
            begin, end = _place(track, 0), _place(track, WITHIN)
            twin = _twin(untapped, begin)
            if begin is None or end is None or twin is None:
                continue
            fled = _banded(begin[None], end[None], point, strength)
            stayed = _banded(begin[None], twin[None], point, strength)
            total += Flight(pixels=fled.pixels - stayed.pixels, fish=fled.fish)
    return total


def _twin(tracks: Sequence[Track], begin: np.ndarray | None) -> np.ndarray | None:
    """Where the fish that began at `begin` was a second later, without the tap."""
    if begin is None:
        return None
    for track in tracks:
        start, end = _place(track, 0), _place(track, WITHIN)
        if start is not None and end is not None and np.linalg.norm(start - begin) < _SAME:
            return end
    return None
