"""A GIF of two games side by side, small enough to send.

It is drawn in palette indices throughout: a fixed part of the palette for the surroundings, so that
text stays crisp, and the rest for the games.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_NIGHT, _EDGE, _INK, _FAINT = (11, 13, 20), (38, 44, 62), (236, 240, 250), (128, 138, 165)
_CALM, _UNSURE, _LOST = (72, 201, 176), (245, 190, 80), (240, 92, 92)
_SHADES = 12  # steps from the night to the ink, for smooth letters
_MARGIN, _HEAD, _FOOT = 20, 40, 58
_GAME_COLOURS = 256 - 2 * _SHADES - 4 - 1  # one index stays free, for what does not change


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Reel:
    """One of the two games.

    Attributes:
        title: Shown above it.
        frames: (T, H, W, 3) uint8.
        score: (T,) shown beside the title.
        doubt: (T,) in [0, 1], shown as a bar; nan where there is none to show.
    """

    title: str
    frames: np.ndarray
    score: np.ndarray
    doubt: np.ndarray


def write_film(path: Path, left: Reel, right: Reel, *, caption: str, fps: int, scale: int) -> None:
    """Writes two games of T frames side by side, for ever repeating.

    GIF keeps time in hundredths of a second, so delays alternate until they add up.

    Args:
        path: File to write.
        left: The game on the left.
        right: The game on the right, with frames of the same shape.
        caption: A line below.
        fps: Frames a second.
        scale: Screen pixels for a pixel of the games, on each side.

    Raises:
        ValueError: If the games are of different length or size.
    """
    if left.frames.shape != right.frames.shape:
        raise ValueError(
            f"frames of shapes {left.frames.shape} and {right.frames.shape} were given, expected "
            "the same for both games"
        )
    pair = np.stack([left.frames, right.frames], 1)
    games, colours = _indexed(pair)
    pictures = [
        _picture(left, right, games[t], t, caption=caption, scale=scale) for t in range(len(games))
    ]
    palette = _distinct(np.concatenate([colours, _chrome()]).astype(np.uint8)).tobytes()
    images = [Image.fromarray(picture, "P") for picture in pictures]
    for image in images:
        image.putpalette(palette)
    ends = np.rint(np.arange(len(images) + 1) * 100 / fps).astype(int)
    images[0].save(
        path,
        save_all=True,
        append_images=images[1:],
        duration=(10 * np.diff(ends)).tolist(),
        loop=0,
        palette=palette,  # one for all frames
        optimize=True,  # with a transparent index: stores only what changes
        transparency=_FREE_INDEX,
        disposal=1,
    )


def _indexed(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Palette indices of frames (..., 3), and the palette (`_GAME_COLOURS`, 3) of uint8.

    Colours that fill much of the picture are kept as they are.
    """
    packed = (frames.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)).ravel()
    values, place, counts = np.unique(packed, return_inverse=True, return_counts=True)
    unique = np.stack([values >> 16, values >> 8 & 255, values & 255], 1).astype(np.uint8)
    common = np.argsort(-counts, kind="stable")[: _GAME_COLOURS // 2]
    palette = unique[common]
    rest = np.setdiff1d(np.arange(len(unique)), common)
    if rest.size:
        image = Image.fromarray(unique[rest][None])
        blends = image.quantize(_GAME_COLOURS - len(palette), Image.Quantize.MEDIANCUT)
        blend_colours = np.array(blends.getpalette(), np.uint8).reshape(-1, 3)
        palette = np.concatenate([palette, blend_colours])[:_GAME_COLOURS]
    nearest = [
        ((chunk[:, None].astype(int) - palette.astype(int)) ** 2).sum(-1).argmin(1)
        for chunk in np.array_split(unique, len(unique) // 4096 + 1)
    ]
    table = np.concatenate(nearest).astype(np.uint8)
    palette = np.pad(palette, ((0, _GAME_COLOURS - len(palette)), (0, 0)))
    return table[place].reshape(frames.shape[:-1]), palette


def _distinct(palette: np.ndarray) -> np.ndarray:
    """Nudges repeated colours out of each other's way by as little as possible.

    Pillow looks indices up by colour.
    """
    taken: set[tuple[int, ...]] = set()
    for i, colour in enumerate(palette.tolist()):
        step = 1 if colour[2] < 128 else -1
        while tuple(colour) in taken:
            colour[2] += step
        taken.add(tuple(colour))
        palette[i] = colour
    return palette


def _chrome() -> np.ndarray:
    """The fixed colours, from index `_GAME_COLOURS` on; the first is the free one."""
    share = np.linspace(0, 1, _SHADES)[:, None]
    ramps = [np.array(_NIGHT) * (1 - share) + np.array(to) * share for to in (_INK, _FAINT)]
    return np.rint(np.concatenate([[_NIGHT], *ramps, [_EDGE, _CALM, _UNSURE, _LOST]]))


_FREE_INDEX = _GAME_COLOURS
_INK_INDEX = _FREE_INDEX + 1
_FAINT_INDEX = _INK_INDEX + _SHADES
_EDGE_INDEX, _CALM_INDEX, _UNSURE_INDEX, _LOST_INDEX = range(_FAINT_INDEX + _SHADES, 256)


def _picture(
    left: Reel, right: Reel, games: np.ndarray, t: int, *, caption: str, scale: int
) -> np.ndarray:
    height, width = (side * scale for side in games.shape[1:])
    picture = np.full((_HEAD + height + _FOOT, 3 * _MARGIN + 2 * width), _INK_INDEX, np.uint8)
    for i, reel in enumerate((left, right)):
        x = _MARGIN + i * (width + _MARGIN)
        picture[_HEAD - 2 : _HEAD + height + 2, x - 2 : x + width + 2] = _EDGE_INDEX
        game = games[i].repeat(scale, 0).repeat(scale, 1)
        picture[_HEAD : _HEAD + height, x : x + width] = game
        _write(picture, reel.title, x, _HEAD - 30, 18, _INK_INDEX)
        end = x + width
        end -= _write(picture, f"{reel.score[t]:g}", end, _HEAD - 30, 18, _INK_INDEX, right=True)
        _write(picture, "score", end - 7, _HEAD - 26, 13, _FAINT_INDEX, right=True)
        if not np.isnan(reel.doubt).all():
            _doubt_bar(picture, reel.doubt[t], x, _HEAD + height + 11, width)
    line = _HEAD + height + 11
    _write(picture, f"step {t}", _MARGIN, line, 13, _FAINT_INDEX)
    _write(picture, caption, _MARGIN, line + 22, 13, _FAINT_INDEX)
    return picture


def _doubt_bar(picture: np.ndarray, doubt: float, x: int, y: int, width: int) -> None:
    label = 50
    _write(picture, "doubt", x, y, 13, _FAINT_INDEX)
    start, end = x + label, x + width
    picture[y + 4 : y + 12, start:end] = _EDGE_INDEX
    if not np.isnan(doubt):
        colour = _CALM_INDEX if doubt < 0.9 else _UNSURE_INDEX if doubt < 0.99 else _LOST_INDEX
        filled = start + round(np.clip(doubt, 0, 1) * (end - start))
        picture[y + 4 : y + 12, start:filled] = colour


def _write(
    picture: np.ndarray, text: str, x: int, y: int, size: int, ink: int, *, right: bool = False
) -> int:
    """Writes one line from x to the right, or up to x, and returns its width."""
    letters = _letters(text, size)
    width = letters.shape[1]
    x = max(x - width if right else x, 0)
    place = picture[y : y + len(letters), x : x + width]
    letters = letters[: place.shape[0], : place.shape[1]]  # small games leave little room
    np.copyto(place, ink + letters, where=letters > 0)
    return width


@lru_cache(maxsize=512)
def _letters(text: str, size: int) -> np.ndarray:
    """Text as shades (h, w) uint8 from 0 to `_SHADES` - 1."""
    font = ImageFont.load_default(size)
    _, _, right, bottom = font.getbbox(text or " ")
    image = Image.new("L", (int(right) + 1, int(bottom) + 1))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.rint(np.asarray(image) / 255 * (_SHADES - 1)).astype(np.uint8)
