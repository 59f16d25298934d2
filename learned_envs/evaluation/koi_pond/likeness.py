"""How like the real pond what a codec makes of it is, on fish and over all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from learned_envs.evaluation.metrics import ssim
from learned_envs.evaluation.results import Table
from learned_envs.models.world_model import WorldModel
from learned_envs.worlds import World
from sims.koi_pond import SIZE
from sims.koi_pond.bodies import BORDER
from sims.koi_pond.simulation import KoiPondSimulation

_PONDS = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """What a codec makes of still water with fish, against the truth.

    Attributes:
        fish: PSNR in dB over all pixels of which fish, under no pad, make more than half.
        ssim: Mean SSIM of the frames.
        ponds: How many were looked at.
    """

    fish: float
    ssim: float
    ponds: int

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self)


def codec_likeness(model: WorldModel, seed: int, ponds: int = _PONDS) -> Likeness:
    """Encodes and decodes the newest frame of ponds, each with a history of the codec's ages."""
    error, pixels, alike = 0.0, 0, []
    ages = model.codec.ages
    none = torch.zeros(1, len(ages) - 1, *model.actions.shape, dtype=model.actions.dtype)
    for pond in range(ponds):
        frames, fish = _history(seed + pond, ages)
        state = model.start(torch.from_numpy(frames[None]), none)
        made = model.render(state)[0].numpy()
        error += float(np.square(made[fish].astype(float) - frames[-1][fish]).sum())
        pixels += int(fish.sum())
        alike.append(ssim(made, frames[-1]))
    mean = error / (3 * pixels)
    return Likeness(
        fish=float(10 * np.log10(255**2 / mean)), ssim=float(np.mean(alike)), ponds=ponds
    )


def codec_table(world: World, likeness: Likeness, command: str) -> Table:
    """One row."""
    return Table(
        name=f"{world.name}-3-codec",
        title=f"{world.id_suffix}: what the codec makes of real ponds",
        command=command,
        columns=("PSNR on fish, dB", "SSIM of the frame", "ponds"),
        rows=[(f"{likeness.fish:.1f}", f"{likeness.ssim:.4f}", f"{likeness.ponds}")],
        note="Fish: pixels of which fish, under no pad, make more than half. Still water, and "
        "frames of the ages that a dream begins with.",
    )


def _history(seed: int, ages: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Frames (k, 256, 256, 3) uint8 of a pond without taps, and where fish are in the last."""
    simulation, random = KoiPondSimulation(1, leaving=False), np.random.default_rng(seed)
    simulation.start(0, random, None)
    idle, on, frames = np.zeros((1, 3), np.float32), np.ones(1, bool), []
    for age in range(ages[0], -1, -1):
        if age in ages:
            frames.append(simulation.frame(0))
        if age:
            simulation.advance(idle, on, [random])
    inside = slice(BORDER, BORDER + SIZE)
    fish = simulation.fish_layer(0)[inside, inside, 3].astype(float)
    fish *= 1 - simulation.scenery(0).cover.astype(float) / 255
    return np.stack(frames), fish > 255 / 2
