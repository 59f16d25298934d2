"""Reading recordings: a folder of immutable episodes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr

from learned_envs.data.episode import Episode, Frames, Split
from learned_envs.data.folder import EpisodeFolder, EpisodeHeader, damaged
from learned_envs.data.windows import StoreWindows

_CODEC_ERRORS = (ValueError, RuntimeError, OSError, LookupError, TypeError, ArithmeticError)


class EpisodeStore:
    """The whole episodes in a folder, as they are when the store is opened.

    Args:
        folder: A path, or an fsspec URL such as `s3://bucket/breakout`.
        world: Name of the world that the recordings must be of; None accepts any one world.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If the folder is empty, of another world, of another schema, or damaged.
    """

    def __init__(self, folder: str | os.PathLike[str], world: str | None = None):
        self.folder = EpisodeFolder(folder)
        self.headers: Mapping[str, EpisodeHeader] = self.folder.headers(world)
        if self.headers:
            return
        hint = f"record some with `learned-envs record {world or 'WORLD'} --out {self.folder.name}`"
        if not self.folder.exists():
            raise FileNotFoundError(f"there is no recordings folder {self.folder.name}: {hint}")
        raise ValueError(f"the recordings folder {self.folder.name} holds no episodes: {hint}")

    def __len__(self) -> int:
        """Number of episodes, every part counted."""
        return len(self.headers)

    def __iter__(self) -> Iterator[Episode]:
        """Reads all episodes, in the order of their names."""
        return (self.read(name) for name in self.headers)

    @property
    def world(self) -> str:
        """Name of the world."""
        return next(iter(self.headers.values())).attributes.world

    def names(self, split: Split | None = None) -> tuple[str, ...]:
        """Names of the episodes of one split, or of all."""
        return tuple(
            name
            for name, header in self.headers.items()
            if split is None or header.attributes.split == split
        )

    def read(self, name: str, *, lazy: bool = False) -> Episode:
        """Reads an episode.

        Args:
            name: One of `names()`.
            lazy: Whether frames stay on disk: slices of `observation` are decoded when asked for.

        Raises:
            ValueError: If a file of it is truncated or damaged; the message names it.
        """
        header = self.headers[name]
        self._check_files(name, header)
        observation = _StoredArray.open(self.folder, name, "observation")
        arrays = {
            array: _StoredArray.open(self.folder, name, array)[:]
            for array in ("action", "reward", "terminated", "truncated")
        }
        metadata = {
            array: _StoredArray.open(self.folder, name, f"metadata/{array}")[:]
            for array in header.metadata
        }
        frames: Frames = observation if lazy else observation[:]
        try:
            return Episode(
                observation=frames, metadata=metadata, attributes=header.attributes, **arrays
            )
        except ValueError as error:
            raise damaged(self.folder.path(name), error) from error

    def windows(
        self,
        split: Split,
        *,
        batch: int,
        length: int,
        seed: int,
        start_share: float = 0.1,
        cache_bytes: int = 2**30,
        skip: int = 0,
    ) -> StoreWindows:
        """An endless, seeded iterator of `Window` over one split; see `StoreWindows`."""
        return StoreWindows(
            self,
            split,
            batch=batch,
            length=length,
            seed=seed,
            start_share=start_share,
            cache_bytes=cache_bytes,
            skip=skip,
        )

    def _check_files(self, name: str, header: EpisodeHeader) -> None:
        """Zarr reads a missing file as zeros, so sizes are compared first."""
        path = self.folder.path(name)
        found = self.folder.files.find(path, detail=True)
        sizes = {file.removeprefix(f"{path}/"): info["size"] for file, info in found.items()}
        for file, size in header.sizes.items():
            if file not in sizes:
                raise damaged(f"{path}/{file}", "the file is missing")
            if sizes[file] != size:
                raise damaged(f"{path}/{file}", f"{sizes[file]} bytes, expected {size}")


@dataclass(frozen=True, slots=True)
class _StoredArray:
    """An array on disk whose slices are decoded when asked for."""

    path: str
    array: zarr.Array[Any]

    @classmethod
    def open(cls, folder: EpisodeFolder, episode: str, name: str) -> _StoredArray:
        path = f"{folder.path(episode)}/{name}"
        try:
            array = zarr.open_array(folder.store(episode), path=name, mode="r", zarr_format=3)
        except _CODEC_ERRORS as error:
            raise damaged(path, error) from error
        return cls(path, array)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def __getitem__(self, frames: slice) -> np.ndarray:
        try:
            return np.asarray(self.array[frames])
        except _CODEC_ERRORS as error:
            raise damaged(self.path, error) from error
