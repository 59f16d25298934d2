"""The worlds the library knows by name."""

import importlib
from difflib import get_close_matches

from learned_envs.worlds.world import Behaviour, Pointer, Task, World

__all__ = ["Behaviour", "Pointer", "Task", "World", "get", "names"]

_NAMES = ("breakout", "koi_pond", "minipaint", "minipaint_soft")


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
