"""Buttons and sliders, drawn anew with every frame."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pygame

from learned_envs.play import theme
from learned_envs.play.hands import key_name

HEIGHT, GAP = 34, 8
_PAD, _TRACK = 11, 110


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """Something a person can do, by a key or by a click.

    Attributes:
        label: On the button.
        key: By its name in pygame; for a slider, the two that move it, to be seen only.
        run: Does it.
        lit: Whether it is on.
        value: Of a slider, in [0, 1]; None makes a button.
        slide: Sets a slider's value, clipped to [0, 1].
    """

    label: str
    key: str
    run: Callable[[], None]
    lit: bool = False
    value: float | None = None
    slide: Callable[[float], None] | None = None

    @property
    def width(self) -> int:
        """Pixels that it takes."""
        wide = theme.letters(self.label).get_width() + 2 * _PAD
        if self.key:
            wide += _cap(self.key).get_width() + 2 * 6 + _PAD - 3
        return wide + (_TRACK + _PAD) * (self.value is not None)


def draw(surface: pygame.Surface, control: Control, rect: pygame.Rect, *, hovered: bool) -> None:
    """Draws a control into its rectangle."""
    fill = theme.HOVER if hovered else theme.EDGE if control.lit else theme.PANEL
    theme.box(surface, rect, fill, theme.CALM if control.lit else theme.EDGE)
    at = rect.x + _PAD, rect.centery
    end = theme.write(surface, control.label, at, anchor="midleft").right
    if control.value is not None:
        _draw_track(surface, track(rect), control.value)
    if control.key:
        _draw_cap(surface, control.key, (end + _PAD - 3, rect.centery))


def track(rect: pygame.Rect) -> pygame.Rect:
    """Where the handle of a slider in `rect` can go."""
    return pygame.Rect(rect.right - _PAD - _TRACK, rect.centery - 3, _TRACK, 6)


def slide_to(control: Control, rect: pygame.Rect, x: int) -> None:
    """Moves a slider's handle to a place on the screen."""
    if control.slide is not None:
        way = track(rect)
        control.slide((x - way.x) / way.width)


def flow(widths: Sequence[int], width: int) -> tuple[list[tuple[int, int]], int]:
    """Sets widgets of `widths` in lines of at most `width` pixels.

    Returns:
        (x, y) of each, and the height of all lines.
    """
    places, x, y = [], 0, 0
    for wide in widths:
        if x and x + wide > width:
            x, y = 0, y + HEIGHT + GAP
        places.append((x, y))
        x += wide + GAP
    return places, y + HEIGHT if places else 0


def by_key(controls: Iterable[Control], key: str) -> Control | None:
    """The control of a key, if there is one."""
    return next((control for control in controls if control.key == key), None)


def _cap(key: str) -> pygame.Surface:
    return theme.letters(key_name(key), 12, theme.FAINT)


def _draw_cap(surface: pygame.Surface, key: str, at: tuple[int, int]) -> None:
    text = _cap(key)
    cap = pygame.Rect(0, 0, text.get_width() + 12, 20)
    cap.midleft = at
    pygame.draw.rect(surface, theme.NIGHT, cap, border_radius=4)
    surface.blit(text, text.get_rect(center=cap.center))


def _draw_track(surface: pygame.Surface, way: pygame.Rect, value: float) -> None:
    theme.bar(surface, way, value, theme.CALM)
    pygame.draw.circle(surface, theme.INK, (round(way.x + value * way.width), way.centery), 8)
