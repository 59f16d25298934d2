"""The beat at which frames are captured, and how well it was kept."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LATEST = 0.5
"""Ticks by which a frame may come late; later ones are dropped."""

_MANY_DROPPED = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Captured:
    """How a capture went; prints as one line.

    Attributes:
        frames: Frames taken.
        takes: Takes that were made of them.
        seconds: From the first frame to the last.
        dropped: Ticks at which no frame could be taken in time; a take ends at each.
        longest_gap: Seconds between two frames in a row, at most.
    """

    frames: int
    takes: int
    seconds: float
    dropped: int
    longest_gap: float

    @property
    def fps(self) -> float:
        """Frames a second; 0 if there were fewer than two."""
        return (self.frames - 1) / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        """The line that `learned-envs record screen` ends with."""
        line = (
            f"{self.frames:,} frames in {self.takes:,} take{'s' * (self.takes != 1)}, "
            f"{self.seconds:.1f} s at {self.fps:.2f} a second, {self.dropped:,} dropped, "
            f"longest gap {1000 * self.longest_gap:.0f} ms"
        )
        if self.dropped > _MANY_DROPPED * (self.frames + self.dropped):
            line += ": too slow, so ask for fewer frames a second, or for a smaller region"
        return line


def ticks(
    fps: float,
    seconds: float | None,
    stop: threading.Event,
    clock: Callable[[], float],
    sleep: Callable[[float], object],
) -> Iterator[tuple[float, int]]:
    """Waits for one tick after the other, `fps` a second, until `stop` or after `seconds`.

    Ticks keep to the first one's beat. One that is reached more than half a tick late is missed.

    Yields:
        The moment, and how many ticks were missed just before.
    """
    start, tick, missed = clock(), 0, 0
    end = math.inf if seconds is None else round(seconds * fps)
    while tick <= end and not stop.is_set():
        ahead = start + tick / fps - clock()
        if ahead > 0:
            sleep(ahead)
        now = clock()
        late = (now - start) * fps - tick
        if late <= LATEST:
            yield now, missed
            tick, missed = tick + 1, 0
        else:
            tick, missed = tick + math.ceil(late), missed + math.ceil(late)
