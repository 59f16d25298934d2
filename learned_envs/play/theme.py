"""Colours, letters and shapes that all windows share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pygame
from PIL import Image, ImageDraw, ImageFont

Colour = tuple[int, int, int]

NIGHT: Colour = (11, 13, 20)
PANEL: Colour = (20, 24, 36)
EDGE: Colour = (38, 44, 62)
HOVER: Colour = (52, 60, 84)
INK: Colour = (236, 240, 250)
FAINT: Colour = (128, 138, 165)
CALM: Colour = (72, 201, 176)
UNSURE: Colour = (245, 190, 80)
LOST: Colour = (240, 92, 92)

SMALL, MIDDLE, LARGE, HUGE = 14, 16, 22, 44
_CRISP = 4  # times a pixel is enlarged from which on it stays a square


def doubt_colour(doubt: float) -> Colour:
    """Calm below 0.9, unsure from there on, lost from 0.99 on."""
    return CALM if doubt < 0.9 else UNSURE if doubt < 0.99 else LOST


@lru_cache(maxsize=2048)
def letters(words: str, size: int = SMALL, colour: Colour = INK) -> pygame.Surface:
    """One line of text on nothing; its height depends on the size alone."""
    font = _font(size)
    ascent, descent = font.getmetrics()
    width = max(int(np.ceil(font.getlength(words))), 1)
    image = Image.new("L", (width + 1, ascent + descent))
    ImageDraw.Draw(image).text((0, 0), words, fill=255, font=font)
    alpha = np.asarray(image)
    pixels = np.empty((*alpha.shape, 4), np.uint8)
    pixels[..., :3], pixels[..., 3] = colour, alpha
    return pygame.image.frombuffer(pixels.tobytes(), image.size, "RGBA")


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font


def write(
    surface: pygame.Surface,
    words: str,
    at: tuple[int, int],
    size: int = SMALL,
    colour: Colour = INK,
    *,
    anchor: str = "topleft",
) -> pygame.Rect:
    """Writes one line; `at` is where the rectangle's `anchor` comes to lie."""
    text = letters(words, size, colour)
    place = text.get_rect(**{anchor: at})
    surface.blit(text, place)
    return place


def wrapped(words: str, size: int, width: int) -> list[str]:
    """Breaks text into lines of at most `width` pixels; a longer word has a line of its own."""
    lines, line = [], ""
    for word in words.split():
        longer = f"{line} {word}".strip()
        if line and _font(size).getlength(longer) > width:
            lines.append(line)
            line = word
        else:
            line = longer
    return [*lines, line]


def box(
    surface: pygame.Surface, rect: pygame.Rect, fill: Colour, edge: Colour | None = None
) -> None:
    """A rectangle with round corners."""
    pygame.draw.rect(surface, fill, rect, border_radius=7)
    if edge is not None:
        pygame.draw.rect(surface, edge, rect, width=1, border_radius=7)


def bar(surface: pygame.Surface, rect: pygame.Rect, share: float, colour: Colour) -> None:
    """A bar filled from the left by `share`, clipped to [0, 1]; empty if it is nan."""
    pygame.draw.rect(surface, EDGE, rect, border_radius=rect.height // 2)
    filled = rect.copy()
    filled.width = round(float(np.clip(np.nan_to_num(share), 0, 1)) * rect.width)
    if filled.width:
        pygame.draw.rect(surface, colour, filled, border_radius=rect.height // 2)


def enlarged(frame: np.ndarray, size: tuple[int, int]) -> pygame.Surface:
    """A frame (H, W, 3) uint8 at another size (width, height).

    Large pixels are crisp with smooth seams: enlarged to whole pixels first and shrunk smoothly
    after that. Pixels of less than four of the screen's would only look ragged: they are smoothed.
    """
    height, width = frame.shape[:2]
    small = pygame.image.frombuffer(np.ascontiguousarray(frame).tobytes(), (width, height), "RGB")
    factor = max(-(-size[0] // width), -(-size[1] // height), 1)
    if factor < _CRISP:
        return pygame.transform.smoothscale(small, size)
    large = pygame.transform.scale(small, (width * factor, height * factor))
    return large if large.get_size() == size else pygame.transform.smoothscale(large, size)
