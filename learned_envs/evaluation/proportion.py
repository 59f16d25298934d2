"""Shares of counted trials, with intervals that stay honest near 0 and 1."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Any

_Z = 1.959964  # of a standard normal variable's values 95% are within this


@dataclass(frozen=True, kw_only=True, slots=True)
class Proportion:
    """Hits among trials; proportions add up."""

    hits: int = 0
    trials: int = 0

    def __add__(self, other: Proportion) -> Proportion:
        return Proportion(hits=self.hits + other.hits, trials=self.trials + other.trials)

    @property
    def share(self) -> float:
        """Hits by trials; nan of none."""
        return self.hits / self.trials if self.trials else float("nan")

    @property
    def interval(self) -> tuple[float, float]:
        """The share's 95% interval by Wilson (1927); 0 to 1 of no trials."""
        if not self.trials:
            return 0.0, 1.0
        n, share = self.trials, self.share
        centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
        reach = _Z * sqrt(share * (1 - share) / n + (_Z / (2 * n)) ** 2) / (1 + _Z**2 / n)
        return max(centre - reach, 0.0), min(centre + reach, 1.0)

    def to_json(self) -> dict[str, Any]:
        """Counts, share and interval; the share of none is None."""
        return {
            "hits": self.hits,
            "trials": self.trials,
            "share": self.share if self.trials else None,
            "interval": list(self.interval),
        }
