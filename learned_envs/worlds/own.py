"""Worlds of one's own: what is known of them in plain values, kept with recordings and weights.

Such a world has no file in the library. What its file would say stands in an `OwnWorld`, which is
written to `world.json` in a recordings folder and into the settings of a checkpoint, so that every
command that takes a world's name takes such a folder as well.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
from gymnasium import spaces

from learned_envs.worlds.chance import BEHAVIOURS, Chance
from learned_envs.worlds.frame_env import Picture
from learned_envs.worlds.spaces import names_needed, space_from_json
from learned_envs.worlds.world import World

if TYPE_CHECKING:
    from learned_envs.data.episode import Episode

MULTIPLE = 8
"""Sides of pictures are multiples of it, so that every preset can halve them often enough."""

SHORT_SIDE = 64
"""Pixels of the shorter side of pictures for which no size is given."""

USUAL_KEYS = {
    "left": ("left", "a"), "right": ("right", "d"), "up": ("up", "w"), "down": ("down", "s"),
    "fire": ("space",), "jump": ("space",), "forward": ("up", "w"), "back": ("down", "s"),
    "backward": ("down", "s"), "toggle": ("space",),
    "pickup": ("p",), "drop": ("o",),
}  # fmt: skip
"""By what an action is called, the keys of pygame that players expect it on."""

_IDLE = ("noop", "none", "idle", "nothing", "done")
_SETTING = "own_world"
_FRAME_ENV = "learned_envs.worlds.frame_env:FrameEnv"
_FRAME_VEC = "learned_envs.worlds.frame_env:make_frame_vec"
_LICENCE = "That of whoever recorded the data: say here what it is before you share the weights."


@dataclass(frozen=True, kw_only=True, slots=True)
class OwnWorld:
    """What the library has to know of a world that it does not know by name.

    Attributes:
        name: Of the world: letters, digits, `_`, `-` and `.`.
        env: Its Gymnasium id or import path, as `make_env` takes it; None for footage.
        env_kwargs: What it is made with.
        picture: Whether its `observation` is seen, or what it `render`s.
        image_size: (H, W) of the pictures.
        fps: Steps a second for people.
        max_episode_steps: Steps after which an episode is cut.
        action_space: As `space_to_json` describes it.
        action_names: A name for each discrete action, or for each component.
        idle_action: What a player who does nothing sends.
        keys: The action that a person sends while a key is held, by the key's name in pygame.

    Raises:
        ValueError: If a value is out of its range.
    """

    name: str
    env: str | None
    image_size: tuple[int, int]
    fps: int
    max_episode_steps: int
    action_space: Mapping[str, Any]
    action_names: tuple[str, ...]
    idle_action: Any
    env_kwargs: Mapping[str, Any] = field(default_factory=dict)
    picture: Picture = "render"
    keys: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(
                f"`name` (={self.name!r}) must be of letters, digits, '_', '-' and '.'"
            )
        if self.picture not in get_args(Picture):
            raise ValueError(f"`picture` (={self.picture!r}) must be one of {get_args(Picture)}")
        if min(self.image_size) < MULTIPLE or any(side % MULTIPLE for side in self.image_size):
            raise ValueError(
                f"`image_size` (={self.image_size}) must be (height, width), multiples of "
                f"{MULTIPLE}"
            )
        for name in ("fps", "max_episode_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least 1")
        wanted = names_needed(self.space)
        if len(self.action_names) != wanted:
            raise ValueError(
                f"{len(self.action_names)} `action_names` were given, expected {wanted}: one for "
                f"each action, or component, of {self.space}"
            )

    @property
    def space(self) -> spaces.Space[Any]:
        """The action space."""
        return space_from_json(self.action_space)

    def world(self) -> World:
        """The world, to be recorded, trained, dreamed and played like any other.

        Raises:
            ValueError: If the library has another world of that name.
        """
        from learned_envs.worlds import get, names

        self.check_name()
        return get(self.name) if self.name in names() else as_world(self)

    def check_name(self) -> None:
        """Raises a ValueError if the library has another world of that name."""
        from learned_envs.worlds import get, names

        known = get(self.name).own if self.name in names() else self
        if not known or known.to_json() | {"keys": None} != self.to_json() | {"keys": None}:
            raise ValueError(
                f"`name` (={self.name!r}) is that of a world of the library, which is not like "
                f"this one: choose another than {', '.join(names())}"
            )

    def to_json(self) -> dict[str, Any]:
        """Plain values, as `world.json` holds them."""
        return json.loads(json.dumps(dataclasses.asdict(self)))

    @classmethod
    def from_json(cls, values: Mapping[str, Any], place: str) -> OwnWorld:
        """Reads what `to_json` returned.

        Args:
            values: It.
            place: Where it was found, for the error.

        Raises:
            ValueError: If a value is missing, unknown or out of its range.
        """
        try:
            lists = {n: tuple(values[n]) for n in ("image_size", "action_names")}
            return cls(**{**values, **lists})
        except (TypeError, KeyError, ValueError) as error:
            raise ValueError(f"{place} does not describe a world: {error}") from error


def as_world(own: OwnWorld) -> World:
    """What the library knows of other worlds, of one that is described."""
    real = own.env is not None
    settings = {
        "env": own.env, "image_size": own.image_size, "picture": own.picture,
        "env_kwargs": dict(own.env_kwargs),
    }  # fmt: skip
    discrete = isinstance(own.space, spaces.Discrete)
    idle = int(own.idle_action) if discrete else np.array(own.idle_action, own.space.dtype)
    return World(
        name=own.name,
        id_suffix=own.name,
        fps=own.fps,
        max_episode_steps=own.max_episode_steps,
        observation_space=spaces.Box(0, 255, (*own.image_size, 3), np.uint8),
        action_space=own.space,
        action_names=own.action_names,
        idle_action=idle,
        real=_FRAME_ENV if real else None,
        real_vector=_FRAME_VEC if real else None,
        real_kwargs=settings if real else {},
        behaviours=BEHAVIOURS,
        make_behaviour=partial(Chance, own.space),
        reset_options=_no_options,
        events=_no_events,
        keys={
            key: int(action) if discrete else np.array(action, own.space.dtype)
            for key, action in own.keys.items()
        },
        licence=_LICENCE,
        own=own,
    )


def in_settings(own: OwnWorld) -> dict[str, Any]:
    """What a checkpoint's settings say of such a world."""
    return {_SETTING: own.to_json(), "action_space": dict(own.action_space)}


def from_settings(settings: Mapping[str, Any], place: str) -> OwnWorld | None:
    """The world that a checkpoint's settings describe, or None if they describe none.

    Raises:
        ValueError: If the description is damaged.
    """
    return OwnWorld.from_json(settings[_SETTING], place) if _SETTING in settings else None


def _no_options(behaviour: str, random: np.random.Generator) -> None:
    return None


def _no_events(episode: Episode) -> dict[str, int]:
    return {}


def shrunk_size(height: int, width: int) -> tuple[int, int]:
    """A size (H, W) of about the same shape whose shorter side is 64 pixels, or fewer."""
    by = min(1.0, SHORT_SIDE / min(height, width))
    rounded = [max(MULTIPLE, MULTIPLE * round(side * by / MULTIPLE)) for side in (height, width)]
    return rounded[0], rounded[1]


def idle_action(space: spaces.Space[Any], names: Sequence[str]) -> Any:
    """The action that does least: one that is called so, or zeros as far as the space allows."""
    match space:
        case spaces.Discrete():
            named = [i for i, name in enumerate(names) if name in _IDLE]
            return named[0] if named else 0
        case spaces.Box():
            return np.clip(np.zeros(space.shape, space.dtype), space.low, space.high).tolist()
        case _:
            return [0] * names_needed(space)


def world_name(env: str) -> str:
    """A short name for a file: `pong` of `ALE/Pong-v5`, `my_env` of `games.arcade:MyEnv`.

    One that is a name of the library's own worlds gets `own_` before it.
    """
    from learned_envs.worlds import names

    last = re.split(r"[:/.]", env)[-1]
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", re.sub(r"-v\d+$", "", last))
    name = re.sub(r"\W+", "_", words).strip("_").lower() or "own"
    return f"own_{name}" if name in names() else name
