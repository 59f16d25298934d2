"""What comes in frame by frame, made into episodes and written while more comes in."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from learned_envs.data.episode import MAX_FRAMES, Episode, EpisodeAttributes

PART_BYTES = 2**27
"""Bytes of frames that a part may hold: one is being filled while another is written."""


@dataclass(frozen=True, slots=True)
class Part:
    """Part of a take, ready to be made an episode.

    Attributes:
        frames: T + 1 pictures (H, W, 3) uint8.
        times: T + 1 moments in seconds since the beginning of the take.
        actions: T vectors (n,) float32.
        attributes: Of the episode.
    """

    frames: list[np.ndarray]
    times: list[float]
    actions: list[np.ndarray]
    attributes: EpisodeAttributes

    def episode(self) -> Episode:
        """The episode: its rewards are 0, and a take ends truncated."""
        steps = len(self.actions)
        ends = np.arange(steps) == steps - 1
        return Episode(
            observation=np.stack(self.frames),
            action=np.stack(self.actions),
            reward=np.zeros(steps, np.float32),
            terminated=np.zeros(steps, bool),
            truncated=ends & self.attributes.last,
            metadata={"time": np.array(self.times, np.float64)},
            attributes=self.attributes,
        )


class Reel:
    """Makes takes of frames that come in one by one.

    A take ends where a frame is missing, or when it has `steps` steps; the next begins with the
    frame that it ended with, so that no step is lost. A part is handed on when it is full, and not
    before it is known whether its take goes on.

    Args:
        hand_on: Receives parts.
        attributes: Of the first take; the seeds of those that follow count up from its own.
        steps: Of the longest take.
        max_frames: Of the longest part.

    Attributes:
        takes: How many are complete.
    """

    def __init__(
        self,
        hand_on: Callable[[Part], object],
        attributes: EpisodeAttributes,
        *,
        steps: int,
        max_frames: int = MAX_FRAMES,
    ):
        self._hand_on, self._steps, self._max_frames = hand_on, steps, max_frames
        self._attributes = attributes
        self._began = 0.0
        self._before = 0  # steps of this take in its earlier parts
        self._frames: list[np.ndarray] = []
        self._times: list[float] = []
        self._actions: list[np.ndarray] = []
        self.takes = 0

    def begin(self, frame: np.ndarray, time: float) -> None:
        """Ends the take, if there is one, and begins another with a frame (H, W, 3) of `time`."""
        self.end()
        self._frames, self._times, self._began = [frame], [time], time

    def add(self, action: np.ndarray, frame: np.ndarray, time: float) -> None:
        """Adds a step: the action (n,) that led from the last frame to this one."""
        if self._before + len(self._actions) == self._steps:
            self.begin(self._frames[-1], self._times[-1])
        elif len(self._frames) == self._max_frames:
            self._pass(last=False)
        self._frames.append(frame)
        self._times.append(time)
        self._actions.append(action)

    def end(self) -> None:
        """Ends the take; a single frame, which is no step, is let go."""
        if self._actions:
            self._pass(last=True)
        self._frames, self._times = [], []

    def _pass(self, *, last: bool) -> None:
        now = dataclasses.replace(self._attributes, last=last)
        times = [time - self._began for time in self._times]
        part = Part(self._frames, times, self._actions, now)
        if last:
            self.takes += 1
            self._before = 0
            self._attributes = dataclasses.replace(now, seed=now.seed + 1, source="", part=0)
        else:
            self._before += len(self._actions)
            self._attributes = dataclasses.replace(now, part=now.part + 1)
        self._frames, self._times, self._actions = self._frames[-1:], self._times[-1:], []
        self._hand_on(part)


class Filing:
    """Writes parts one after the other on a thread of its own; a context that ends when all are.

    No more than one waits: a disk that is too slow makes `put` wait.

    Args:
        write: Writes an episode.
    """

    def __init__(self, write: Callable[[Episode], object]):
        self._write = write
        self._thread = ThreadPoolExecutor(1, "filing")
        self._writing: Future[object] | None = None

    def __enter__(self) -> Filing:
        return self

    def __exit__(self, *error: object) -> None:
        with self._thread:
            self._wait()

    def put(self, part: Part) -> None:
        """Hands on a part to be written, once the one before is.

        Raises:
            OSError: If that one could not be written.
        """
        self._wait()
        self._writing = self._thread.submit(lambda: self._write(part.episode()))

    def check(self) -> None:
        """Raises the error of the part that could not be written, if there is one."""
        if self._writing is not None and self._writing.done():
            self._wait()

    def _wait(self) -> None:
        if self._writing is not None:
            self._writing.result()
