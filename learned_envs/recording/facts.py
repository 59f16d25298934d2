"""Reads from a recording what decides how its world is best dreamed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from learned_envs.data.episode import Episode
from learned_envs.data.store import EpisodeStore
from learned_envs.worlds.own_presets import FEW_REWARDS, Facts

_EPISODES = 40  # looked at closely
_PATCH = 4
_VISIBLE = 6  # levels by which a patch must change somewhere


def facts_of(store: EpisodeStore) -> Facts:
    """What decides how the recorded world is best dreamed, from all rewards and some frames."""
    rewards = np.unique(
        np.concatenate([store.read(name, lazy=True).reward for name in store.names()])
    )
    changing = [_changing(episode.observation[:]) for episode in spread(store, _EPISODES)]
    few = len(rewards) <= FEW_REWARDS
    return Facts(
        changing=float(np.concatenate(changing).mean()),
        rewards=tuple(float(value) for value in rewards) if few else (),
    )


def spread(store: EpisodeStore, count: int | None = None) -> Iterator[Episode]:
    """Episodes from all over the folder, so that the first few already show every behaviour.

    Args:
        store: The recordings.
        count: How many at most; None for all.
    """
    names = store.names()
    order = np.random.default_rng(0).permutation(len(names))[:count]
    return (store.read(names[i]) for i in order)


def _changing(frames: np.ndarray) -> np.ndarray:
    """By step (T,), the share of patches of frames (T + 1, H, W, 3) that change."""
    apart = abs(frames[1:].astype(np.int16) - frames[:-1]).max(3) > _VISIBLE
    steps, height, width = apart.shape
    whole = apart[:, : height // _PATCH * _PATCH, : width // _PATCH * _PATCH]
    patches = whole.reshape(steps, height // _PATCH, _PATCH, width // _PATCH, _PATCH)
    return patches.any((2, 4)).mean((1, 2))
