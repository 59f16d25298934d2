"""What can be laid over or beside the pictures: change, doubt, the action, the network's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pygame

from learned_envs.play import theme
from learned_envs.play.hands import action_name
from learned_envs.worlds import World

_HEAT = np.array([theme.NIGHT, theme.CALM, theme.UNSURE, theme.LOST, (255, 236, 236)], np.float32)
_VEIL, _GLOW = 150, 240  # alpha where nothing changes, and where most does
_ROW = 34
_OUTLINE, _LINE, _DOT = 7, 3, 4  # screen pixels: widths of the path's lines, radius of its points


def heat(change: np.ndarray, size: tuple[int, int]) -> pygame.Surface:
    """Latent change (h, w), not negative, as a glow of `size` (width, height) over a dark veil.

    It is relative: the place that changes most is brightest, and only the veil lies over what does
    not change.
    """
    top = float(change.max())
    level = np.sqrt(change / top if top else change)
    place = level * (len(_HEAT) - 1)
    below = np.clip(place.astype(int), 0, len(_HEAT) - 2)
    share = (place - below)[..., None]
    pixels = np.empty((*change.shape, 4), np.uint8)
    pixels[..., :3] = np.rint((1 - share) * _HEAT[below] + share * _HEAT[below + 1])
    pixels[..., 3] = np.rint(_VEIL + (_GLOW - _VEIL) * level)
    shape = change.shape[1], change.shape[0]
    return pygame.transform.scale(pygame.image.frombuffer(pixels.tobytes(), shape, "RGBA"), size)


def draw_chart(surface: pygame.Surface, rect: pygame.Rect, doubts: np.ndarray, length: int) -> None:
    """Draws doubt (n,) in [0, 1] over the latest `length` steps, the newest at the right."""
    theme.box(surface, rect, theme.PANEL, theme.EDGE)
    inside = rect.inflate(-24, -20)
    inside.x, inside.width = rect.x + 104, rect.width - 116
    theme.write(surface, "doubt", (rect.x + 12, inside.y - 4), colour=theme.FAINT)
    words = f"last {length} steps"
    theme.write(surface, words, (rect.x + 12, rect.bottom - 28), 12, theme.FAINT)
    for level in (0.0, 0.5, 1.0):
        y = _height(inside, level)
        pygame.draw.line(surface, theme.EDGE, (inside.x, y), (inside.right, y))
        at = inside.x - 6, y
        theme.write(surface, f"{level:g}", at, 12, theme.FAINT, anchor="midright")
    shown = doubts[-length:]
    step = inside.width / length
    for i, doubt in enumerate(shown.tolist()):
        if doubt == doubt:
            x = inside.right - (len(shown) - i) * step
            y = _height(inside, doubt)
            wide = max(int(step) - 1, 1)
            column = pygame.Rect(int(x), y, wide, max(inside.bottom - y, 2))
            pygame.draw.rect(surface, theme.doubt_colour(doubt), column)


def draw_hold(
    surface: pygame.Surface, pictures: Sequence[pygame.Rect], u: float, v: float, held: float
) -> None:
    """Rings at (u, v) in [0, 1] of every picture that grow while a button is held down."""
    for rect in pictures:
        at = rect.x + u * rect.width, rect.y + v * rect.height
        pygame.draw.circle(surface, theme.INK, at, 6 + 24 * min(held, 1.0), 2)


def path(points: Sequence[tuple[float, float] | None], size: tuple[int, int]) -> pygame.Surface:
    """The way of a pointer, fading into the past, on nothing of `size` (width, height).

    Args:
        points: u and v in [0, 1], oldest first; None interrupts the way.
        size: In screen pixels.
    """
    drawn = pygame.Surface(size, pygame.SRCALPHA)
    before = None
    for i, point in enumerate(points):
        now = (point[0] * size[0], point[1] * size[1]) if point else None
        alpha = round(_GLOW * (i + 1) / len(points))
        if now:
            for colour, width, radius in (
                (theme.NIGHT, _OUTLINE, _DOT + 2),
                (theme.UNSURE, _LINE, _DOT),
            ):
                if before:
                    pygame.draw.line(drawn, (*colour, alpha), before, now, width)
                pygame.draw.circle(drawn, (*colour, alpha), now, radius)
        before = now
    return drawn


def draw_action(surface: pygame.Surface, room: pygame.Rect, world: World, action: Any) -> None:
    """Writes the latest action in the middle of `room`, among the others if they have names.

    The others are left out where there is no room for them.
    """
    if action is None:
        return
    sent = action_name(world, action)
    names = world.action_names if sent in world.action_names else (sent,)
    widths = _chips(names)
    if sum(widths) > room.width:
        names, widths = (sent,), _chips((sent,))
    x = room.centerx - sum(widths) // 2
    for name, width in zip(names, widths, strict=True):
        chip = pygame.Rect(x + 2, room.y, width - 4, room.height)
        lit = name == sent
        theme.box(surface, chip, theme.CALM if lit else theme.PANEL)
        colour = theme.NIGHT if lit else theme.FAINT
        theme.write(surface, name, chip.center, 13, colour, anchor="center")
        x += width


def _chips(names: Sequence[str]) -> list[int]:
    """Widths of the names' chips, their gaps included."""
    return [theme.letters(name, 13).get_width() + 18 for name in names]


def draw_blocks(
    surface: pygame.Surface, rect: pygame.Rect, norms: Sequence[tuple[str, float]]
) -> None:
    """Draws how strongly each block speaks, the strongest of them as a full bar."""
    theme.box(surface, rect, theme.PANEL, theme.EDGE)
    at = rect.x + 12, rect.y + 10
    theme.write(surface, "activation of each block (RMS)", at, colour=theme.FAINT)
    if not norms:
        words = "the next dream step fills this in; an exported graph cannot be looked into"
        for i, line in enumerate(theme.wrapped(words, 13, rect.width - 24)):
            theme.write(surface, line, (rect.x + 12, rect.y + 40 + 20 * i), 13, theme.FAINT)
        return
    top = max(value for _, value in norms)
    fitting = max((rect.height - 44) // _ROW, 1)
    for i, (name, value) in enumerate(norms[:fitting]):
        y = rect.y + 38 + i * _ROW
        theme.write(surface, name, (rect.x + 12, y), 13)
        theme.write(surface, f"{value:.2f}", (rect.right - 12, y), 13, anchor="topright")
        way = pygame.Rect(rect.x + 12, y + 20, rect.width - 24, 5)
        theme.bar(surface, way, value / top if top else 0.0, theme.CALM)
    if len(norms) > fitting:
        words = f"and {len(norms) - fitting} more"
        at = rect.right - 12, rect.bottom - 8
        theme.write(surface, words, at, 12, theme.FAINT, anchor="bottomright")


def _height(inside: pygame.Rect, level: float) -> int:
    return round(inside.bottom - level * inside.height)
