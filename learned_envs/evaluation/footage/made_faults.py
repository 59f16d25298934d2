"""Faults made in real films, to see how many of them are found."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

_FADE = 20  # frames in which one film becomes another


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


MADE: dict[str, Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]] = {
    "stuck": stuck,
    "blurred": blur_collapse,
    "teleports": teleport,
    "morphed": morph,
}
"""By the finding that each is to bring about; of a film (T + 1, H, W, 3) and another as long."""


def _moment(film: np.ndarray, random: np.random.Generator) -> int:
    return int(random.integers(2, len(film) // 2))
