"""Frames of the real koi pond with the truth about every fish in them, to train and test readers.

What the simulator knows is used here and nowhere else: dreams are judged from their pixels alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from learned_envs.evaluation.koi_pond.eye import CELL
from sims.koi_pond import MAX_KOI, SIZE
from sims.koi_pond.bodies import BORDER
from sims.koi_pond.picture import compose
from sims.koi_pond.shoal import GIRTH
from sims.koi_pond.simulation import KoiPondSimulation

_ACROSS = np.linspace(-0.8, 0.8, 5)  # of half a body's width: where it is asked what hides it
_GAP = 6  # ticks between shots
_CROWDING = 6  # shots after which fish are herded together anew
_CROWD = 22.0  # pixels: standard deviation of places in a crowd
_ELBOW = 14.0  # pixels between centres in it, at least


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Footage:
    """N frames and their fish, with room for 10 in each.

    Attributes:
        frames: (N, 256, 256, 3) uint8.
        centres: (N, 10, 2) float64, x and y in pixels; NaN where there is no fish.
        headings: (N, 10) float64, radians, clockwise from the right.
        varieties: (N, 10) int64, index into `VARIETIES`; -1 where there is no fish.
        shown: (N, 10) float64, the share of the body that no pad and no edge of the frame hides.
        cover: (N, 64, 64) float32, the share of each cell that is fish not under a pad.
        rippled: (N,) bool, the water is not still.
    """

    frames: np.ndarray
    centres: np.ndarray
    headings: np.ndarray
    varieties: np.ndarray
    shown: np.ndarray
    cover: np.ndarray
    rippled: np.ndarray


def film(seeds: Sequence[int], shots: int, *, crowded: bool = False, taps: float = 0.06) -> Footage:
    """Films ponds of 4 to 10 fish, one a seed; every second one is tapped.

    Args:
        seeds: Of the ponds.
        shots: Frames of each, 6 ticks apart.
        crowded: The first half of the ponds have their fish herded together again and again, since
            fish that touch are the hardest to tell apart.
        taps: Probability of a tap in a tick.

    Returns:
        `shots` frames of each pond, shot by shot.
    """
    rows = len(seeds)
    simulation = KoiPondSimulation(rows, leaving=False)
    random = [np.random.default_rng(seed) for seed in seeds]
    for row, generator in enumerate(random):
        simulation.start(row, generator, {"fish": int(generator.integers(4, MAX_KOI + 1))})
    taken = []
    for shot in range(shots):
        for row in range(rows // 2 if crowded and shot % _CROWDING == 0 else 0):
            _herd(simulation, row, random[row])
        for _ in range(_GAP):
            actions = np.zeros((rows, 3), np.float32)
            for row in range(1, rows, 2):
                place, strength = random[row].random(2), random[row].uniform(0.2, 1)
                if random[row].random() < taps:
                    actions[row] = *place, strength
            simulation.advance(actions, np.ones(rows, bool), random)
        taken.append(truth(simulation))
    return Footage(**{k: np.concatenate([shot[k] for shot in taken]) for k in taken[0]})


def _herd(simulation: KoiPondSimulation, row: int, random: np.random.Generator) -> None:
    """Puts the fish of one pond close together, heading every way."""
    count, spread = int(simulation.shoal.present[row].sum()), _CROWD
    middle = random.uniform(40, SIZE - 40, 2)
    centres = np.zeros((0, 2))
    while len(centres) < count:
        offered = np.clip(middle + spread * random.standard_normal(2), 16, SIZE - 16)
        if not len(centres) or np.linalg.norm(centres - offered, axis=1).min() > _ELBOW:
            centres = np.concatenate([centres, offered[None]])
        spread *= 1.01
    simulation.shoal.place(row, centres, random.uniform(-np.pi, np.pi, count), random)


def truth(simulation: KoiPondSimulation) -> dict[str, np.ndarray]:
    """What there is to see in each pond now: the fields of `Footage`, N being the ponds."""
    info, shoal = simulation.info(), simulation.shoal
    present = shoal.present
    frames, cover = [], []
    for row in range(len(present)):
        scenery, layer = simulation.scenery(row), simulation.fish_layer(row)
        frames.append(compose(scenery, layer, simulation.height[row], simulation.food[row]))
        alpha = layer[BORDER : BORDER + SIZE, BORDER : BORDER + SIZE, 3].astype(np.float32)
        alpha *= (255 - scenery.cover.astype(np.float32)) / 255**2
        cells = SIZE // CELL, SIZE // CELL
        cover.append(cv2.resize(alpha, cells, interpolation=cv2.INTER_AREA))
    return {
        "frames": np.stack(frames),
        "centres": np.where(present[..., None], info["positions"], np.nan),
        "headings": info["headings"],
        "varieties": info["varieties"],
        "shown": np.where(present, _shown(simulation), 0.0),
        "cover": np.stack(cover),
        "rippled": np.any(simulation.height, axis=(1, 2)),
    }


def _shown(simulation: KoiPondSimulation) -> np.ndarray:
    """The share of points all over each body (n, 10) that lie in the frame and under no pad."""
    spine, length = simulation.shoal.spine(), simulation.shoal.length
    along = np.gradient(spine, axis=-2)
    normal = np.stack([-along[..., 1], along[..., 0]], -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    half = (length[..., None] * GIRTH)[..., None, None] * _ACROSS[:, None]  # (n, 10, 13, 5, 1)
    points = np.rint(spine[..., None, :] + half * normal[..., None, :]).astype(int)
    inside = ((points >= 0) & (points < SIZE)).all(-1)
    x, y = np.moveaxis(np.clip(points, 0, SIZE - 1), -1, 0)
    cover = np.stack([simulation.scenery(row).cover for row in range(len(length))])
    hidden = cover[np.arange(len(length))[:, None, None, None], y, x] / 255
    return (GIRTH[:, None] * (inside * (1 - hidden))).sum((2, 3)) / (GIRTH.sum() * len(_ACROSS))
