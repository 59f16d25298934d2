"""Fish over time: sightings in consecutive frames joined to tracks.

A sighting goes on with the track whose expected place is nearest; a strange variety makes it seem
`_STRANGER` pixels farther, which decides between neighbours and yet lets a fish that changes its
coat remain the same fish. Pairs are joined from the nearest to the farthest. At last, a track that
ends where and about when another begins is joined with it: the reader may lose or double a fish for
a moment where several touch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from learned_envs.evaluation.koi_pond_reader import Sightings

PATIENCE = 15
"""Frames, one second: a fish unseen for longer is gone."""

ESTABLISHED = 15
"""Sightings that make a track a fish and not a flicker."""

_REACH = 13.0  # pixels from the expected place after one frame: a startled fish gains 4 in one
_REACH_LATER = 4.0  # and for each frame more that it was not seen
_FARTHEST = 40.0
_STRANGER = 6.0
_JOIN, _JOIN_LATER = 20.0, 6.0  # pixels from an end to a beginning, and more for each frame between
_SMOOTH = 0.4  # weight of the newest step in a track's velocity


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Track:
    """One fish of one pond, seen in m frames.

    Attributes:
        frame: (m,) int64, when it was seen.
        centre: (m, 2) float32, x and y in pixels.
        variety: (m,) int64.
        slot: (m,) int64, its place among the sightings of the frame.
    """

    frame: np.ndarray
    centre: np.ndarray
    variety: np.ndarray
    slot: np.ndarray

    @property
    def start(self) -> int:
        """The first frame."""
        return int(self.frame[0])

    @property
    def end(self) -> int:
        """The last frame."""
        return int(self.frame[-1])

    def during(self, begin: int, end: int) -> slice:
        """Its sightings in the frames from `begin` up to `end`, `end` excluded."""
        first, last = np.searchsorted(self.frame, (begin, end))
        return slice(int(first), int(last))

    def coat(self, begin: int, end: int) -> int:
        """The variety it was mostly taken for in those frames; -1 if it was not seen then."""
        seen = self.variety[self.during(begin, end)]
        return int(np.bincount(seen).argmax()) if len(seen) else -1


@dataclass(slots=True, eq=False)
class _Open:
    """A track that may go on."""

    place: np.ndarray
    velocity: np.ndarray
    variety: np.ndarray  # (10,), how often it was taken for each, lately
    seen: list[tuple[int, np.ndarray, int, int]] = field(default_factory=list)

    @property
    def last(self) -> int:
        return self.seen[-1][0]


class Tracker:
    """Follows the fish of one pond through consecutive pieces of its frames."""

    def __init__(self) -> None:
        self._frame = 0
        self._open: list[_Open] = []
        self._closed: list[Track] = []

    def watch(self, sightings: Sightings, row: int) -> None:
        """Goes on with the sightings of pond `row`."""
        for t in range(len(sightings.centre)):
            self._step(sightings, t, row)
            self._frame += 1

    def tracks(self) -> list[Track]:
        """All established tracks so far, by their first frame."""
        all_tracks = [*self._closed, *(_track(open_) for open_ in self._open)]
        kept = [track for track in all_tracks if len(track.frame) >= ESTABLISHED]
        return _joined(sorted(kept, key=lambda track: track.start))

    def _step(self, sightings: Sightings, t: int, row: int) -> None:
        gone = [track for track in self._open if self._frame - track.last > PATIENCE]
        if gone:
            self._closed += [_track(track) for track in gone]
            self._open = [track for track in self._open if self._frame - track.last <= PATIENCE]
        fish = np.flatnonzero(sightings.variety[t, row] >= 0)
        centres, varieties = sightings.centre[t, row, fish], sightings.variety[t, row, fish]
        owner: list[_Open | None] = [None] * len(fish)
        for i, j in self._pairs(centres, varieties):
            owner[j] = self._open[i]
        for j, now in enumerate(fish.tolist()):
            track = owner[j]
            if track is None:
                track = _Open(centres[j], np.zeros(2), np.zeros(10))
                self._open.append(track)
            else:
                gap = self._frame - track.last
                step = (centres[j] - track.place) / gap
                track.velocity = track.velocity + _SMOOTH * (step - track.velocity)
                track.place = centres[j]
            track.variety *= 0.9
            track.variety[varieties[j]] += 0.1
            track.seen.append((self._frame, centres[j], int(varieties[j]), now))

    def _pairs(self, centres: np.ndarray, varieties: np.ndarray) -> Sequence[tuple[int, int]]:
        """Tracks and sightings that belong together, the nearest first."""
        if not self._open or not len(centres):
            return ()
        gap = np.array([self._frame - track.last for track in self._open])
        ahead = np.minimum(gap, 3)[:, None] * np.array([track.velocity for track in self._open])
        expected = np.array([track.place for track in self._open]) + ahead
        away = np.linalg.norm(expected[:, None] - centres, axis=-1)
        reach = np.minimum(_REACH + _REACH_LATER * (gap - 1), _FARTHEST)
        known = np.array([track.variety / track.variety.sum() for track in self._open])
        cost = away + _STRANGER * (1 - known[:, varieties])
        cost[away > reach[:, None]] = np.inf
        pairs, tracks, sights = [], set(), set()
        for flat in np.argsort(cost, axis=None):
            i, j = divmod(int(flat), len(centres))
            if not np.isfinite(cost[i, j]):
                break
            if i not in tracks and j not in sights:
                tracks.add(i)
                sights.add(j)
                pairs.append((i, j))
        return pairs


def _joined(tracks: list[Track]) -> list[Track]:
    """Tracks by their first frame, those that go on with each other made one."""
    costs = []
    for i, gone in enumerate(tracks):
        for j, later in enumerate(tracks):
            gap = later.start - gone.end
            if i == j or not -PATIENCE <= gap <= PATIENCE or later.end <= gone.end:
                continue
            if later.start <= gone.start:
                continue
            place = gone.centre[min(np.searchsorted(gone.frame, later.start), len(gone.frame) - 1)]
            away = float(np.linalg.norm(later.centre[0] - place))
            if away <= min(_JOIN + _JOIN_LATER * max(gap, 0), _FARTHEST):
                same = gone.coat(gone.end - PATIENCE, gone.end + 1) == later.coat(
                    later.start, later.start + PATIENCE
                )
                costs.append((away + (0 if same else _STRANGER) + abs(gap), i, j))
    next_of: dict[int, int] = {}
    for _, i, j in sorted(costs):
        if i not in next_of and j not in next_of.values():
            next_of[i] = j
    heads = [i for i in range(len(tracks)) if i not in next_of.values()]
    return [_chain(tracks, next_of, i) for i in heads]


def _chain(tracks: list[Track], next_of: dict[int, int], i: int) -> Track:
    whole = tracks[i]
    while i in next_of:
        i = next_of[i]
        part = tracks[i].during(whole.end + 1, tracks[i].end + 1)
        whole = Track(
            frame=np.concatenate([whole.frame, tracks[i].frame[part]]),
            centre=np.concatenate([whole.centre, tracks[i].centre[part]]),
            variety=np.concatenate([whole.variety, tracks[i].variety[part]]),
            slot=np.concatenate([whole.slot, tracks[i].slot[part]]),
        )
    return whole


def _track(track: _Open) -> Track:
    frame, centre, variety, slot = map(np.array, zip(*track.seen, strict=True))
    return Track(frame=frame, centre=centre, variety=variety, slot=slot)
