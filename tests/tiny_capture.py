"""A screen, a person and a clock that need no display and take no time."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from learned_envs.data import Episode, EpisodeStore
from learned_envs.recording.capture.grabbing import Grab, Region
from learned_envs.recording.capture.listening import Hear, Move
from learned_envs.recording.capture.pacing import Captured
from learned_envs.recording.capture.screen import record_screen

FPS = 10
REGION = Region(40, 30, 100, 50)
IMAGE_SIZE = (8, 16)
KEYS = ("w", "space")


class Sitting:
    """A person at a screen. The n-th picture, from 0, is of colour n; picture -1 is the trial shot.

    Time goes on while the recorder sleeps, and while a picture takes `slow[n]` seconds.

    Args:
        script: What happens after so many seconds.
        slow: Seconds that pictures take.
    """

    def __init__(
        self,
        script: dict[float, Callable[["Sitting"], object]] | None = None,
        slow: dict[int, float] | None = None,
    ):
        self.now = self.start = 1000.0
        self.hear: Hear = lambda name, down: None
        self.move: Move = lambda x, y: None
        self.shots = 0
        self._script = sorted((script or {}).items(), key=lambda item: item[0])
        self._slow = slow or {}

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self._pass(self.now + seconds)

    @contextlib.contextmanager
    def grab(self, region: Region | None, pointer: bool) -> Iterator[tuple[Region, Grab]]:
        yield region or REGION, self._shoot

    @contextlib.contextmanager
    def listen(self, hear: Hear, move: Move | None) -> Iterator[None]:
        self.hear, self.move = hear, move or self.move
        self.move(50, 50)
        yield

    def _shoot(self) -> np.ndarray:
        number, self.shots = self.shots, self.shots + 1
        self._pass(self.now + self._slow.get(number, 0.0))
        return np.full((REGION.height, REGION.width, 3), number % 256, np.uint8)

    def _pass(self, until: float) -> None:
        while self._script and self.start + self._script[0][0] <= until:
            time, act = self._script.pop(0)
            self.now = max(self.now, self.start + time)
            act(self)
        self.now = max(self.now, until)


def press(name: str) -> Callable[[Sitting], object]:
    return lambda sitting: sitting.hear(name, True)


def release(name: str) -> Callable[[Sitting], object]:
    return lambda sitting: sitting.hear(name, False)


def move(x: float, y: float) -> Callable[[Sitting], object]:
    return lambda sitting: sitting.move(x, y)


def record(sitting: Sitting, out: Path, **settings: Any) -> Captured:
    """Records a sitting: at 10 FPS, for two seconds if nothing else is asked for."""
    usual = {"name": "paint", "fps": FPS, "keys": KEYS, "image_size": IMAGE_SIZE, "seconds": 2.0}
    return record_screen(
        out,
        **{**usual, **settings},
        progress=False,
        grab=sitting.grab,
        listen=sitting.listen,
        clock=sitting.clock,
        sleep=sitting.sleep,
    )


def record_for_ever(out: Path) -> None:
    """Records at full speed until it is killed."""
    record(Sitting(), out, seconds=None)


def recorded(out: Path) -> list[Episode]:
    """All that was recorded."""
    return list(EpisodeStore(out))


def only(out: Path) -> Episode:
    """The only episode that was."""
    (episode,) = recorded(out)
    return episode


def numbers(episode: Episode) -> list[int]:
    """Which pictures the frames are."""
    return episode.observation[:][:, 0, 0, 0].tolist()


def column(episode: Episode, name: str) -> list[float]:
    """What one component did, step by step."""
    return episode.action[:, episode.attributes.action_names.index(name)].tolist()
