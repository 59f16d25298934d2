"""How like the real pond what a codec makes of it is, on fish and over all."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from learned_envs.evaluation.metrics import PSNR_CAP, ssim
from learned_envs.evaluation.results import Table
from learned_envs.models.dynamics.dynamics import State
from learned_envs.models.world_model import WorldModel
from learned_envs.worlds import World
from sims.koi_pond import SIZE
from sims.koi_pond.bodies import BORDER
from sims.koi_pond.simulation import KoiPondSimulation

_PONDS = 32
_EXACT = 1e-3  # between a reward and the next lie at least 0.1


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """What a codec makes of still water with fish, against the truth.

    Attributes:
        fish: PSNR in dB, at most 60, over all pixels of which fish, under no pad, make more than
            half.
        ssim: Mean SSIM of the frames.
        rewards: Share of the ponds of which the model reads the true reward; nan if it reads none.
        ponds: How many were looked at.
    """

    fish: float
    ssim: float
    rewards: float
    ponds: int

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self) | ({"rewards": None} if np.isnan(self.rewards) else {})


def codec_likeness(model: WorldModel, seed: int, ponds: int = _PONDS) -> Likeness:
    """Encodes and decodes the newest frame of ponds, each with a history of the codec's ages."""
    error, pixels, alike, rewards = 0.0, 0, [], []
    ages = model.codec.ages
    none = torch.zeros(1, len(ages) - 1, *model.actions.shape, dtype=model.actions.dtype)
    for pond in range(ponds):
        frames, fish, reward = _history(seed + pond, ages)
        state = model.start(torch.from_numpy(frames[None]), none)
        made = model.render(state)[0].numpy()
        error += float(np.square(made[fish].astype(float) - frames[-1][fish]).sum())
        pixels += int(fish.sum())
        alike.append(ssim(made, frames[-1]))
        rewards.append(abs(_read_reward(model, state) - reward) < _EXACT)
    fish = 10 * np.log10(255**2 / max(error / (3 * pixels), 1e-9))
    return Likeness(
        fish=float(min(PSNR_CAP, fish)), ssim=float(np.mean(alike)),
        rewards=float(np.mean(rewards)) if model.heads else float("nan"), ponds=ponds,
    )  # fmt: skip


@torch.no_grad()
def _read_reward(model: WorldModel, state: State) -> float:
    """What the model would pay for ponds in which nothing moves on; nan if it pays for nothing."""
    if model.heads is None:
        return float("nan")
    newest = state["latents"][:, -1]
    return float(model.heads(newest, newest, model.kept(state))[0])


def codec_table(world: World, likeness: Likeness, command: str) -> Table:
    """One row."""
    return Table(
        name=f"{world.name}-3-codec",
        title=f"{world.id_suffix}: what the codec makes of real ponds",
        command=command,
        columns=("PSNR on fish, dB", "SSIM of the frame", "rewards read exactly", "ponds"),
        rows=[
            (
                f"{likeness.fish:.1f}",
                f"{likeness.ssim:.4f}",
                "–" if np.isnan(likeness.rewards) else f"{100 * likeness.rewards:.0f}%",
                f"{likeness.ponds}",
            )
        ],
        note="Fish: pixels of which fish, under no pad, make more than half. Still water, and "
        "frames of the ages that a dream begins with.",
    )


def _history(seed: int, ages: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, float]:
    """Frames (k, 256, 256, 3) uint8 of a pond without taps; in the last, fish, and the reward."""
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
    return np.stack(frames), fish > 255 / 2, float(simulation.share_in_ring()[0])
