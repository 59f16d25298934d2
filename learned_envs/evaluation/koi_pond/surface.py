"""What pixels say of a pond besides where its fish are: pads, bed, water, and how crisp fish are.

Everything is looked at in cells of 4x4 pixels, and what a fish or its shadow touches is no water.
"""

from __future__ import annotations

import cv2
import numpy as np

from learned_envs.evaluation.koi_pond.eye import CELL
from learned_envs.evaluation.koi_pond.reader import halved
from sims.koi_pond import SIZE

STIRRED = 1.0
"""Mean change of the water around a fish, in levels of 255 a frame, above which a ripple crosses
it. Still water does not change at all; a strong ripple changes by 5 to 20."""

BED_WINDOW = 150
"""Frames, ten seconds, over which the bed is averaged: fish move on and ripples cancel."""

PSNR_CAP = 60.0
"""dB; equal pictures have no finite PSNR."""

_CELLS = SIZE // CELL
_CLEAR = 0.02  # cover below which a cell holds no fish
_FULL = 0.8  # cover from which on it holds nothing else
_SHADOW = 9  # cells: a square around a fish that holds its shadow
_AROUND = 21  # cells: a square around a fish in which the water is looked at
_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)
_BED_EVERY = 15  # frames


def read_pads(frame: np.ndarray) -> np.ndarray:
    """Where pads lie in a frame (256, 256, 3) uint8: (256, 256) bool.

    Pads are greener than all else, their rims olive; the blossoms on some are filled in.
    """
    red, green, blue = np.moveaxis(frame.astype(np.int16), -1, 0)
    leaf = (green > 80) & (green > blue + 32) & (10 * green > 9 * red)
    leaf = cv2.morphologyEx(leaf.astype(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    heart = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    return cv2.morphologyEx(leaf, cv2.MORPH_CLOSE, heart).astype(bool)


def crispness(frames: np.ndarray, cover: np.ndarray) -> np.ndarray:
    """How much detail fish have: mean size of the Laplacian of luminance where all is fish.

    Args:
        frames: (N, 256, 256, 3) uint8.
        cover: (N, 64, 64) float32, from `Sightings`.

    Returns:
        (N,) float32, levels of 255; nan where there is no fish.
    """
    found = np.full(len(frames), np.nan, np.float32)
    for i, frame in enumerate(frames):
        fish = cover[i] > _FULL
        if fish.any():
            detail = abs(cv2.Laplacian(frame @ _LUMINANCE, cv2.CV_32F))
            found[i] = cv2.resize(detail, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)[
                fish
            ].mean()
    return found


class Surface:
    """Looks at the water and the bed of one pond through consecutive pieces of its frames."""

    def __init__(self, first: np.ndarray, cover: np.ndarray):
        self.pads = read_pads(first)
        self._bed = halved(first[None])[0].astype(np.float32)
        self._bare = ~_touched(cover)
        self._before, self._before_clear = self._bed, self._bare
        self._frame = 0
        self._window: list[tuple[np.ndarray, np.ndarray]] = []
        self.bed: list[float] = []
        """PSNR in dB of the bed in each `BED_WINDOW` frames against that of the first frame."""

    def watch(
        self, frames: np.ndarray, cover: np.ndarray, centres: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Goes on with T frames.

        Args:
            frames: (T, 256, 256, 3) uint8.
            cover: (T, 64, 64) float32.
            centres: (T, 16, 2) float32, of fish; NaN where there is none.

        Returns:
            stir: (T,) float32, mean change of the water since the frame before, in levels of 255.
            rippled: (T, 16) bool, a ripple crosses the fish.
        """
        stir = np.zeros(len(frames), np.float32)
        rippled = np.zeros(centres.shape[:2], bool)
        for t, image in enumerate(halved(frames).astype(np.float32)):
            clear = ~_touched(cover[t])
            water = (clear & self._before_clear).astype(np.float32)
            change = abs(image - self._before).mean(-1)
            change = cv2.resize(change, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA) * water
            stir[t] = change.sum() / max(water.sum(), 1)
            local = _box(change) / np.maximum(_box(water), 1e-3)
            fish = np.flatnonzero(~np.isnan(centres[t, :, 0]))
            x, y = np.clip(centres[t, fish] / CELL, 0, _CELLS - 1).astype(int).T
            rippled[t, fish] = local[y, x] > STIRRED
            self._before, self._before_clear = image, clear
            self._look_at_bed(image, clear)
        return stir, rippled

    def _look_at_bed(self, image: np.ndarray, clear: np.ndarray) -> None:
        if self._frame % _BED_EVERY == 0:
            self._window.append((image, clear))
        self._frame += 1
        if self._frame % BED_WINDOW:
            return
        images, clears = (np.stack(part) for part in zip(*self._window, strict=True))
        self._window = []
        bare = self._bare & (clears.mean(0) > 0.5)
        error = (np.median(images, axis=0) - self._bed) ** 2
        mean = float(error[np.kron(bare, np.ones((2, 2), bool))].mean())
        self.bed.append(min(PSNR_CAP, 10 * np.log10(255**2 / max(mean, 1e-9))))


def _touched(cover: np.ndarray) -> np.ndarray:
    """Cells (64, 64) bool that a fish or its shadow may touch."""
    return cv2.dilate(cover, np.ones((_SHADOW, _SHADOW), np.uint8)) > _CLEAR


def _box(values: np.ndarray) -> np.ndarray:
    return cv2.blur(values, (_AROUND, _AROUND), borderType=cv2.BORDER_CONSTANT)
