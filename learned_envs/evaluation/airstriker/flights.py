"""Free rollouts of Airstriker, dreamed or real, as what can be read from their pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from learned_envs.evaluation.airstriker.scenes import (
    THINGS,
    count_things,
    sharpness,
    ship_places,
)
from learned_envs.evaluation.rollouts import Rollout
from learned_envs.worlds.airstriker import ACTIONS

STILL = 15
"""Steps without any change that count as frozen. Real games stand still for 11 after a death."""

LOOK = 60
"""Steps over which a rollout's sharpness is averaged."""

NEAR = 20
"""Units, those of one step's flight, by which the ship may be off where it should be."""

_EDGES = 137, 412
_STEP = 20
_COUNTED_EVERY = 3  # frames in which things are counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Flights:
    """What became of some rollouts.

    Attributes:
        rollouts: How many.
        steps: Of each.
        frozen: Share of rollouts in which nothing changed for `STILL` steps on end.
        dullest: For each rollout, its sharpness over the dullest `LOOK` steps.
        obeyed: Share of the steps after which the ship is within `NEAR` units of where the action
            takes it, of those before and after which it is seen.
        seen: Share of the frames in which the ship is seen.
        things: Mean number of each of `THINGS` in a frame.
        points: Reward in 1,000 steps.
        overs: Games over in 1,000 steps.
    """

    rollouts: int
    steps: int
    frozen: float
    dullest: tuple[float, ...]
    obeyed: float
    seen: float
    things: dict[str, float]
    points: float
    overs: float

    def blurred(self, usual: float) -> float:
        """Share of the rollouts that were duller, for a while, than half of a usual sharpness."""
        return float(np.mean(np.array(self.dullest) < usual / 2))

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self)


def watch_flights(played: Iterator[Rollout]) -> Flights:
    """Watches rollouts piece by piece."""
    sharp, same, counted = [], [], []
    obeyed = flown = seen = frames = overs = 0
    points = 0.0
    for piece in played:
        steps, rows = piece.actions.shape[:2]
        places = ship_places(piece.frames.reshape(-1, *piece.frames.shape[2:]))
        places = places.reshape(steps + 1, rows)
        within = ~piece.first[1:]
        should = _flown_to(places[:-1], piece.actions)
        judged = within & np.isfinite(places[:-1]) & np.isfinite(places[1:])
        obeyed += int((abs(places[1:] - should) <= NEAR)[judged].sum())
        flown += int(judged.sum())
        seen += int(np.isfinite(places[1:]).sum())
        frames += places[1:].size
        same.append((piece.frames[1:] == piece.frames[:-1]).all((2, 3, 4)))
        sharp.append(np.stack([sharpness(frame) for frame in piece.frames[1:]]))
        counted += [
            count_things(f) for f in piece.frames[1::_COUNTED_EVERY].reshape(-1, 112, 160, 3)
        ]
        points += float(piece.rewards.sum())
        overs += int(piece.terminated.sum())
    still, sharpest = np.concatenate(same), np.concatenate(sharp)
    return Flights(
        rollouts=still.shape[1],
        steps=len(still),
        frozen=float(np.mean([_longest(column) >= STILL for column in still.T])),
        dullest=tuple(float(_averaged(column).min()) for column in sharpest.T),
        obeyed=obeyed / max(1, flown),
        seen=seen / frames,
        things=dict(zip(THINGS, np.mean(counted, 0).tolist(), strict=True)),
        points=1000 * points / frames,
        overs=1000 * overs / frames,
    )


def _flown_to(places: np.ndarray, actions: np.ndarray) -> np.ndarray:
    """Where actions take a ship at places, in the game's units."""
    ways = np.array([("RIGHT" in held) - int("LEFT" in held) for held in ACTIONS.values()])
    return np.clip(places + _STEP * ways[actions], *_EDGES)


def _longest(still: np.ndarray) -> int:
    """The longest run of True in (T,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], still, [False]]).astype(int)))
    return int((edges[1::2] - edges[::2]).max(initial=0))


def _averaged(values: np.ndarray) -> np.ndarray:
    """Means over `LOOK` values in a row, or over all if there are fewer."""
    width = min(LOOK, len(values))
    return np.convolve(values, np.ones(width) / width, "valid")
