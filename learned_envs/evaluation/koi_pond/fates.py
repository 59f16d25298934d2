"""What becomes of the fish of one pond: who vanishes, jumps, merges, changes coat, comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from learned_envs.evaluation.koi_pond.tracks import CONTACT, PATIENCE, Track, stretches
from sims.koi_pond import FPS, SIZE

RETURN = 45
"""Frames, three seconds, in which a fish that is gone may turn up elsewhere."""

_FASTEST = 150.0  # pixels a second of a koi in full flight
_SLACK = 25.0  # pixels by which a fish may be beyond what its speed allows
_BEGINNING = 15  # frames in which the fish that a rollout begins with are seen first
_JUDGED = 30  # frames whose majority says which variety a fish is


@dataclass(frozen=True, kw_only=True, slots=True)
class Fates:
    """Counts over any number of ponds; they add up.

    Attributes:
        minutes: Fish-minutes: the frames in which each fish was followed.
        vanished: Fish that were seen no more, for over a second, in the place where they should be;
            those that merged are among them.
        teleported: Fish of which one of the same variety then turned up too far away for its speed.
        merged: Fish that vanished touching another.
        appeared: Fish that came out of nothing.
    """

    minutes: float = 0.0
    vanished: int = 0
    teleported: int = 0
    merged: int = 0
    appeared: int = 0

    def __add__(self, other: Fates) -> Fates:
        return Fates(
            minutes=self.minutes + other.minutes,
            vanished=self.vanished + other.vanished,
            teleported=self.teleported + other.teleported,
            merged=self.merged + other.merged,
            appeared=self.appeared + other.appeared,
        )

    def per_minute(self, name: str) -> float:
        """How often `name`, one of the counts, happened in a fish-minute; nan in none."""
        return getattr(self, name) / self.minutes if self.minutes else float("nan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Passages:
    """Fish that passed something, and those that came out of it as they went in; they add up."""

    fish: int = 0
    unharmed: int = 0

    def __add__(self, other: Passages) -> Passages:
        return Passages(fish=self.fish + other.fish, unharmed=self.unharmed + other.unharmed)

    @property
    def share(self) -> float:
        """Of the fish, those unharmed; nan of none."""
        return self.unharmed / self.fish if self.fish else float("nan")


def fates(tracks: Sequence[Track], frames: int, pads: np.ndarray) -> Fates:
    """What became of a pond's fish in `frames` frames; pads (256, 256) bool are where they lie."""
    arrivals = {id(t): t for t in tracks if t.start >= _BEGINNING}
    vanished = teleported = merged = 0
    for track in tracks:
        if track.end + PATIENCE >= frames:
            continue
        heir, near = _heir(track, tracks)
        if heir is not None and id(heir) in arrivals:
            del arrivals[id(heir)]
            if not near:
                teleported += 1
                continue
            if under(pads, track.centre[-1:])[0]:
                continue
        vanished += 1
        merged += _touched_another(track, tracks)
    minutes = sum(len(track.frame) for track in tracks) / FPS / 60
    return Fates(
        minutes=minutes, vanished=vanished, teleported=teleported, merged=merged,
        appeared=len(arrivals),
    )  # fmt: skip


def _heir(gone: Track, tracks: Sequence[Track]) -> tuple[Track | None, bool]:
    """The nearest track of the same variety that begins about when another ends, if any.

    And whether the one could have swum to where the other begins.
    """
    coat, found, near = gone.coat(gone.end - _JUDGED, gone.end + 1), None, np.inf
    for track in tracks:
        if track is gone or not gone.end - PATIENCE <= track.start <= gone.end + RETURN:
            continue
        if track.coat(track.start, track.start + _JUDGED) != coat:
            continue
        away = float(np.linalg.norm(track.centre[0] - gone.centre[-1]))
        beyond = away - _FASTEST * max(track.start - gone.end, 0) / FPS - _SLACK
        if beyond < near:
            found, near = track, beyond
    return found, near <= 0


def _touched_another(gone: Track, tracks: Sequence[Track]) -> bool:
    for track in tracks:
        now = track.during(gone.end - 2, gone.end + 3)
        if track is gone or track.end <= gone.end or now.stop == now.start:
            continue
        if np.linalg.norm(track.centre[now] - gone.centre[-1], axis=1).min() < CONTACT:
            return True
    return False


def kept_coats(tracks: Sequence[Track], age: int) -> Passages:
    """The fish that a pond began with, and those of them that at `age` are what they were."""
    first = [track for track in tracks if track.start < _BEGINNING]
    claimed, kept = {id(track) for track in first}, 0
    for beginner in first:
        track: Track | None = beginner
        while track is not None and track.end + PATIENCE < age:
            track = _continuation(track, [t for t in tracks if id(t) not in claimed])
            claimed.add(id(track))
        if track is None:
            continue
        coat = track.coat(age - _JUDGED, age + 1)
        if coat < 0:
            coat = track.coat(track.end - _JUDGED, track.end + 1)
        kept += coat == beginner.coat(beginner.start, beginner.start + _BEGINNING)
    return Passages(fish=len(first), unharmed=kept)


def _continuation(gone: Track, tracks: Sequence[Track]) -> Track | None:
    """The nearest track that begins after another ended, where that fish could be by then."""

    def beyond(track: Track) -> float:
        away = float(np.linalg.norm(track.centre[0] - gone.centre[-1]))
        return away - _FASTEST * (track.start - gone.end) / FPS - _SLACK

    later = [t for t in tracks if gone.end < t.start <= gone.end + RETURN and beyond(t) <= 0]
    return min(later, key=beyond, default=None)


def passages(
    tracks: Sequence[Track], frames: int, within: Callable[[Track], np.ndarray]
) -> Passages:
    """Fish that passed what `within` says of their sightings, (m,) bool each.

    A fish is unharmed if a second later it is still followed and of the variety it was before.
    Passages that the rollout's end cuts short are not counted.
    """
    total = Passages()
    for track in tracks:
        for begin, end in stretches(track.frame[within(track)]):
            if end + PATIENCE >= frames:
                continue
            since = begin if begin == track.start else begin - PATIENCE
            before = track.coat(since, since + PATIENCE)
            after = track.coat(end + 1, end + 1 + PATIENCE)
            alive = track.end > end + PATIENCE // 2
            total += Passages(fish=1, unharmed=int(alive and before == after))
    return total


def under(pads: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Whether centres (m, 2) lie under pads (256, 256): (m,) bool."""
    x, y = np.clip(np.rint(centres), 0, SIZE - 1).astype(int).T
    return pads[y, x]


def touching(track: Track, tracks: Sequence[Track]) -> np.ndarray:
    """(m,) bool, the sightings of a track in which another fish touches it."""
    found = np.zeros(len(track.frame), bool)
    for other in tracks:
        if other is track:
            continue
        _, mine, theirs = np.intersect1d(track.frame, other.frame, return_indices=True)
        away = np.linalg.norm(track.centre[mine] - other.centre[theirs], axis=1)
        found[mine[away < CONTACT]] = True
    return found
