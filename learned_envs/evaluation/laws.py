"""Laws of a world, checked frame by frame: the verdicts, their counts by age, and the report.

A long free rollout of a dream may rightly part from one true game. What must not change is the
rules, so a dream is judged by how often it keeps them. A world's referee reads a rollout's pixels
and says for every step which laws applied and which were broken; everything here is the same for
every world.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from learned_envs.evaluation.rollouts import Rollout
from learned_envs.evaluation.text_table import text_table

AGE_BUCKET = 200


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Verdict:
    """What one law says of T steps of n rows.

    Attributes:
        applies: (T, n) bool, the step put the law to the test.
        broken: (T, n) bool, the step broke it; never True where it did not apply.
    """

    applies: np.ndarray
    broken: np.ndarray


class Referee(Protocol):
    """Judges consecutive pieces of one rollout; keeps what it must remember between pieces."""

    laws: Mapping[str, str]
    """Each law by name, in words."""

    events: dict[str, int]
    """How often each named event was seen so far."""

    def watch(self, rollout: Rollout) -> dict[str, Verdict]:
        """Judges the next piece, whose first frame is the last of the piece before."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LawCount:
    """How often one law was tested and broken.

    Attributes:
        tests: (K,) int64, steps in which the law applied, by age.
        violations: (K,) int64, steps that broke it, by age.
        spoiled: Rollouts in which it was broken at least once.
    """

    tests: np.ndarray
    violations: np.ndarray
    spoiled: int


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class LawReport:
    """Counts for every law over any number of rollouts, by age since the last reset.

    Reports add up: `a + b` covers the rollouts of both. Age bucket i holds the steps that lead to
    frames of age `i * bucket + 1` to `(i + 1) * bucket`; the last one holds everything older too.

    Attributes:
        bucket: Steps in an age bucket.
        steps: (K,) int64, steps judged, by age.
        rollouts: Rollouts judged.
        counts: By the law's name.
    """

    bucket: int
    steps: np.ndarray
    rollouts: int
    counts: Mapping[str, LawCount]

    def held(self, law: str) -> float:
        """Share of judged frames in which the law held: 1 - violations / steps; nan if none."""
        return _share_held(self.counts[law].violations.sum(), self.steps.sum())

    def held_by_age(self, law: str) -> np.ndarray:
        """`held` of each age bucket, (K,) float64; nan where nothing was that old."""
        return np.array(
            [
                _share_held(broken, steps)
                for broken, steps in zip(self.counts[law].violations, self.steps, strict=True)
            ]
        )

    def held_when_tested(self, law: str) -> float:
        """1 - violations / tests: stricter for laws of rare moments; nan if never tested."""
        count = self.counts[law]
        return _share_held(count.violations.sum(), count.tests.sum())

    def unspoiled(self, law: str) -> float:
        """Share of rollouts in which the law was never broken."""
        return _share_held(self.counts[law].spoiled, self.rollouts)

    def __add__(self, other: LawReport) -> LawReport:
        if (other.bucket, len(other.steps)) != (self.bucket, len(self.steps)) or set(
            other.counts
        ) != set(self.counts):
            raise ValueError(
                f"reports on laws {sorted(self.counts)} in {len(self.steps)} buckets of "
                f"{self.bucket} steps and on {sorted(other.counts)} in {len(other.steps)} of "
                f"{other.bucket} do not add up: make both with the same referee and buckets"
            )
        return LawReport(
            bucket=self.bucket,
            steps=self.steps + other.steps,
            rollouts=self.rollouts + other.rollouts,
            counts={
                law: LawCount(
                    tests=count.tests + other.counts[law].tests,
                    violations=count.violations + other.counts[law].violations,
                    spoiled=count.spoiled + other.counts[law].spoiled,
                )
                for law, count in self.counts.items()
            },
        )

    def table(self) -> str:
        """A text table: for each law its three shares and `held` by age, in percent."""
        used = np.flatnonzero(self.steps)
        ages = [f"{i * self.bucket + 1}-{(i + 1) * self.bucket}" for i in used]
        if used.size and used[-1] == len(self.steps) - 1:
            ages[-1] = f"{used[-1] * self.bucket + 1}+"
        head = ["law", "frames", "when tested", "tests", "rollouts", *ages]
        rows = [
            [
                law,
                _percent(self.held(law)),
                _percent(self.held_when_tested(law)),
                f"{count.tests.sum():,}",
                _percent(self.unspoiled(law)),
                *(_percent(share) for share in self.held_by_age(law)[used]),
            ]
            for law, count in self.counts.items()
        ]
        title = f"{self.steps.sum():,} steps in {self.rollouts} rollouts; held in %, last by age"
        return title + "\n" + text_table([head, *rows])

    def to_json(self) -> dict[str, Any]:
        """The counts and shares as JSON types; a share of nothing is None."""
        return {
            "bucket": self.bucket,
            "steps": self.steps.tolist(),
            "rollouts": self.rollouts,
            "laws": {
                law: {
                    "held": _or_none(self.held(law)),
                    "held_when_tested": _or_none(self.held_when_tested(law)),
                    "unspoiled_rollouts": _or_none(self.unspoiled(law)),
                    "held_by_age": [_or_none(share) for share in self.held_by_age(law)],
                    "tests": count.tests.tolist(),
                    "violations": count.violations.tolist(),
                    "spoiled_rollouts": count.spoiled,
                }
                for law, count in self.counts.items()
            },
        }


class LawBook:
    """Enters the verdicts on consecutive pieces of one rollout, row by row, into counts.

    Args:
        laws: Names of the laws.
        rows: Rows of the rollout, n.
        oldest: Age up to which buckets are kept apart.
        bucket: Steps in an age bucket.
    """

    def __init__(
        self, laws: Iterable[str], rows: int, *, oldest: int = 1000, bucket: int = AGE_BUCKET
    ):
        self._bucket = bucket
        self._steps = np.zeros(-(-oldest // bucket), np.int64)
        self._tests = {law: np.zeros_like(self._steps) for law in laws}
        self._violations = {law: np.zeros_like(self._steps) for law in self._tests}
        self._spoiled = {law: np.zeros(rows, bool) for law in self._tests}

    def enter(self, verdicts: Mapping[str, Verdict], age: np.ndarray, judged: np.ndarray) -> None:
        """Counts T steps of n rows.

        Args:
            verdicts: By law.
            age: (T, n) int64, steps since the reset at the frame that each step leads to.
            judged: (T, n) bool, the step lies within an episode.
        """
        place = np.clip((age - 1) // self._bucket, 0, len(self._steps) - 1)
        self._steps += self._by_age(place, judged)
        for law, verdict in verdicts.items():
            broken = verdict.broken & judged
            self._tests[law] += self._by_age(place, verdict.applies & judged)
            self._violations[law] += self._by_age(place, broken)
            self._spoiled[law] |= broken.any(0)

    def report(self) -> LawReport:
        """The counts so far."""
        return LawReport(
            bucket=self._bucket,
            steps=self._steps.copy(),
            rollouts=len(next(iter(self._spoiled.values()))),
            counts={
                law: LawCount(
                    tests=self._tests[law].copy(),
                    violations=self._violations[law].copy(),
                    spoiled=int(self._spoiled[law].sum()),
                )
                for law in self._tests
            },
        )

    def _by_age(self, place: np.ndarray, where: np.ndarray) -> np.ndarray:
        return np.bincount(place[where], minlength=len(self._steps))


def _share_held(broken: float, of: float) -> float:
    return float(1 - broken / of) if of else float("nan")


def _percent(share: float) -> str:
    return "-" if np.isnan(share) else f"{100 * share:.2f}"


def _or_none(share: float) -> float | None:
    return None if np.isnan(share) else float(share)
