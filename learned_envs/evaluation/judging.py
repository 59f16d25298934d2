"""Rollouts as a referee saw them: laws kept and broken, and how often what happened."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from learned_envs.evaluation.laws import LawBook, LawReport, Referee
from learned_envs.evaluation.rollouts import Rollout


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judged:
    """A rollout as a referee saw it, without its frames.

    Attributes:
        report: Laws kept and broken.
        events: How often each named event was seen.
        steps: Steps judged: all but those that only begin an episode.
    """

    report: LawReport
    events: dict[str, int]
    steps: int

    @property
    def rates(self) -> dict[str, float]:
        """Events by name per 1,000 judged steps; nan if none were judged."""
        return {
            name: 1000 * count / self.steps if self.steps else float("nan")
            for name, count in self.events.items()
        }

    def __add__(self, other: Judged) -> Judged:
        return Judged(
            report=self.report + other.report,
            events={name: count + other.events[name] for name, count in self.events.items()},
            steps=self.steps + other.steps,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class LawPair:
    """Dreamed and real rollouts of the same players, judged by the same laws.

    Attributes:
        dream: As the referee saw the dream.
        real: As it saw the real games.
        unbroken: Dreamed rollouts in which no episode ended before the time limit.
    """

    dream: Judged
    real: Judged
    unbroken: int


def judge(played: Iterator[Rollout], referee: Referee, *, oldest: int = 1000) -> Judged:
    """Has a referee watch the pieces of one rollout, keeping none of them.

    Args:
        played: Consecutive pieces, as `pieces` yields them.
        referee: A fresh one.
        oldest: Age up to which the report keeps ages apart.

    Raises:
        ValueError: If there are no pieces.
    """
    book, steps = None, 0
    for piece in played:
        if book is None:
            book = LawBook(referee.laws, piece.first.shape[1], oldest=oldest)
        judged = ~piece.first[1:]
        book.enter(referee.watch(piece), piece.age[1:], judged)
        steps += int(judged.sum())
    if book is None:
        raise ValueError("the rollout has no pieces: play at least one step")
    return Judged(report=book.report(), events=dict(referee.events), steps=steps)


def event_drift(real: Mapping[str, float], dreamed: Mapping[str, float]) -> dict[str, float]:
    """Each event rate dreamed over the real one, minus 1; nan where the real rate is 0."""
    return {name: dreamed[name] / rate - 1 if rate else float("nan") for name, rate in real.items()}
