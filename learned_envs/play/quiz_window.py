"""The quiz as a person sees it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pygame

from learned_envs.play import theme, widgets
from learned_envs.play.clips import Clip, ClipMaker
from learned_envs.play.layout import MARGIN
from learned_envs.play.quiz import Quiz, right_marks, verdict
from learned_envs.play.widgets import Control
from learned_envs.worlds import World

_BEGIN = (
    "You will see clips of ten seconds. Each is real or dreamed by a small neural network, as a "
    "coin fell. After each you say which. Answer as soon as you know."
)


class QuizWindow:
    """See `screen.View`. The clips are shown as they become ready.

    Args:
        quiz: Takes the answers.
        clips: Makes the clips; begun by the caller.
        world: What is played in them.
        clock: Seconds, for the pace of the clips.

    Attributes:
        done: Whether the person has closed it.
    """

    def __init__(
        self,
        quiz: Quiz,
        clips: ClipMaker,
        world: World,
        *,
        clock: Callable[[], float] = time.perf_counter,
    ):
        self.quiz, self.done = quiz, False
        self._clips, self._world, self._clock = clips, world, clock
        self._hits: list[tuple[pygame.Rect, Control]] = []
        self._pointer = (-1, -1)
        self._begun = False
        self._since: float | None = None
        self._replayed = 0.0
        self._picture: tuple[Any, pygame.Surface] | None = None

    def handle(self, event: pygame.event.Event) -> None:
        """See `screen.View`."""
        if event.type == pygame.MOUSEMOTION:
            self._pointer = event.pos
        elif event.type == pygame.KEYDOWN:
            if control := widgets.by_key(self._controls(), pygame.key.name(event.key)):
                control.run()
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            for rect, control in self._hits:
                if rect.collidepoint(event.pos):
                    control.run()

    def draw(self, surface: pygame.Surface, fps: float) -> None:
        """See `screen.View`."""
        surface.fill(theme.NIGHT)
        theme.write(surface, "Which is real?", (MARGIN, 18), theme.LARGE)
        if self.quiz.finished:
            self._draw_end(surface)
        elif not self._begun:
            self._draw_beginning(surface)
        elif clip := self._clip():
            self._draw_clip(surface, clip)
        else:
            self._draw_waiting(surface)
        if not self.quiz.finished:
            self._draw_progress(surface)
        self._draw_controls(surface)

    def _clip(self) -> Clip | None:
        """The clip to be judged next, if it is made."""
        return self._clips.clip(len(self.quiz.answers))

    def _controls(self) -> list[Control]:
        leave = Control(label="Quit", key="escape", run=self._quit)
        if self.quiz.finished:
            return [leave]
        if not self._begun:
            return [Control(label="Begin", key="return", run=self._begin, lit=True), leave]
        clip = self._clip()
        if clip is None:
            return [leave]
        return [
            Control(label="Real", key="r", run=lambda: self._answer(clip, said_dreamed=False)),
            Control(label="Dreamed", key="d", run=lambda: self._answer(clip, said_dreamed=True)),
            Control(label="Once more", key="space", run=self._replay),
            leave,
        ]

    def _draw_beginning(self, surface: pygame.Surface) -> None:
        width, height = surface.get_size()
        at = width // 2, height // 2 - 90
        theme.write(surface, self._world.id_suffix, at, theme.HUGE, anchor="center")
        lines = theme.wrapped(_BEGIN, theme.MIDDLE, min(width - 80, 560))
        for i, line in enumerate(lines):
            at = width // 2, height // 2 - 20 + 26 * i
            theme.write(surface, line, at, theme.MIDDLE, anchor="center")

    def _draw_clip(self, surface: pygame.Surface, clip: Clip) -> None:
        now = self._clock()
        if self._since is None:
            self._since = self._replayed = now
        at = min(int((now - self._replayed) * self._world.fps), len(clip.frames) - 1)
        width, height = surface.get_size()
        room = pygame.Rect(MARGIN, 64, width - 2 * MARGIN, max(height - 64 - 120, 1))
        tall, wide = clip.frames.shape[1:3]
        scale = min(room.width / wide, room.height / tall)
        rect = pygame.Rect(0, 0, max(int(wide * scale), 1), max(int(tall * scale), 1))
        rect.center = room.center
        key = (clip, at, rect.size)
        if self._picture is None or self._picture[0] != key:
            self._picture = (key, theme.enlarged(clip.frames[at], rect.size))
        pygame.draw.rect(surface, theme.EDGE, rect.inflate(4, 4), border_radius=3)
        surface.blit(self._picture[1], rect)
        left = pygame.Rect(rect.x, rect.bottom + 6, rect.width, 4)
        theme.bar(surface, left, (at + 1) / len(clip.frames), theme.FAINT)

    def _draw_waiting(self, surface: pygame.Surface) -> None:
        width, height = surface.get_size()
        words = self._clips.error or "The next clip is being made …"
        colour = theme.LOST if self._clips.error else theme.INK
        for i, line in enumerate(theme.wrapped(words, theme.MIDDLE, min(width - 80, 640))):
            at = width // 2, height // 2 + 26 * i
            theme.write(surface, line, at, theme.MIDDLE, colour, anchor="center")

    def _draw_progress(self, surface: pygame.Surface) -> None:
        width = surface.get_width()
        number = min(len(self.quiz.answers) + 1, self.quiz.total)
        words = f"clip {number} of {self.quiz.total}"
        theme.write(surface, words, (width - MARGIN, 30), theme.MIDDLE, anchor="midright")
        if self._clips.ready < self._clips.count:
            way = pygame.Rect(width // 2 - 60, 27, 120, 6)
            theme.bar(surface, way, self._clips.ready / self._clips.count, theme.CALM)
            words = f"{self._clips.ready} of {self._clips.count} made"
            at = way.right + 8, way.centery
            theme.write(surface, words, at, 12, theme.FAINT, anchor="midleft")

    def _draw_end(self, surface: pygame.Surface) -> None:
        width, height = surface.get_size()
        top = height // 2 - 150
        score = f"{self.quiz.correct} of {self.quiz.total}"
        theme.write(surface, score, (width // 2, top), theme.HUGE, anchor="center")
        lines = theme.wrapped(
            verdict(self.quiz.correct, self.quiz.total), theme.MIDDLE, min(width - 80, 600)
        )
        for i, line in enumerate(lines):
            at = width // 2, top + 62 + 26 * i
            theme.write(surface, line, at, theme.MIDDLE, anchor="center")
        marks = right_marks(self.quiz.answers)
        columns = min(10, len(marks))
        y = top + 62 + 26 * len(lines) + 24
        for i, (kind, right) in enumerate(marks):
            x = width // 2 + round((i % columns - columns / 2) * 62)
            cell = pygame.Rect(x, y + 44 * (i // columns), 56, 36)
            colour = theme.CALM if right else theme.LOST
            theme.box(surface, cell, theme.PANEL, colour)
            theme.write(surface, kind, cell.center, 13, colour, anchor="center")
        below = y + 44 * -(-len(marks) // columns) + 10
        words = "what each clip was; green where you were right"
        theme.write(surface, words, (width // 2, below), 13, theme.FAINT, anchor="center")

    def _draw_controls(self, surface: pygame.Surface) -> None:
        width, height = surface.get_size()
        controls = self._controls()
        wide = sum(control.width for control in controls) + widgets.GAP * (len(controls) - 1)
        x = (width - wide) // 2
        self._hits = []
        for control in controls:
            y = height - MARGIN - widgets.HEIGHT
            rect = pygame.Rect(x, y, control.width, widgets.HEIGHT)
            self._hits.append((rect, control))
            hovered = rect.collidepoint(self._pointer)
            widgets.draw(surface, control, rect, hovered=hovered)
            x = rect.right + widgets.GAP

    def _begin(self) -> None:
        self._begun = True

    def _answer(self, clip: Clip, *, said_dreamed: bool) -> None:
        if self._since is None:
            return  # it was not seen yet
        took = self._clock() - self._since
        self.quiz.answer(clip, said_dreamed=said_dreamed, seconds=took)
        self._since = None

    def _replay(self) -> None:
        self._replayed = self._clock()

    def _quit(self) -> None:
        self.done = True
