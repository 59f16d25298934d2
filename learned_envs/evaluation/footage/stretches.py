"""Stretches of a recording, and how dreams of them end."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from learned_envs.data.episode import Split
from learned_envs.data.store import EpisodeStore
from learned_envs.models.dreaming import dream_frames
from learned_envs.models.world_model import WorldModel

_BATCH = 16  # dreams at a time

Stretch = tuple[np.ndarray, np.ndarray]
"""Frames (T + 1, H, W, 3) uint8 and the actions (T, n) between them."""


def stretches(
    store: EpisodeStore, split: Split, count: int, steps: int, seed: int
) -> list[Stretch]:
    """`count` stretches of so many steps, from all over a split.

    Raises:
        ValueError: If it holds no episode that is long enough.
    """
    names = [name for name in store.names(split) if store.headers[name].steps >= steps]
    if not names:
        raise ValueError(
            f"the {split} split of {store.folder.name} holds no episode of {steps} steps: record "
            "longer ones, or ask for fewer steps"
        )
    random, found = np.random.default_rng(seed), []
    for number in range(count):
        episode = store.read(names[number % len(names)], lazy=True)
        begin = int(random.integers(episode.steps - steps + 1))
        frames = episode.observation[begin : begin + steps + 1]
        found.append((frames, episode.action[begin : begin + steps]))
    return found


def dreamed_ends(model: WorldModel, chosen: Sequence[Stretch], seed: int) -> np.ndarray:
    """The last frames (N, H, W, 3) of dreams that begin as stretches of one length do."""
    last = []
    for at in range(0, len(chosen), _BATCH):
        frames, actions = (np.stack(each) for each in zip(*chosen[at : at + _BATCH], strict=True))
        last.append(dream_frames(model, frames[:, : model.span], actions, seed + at)[:, -1])
    return np.concatenate(last)
