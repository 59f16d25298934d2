"""How often the values of a variable occur, in memory that does not grow with the recording."""

from __future__ import annotations

import numpy as np

MOST = 2**14
"""Different values that are counted exactly."""


class Values:
    """Counts values as they come.

    Up to `MOST` different ones are counted exactly. Beyond, the rarest are given up, and a count is
    too low by at most one in `MOST` of all (Misra and Gries, 1982; merged as by Agarwal et al.,
    2012). Entries that are not a number are left out.

    Attributes:
        number: How many there were.
        total: Their sum.
        low: The least, infinity while there is none.
        high: The greatest, minus infinity while there is none.
        exact: Whether all of them are counted.
    """

    def __init__(self) -> None:
        self.number, self.total = 0, 0.0
        self.low, self.high = np.inf, -np.inf
        self.exact = True
        self._values = np.empty(0, np.bool_)  # gives way to any other type
        self._counts = np.empty(0)

    def add(self, array: np.ndarray) -> None:
        """Counts all entries of an array of any shape."""
        flat = array[~np.isnan(array)]
        if not flat.size:
            return
        self.number += flat.size
        self.total += float(flat.sum(dtype=np.float64))
        self.low = min(self.low, float(flat.min()))
        self.high = max(self.high, float(flat.max()))
        values, counts = np.unique(flat, return_counts=True)
        both = np.concatenate([self._values, values])
        self._values, places = np.unique(both, return_inverse=True)
        self._counts = np.bincount(places, np.concatenate([self._counts, counts]))
        if len(self._values) > MOST:
            self.exact = False
            given_up = np.partition(self._counts, -MOST - 1)[-MOST - 1]
            kept = self._counts > given_up
            self._values, self._counts = self._values[kept], self._counts[kept] - given_up

    @property
    def mean(self) -> float:
        """Their mean; not a number while there is none."""
        return self.total / self.number if self.number else np.nan

    @property
    def distinct(self) -> int | None:
        """How many different ones there were; None if more than `MOST`."""
        return len(self._values) if self.exact else None

    def counts(self) -> tuple[np.ndarray, np.ndarray]:
        """The different values in their order, and how often each occurred, as float64."""
        return self._values, self._counts

    def share(self, value: float) -> float:
        """Share of the entries that are `value`."""
        return float(self._counts[self._values == value].sum() / max(1, self.number))
