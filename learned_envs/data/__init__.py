"""Recorded play on disk, and windows of it for training. Knows no world, no simulator, no torch."""

from learned_envs.data.episode import Episode, EpisodeAttributes
from learned_envs.data.store import EpisodeStore
from learned_envs.data.window import Window
from learned_envs.data.windows import StoreWindows
from learned_envs.data.writer import EpisodeWriter

__all__ = [
    "Episode",
    "EpisodeAttributes",
    "EpisodeStore",
    "EpisodeWriter",
    "StoreWindows",
    "Window",
]
