"""The window on the desktop: opens it, feeds it events, draws sixty times a second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pygame

FPS = 60
SIZE = 1080, 780


class View(Protocol):
    """What is in the window.

    Attributes:
        done: Whether the window shall close.
    """

    done: bool

    def handle(self, event: pygame.event.Event) -> None:
        """Answers a key, a click or a move of the pointer."""
        ...

    def draw(self, surface: pygame.Surface, fps: float) -> None:
        """Draws everything; `fps` is the rate of drawing of late."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """How evenly a window was drawn.

    Attributes:
        seconds: For how long.
        fps: Frames a second.
        longest_ms: Longest time between two frames on the screen.
        stalls: Times longer than 50 ms.
    """

    seconds: float
    fps: float
    longest_ms: float
    stalls: int


class Screen:
    """The window. One at a time.

    Args:
        title: In its title bar.
        size: Width and height in pixels.

    Raises:
        RuntimeError: If there is no screen to open it on.
    """

    def __init__(self, title: str, size: tuple[int, int] = SIZE):
        try:
            pygame.display.init()
            pygame.display.set_caption(title)
            pygame.display.set_mode(size, pygame.RESIZABLE)
        except pygame.error as error:
            raise RuntimeError(
                f"no window could be opened ({error}): run it where there is a screen, or under "
                "`xvfb-run`"
            ) from error
        self._size = size
        self._clock = pygame.time.Clock()
        self.full = False

    def close(self) -> None:
        """Closes the window."""
        pygame.display.quit()

    def frame(self, view: View) -> None:
        """Answers the events that have come and draws one frame, a sixtieth after the one before.

        The wait leaves the interpreter to the game's own thread.
        """
        self._clock.tick(FPS)
        for event in pygame.event.get():
            if event.type == pygame.QUIT:
                view.done = True
            elif event.type == pygame.KEYDOWN and event.key == pygame.K_F11:
                self._toggle_full()
            elif event.type == pygame.KEYDOWN and event.key == pygame.K_ESCAPE and self.full:
                self._toggle_full()
            else:
                view.handle(event)
        view.draw(pygame.display.get_surface(), self._clock.get_fps())
        pygame.display.flip()

    def run(self, view: View) -> None:
        """Draws until the view is done."""
        while not view.done:
            self.frame(view)

    def measure(self, view: View, seconds: float) -> Drawing:
        """Draws for `seconds`, or until the view is done, and tells how evenly."""
        times = [time.perf_counter()]
        while not view.done and times[-1] - times[0] < seconds:
            self.frame(view)
            times.append(time.perf_counter())
        return drawing(np.array(times))

    def _toggle_full(self) -> None:
        self.full = not self.full
        if self.full:
            self._size = pygame.display.get_window_size()
            pygame.display.set_mode((0, 0), pygame.FULLSCREEN)
        else:
            for _ in range(2):  # some drivers heed the size only when they are asked again
                pygame.display.set_mode(self._size, pygame.RESIZABLE)


def drawing(times: np.ndarray) -> Drawing:
    """Figures of the moments (n,), in seconds, at which frames came to the screen."""
    gaps = np.diff(times)
    seconds = float(gaps.sum())
    return Drawing(
        seconds=seconds,
        fps=gaps.size / seconds if seconds else float("nan"),
        longest_ms=1000 * float(gaps.max(initial=0.0)),
        stalls=int((gaps > 0.05).sum()),
    )
