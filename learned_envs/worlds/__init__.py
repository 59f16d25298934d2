"""The worlds the library knows by name, and those that a folder describes."""

import importlib
import json
from difflib import get_close_matches
from pathlib import Path

from learned_envs.worlds.world import Behaviour, Pointer, Task, World

__all__ = ["Behaviour", "Pointer", "Task", "World", "find", "get", "names"]

_NAMES = ("airstriker", "breakout", "koi_pond", "minipaint", "minipaint_soft", "my_way_home")


def names() -> tuple[str, ...]:
    """Names of all worlds."""
    return _NAMES


def get(name: str) -> World:
    """Returns the world called `name`.

    Raises:
        ValueError: If there is none; the message suggests the nearest name.
    """
    if name not in _NAMES:
        near = get_close_matches(name.lower(), _NAMES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"there is no world {name!r}; worlds: {', '.join(_NAMES)}.{hint}")
    return importlib.import_module(f"learned_envs.worlds.{name}").WORLD


def find(name: str) -> World:
    """Returns the world called `name`, or the one that a folder of that name is of.

    Args:
        name: Of a world, or a folder: of recordings (a path or fsspec URL), or of a checkpoint.

    Raises:
        ValueError: If there is no such world, or the folder does not say what it is of.
    """
    folder, is_url = Path(name), "://" in name
    if name in _NAMES or not (is_url or folder.is_dir()):
        return get(name)
    checkpoint = folder / "config.json"
    if checkpoint.is_file():
        return _of_checkpoint(checkpoint)
    from learned_envs.data.folder import EpisodeFolder
    from learned_envs.worlds.own import OwnWorld

    recordings = EpisodeFolder(name)
    if described := recordings.description():
        return OwnWorld.from_json(described, f"{name}/world.json").world()
    for header in recordings.headers(None).values():
        return get(header.attributes.world)
    raise ValueError(
        f"{name} is neither a checkpoint nor a folder of recordings: it holds no config.json, no "
        "world.json and no episodes"
    )


def _of_checkpoint(path: Path) -> World:
    from learned_envs.worlds.own import from_settings

    try:
        described = dict(json.loads(path.read_bytes()))
        own = from_settings(dict(described["settings"]), str(path))
    except (TypeError, KeyError, ValueError) as error:
        raise ValueError(f"{path} is not the config.json of a checkpoint: {error}") from error
    return own.world() if own else get(str(described.get("world")))
