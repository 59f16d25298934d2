"""Which world recordings are of: opening those of a world, finding the world of those opened."""

from __future__ import annotations

import os

from learned_envs import worlds
from learned_envs.data.store import EpisodeStore
from learned_envs.worlds import World


def recordings_of(world: World, folder: str | os.PathLike[str]) -> EpisodeStore:
    """Opens a recordings folder.

    Args:
        world: What the recordings must be of. Worlds of one's own are told apart by their
            descriptions, not only by their names.
        folder: A path or fsspec URL.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is empty, damaged, or of another world.
    """
    store = EpisodeStore(folder, world.name)
    if world.own is not None:
        store.folder.check_description(world.own.to_json())
    return store


def world_of(store: EpisodeStore) -> World | None:
    """The world that recordings are of; None if they are of one that nothing describes.

    Raises:
        ValueError: If what describes it is damaged.
    """
    if store.folder.description() or store.world in worlds.names():
        return worlds.find(store.folder.name)
    return None
