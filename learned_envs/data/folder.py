"""The layout of a recordings folder: which episodes it holds, and what each says of itself.

`<world>-<behaviour>-<seed>-p<part>.zarr/` is one episode: a Zarr v3 group, written once, whole. Its
attributes, in `zarr.json`, are an `EpisodeHeader`; on object stores they are written last. Its
arrays are `observation`, `action`, `reward`, `terminated`, `truncated` and `metadata/<name>`.
`.<...>.tmp/` is an episode that is being written, or was abandoned. `world.json`, where there is
one, describes a world that the library does not know by name.
"""

from __future__ import annotations

import dataclasses
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from zarr.abc.store import Store
from zarr.storage import FsspecStore, LocalStore

from learned_envs.data.episode import EpisodeAttributes
from learned_envs.disk import replace_file

SCHEMA = 1
SUFFIX = ".zarr"
HEADER = "zarr.json"
FRAMES = "observation"
WORLD = "world.json"
_EDITED = "keys"  # of a description, by whoever records
STEP_ARRAYS = ("action", "reward", "terminated", "truncated")


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeHeader:
    """What is known of a stored episode before its arrays are read.

    Attributes:
        attributes: Where the recording comes from.
        steps: Number of steps.
        metadata: Names of its metadata arrays.
        sizes: Bytes of every other file of the episode, by path inside it.
        checksums: CRC-32 of those files; empty for an episode of before there were any.
    """

    attributes: EpisodeAttributes
    steps: int
    metadata: tuple[str, ...]
    sizes: Mapping[str, int]
    checksums: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """The Zarr attributes of the episode's group."""
        fields = dataclasses.asdict(self.attributes)
        fields |= {"steps": self.steps, "metadata": self.metadata}
        fields |= {"sizes": dict(self.sizes), "checksums": dict(self.checksums)}
        fields = {"schema": SCHEMA, **fields}
        return fields | {"checksum": _checksum(fields)}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> EpisodeHeader:
        """Reads what `to_json` returned.

        Raises:
            ValueError: If it is not as it was written, or names files outside of the episode.
        """
        own = _checksum({name: value for name, value in fields.items() if name != "checksum"})
        if fields.get("checksum", own) != own:
            raise ValueError("its attributes do not add up to their checksum")
        if any(".." in path.split("/") for path in fields["sizes"]):
            raise ValueError("it names files outside of the episode")
        names = [field.name for field in dataclasses.fields(EpisodeAttributes)]
        values = {name: fields[name] for name in names}
        values["action_names"] = tuple(values["action_names"])
        return cls(
            attributes=EpisodeAttributes(**values),
            steps=int(fields["steps"]),
            metadata=tuple(fields["metadata"]),
            sizes=dict(fields["sizes"]),
            checksums=dict(fields.get("checksums", {})),
        )


def _checksum(fields: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(fields, sort_keys=True).encode())


class EpisodeFolder:
    """A folder of episodes, local or behind any fsspec URL.

    Args:
        folder: A path, or a URL such as `s3://bucket/breakout`.
    """

    def __init__(self, folder: str | os.PathLike[str]):
        self.name = os.fspath(folder)
        self.files, self.root = url_to_fs(self.name)
        self.is_local = isinstance(self.files, LocalFileSystem)

    def path(self, episode: str) -> str:
        """Where `episode` is, or will be."""
        return f"{self.root}/{episode}{SUFFIX}"

    def store(self, episode: str) -> Store:
        """A read-only Zarr store of `episode`."""
        path = self.path(episode)
        if self.is_local:
            return LocalStore(path, read_only=True)
        return FsspecStore.from_url(self.files.unstrip_protocol(path), read_only=True)

    def exists(self) -> bool:
        """Whether there is a folder at all."""
        return self.files.isdir(self.root)

    def description(self) -> dict[str, Any] | None:
        """What `describe` wrote, or None.

        Raises:
            ValueError: If the file is damaged.
        """
        path = f"{self.root}/{WORLD}"
        if not self.files.exists(path):
            return None
        try:
            return dict(json.loads(self.files.cat_file(path)))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"{path} is damaged ({error}): record again with the same settings, and it is "
                "written anew once you have deleted it"
            ) from error

    def describe(self, world: Mapping[str, Any]) -> None:
        """Writes plain values that describe the folder's world, unless they stand there already.

        Raises:
            ValueError: If the folder describes another world.
        """
        if self.check_description(world) is None:
            self.files.makedirs(self.root, exist_ok=True)
            content = (json.dumps(world, indent=1) + "\n").encode()
            if self.is_local:
                replace_file(Path(self.root) / WORLD, content)
            else:
                self.files.pipe_file(f"{self.root}/{WORLD}", content)

    def check_description(self, world: Mapping[str, Any]) -> dict[str, Any] | None:
        """Returns what describes the folder's world, or None, unless it is another than `world`.

        The keys that a world is played with may differ: whoever records may edit them.

        Raises:
            ValueError: If the folder describes another world.
        """
        known = self.description()
        names = {*(known or {}), *world} - {_EDITED}
        differing = sorted(n for n in names if known and known.get(n) != world.get(n))
        if known and differing:
            told = ", ".join(f"{n} {known.get(n)!r}, not {world.get(n)!r}" for n in differing)
            raise ValueError(
                f"{self.name} holds recordings of another world, or of the same one seen otherwise "
                f"({told}): give each a folder of its own"
            )
        return known

    def headers(self, world: str | None) -> dict[str, EpisodeHeader]:
        """Headers of all whole episodes, by name and in the order of names.

        Args:
            world: The world they must be of, or None for any one world.

        Raises:
            ValueError: If an episode is damaged, of another schema, or of another world.
        """
        if not self.exists():
            return {}
        self.files.invalidate_cache(self.root)
        folders = [path.rstrip("/") for path in self.files.ls(self.root, detail=False)]
        names = sorted(os.path.basename(path).removesuffix(SUFFIX) for path in folders
                       if path.endswith(SUFFIX))  # fmt: skip
        paths = {name: f"{self.path(name)}/{HEADER}" for name in names}
        texts = self.files.cat(list(paths.values()), on_error="return") if paths else {}
        headers = {}
        for name, path in paths.items():
            text = texts[path]
            if isinstance(text, FileNotFoundError) and not self.is_local:
                continue  # its arrays are still being uploaded
            headers[name] = _parsed(path, text)
            found = headers[name].attributes.world
            world = world or found
            if found != world:
                raise ValueError(
                    f"{self.name} holds recordings of the world {found!r} ({name}), expected "
                    f"{world!r}: give each world a folder of its own"
                )
        return headers


def _parsed(path: str, text: bytes | Exception) -> EpisodeHeader:
    if isinstance(text, Exception):
        raise damaged(path, text) from text
    try:
        fields = json.loads(text)["attributes"]
        schema = fields["schema"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from error
    if schema != SCHEMA:
        raise ValueError(
            f"{path} has episode schema {schema!r}, this version of learned_envs reads {SCHEMA}: "
            "upgrade learned_envs, or record into another folder"
        )
    try:
        return EpisodeHeader.from_json(fields)
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, error) from error


def damaged(path: str, reason: object) -> ValueError:
    """The error for a file of an episode that cannot be read."""
    text = f"{type(reason).__name__}: {reason}" if isinstance(reason, Exception) else str(reason)
    episode = path[: path.index(SUFFIX) + len(SUFFIX)]
    return ValueError(
        f"{path} is truncated or damaged ({text}). Delete {episode} and record again with the same "
        "settings: only what is missing is recorded"
    )
