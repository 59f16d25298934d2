"""Endless windows of a recorded split, for training."""

from __future__ import annotations

import dataclasses
from typing import Self

import numpy as np

from learned_envs.data.episode import Episode, Split
from learned_envs.data.store import EpisodeStore
from learned_envs.data.window import Window


class EpisodeCache:
    """Episodes of a store, decoded once while there is room for them.

    The frames of those that do not fit are decoded as they are asked for. Pickled, it is empty.

    Args:
        store: The recordings.
        most_bytes: Decoded episodes are kept up to this size.
    """

    def __init__(self, store: EpisodeStore, most_bytes: int = 2**30):
        self._store, self._most_bytes = store, most_bytes
        self._kept: dict[str, Episode] = {}
        self._bytes = 0

    def __getstate__(self) -> dict[str, object]:
        return self.__dict__ | {"_kept": {}, "_bytes": 0}

    def read(self, name: str) -> Episode:
        """The episode called `name`; its frames are an array, or decode slices of themselves."""
        if name not in self._kept:
            episode = self._store.read(name, lazy=True)
            size = int(np.prod(episode.observation.shape))
            if self._bytes + size <= self._most_bytes:
                self._bytes += size
                episode = dataclasses.replace(episode, observation=episode.observation[:])
            self._kept[name] = episode
        return self._kept[name]


class StoreWindows:
    """An endless iterator of `Window`, seeded: batch i depends on `seed` and i only.

    Every place inside every episode is as likely as any other, apart from `start_share`. Episodes
    shorter than a window are padded with their last frame, and the padding is not `valid`.

    The iterator can be pickled and goes on where it was.

    Args:
        store: The recordings.
        split: Which part of them.
        batch: Windows a batch, B.
        length: Steps a window, T.
        seed: Of the choice of windows.
        start_share: Share of windows that begin with a take's first frame, in [0, 1].
        cache: Keeps decoded episodes of the store, for other iterators, too; one of its own if
            None.
        skip: Batches to pass over, to go on where an earlier iterator stopped.
        whole: Leave out episodes that are shorter than a window.

    Raises:
        ValueError: If the split holds no episodes, or none that is long enough, or an argument is
            out of its range.
    """

    def __init__(
        self,
        store: EpisodeStore,
        split: Split,
        *,
        batch: int,
        length: int,
        seed: int,
        start_share: float = 0.1,
        cache: EpisodeCache | None = None,
        skip: int = 0,
        whole: bool = False,
    ):
        if batch < 1 or length < 1:
            raise ValueError(f"`batch` (={batch}) and `length` (={length}) must be at least 1")
        if not 0 <= start_share <= 1:
            raise ValueError(f"`start_share` (={start_share}) must lie in [0, 1]")
        self._names = store.needed(split)
        if whole:
            self._names = tuple(n for n in self._names if store.headers[n].steps >= length)
            if not self._names:
                raise ValueError(
                    f"the {split} split of {store.folder.name} holds no episode of {length} "
                    "steps: record longer ones"
                )
        headers = [store.headers[name] for name in self._names]
        steps = np.array([header.steps for header in headers])
        places = np.maximum(steps - length + 1, 1)
        self._place_ends = np.cumsum(places)
        self._takes = np.flatnonzero([header.attributes.part == 0 for header in headers])
        self._batch, self._length, self._seed = batch, length, seed
        self._start_share = start_share if self._takes.size else 0.0
        self._next = skip
        self._cache = cache or EpisodeCache(store)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Window:
        random = np.random.default_rng([self._seed, self._next])
        self._next += 1
        places = random.integers(self._place_ends[-1], size=self._batch)
        chosen = np.searchsorted(self._place_ends, places, side="right")
        starts = places - np.concatenate([[0], self._place_ends])[chosen]
        if self._start_share:
            at_start = random.random(self._batch) < self._start_share
            takes = self._takes[random.integers(self._takes.size, size=self._batch)]
            chosen, starts = np.where(at_start, takes, chosen), np.where(at_start, 0, starts)
        pieces = [
            _cut(self._cache.read(self._names[index]), start, self._length)
            for index, start in zip(chosen.tolist(), starts.tolist(), strict=True)
        ]
        return _stacked(pieces)


def _cut(episode: Episode, start: int, length: int) -> Window:
    """A window of one row, without the leading axis."""
    steps = slice(start, min(start + length, episode.steps))
    frames = slice(start, steps.stop + 1)
    count = steps.stop - start
    missing = length - count
    first = np.zeros(length + 1, bool)
    first[0] = start == 0 and episode.attributes.part == 0
    return Window(
        observation=_padded(episode.observation[frames], missing),
        action=_padded(episode.action[steps], missing),
        reward=np.pad(episode.reward[steps], (0, missing)),
        terminated=np.pad(episode.terminated[steps], (0, missing)),
        first=first,
        valid=np.arange(length) < count,
        metadata={
            name: _padded(array[frames], missing) for name, array in episode.metadata.items()
        },
    )


def _padded(array: np.ndarray, missing: int) -> np.ndarray:
    """Repeats the last entry `missing` times."""
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else array


def _stacked(rows: list[Window]) -> Window:
    return Window(
        observation=np.stack([row.observation for row in rows]),
        action=np.stack([row.action for row in rows]),
        reward=np.stack([row.reward for row in rows]),
        terminated=np.stack([row.terminated for row in rows]),
        first=np.stack([row.first for row in rows]),
        valid=np.stack([row.valid for row in rows]),
        metadata={name: np.stack([row.metadata[name] for row in rows]) for name in _shared(rows)},
    )


def _shared(rows: list[Window]) -> list[str]:
    """The metadata that all rows have, in one shape."""
    return [
        name
        for name, array in rows[0].metadata.items()
        if all(name in r.metadata and r.metadata[name].shape == array.shape for r in rows)
    ]
