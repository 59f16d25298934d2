"""Faults made in real films, to see how many of them are found."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from learned_envs.evaluation.footage.signs import flow_between
from learned_envs.evaluation.footage.tracked import FADED_FRAMES, detail

_FADE = 20  # frames in which one film becomes another
_GONE = 10  # frames in which a thing is gone
_TRIES = 10
_THING = 8  # pixels from the middle of a thing to where it ends


def stuck(film: np.ndarray, other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """From a moment in the first half on, the picture stands still, but for a level of noise."""
    moment = _moment(film, random)
    still = np.repeat(film[moment : moment + 1], len(film) - moment, 0).astype(np.int16)
    still += random.integers(-1, 2, still.shape, dtype=np.int16)
    return np.concatenate([film[:moment], np.clip(still, 0, 255).astype(np.uint8)])


def blur_collapse(film: np.ndarray, other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """From a moment in the first half on, frame by frame, the picture dissolves."""
    moment = _moment(film, random)
    blurred = film.copy()
    for t in range(moment, len(film)):
        blurred[t] = cv2.GaussianBlur(film[t], (0, 0), min(0.2 * (t - moment + 1), 6.0))
    return blurred


def teleport(film: np.ndarray, other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """At a moment in the first half, another film goes on in its place."""
    moment = _moment(film, random)
    return np.concatenate([film[:moment], other[moment:]])


def morph(film: np.ndarray, other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """From a moment in the first half on, the film fades into another, standing, in 20 frames."""
    moment = _moment(film, random)
    share = np.clip((np.arange(len(film)) - moment) / _FADE, 0, 1)[:, None, None, None]
    time = np.minimum(np.arange(len(film)), moment)
    return (film[time] * (1 - share) + other[moment] * share).astype(np.uint8)


def deletion(film: np.ndarray, other: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """From a moment in the first half on, what has most detail fades out where it goes.

    It is a moment after which that stays in view for a second, if there is one.
    """
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in film]
    for _ in range(_TRIES):
        moment = _moment(film, random)
        way = _way(grey, moment)
        if len(way) >= min(_GONE + FADED_FRAMES, len(film) - moment):
            break
    made = film.copy()
    rows, columns = np.mgrid[: film.shape[1], : film.shape[2]]
    for t, (y, x) in enumerate(way):
        away = np.hypot(rows - y, columns - x) / _THING
        share = (np.clip(2 - away, 0, 1) * min(t / _GONE, 1))[..., None]
        plain = cv2.GaussianBlur(film[moment + t], (0, 0), _THING)
        made[moment + t] = (film[moment + t] * (1 - share) + plain * share).astype(np.uint8)
    return made


def _way(grey: list[np.ndarray], moment: int) -> list[tuple[float, float]]:
    """Rows and columns of what has most detail at a moment, from then on while it is in view."""
    rich = detail(grey[moment])
    edge = np.ones(rich.shape, bool)
    edge[_THING:-_THING, _THING:-_THING] = False
    rich[edge] = 0
    y, x = (float(each) for each in np.unravel_index(rich.argmax(), rich.shape))
    way = []
    for before, now in zip(grey[moment:], [*grey[moment + 1 :], None], strict=True):
        if not (0 <= round(y) < rich.shape[0] and 0 <= round(x) < rich.shape[1]):
            break
        way.append((y, x))
        if now is not None:
            dx, dy = flow_between(before, now)[round(y), round(x)].tolist()
            y, x = y + dy, x + dx
    return way


MADE: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "stuck": stuck,
    "blurred": blur_collapse,
    "teleports": teleport,
    "morphed": morph,
    "deletions": deletion,
}
"""By the finding that each is to bring about; of a film (T + 1, H, W, 3) and another as long."""


def _moment(film: np.ndarray, random: np.random.Generator) -> int:
    return int(random.integers(2, len(film) // 2))
