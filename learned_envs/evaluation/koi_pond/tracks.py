"""Tracks of fish, and how they are mended once all sightings are joined.

The reader may lose or double a fish for a moment where several touch. So a track that ends where
and about when another begins is joined with it, and two that exchange their coats while they touch
exchange what follows too: that is what fish look like that pass each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PATIENCE = 15
"""Frames, one second: a fish unseen for longer is gone."""

CONTACT = 24.0
"""Pixels between the centres of fish that touch: a koi is 13 pixels broad and 50 long."""

_JOIN, _JOIN_LATER = 20.0, 6.0  # pixels from an end to a beginning, and more for each frame between
_FARTHEST = 40.0
_OVERLAP = 30  # frames that a fish may be doubled
_STRANGER = 6.0  # pixels that a strange variety counts for
_JUDGED = 20  # frames before and after a contact that say which variety a fish is
_PAUSE = 5  # frames between two stretches, at least


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


def stretches(frames: np.ndarray) -> list[tuple[int, int]]:
    """First and last frame of each stretch of frames (k,) with no more than a pause between."""
    if not len(frames):
        return []
    parts = np.split(frames, np.flatnonzero(np.diff(frames) > _PAUSE) + 1)
    return [(int(part[0]), int(part[-1])) for part in parts]


def mended(tracks: Sequence[Track]) -> list[Track]:
    """Tracks by their first frame, joined and exchanged where that explains them better."""
    whole = _joined(sorted(tracks, key=lambda track: track.start))
    for i in range(len(whole)):
        for j in range(i):
            for begin, end in stretches(_close(whole[i], whole[j])):
                whole[i], whole[j] = _exchanged(whole[i], whole[j], begin, end)
    return whole


def _close(one: Track, other: Track) -> np.ndarray:
    """Frames in which two fish touch."""
    frames, mine, theirs = np.intersect1d(one.frame, other.frame, return_indices=True)
    return frames[np.linalg.norm(one.centre[mine] - other.centre[theirs], axis=1) < CONTACT]


def _exchanged(one: Track, other: Track, begin: int, end: int) -> tuple[Track, Track]:
    """Both tracks, exchanged from the middle of a contact on if their coats are."""
    before, after = (
        [track.coat(*span) for track in (one, other)]
        for span in ((begin - _JUDGED, begin), (end + 1, end + 1 + _JUDGED))
    )
    if before != after[::-1] or before == after or min(before) < 0:
        return one, other
    middle = (begin + end) // 2
    return _spliced(one, other, middle), _spliced(other, one, middle)


def _spliced(one: Track, other: Track, frame: int) -> Track:
    """The first track up to a frame, and the other after it."""
    first, then = one.during(0, frame + 1), other.during(frame + 1, other.end + 1)
    return Track(
        frame=np.concatenate([one.frame[first], other.frame[then]]),
        centre=np.concatenate([one.centre[first], other.centre[then]]),
        variety=np.concatenate([one.variety[first], other.variety[then]]),
        slot=np.concatenate([one.slot[first], other.slot[then]]),
    )


def _joined(tracks: list[Track]) -> list[Track]:
    """Tracks by their first frame, those that go on with each other made one."""
    costs = []
    for i, gone in enumerate(tracks):
        for j, later in enumerate(tracks):
            gap = later.start - gone.end
            if i == j or not -_OVERLAP <= gap <= PATIENCE or later.end <= gone.end:
                continue
            if later.start <= gone.start:
                continue
            away = min(_apart(gone, later, later.start), _apart(gone, later, gone.end))
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


def _apart(one: Track, other: Track, frame: int) -> float:
    """Pixels between two fish in a frame, or where each was seen next or last."""
    at = [t.centre[min(np.searchsorted(t.frame, frame), len(t.frame) - 1)] for t in (one, other)]
    return float(np.linalg.norm(at[0] - at[1]))


def _chain(tracks: list[Track], next_of: dict[int, int], i: int) -> Track:
    whole = tracks[i]
    while i in next_of:
        i = next_of[i]
        whole = _spliced(whole, tracks[i], whole.end)
    return whole
