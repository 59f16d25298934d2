"""The window that a person plays in: shows what a session tells, sends it what the person does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pygame

from learned_envs.play import controls, overlays, theme, widgets
from learned_envs.play.hands import Hands, Mouse, how_to_play
from learned_envs.play.keepsakes import Saver
from learned_envs.play.layout import Layout, arrange
from learned_envs.play.session import Session
from learned_envs.play.snapshot import Mode, Picture, Snapshot, pictures
from learned_envs.play.widgets import Control
from learned_envs.worlds import World

DEFAULT_WEIGHT = 0.32
"""Share of the dream where it is laid over the real game."""
GIF_SECONDS = 10
_CHART_STEPS = 300


class Window:
    """See `screen.View`.

    Args:
        session: Plays; begun by the caller.
        world: What is played.
        out: Folder for saved pictures and films.

    Attributes:
        done: Whether the person has closed it.
        weight: Share of the dream in the blend, in [0, 1].
        overlays: Names of those that are on, of `controls.OVERLAYS`.
    """

    def __init__(self, session: Session, world: World, *, out: Path):
        self.session, self.world = session, world
        self.done, self.weight = False, DEFAULT_WEIGHT
        self.overlays = {"action"}
        self.saver = Saver(out, world.name)
        self._hands, self._mouse, self._hint = Hands(world), Mouse(world), how_to_play(world)
        self._pictures: tuple[pygame.Rect, ...] = ()
        self._touched = pygame.Rect(0, 0, 1, 1)  # the picture that was clicked on last
        self._hits: list[tuple[pygame.Rect, Control]] = []
        self._dragged: str | None = None
        self._pointer = (-1, -1)
        self._scaled: dict[tuple[int, str], tuple[object, pygame.Surface]] = {}

    def handle(self, event: pygame.event.Event) -> None:
        """See `screen.View`."""
        if event.type == pygame.KEYDOWN:
            self._key_down(pygame.key.name(event.key))
        elif event.type == pygame.KEYUP:
            if self._hands.release(pygame.key.name(event.key)):
                self._act()
        elif event.type == pygame.WINDOWFOCUSLOST:
            if self._hands.let_go():
                self._act()
            self._send(self._mouse.release(_seconds()))
        elif event.type == pygame.MOUSEMOTION:
            self._pointer = event.pos
            self._drag(event.pos[0])
            self._send(self._mouse.move(*self._within(event.pos)))
        elif event.type == pygame.MOUSEBUTTONDOWN and event.button == 1:
            self._press(event.pos)
        elif event.type == pygame.MOUSEBUTTONUP and event.button == 1:
            self._dragged = None
            self._send(self._mouse.release(_seconds()))

    def toggle(self, name: str) -> None:
        """Turns an overlay on or off."""
        self.overlays ^= {name}
        if name == "blocks":
            wanted = name in self.overlays
            self.session.send(lambda stage: stage.probe_blocks(wanted))

    def set_weight(self, weight: float) -> None:
        """Sets the share of the dream in the blend, clipped to [0, 1]."""
        self.weight = min(max(weight, 0.0), 1.0)

    def save_png(self) -> None:
        """Saves what is shown."""
        self.saver.png(self.session.snapshot, self.weight)

    def save_gif(self) -> None:
        """Saves the last `GIF_SECONDS`, at the world's own rate."""
        latest = self.session.recent()[-GIF_SECONDS * self.world.fps :]
        self.saver.gif(latest, self.weight, self.world.fps)

    def quit(self) -> None:
        """Closes the window."""
        self.done = True

    def draw(self, surface: pygame.Surface, fps: float) -> None:
        """See `screen.View`."""
        self._send(self._mouse.look(_seconds()))
        now = self.session.snapshot
        shown = pictures(now, self.weight)
        tabs, buttons = controls.tabs(self, now), controls.buttons(self, now)
        height, width = self.world.observation_space.shape[:2]
        layout = arrange(
            surface.get_size(),
            tabs=[control.width for control in tabs],
            controls=[control.width for control in buttons],
            pictures=len(shown),
            aspect=width / height,
            chart="doubt" in self.overlays and now.mode is not Mode.REAL,
            blocks="blocks" in self.overlays and now.mode is not Mode.REAL,
        )
        surface.fill(theme.NIGHT)
        for place, (rect, picture) in enumerate(zip(layout.pictures, shown, strict=True)):
            self._draw_picture(surface, rect, picture, now, place)
        self._pictures = layout.pictures
        if self._mouse.at is not None and self._mouse.manners is None:
            overlays.draw_hold(
                surface, layout.pictures, *self._mouse.at, self._mouse.held(_seconds())
            )
        if layout.chart:
            overlays.draw_chart(surface, layout.chart, now.doubts, _CHART_STEPS)
        if layout.blocks:
            overlays.draw_blocks(surface, layout.blocks, now.norms)
        hint = self.saver.note or self._hint
        theme.write(surface, hint, layout.hint.midleft, colour=theme.FAINT, anchor="midleft")
        self._draw_status(surface, layout.status, now, fps)
        if now.loading or now.error:
            _draw_message(surface, layout, now.error)
        self._hits = [
            *zip(layout.tabs, tabs, strict=True),
            *zip(layout.controls, buttons, strict=True),
        ]
        for rect, control in self._hits:
            widgets.draw(surface, control, rect, hovered=rect.collidepoint(self._pointer))

    def _key_down(self, key: str) -> None:
        if self._hands.press(key):
            self._act()
            return
        now = self.session.snapshot
        offered = [*controls.tabs(self, now), *controls.buttons(self, now)]
        offered += controls.by_key_only(self, now)
        if control := widgets.by_key(offered, key):
            self._do(control)

    def _press(self, at: tuple[int, int]) -> None:
        for rect, control in self._hits:
            if rect.collidepoint(at):
                if control.slide is not None:
                    self._dragged = control.label
                    self._drag(at[0])
                self._do(control)
        for rect in self._pictures:
            if rect.collidepoint(at):
                self._touched = rect
                self._send(self._mouse.press(*self._within(at), _seconds()))

    def _do(self, control: Control) -> None:
        self.saver.note = ""
        control.run()

    def _drag(self, x: int) -> None:
        if self._dragged is not None:
            for rect, control in self._hits:
                if control.slide is not None:
                    widgets.slide_to(control, rect, x)

    def _act(self) -> None:
        self._send([self._hands.action])

    def _send(self, actions: Sequence[Any]) -> None:
        for action in actions:
            self.session.send(lambda stage, action=action: stage.hold(action))

    def _within(self, at: tuple[int, int]) -> tuple[float, float]:
        """Where a place of the window is in the picture that was touched last: u, v in [0, 1]."""
        rect = self._touched
        u, v = (at[0] - rect.x) / rect.width, (at[1] - rect.y) / rect.height
        return min(max(u, 0.0), 1.0), min(max(v, 0.0), 1.0)

    def _draw_picture(
        self,
        surface: pygame.Surface,
        rect: pygame.Rect,
        picture: Picture,
        now: Snapshot,
        place: int,
    ) -> None:
        pygame.draw.rect(surface, theme.EDGE, rect.inflate(4, 4), border_radius=3)
        key = (now.real, now.dream, now.mode, self.weight, rect.size)
        surface.blit(self._cached(place, "frame", key, lambda: _enlarged(picture, rect)), rect)
        change = now.change
        if "change" in self.overlays and picture.dreamed and change is not None:
            key = (now.dream, rect.size)
            glow = self._cached(place, "heat", key, lambda: overlays.heat(change, rect.size))
            surface.blit(glow, rect)
        if "path" in self.overlays and now.path:
            key = (now.path, rect.size)
            drawn = self._cached(place, "path", key, lambda: overlays.path(now.path, rect.size))
            surface.blit(drawn, rect)
        line = rect.y - 18
        begin = theme.write(surface, picture.title, (rect.x, line), theme.MIDDLE, anchor="midleft")
        score = f"{round(picture.game.score, 2):g}"
        at = rect.right, line
        end = theme.write(surface, score, at, theme.LARGE, anchor="midright")
        at = end.x - 8, line + 2
        end = theme.write(surface, "score", at, colour=theme.FAINT, anchor="midright")
        if "action" in self.overlays:
            room = pygame.Rect(begin.right, line - 11, max(end.x - begin.right, 0), 22)
            overlays.draw_action(surface, room, self.world, now.action)
        if picture.game.over:
            _draw_over(surface, rect)

    def _cached(
        self, place: int, kind: str, key: object, make: Callable[[], pygame.Surface]
    ) -> pygame.Surface:
        """What `make` returns, made again only when `key` changes."""
        known = self._scaled.get((place, kind))
        if known is None or known[0] != key:
            known = self._scaled[place, kind] = (key, make())
        return known[1]

    def _draw_status(
        self, surface: pygame.Surface, rect: pygame.Rect, now: Snapshot, fps: float
    ) -> None:
        def known(value: float, text: str) -> list[str]:
            return [text.format(value)] if value == value else []

        game = now.dream if now.mode is Mode.DREAM else now.real
        parts = [
            *known(fps or float("nan"), "drawn at {:.0f} FPS"),
            *known(now.rate, "{:.0f} steps a second"),
            f"speed x{now.speed:g}" + ", paused" * now.paused,
            *known(now.step_ms, "dream step {:.1f} ms"),
            *([f"step {game.step}"] if game else []),
            f"seed {now.seed}",
        ]
        words = "   ·   ".join(parts)
        theme.write(surface, words, rect.midleft, colour=theme.FAINT, anchor="midleft")
        doubt = now.doubt
        if now.mode is not Mode.REAL and doubt == doubt:
            way = pygame.Rect(rect.right - 150, rect.centery - 4, 110, 8)
            theme.bar(surface, way, doubt, theme.doubt_colour(doubt))
            at = rect.right, rect.centery
            theme.write(surface, f"{doubt:.2f}", at, anchor="midright")
            at = way.x - 8, rect.centery
            theme.write(surface, "doubt", at, colour=theme.FAINT, anchor="midright")


def _seconds() -> float:
    return pygame.time.get_ticks() / 1000


def _enlarged(picture: Picture, rect: pygame.Rect) -> pygame.Surface:
    return theme.enlarged(picture.frame, rect.size)


def _draw_over(surface: pygame.Surface, rect: pygame.Rect) -> None:
    words = theme.letters("game over", theme.LARGE)
    plate = words.get_rect(center=rect.center).inflate(32, 18)
    theme.box(surface, plate, theme.PANEL, theme.EDGE)
    surface.blit(words, words.get_rect(center=rect.center))


def _draw_message(surface: pygame.Surface, layout: Layout, error: str) -> None:
    """Says what went wrong and what to do, or that the worlds are on their way."""
    width, height = surface.get_size()
    lines = theme.wrapped(error, theme.MIDDLE, min(width - 120, 680)) if error else []
    head = "Something went wrong" if error else "Waking the dream …"
    tail = ["", "New game (R) tries again."] if error else []
    plate = pygame.Rect(0, 0, min(width - 60, 740), 64 + 24 * len([*lines, *tail]))
    plate.center = width // 2, (layout.hint.y) // 2
    theme.box(surface, plate, theme.PANEL, theme.LOST if error else theme.EDGE)
    at = plate.x + 24, plate.y + 18
    theme.write(surface, head, at, theme.LARGE, theme.LOST if error else theme.INK)
    for i, line in enumerate([*lines, *tail]):
        theme.write(surface, line, (plate.x + 24, plate.y + 54 + 24 * i), theme.MIDDLE)
