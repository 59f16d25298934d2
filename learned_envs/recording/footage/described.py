"""What a recording of footage says of its world: the size, the actions, and keys for play."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from learned_envs.recording.footage.film import Film
from learned_envs.recording.footage.input_log import Kind
from learned_envs.worlds.own import USUAL_KEYS, OwnWorld, idle_action, shrunk_size
from learned_envs.worlds.spaces import space_to_json

MAX_EPISODE_STEPS = 1000
"""Steps after which a dream of footage is cut."""

_KEYS = {
    *"abcdefghijklmnopqrstuvwxyz0123456789",
    "left", "right", "up", "down", "space", "return", "tab", "backspace",
    "left shift", "right shift", "left ctrl", "right ctrl", "left alt", "right alt",
}  # fmt: skip
_ALSO_CALLED = {
    "shift": "left shift", "ctrl": "left ctrl", "alt": "left alt", "enter": "return",
}  # fmt: skip


def footage_world(
    name: str,
    *,
    fps: int,
    image_size: tuple[int, int],
    kinds: Mapping[str, Kind],
    take_seconds: float,
    actions: Sequence[np.ndarray],
) -> OwnWorld:
    """Describes a world that was filmed, with one component of its actions for each input.

    Held inputs go from 0 to 1, the others as far as they go in any clip, rounded outward. Those
    that are held and named like a key of pygame (`w`, `left`, `space`) are played with it, those
    that are named like what keys are for (`forward`, `fire`) with the usual ones.

    Args:
        name: Of the world.
        fps: Steps a second.
        image_size: (H, W) of its pictures.
        kinds: Of the inputs.
        take_seconds: Length of a take; kept, like the kinds, so that a later import does the same.
        actions: Of each clip, (steps, inputs).

    Raises:
        ValueError: If a value is out of its range.
    """
    least = np.min([each.min(0) for each in actions], 0).tolist()
    most = np.max([each.max(0) for each in actions], 0).tolist()
    ends = [
        (0.0, 1.0) if kind == "held" else rounded_outward(low, high)
        for kind, low, high in zip(kinds.values(), least, most, strict=True)
    ]
    low, high = np.array(ends, np.float32).T
    space = spaces.Box(low, high, dtype=np.float32)
    idle = idle_action(space, ())
    return OwnWorld(
        name=name,
        env=None,
        env_kwargs={"kinds": dict(kinds), "take_seconds": take_seconds},
        image_size=image_size,
        fps=fps,
        max_episode_steps=MAX_EPISODE_STEPS,
        action_space=space_to_json(space),
        action_names=tuple(kinds),
        idle_action=idle,
        keys=_keys(kinds, idle),
    )


def common_size(films: Sequence[Film]) -> tuple[int, int]:
    """The size (H, W) that films are shrunk to, the shorter side to 64 pixels.

    Raises:
        ValueError: If they have different shapes.
    """
    sizes = {shrunk_size(*film.size): film for film in films}
    if len(sizes) > 1:
        told = ", ".join(f"{f.path}: {f.size[1]} x {f.size[0]} pixels" for f in sizes.values())
        raise ValueError(
            f"the clips have different shapes ({told}): cut them to one, or give `image_size` to "
            "squeeze all into that"
        )
    return next(iter(sizes))


def rounded_outward(low: float, high: float) -> tuple[float, float]:
    """A range with ends of two digits around another; 1 wide where that holds a single value."""
    digits = 1 - math.floor(math.log10(max(abs(low), abs(high)) or 1.0))
    low = min(low, round(math.floor(low * 10.0**digits) / 10.0**digits, digits))
    high = max(high, round(math.ceil(high * 10.0**digits) / 10.0**digits, digits))
    return low, (high if high > low else low + 1.0)


def _keys(kinds: Mapping[str, Kind], idle: Sequence[float]) -> dict[str, Any]:
    """For each held input that is called like a key, or like what keys are for: it alone."""
    found: dict[str, Any] = {}
    for place, (column, kind) in enumerate(kinds.items()):
        called = column.lower().replace("_", " ")
        key = _ALSO_CALLED.get(called, called)
        named = (key,) if key in _KEYS else USUAL_KEYS.get(called, ())
        for each in named if kind == "held" else ():
            found.setdefault(each, [1.0 if i == place else v for i, v in enumerate(idle)])
    return found
