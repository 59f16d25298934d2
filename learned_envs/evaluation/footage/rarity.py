"""How dreams fare in places that were seldom filmed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learned_envs.data.store import EpisodeStore
from learned_envs.evaluation.footage.signs import colours_of, distance
from learned_envs.evaluation.footage.stretches import dreamed_ends, stretches
from learned_envs.evaluation.metrics import psnr
from learned_envs.models.world_model import WorldModel

STEPS = 16
"""Of the dreams that common and rare places are compared by."""

_KNOWN = 2000  # frames of the training split that say what is rare
_NEIGHBOURS = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Rarity:
    """Dreams of 16 steps against what was filmed, by how often their places were.

    Attributes:
        common: Mean PSNR in dB of the last frames, for the third whose first frames have the
            nearest neighbours in the training split, by their colours.
        rare: The same for the third with the farthest.
        common_unmoved: What the first frame itself would reach there.
        rare_unmoved: The same for the rare third.
        dreams: How many there were in each third.
    """

    common: float
    rare: float
    common_unmoved: float
    rare_unmoved: float
    dreams: int


def measure_rarity(model: WorldModel, store: EpisodeStore, *, dreams: int, seed: int) -> Rarity:
    """Compares dreams that begin in common places of the test split with those in rare ones.

    Args:
        model: What dreams.
        store: Of the recording.
        dreams: In each third.
        seed: Of their choice and of the dreams' noise.

    Raises:
        ValueError: If a split holds no episode that is long enough.
    """
    before = model.span - 1
    held = stretches(store, "test", 3 * dreams, before + STEPS, seed)
    seen = stretches(store, "train", _KNOWN // STEPS, STEPS, seed)
    known = colours_of(np.concatenate([frames for frames, _ in seen]))
    first = colours_of(np.stack([frames[before] for frames, _ in held]))
    nearest = [np.sort(distance(known, colours))[:_NEIGHBOURS].mean() for colours in first]
    order = np.argsort(nearest)
    chosen = [held[i] for i in (*order[:dreams], *order[-dreams:])]
    true = np.stack([frames[-1] for frames, _ in chosen])
    dreamed = psnr(dreamed_ends(model, chosen, seed), true)
    unmoved = psnr(np.stack([frames[before] for frames, _ in chosen]), true)
    return Rarity(
        common=float(dreamed[:dreams].mean()),
        rare=float(dreamed[dreams:].mean()),
        common_unmoved=float(unmoved[:dreams].mean()),
        rare_unmoved=float(unmoved[dreams:].mean()),
        dreams=dreams,
    )
