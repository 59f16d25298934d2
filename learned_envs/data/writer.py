"""Writing episodes so that a reader never sees half of one."""

from __future__ import annotations

import errno
import os
import shutil
import uuid
import zlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from zarr.abc.codec import BytesBytesCodec
from zarr.api import asynchronous
from zarr.codecs import Crc32cCodec, ZstdCodec
from zarr.core.buffer import Buffer
from zarr.core.sync import sync
from zarr.storage import MemoryStore

from learned_envs.data.episode import MAX_FRAMES, Episode
from learned_envs.data.folder import FRAMES, HEADER, STEP_ARRAYS, EpisodeFolder, EpisodeHeader
from learned_envs.disk import full_disk_says, remove_abandoned

CHUNK_FRAMES = 16


class EpisodeWriter:
    """Adds episodes to a folder; any number of writers may share it, without a lock.

    An episode is put together in memory. On a local disk it is then written under a temporary name
    and renamed; elsewhere its attributes are written last, and readers ignore it until then.

    Args:
        folder: A path or fsspec URL; created if need be.
        world: Name of the world that is recorded.

    Raises:
        ValueError: If the folder holds another world, another schema or a damaged episode.
    """

    def __init__(self, folder: str | os.PathLike[str], world: str):
        self.folder = EpisodeFolder(folder)
        self.world = world
        self.whole_takes = _whole_takes(self.folder.headers(world).values())
        """Names of the takes of which the folder holds all parts."""
        self.folder.files.makedirs(self.folder.root, exist_ok=True)
        if self.folder.is_local:
            remove_abandoned(Path(self.folder.root), ".*.tmp")

    def write(self, episode: Episode) -> None:
        """Writes one episode, or one part; does nothing if the folder has it already.

        Raises:
            ValueError: If the episode is of another world or longer than a part may be.
            OSError: If it cannot be written (a full disk, say); then nothing of it is left.
        """
        attributes = episode.attributes
        if attributes.world != self.world:
            raise ValueError(
                f"an episode of {attributes.world!r} was given, expected {self.world!r}"
            )
        if episode.steps >= MAX_FRAMES:
            raise ValueError(
                f"{attributes.name} has {episode.steps + 1} frames, at most {MAX_FRAMES} fit: "
                "write its `parts()`"
            )
        files = sync(_encoded(episode))  # one hop to Zarr's thread instead of one an array
        path = self.folder.path(attributes.name)
        if not self.folder.is_local:
            self._upload(path, files)
            return
        with full_disk_says(
            f"no space is left for {self.folder.name}. The unfinished episode was removed and all "
            "others are whole: free some space and record again with the same settings, and only "
            "what is missing is recorded"
        ):
            _write_whole(Path(path), files)

    def write_take(self, take: Episode) -> None:
        """Writes a whole take, cut into parts where it is long."""
        for part in take.parts():
            self.write(part)

    def _upload(self, path: str, files: dict[str, bytes]) -> None:
        header = files.pop(HEADER)
        if self.folder.files.exists(f"{path}/{HEADER}"):
            return
        self.folder.files.pipe({f"{path}/{name}": content for name, content in files.items()})
        self.folder.files.pipe_file(f"{path}/{HEADER}", header)


def _whole_takes(headers: Iterable[EpisodeHeader]) -> frozenset[str]:
    attributes = [header.attributes for header in headers]
    parts = Counter(part.take for part in attributes)
    return frozenset(a.take for a in attributes if a.last and parts[a.take] == a.part + 1)


async def _encoded(episode: Episode) -> dict[str, bytes]:
    """The files of the episode's Zarr group, by path inside it."""
    arrays = {name: getattr(episode, name) for name in (FRAMES, *STEP_ARRAYS)}
    arrays |= {f"metadata/{name}": array for name, array in episode.metadata.items()}
    buffers: dict[str, Buffer] = {}
    store = MemoryStore(buffers)
    group = await asynchronous.create_group(store=store, zarr_format=3)
    for name, array in arrays.items():
        await _encode(store, name, np.ascontiguousarray(array[:]))
    files = {path: buffer.to_bytes() for path, buffer in buffers.items() if path != HEADER}
    header = EpisodeHeader(
        attributes=episode.attributes,
        steps=episode.steps,
        metadata=tuple(episode.metadata),
        sizes={path: len(content) for path, content in files.items()},
        checksums={path: zlib.crc32(content) for path, content in files.items()},
    )
    await group.update_attributes(header.to_json())
    return files | {HEADER: buffers[HEADER].to_bytes()}


async def _encode(store: MemoryStore, name: str, array: np.ndarray) -> None:
    """One file an array. Frames are compressed in chunks inside it; the rest is too small."""
    chunks, shards = array.shape, None
    compressors: tuple[BytesBytesCodec, ...] = (Crc32cCodec(),)
    if name == FRAMES:
        frames, *row = array.shape
        chunks = (CHUNK_FRAMES, *row)
        shards = (-(-frames // CHUNK_FRAMES) * CHUNK_FRAMES, *row)
        compressors = (ZstdCodec(level=6), Crc32cCodec())
    stored = await asynchronous.create_array(
        store,
        name=name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=chunks,
        shards=shards,
        compressors=compressors,
        config={"write_empty_chunks": True},
        zarr_format=3,
    )
    await stored.setitem(..., array)


def _write_whole(path: Path, files: dict[str, bytes]) -> None:
    if path.exists():
        return
    temporary = path.parent / f".{path.stem}-{uuid.uuid4().hex}.tmp"
    try:
        for name, content in files.items():
            file = temporary / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        temporary.rename(path)
    except OSError as error:
        shutil.rmtree(temporary, ignore_errors=True)
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another writer was faster
            raise
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
