"""Trains the network that sees koi, on footage of the simulator: some half hour on one core.

    python -m learned_envs.evaluation.koi_pond.eye_training runs/koi_pond_eye

Run again, it goes on where it stopped; at its end it writes the weights beside `eye.py`.
The loss of the centres is that of CenterNet (Zhou et al. 2019, arXiv:1904.07850).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import tyro
from safetensors.torch import save
from torch import Tensor
from torch.nn import functional as F

from learned_envs.disk import replace_file
from learned_envs.evaluation.koi_pond.eye import CELL, WEIGHTS, Eye, Sight
from learned_envs.evaluation.koi_pond.footage import Footage, film
from learned_envs.evaluation.koi_pond.reader import halved
from learned_envs.packing import HELD_OUT_SEED
from learned_envs.training.rounds import Rounds, Schedule
from sims.koi_pond import SIZE

SCHEDULE = Schedule(
    steps=3200, round_steps=125, learning_rate=2e-3, warmup=150, decay=0.6, average=0.995
)

_BATCH = 16
_PONDS, _SHOTS = 24, 24  # a round's footage
_SPREAD = 0.9  # cells: standard deviation of the bump at a centre
_NEAR = 1.6  # cells around a centre that are asked about its fish


def train_eye(folder: Path, *, minutes: float | None = None) -> Eye | None:
    """Trains, going on from what `folder` holds.

    Args:
        folder: Where progress is kept.
        minutes: Stop at the end of a round after so long.

    Returns:
        The network with averaged parameters, or None when `minutes` ran out first.
    """

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        random = np.random.default_rng((1, number))
        footage = film(random.integers(HELD_OUT_SEED, size=_PONDS).tolist(), _SHOTS, crowded=True)
        while True:
            yield eye_loss(eye, *batch(footage, random))

    eye = Eye()
    rounds = Rounds(eye, SCHEDULE, losses, folder, log=_log)
    return rounds.average if rounds.run(minutes) else None


def eye_loss(
    eye: Eye, frames: Tensor, centres: Tensor, headings: Tensor, varieties: Tensor,
    shown: Tensor, cover: Tensor,
) -> tuple[Tensor, dict[str, Tensor]]:  # fmt: skip
    """The loss of a batch, a scalar, and its parts by name.

    Args:
        eye: The network.
        frames: (B, 128, 128, 3), of 0 to 255.
        centres: (B, 10, 2) float32, in cells from the middle of the first; far off where no fish.
        headings: (B, 10) float32, radians.
        varieties: (B, 10) int64.
        shown: (B, 10) float32.
        cover: (B, 64, 64) float32.
    """
    sight = eye(frames)
    at = torch.arange(SIZE // CELL, dtype=torch.float32)
    here = torch.stack(torch.meshgrid(at, at, indexing="xy"))
    away = centres[..., None, None] - here  # (B, 10, 2, h, w): cells from here to the fish
    distance, nearest = (away**2).sum(2).min(1)  # (B, h, w)
    bump = torch.exp(-distance / (2 * _SPREAD**2))
    peak = away.abs().amax(2).amin(1) <= 0.5
    near = distance < _NEAR**2
    row = torch.arange(len(frames))[:, None, None]

    def of_nearest(values: Tensor) -> Tensor:
        return values[row, nearest][near]

    offset = torch.gather(away, 1, nearest[:, None, None].expand(-1, 1, 2, -1, -1))[:, 0]
    ahead = torch.stack([headings.cos(), headings.sin()], -1)
    parts = {
        "centre": _centre_loss(sight, bump, peak),
        "offset": F.smooth_l1_loss(_at(sight.offset, near), _at(offset, near), beta=0.2),
        "heading": F.mse_loss(_at(sight.heading, near), of_nearest(ahead)),
        "variety": F.cross_entropy(_at(sight.variety, near), of_nearest(varieties)),
        "shown": F.binary_cross_entropy_with_logits(sight.shown[near], of_nearest(shown)),
        "cover": F.binary_cross_entropy_with_logits(sight.cover, cover),
    }
    total = sum(parts.values(), torch.zeros(()))
    return total + 2 * parts["offset"], {name: part.detach() for name, part in parts.items()}


def _centre_loss(sight: Sight, bump: Tensor, peak: Tensor) -> Tensor:
    yes, no = F.logsigmoid(sight.centre), F.logsigmoid(-sight.centre)
    found = yes * (1 - yes.exp()) ** 2 * peak
    spared = no * (1 - no.exp()) ** 2 * (1 - bump) ** 4 * ~peak
    return -(found.sum() + spared.sum()) / peak.sum().clamp(min=1)


def _at(values: Tensor, where: Tensor) -> Tensor:
    """Values (B, C, h, w) at k places: (k, C)."""
    return values.permute(0, 2, 3, 1)[where]


def batch(footage: Footage, random: np.random.Generator) -> list[Tensor]:
    """What `eye_loss` takes: frames drawn from footage, turned and mirrored, in other lights.

    Some are blurred or noisy, as dreams are.
    """
    chosen = random.integers(len(footage.frames), size=_BATCH)
    frames = halved(footage.frames[chosen])
    cover = footage.cover[chosen].copy()
    centres = (footage.centres[chosen] + 0.5) / CELL - 0.5
    angles = footage.headings[chosen].copy()
    for i in range(_BATCH):
        mirror, flip, turn = random.random(3) < 0.5
        last = SIZE // CELL - 1
        if mirror:
            frames[i], cover[i] = frames[i, :, ::-1].copy(), cover[i, :, ::-1].copy()
            centres[i, :, 0], angles[i] = last - centres[i, :, 0], np.pi - angles[i]
        if flip:
            frames[i], cover[i] = frames[i, ::-1].copy(), cover[i, ::-1].copy()
            centres[i, :, 1], angles[i] = last - centres[i, :, 1], -angles[i]
        if turn:
            frames[i], cover[i] = frames[i].swapaxes(0, 1).copy(), cover[i].T.copy()
            centres[i], angles[i] = centres[i, :, ::-1].copy(), np.pi / 2 - angles[i]
    images = torch.from_numpy(_in_other_lights(frames.astype(np.float32), random))
    return [
        images,
        torch.from_numpy(np.nan_to_num(centres, nan=-1e3).astype(np.float32)),
        torch.from_numpy(angles.astype(np.float32)),
        torch.from_numpy(np.maximum(footage.varieties[chosen], 0)),
        torch.from_numpy(footage.shown[chosen].astype(np.float32)),
        torch.from_numpy(cover),
    ]


def _in_other_lights(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    gain = random.normal(1, 0.04, (_BATCH, 1, 1, 3)) * random.normal(1, 0.05, (_BATCH, 1, 1, 1))
    frames = frames * gain + random.normal(0, 4, (_BATCH, 1, 1, 1))
    share = random.uniform(0, 1, (_BATCH, 1, 1, 1)) * (random.random((_BATCH, 1, 1, 1)) < 0.3)
    for axis in (1, 2):
        beside = (np.roll(frames, 1, axis) + np.roll(frames, -1, axis)) / 2
        frames = frames + 0.6 * share * (beside - frames)
    noise = random.uniform(0, 5, (_BATCH, 1, 1, 1)) * (random.random((_BATCH, 1, 1, 1)) < 0.3)
    frames = frames + noise * random.standard_normal(frames.shape)
    return np.clip(frames, 0, 255).astype(np.float32)


def _log(step: int, figures: dict[str, float]) -> None:
    print(step, *(f"{name} {value:.4f}" for name, value in figures.items()), flush=True)


def main(folder: tyro.conf.Positional[Path], *, minutes: float | None = None) -> None:
    """Trains the network and packs its weights.

    Args:
        folder: Of the run.
        minutes: Stop at the end of a round after so long.
    """
    eye = train_eye(folder, minutes=minutes)
    if eye is None:
        print("run the same command again to go on")
    else:
        replace_file(WEIGHTS, save({k: v.half() for k, v in eye.state_dict().items()}))
        print(f"{WEIGHTS} is written")


if __name__ == "__main__":
    tyro.cli(main)
