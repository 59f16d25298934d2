"""Spaces as plain values, as recordings, checkpoints and exported files keep them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

KINDS_OF_ACTIONS = "a Box, Discrete, MultiDiscrete or MultiBinary space of one axis"


def space_to_json(space: gym.Space[Any]) -> dict[str, Any]:
    """Describes a space of actions or pictures as plain values.

    Raises:
        ValueError: If it is no Box, Discrete, MultiDiscrete or MultiBinary space.
    """
    match space:
        case spaces.Box():
            low, high = _bound(space.low), _bound(space.high)
            shape, dtype = list(space.shape), str(space.dtype)
            return {"kind": "Box", "low": low, "high": high, "shape": shape, "dtype": dtype}
        case spaces.Discrete():
            return {"kind": "Discrete", "n": int(space.n), "start": int(space.start)}
        case spaces.MultiDiscrete(nvec=nvec) if nvec.ndim == 1:
            start = np.asarray(space.start).tolist()
            return {"kind": "MultiDiscrete", "nvec": nvec.tolist(), "start": start}
        case spaces.MultiBinary(n=int()):
            return {"kind": "MultiBinary", "n": space.n}
    raise ValueError(f"space {space} was given: a dream has {KINDS_OF_ACTIONS}")


def space_from_json(value: Mapping[str, Any]) -> gym.Space[Any]:
    """Rebuilds what `space_to_json` described.

    Raises:
        ValueError: If the kind is unknown.
    """
    match value.get("kind"):
        case "Box":
            dtype = np.dtype(value["dtype"])
            low, high = (
                np.broadcast_to(np.array(value[side], dtype), value["shape"])
                for side in ("low", "high")
            )
            return spaces.Box(low, high, tuple(value["shape"]), dtype.type)
        case "Discrete":
            return spaces.Discrete(value["n"], start=value["start"])
        case "MultiDiscrete":
            return spaces.MultiDiscrete(value["nvec"], start=value["start"])
        case "MultiBinary":
            return spaces.MultiBinary(value["n"])
    raise ValueError(f"space {dict(value)} was given: a dream has {KINDS_OF_ACTIONS}")


def _bound(values: np.ndarray) -> Any:
    first = values.flat[0]
    return first.item() if (values == first).all() else values.tolist()


def names_needed(space: spaces.Space[Any]) -> int:
    """How many names its actions have: one for each if discrete, else one for each component."""
    return int(space.n) if isinstance(space, spaces.Discrete) else int(np.prod(space.shape or (1,)))


def end_of(space: spaces.Space[Any], place: int, side: int) -> Any:
    """The value of a component at the lower (-1) or upper (1) end of its range."""
    match space:
        case spaces.Box():
            bound = float((space.low if side < 0 else space.high)[place])
            return bound if np.isfinite(bound) else float(side)
        case spaces.MultiDiscrete():
            return 0 if side < 0 else int(space.nvec[place]) - 1
        case _:
            return 0 if side < 0 else 1
