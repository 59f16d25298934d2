"""Fish over time: sightings in consecutive frames joined to tracks.

A sighting goes on with the track whose expected place is nearest; a strange variety makes it seem
`_STRANGER` pixels farther, which decides between neighbours and yet lets a fish that changes its
coat remain the same fish. Pairs are joined from the nearest to the farthest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from learned_envs.evaluation.koi_pond.reader import Sightings
from learned_envs.evaluation.koi_pond.tracks import PATIENCE, Track, mended

ESTABLISHED = 15
"""Sightings that make a track a fish and not a flicker."""

_REACH = 13.0  # pixels from the expected place after one frame: a startled fish gains 4 in one
_REACH_LATER = 4.0  # and for each frame more that it was not seen
_FARTHEST = 40.0
_STRANGER = 6.0
_MEMORY = 0.9  # share of what is known of a variety that the next frame leaves
_SMOOTH = 0.4  # weight of the newest step in a track's velocity


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
        return mended([track for track in all_tracks if len(track.frame) >= ESTABLISHED])

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
            track.variety *= _MEMORY
            track.variety[varieties[j]] += 1 - _MEMORY
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


def _track(track: _Open) -> Track:
    frame, centre, variety, slot = map(np.array, zip(*track.seen, strict=True))
    return Track(frame=frame, centre=centre, variety=variety, slot=slot)
