"""Reading recordings: a folder of immutable episodes."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import zarr
from zarr.abc.store import Store
from zarr.api import asynchronous
from zarr.core.buffer import cpu
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from learned_envs.data.episode import Episode, Split
from learned_envs.data.folder import FRAMES, STEP_ARRAYS, EpisodeFolder, EpisodeHeader, damaged


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

    def needed(self, split: Split) -> tuple[str, ...]:
        """Names of the episodes of a split without which nothing can be done.

        Raises:
            ValueError: If it has none.
        """
        if names := self.names(split):
            return names
        raise ValueError(
            f"none of the {len(self)} episodes in {self.folder.name} falls into the {split} split: "
            "record more"
        )

    def read(self, name: str, *, lazy: bool = False) -> Episode:
        """Reads an episode.

        Args:
            name: One of `names()`.
            lazy: Whether frames stay on disk: slices of `observation` are decoded when asked for.

        Raises:
            ValueError: If a file of it is truncated or damaged; the message names it.
        """
        header, path = self.headers[name], self.folder.path(name)
        fetched = self._fetched(name, lazy=lazy)
        metadata = [f"metadata/{array}" for array in header.metadata]
        names = [*STEP_ARRAYS, *metadata, *([] if lazy else [FRAMES])]
        arrays = sync(_decoded(fetched, path, names))  # one hop to Zarr's thread
        if lazy:
            arrays[FRAMES] = _LazyFrames.open(self.folder.store(name), path)
        try:
            return Episode(
                **{array: arrays[array] for array in (FRAMES, *STEP_ARRAYS)},
                metadata={array.removeprefix("metadata/"): arrays[array] for array in metadata},
                attributes=header.attributes,
            )
        except ValueError as error:
            raise damaged(path, error) from error

    def _fetched(self, name: str, *, lazy: bool) -> MemoryStore:
        """Fetches an episode's files at once, or, if lazy, all but the frames.

        Sizes are compared, since Zarr reads a missing file as zeros, and so are checksums.
        """
        path, header, files = self.folder.path(name), self.headers[name], self.folder.files
        later = {file for file in header.sizes if lazy and file.startswith(f"{FRAMES}/c/")}
        now = {file: f"{path}/{file}" for file in header.sizes if file not in later}
        contents = files.cat(list(now.values()), on_error="return")
        for file, size in header.sizes.items():
            try:
                found = files.size(f"{path}/{file}") if file in later else len(contents[now[file]])
            except (OSError, TypeError) as error:
                raise damaged(f"{path}/{file}", "the file is missing") from error
            if found != size:
                raise damaged(f"{path}/{file}", f"{found} bytes, expected {size}")
        for file, checksum in header.checksums.items():
            if file in now and zlib.crc32(contents[now[file]]) != checksum:
                raise damaged(f"{path}/{file}", "its bytes do not add up to their checksum")
        return MemoryStore({f: cpu.Buffer.from_bytes(contents[now[f]]) for f in now})


async def _decoded(store: Store, path: str, names: Iterable[str]) -> dict[str, Any]:
    """Reads whole arrays of the episode at `path`."""
    arrays = {}
    for name in names:
        with _naming(f"{path}/{name}"):
            array = await asynchronous.open_array(store=store, path=name, mode="r", zarr_format=3)
            arrays[name] = np.asarray(await array.getitem(...))
    return arrays


@dataclass(frozen=True, slots=True)
class _LazyFrames:
    """Frames on disk, decoded when they are asked for."""

    path: str
    array: zarr.Array[Any]

    @classmethod
    def open(cls, store: Store, episode: str) -> _LazyFrames:
        path = f"{episode}/{FRAMES}"
        with _naming(path):
            return cls(path, zarr.open_array(store, path=FRAMES, mode="r", zarr_format=3))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def __getitem__(self, frames: slice) -> np.ndarray:
        with _naming(self.path):
            return np.asarray(self.array[frames])


@contextlib.contextmanager
def _naming(path: str) -> Iterator[None]:
    """Turns whatever a codec raises over damaged data into an error that names the file."""
    try:
        yield
    except (ValueError, RuntimeError, OSError, LookupError, TypeError, ArithmeticError) as error:
        raise damaged(path, error) from error
