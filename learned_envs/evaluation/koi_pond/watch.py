"""Watches ponds, real or dreamed, and keeps what was seen without the frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from learned_envs.evaluation.koi_pond.eye import CELL
from learned_envs.evaluation.koi_pond.reader import Sightings, read
from learned_envs.evaluation.koi_pond.surface import Surface, crispness
from learned_envs.evaluation.koi_pond.tracker import Tracker
from learned_envs.evaluation.koi_pond.tracks import Track
from learned_envs.evaluation.rollouts import Rollout


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Pond:
    """What was seen of one pond in T frames.

    Attributes:
        count: (T,) int64, fish.
        area: (T,) float32, pixels of fish that no pad hides.
        crisp: (T,) float32, detail of the fish, see `crispness`; nan where there was none.
        stir: (T,) float32, change of the water since the frame before, in levels of 255.
        bed: (W,) float64, dB by `BED_WINDOW` frames, see `Surface`.
        pads: (256, 256) bool.
        actions: (T - 1, 3) float32.
        tracks: The fish.
        rippled: (T, 16) bool, by frame and a sighting's slot: a ripple crosses the fish.
    """

    count: np.ndarray
    area: np.ndarray
    crisp: np.ndarray
    stir: np.ndarray
    bed: np.ndarray
    pads: np.ndarray
    actions: np.ndarray
    tracks: list[Track]
    rippled: np.ndarray


class _Watcher:
    """Collects what is seen of one pond."""

    def __init__(self, first: np.ndarray, cover: np.ndarray):
        self._surface, self._tracker = Surface(first, cover), Tracker()
        self._seen: dict[str, list[np.ndarray]] = {
            name: [] for name in ("count", "area", "crisp", "stir", "rippled", "actions")
        }

    def watch(
        self, frames: np.ndarray, sightings: Sightings, row: int, actions: np.ndarray
    ) -> None:
        self._tracker.watch(sightings, row)
        cover, centres = sightings.cover[:, row], sightings.centre[:, row]
        stir, rippled = self._surface.watch(frames, cover, centres)
        now = {
            "count": (sightings.variety[:, row] >= 0).sum(1),
            "area": cover.sum((1, 2)) * CELL**2,
            "crisp": crispness(frames, cover),
            "stir": stir,
            "rippled": rippled,
            "actions": actions,
        }
        for name, values in now.items():
            self._seen[name].append(values)

    def pond(self) -> Pond:
        joined = {name: np.concatenate(parts) for name, parts in self._seen.items()}
        return Pond(
            **joined,
            bed=np.array(self._surface.bed),
            pads=self._surface.pads,
            tracks=self._tracker.tracks(),
        )


def watch(played: Iterator[Rollout]) -> list[Pond]:
    """Watches the consecutive pieces of one rollout, keeping none of them.

    Args:
        played: As `pieces` yields them, of koi ponds.

    Returns:
        What was seen, pond by pond.

    Raises:
        ValueError: If there are no pieces, or a pond is reset within the rollout.
    """
    watchers: list[_Watcher] = []
    for piece in played:
        begun = bool(watchers)
        if piece.first[1:].any():
            raise ValueError(
                "a pond was reset within the rollout: give the env as many max_episode_steps as "
                "steps are played, or more"
            )
        frames = piece.frames[begun:]
        sightings = read(frames)
        if not begun:
            watchers = [
                _Watcher(frames[0, row], sightings.cover[0, row]) for row in range(frames.shape[1])
            ]
        for row, watcher in enumerate(watchers):
            watcher.watch(frames[:, row], sightings, row, piece.actions[:, row])
    if not watchers:
        raise ValueError("the rollout has no pieces: play at least one step")
    return [watcher.pond() for watcher in watchers]
