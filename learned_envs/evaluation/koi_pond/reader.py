"""Reads koi from the pixels of pond frames."""

from __future__ import annotations

from dataclasses import dataclass, fields

import cv2
import numpy as np
import torch
from torch.nn import functional as F

from learned_envs.evaluation.koi_pond.eye import CELL, packaged_eye

ROOM = 16
"""Fish that a frame has room for: a pond has at most 10, a dream may invent some."""

SURE = 0.4
"""Least confidence that makes a fish."""

APART = 9.0
"""Pixels between the centres of two fish, at least: true fish keep some 13 apart."""

_BATCH = 16


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sightings:
    """The fish that were read in T frames of n ponds, the surest first.

    Attributes:
        centre: (T, n, 16, 2) float32, x and y in pixels; NaN where there is none.
        heading: (T, n, 16) float32, radians from -pi to pi, clockwise from the right.
        variety: (T, n, 16) int64, index into `VARIETIES`; -1 where there is none.
        shown: (T, n, 16) float32, share of the fish that no pad and no edge of the frame hides.
        sure: (T, n, 16) float32, confidence from `SURE` to 1; 0 where there is none.
        cover: (T, n, 64, 64) float32, the share of each cell of 4x4 pixels that is fish.
    """

    centre: np.ndarray
    heading: np.ndarray
    variety: np.ndarray
    shown: np.ndarray
    sure: np.ndarray
    cover: np.ndarray


def halved(frames: np.ndarray) -> np.ndarray:
    """Frames (N, 256, 256, 3) uint8 at half their resolution, as the eye looks at them."""
    half = (frames.shape[2] // 2, frames.shape[1] // 2)
    return np.stack([cv2.resize(frame, half, interpolation=cv2.INTER_AREA) for frame in frames])


def read(frames: np.ndarray) -> Sightings:
    """Reads the fish in frames (T, n, 256, 256, 3) uint8, each on its own."""
    steps, rows = frames.shape[:2]
    flat = frames.reshape(-1, *frames.shape[2:])
    parts = [_read_batch(flat[i : i + _BATCH]) for i in range(0, len(flat), _BATCH)]
    joined = {
        field.name: np.concatenate([getattr(part, field.name) for part in parts])
        for field in fields(Sightings)
    }
    return Sightings(**{k: v.reshape(steps, rows, *v.shape[1:]) for k, v in joined.items()})


@torch.no_grad()
def _read_batch(frames: np.ndarray) -> Sightings:
    """As `read`, for frames (N, 256, 256, 3); the fields have one leading axis."""
    sight = packaged_eye()(torch.from_numpy(halved(frames)))
    likely = sight.centre.sigmoid()
    peak = likely == F.max_pool2d(likely[:, None], 3, 1, 1)[:, 0]
    sure, place = (likely * peak).flatten(1).topk(ROOM)
    row = torch.arange(len(frames))[:, None]
    width = likely.shape[2]
    y, x = place // width, place % width
    offset = sight.offset[row, :, y, x]
    cells = torch.stack([x, y], -1) + offset + 0.5
    centre = cells * CELL - 0.5
    apart = (centre[:, :, None] - centre[:, None]).norm(dim=-1)
    surer = torch.ones(ROOM, ROOM).tril(-1).bool()
    fish = (sure > SURE) & ~((apart < APART) & surer).any(2)
    ahead = sight.heading[row, :, y, x]
    return Sightings(
        centre=torch.where(fish[..., None], centre, torch.nan).numpy(),
        heading=torch.where(fish, torch.atan2(ahead[..., 1], ahead[..., 0]), 0).numpy(),
        variety=torch.where(fish, sight.variety[row, :, y, x].argmax(-1), -1).numpy(),
        shown=torch.where(fish, sight.shown[row, y, x].sigmoid(), 0).numpy(),
        sure=torch.where(fish, sure, 0).numpy(),
        cover=sight.cover.sigmoid().numpy(),
    )
