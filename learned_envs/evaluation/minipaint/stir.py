"""How much of the picture stirs in a step: a paint program changes little at a time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from learned_envs.evaluation.minipaint.episodes import Moment
from learned_envs.evaluation.minipaint.pixels import far

CELL = 4
"""Pixels a side of a place: the published model has a latent of 56x56 places."""

FLICKER = 2
"""Levels of 255 within which a value may flicker without being a change."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Stir:
    """The share of places that change from each frame to the next, mean over n episodes.

    A place is 4x4 pixels, and changes where one of its values does by more than 2 levels.

    Attributes:
        real: (T,) float64.
        dream: (T,) float64.
    """

    real: np.ndarray
    dream: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """The shares by step."""
        return {"real": self.real.tolist(), "dream": self.dream.tolist()}


class StirWatch:
    """Follows two programs side by side.

    Args:
        real: (n, 224, 224, 3) uint8, the first real frames.
        dream: The first dreamed ones.
    """

    def __init__(self, real: np.ndarray, dream: np.ndarray):
        self._last = real, dream
        self._shares: list[tuple[float, float]] = []

    def watch(self, moment: Moment) -> None:
        """Looks at the next step."""
        now = moment.real, moment.dream
        real, dream = (_share(*frames) for frames in zip(self._last, now, strict=True))
        self._shares.append((real, dream))
        self._last = now

    def stir(self) -> Stir:
        """What was seen."""
        real, dream = np.array(self._shares, np.float64).T
        return Stir(real=real, dream=dream)


def _share(before: np.ndarray, after: np.ndarray) -> float:
    changed = far(before, after, FLICKER)
    within = product(range(CELL), repeat=2)
    places = np.logical_or.reduce([changed[:, y::CELL, x::CELL] for y, x in within])
    return float(places.mean())
