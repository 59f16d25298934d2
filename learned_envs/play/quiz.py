"""Which is real? Answers, what they prove, and where they are kept."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from learned_envs.play.clips import Clip

SCHEMA = 1
CONFIDENCE = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a person said of a clip.

    Attributes:
        said_dreamed: Whether they said that it is dreamed.
        dreamed: Whether it is.
        behaviour: Who played in it.
        age: Steps of free play before it.
        seconds: That the person took.
    """

    said_dreamed: bool
    dreamed: bool
    behaviour: str
    age: int
    seconds: float

    @property
    def right(self) -> bool:
        """Whether they were."""
        return self.said_dreamed == self.dreamed


@dataclass(kw_only=True, slots=True)
class Quiz:
    """One sitting.

    Attributes:
        total: Clips to be judged.
        answers: So far.
    """

    total: int
    answers: list[Answer] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Whether all clips are judged."""
        return len(self.answers) >= self.total

    @property
    def correct(self) -> int:
        """Right answers so far."""
        return sum(answer.right for answer in self.answers)

    def answer(self, clip: Clip, *, said_dreamed: bool, seconds: float) -> None:
        """Takes an answer to the next clip."""
        self.answers.append(
            Answer(
                said_dreamed=said_dreamed,
                dreamed=clip.dreamed,
                behaviour=clip.behaviour,
                age=clip.age,
                seconds=seconds,
            )
        )


def chance_of(correct: int, total: int) -> float:
    """Probability of at least `correct` right answers of `total` by tossing a coin."""
    return sum(math.comb(total, k) for k in range(correct, total + 1)) / 2**total


def interval(correct: int, total: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The share of right answers that a person would give in the long run, low and high end.

    The exact interval of Clopper and Pearson (1934), by bisection.
    """
    tail = (1 - confidence) / 2

    def at_least(k: int, share: float) -> float:
        terms = range(k, total + 1)
        return sum(math.comb(total, i) * share**i * (1 - share) ** (total - i) for i in terms)

    low = _root(lambda share: at_least(correct, share) - tail) if correct else 0.0
    high = 1.0
    if correct < total:
        high = _root(lambda share: at_least(correct + 1, share) - (1 - tail))
    return low, high


def verdict(correct: int, total: int) -> str:
    """What a score says, in words."""
    low, high = interval(correct, total)
    chance = chance_of(correct, total)
    text = (
        f"A coin would be right {correct} times or more in {total} with a probability of "
        f"{chance:.1%}. With {CONFIDENCE:.0%} confidence you tell them apart {low:.0%} to "
        f"{high:.0%} of the time, where 50% is guessing. "
    )
    if low > 0.5:
        return text + "So you can tell."
    if high < 0.5:
        return text + "So you can tell, and take the dream for real."
    return text + "So this does not show that you can tell."


def record(quiz: Quiz, **about: Any) -> dict[str, Any]:
    """One sitting as plain values.

    Args:
        quiz: Finished or not.
        about: What else to keep of it, e.g. the world and the weights.
    """
    clips = [
        {
            "dreamed": answer.dreamed,
            "said_dreamed": answer.said_dreamed,
            "behaviour": answer.behaviour,
            "age": answer.age,
            "seconds": round(answer.seconds, 2),
        }
        for answer in quiz.answers
    ]
    return {
        "schema": SCHEMA,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **about,
        "of": quiz.total,
        "answered": len(clips),
        "correct": quiz.correct,
        "clips": clips,
    }


def append_line(path: Path, values: Mapping[str, Any]) -> None:
    """Adds one line of JSON to a file, made if missing.

    The file is replaced as a whole, by a copy with the line added: whenever the process dies, what
    was in it is still there.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = path.read_bytes() if path.exists() else b""
    if kept and not kept.endswith(b"\n"):
        kept += b"\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("wb") as file:
        file.write(kept + json.dumps(values).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def right_marks(answers: Sequence[Answer]) -> list[tuple[str, bool]]:
    """For each answer what the clip was, `real` or `dream`, and whether the person was right."""
    return [("dream" if answer.dreamed else "real", answer.right) for answer in answers]


def _root(rising: Callable[[float], float]) -> float:
    """Where a rising function of [0, 1] passes through 0."""
    low, high = 0.0, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < 0 else (low, middle)
    return low
