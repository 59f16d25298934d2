"""What the library knows of a world: its real env, its actions, how to act in it, its models."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from inspect import signature
from math import ceil, hypot
from typing import TYPE_CHECKING, Any, Protocol

import gymnasium as gym
import numpy as np

if TYPE_CHECKING:
    from learned_envs.data.episode import Episode
    from learned_envs.models.world_model import WorldModelConfig
    from learned_envs.training.recipe import AnyRecipe
    from learned_envs.worlds.own import OwnWorld


class Behaviour(Protocol):
    """A batch of scripted players. Row i acts by its own rules and its own random generator."""

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Chooses actions.

        Args:
            observation: (n, H, W, 3) uint8, the current frames.
            first: (n,) bool, True where the frame begins an episode.

        Returns:
            (n, ...) actions.
        """
        ...


_ROUNDING = 1e-3  # pixels by which a place in float32 may be off


@dataclass(frozen=True, kw_only=True, slots=True)
class Manners:
    """How sparingly a pointer's moves become actions, each of which is a step of the world.

    The world rests while there is nothing to send: a stroke ends with one action without the
    button, and nothing follows until the next.

    Attributes:
        throttle: Seconds between two looks at a pointer whose button is down.
        dead_zone: Pixels that it must be away from the point sent last for another to be sent.
        longest: Pixels of the longest way that is sent as one; longer ones come in equal pieces.
    """

    throttle: float
    dead_zone: float
    longest: float

    def pieces(
        self, start: tuple[float, float], end: tuple[float, float], size: tuple[int, int]
    ) -> list[tuple[float, float]]:
        """The points to send on the way from the point sent last, none within the dead zone.

        Args:
            start: The point sent last, u and v in [0, 1].
            end: Where the pointer is.
            size: (H, W) of the picture in pixels.
        """
        (u, v), du, dv = start, end[0] - start[0], end[1] - start[1]
        length = hypot(du * size[1], dv * size[0])
        if length < self.dead_zone - _ROUNDING:
            return []
        count = ceil((length - _ROUNDING) / self.longest)
        return [(u + du * i / count, v + dv * i / count) for i in range(1, count + 1)]


@dataclass(frozen=True, kw_only=True, slots=True)
class Pointer:
    """How a person plays with a mouse.

    Attributes:
        action: Maps u, v, pressed, held to an action: where the pointer is in the picture, in [0,
            1], whether its button is down and, at the moment it is let go, for how many seconds it
            was down; 0 at any other.
        hint: One line that tells a person so.
        manners: How sparingly its moves are sent. None sends each at once; the world goes on at its
            own rate then, whatever the pointer does.
    """

    action: Callable[[float, float, bool, float], Any]
    hint: str
    manners: Manners | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What an agent is to do, judged by frames alone, so that it is the same in a dream.

    Attributes:
        draw: Draws an episode's goal, by name, from its generator, as the real env does at its
            reset: equal seeds give equal goals, and `info` at reset holds them.
        reward: Maps frames before a step, frames after it (n, H, W, 3) uint8 and their goals, each
            with a leading axis of n, to rewards (n,) float64.
    """

    draw: Callable[[np.random.Generator], dict[str, np.ndarray]]
    reward: Callable[[np.ndarray, np.ndarray, Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class World:
    """One world, real and dreamed.

    Attributes:
        name: As the command line spells it, e.g. `breakout`.
        id_suffix: As the ids spell it, e.g. `Breakout` in `Dream-Breakout-v0`.
        fps: Ticks a second for people.
        max_episode_steps: Steps after which both ids truncate.
        observation_space: Of one row; equal for the real and the dreamed env.
        action_space: Of one row; equal for the real and the dreamed env.
        action_names: A name for each discrete action, or for each component of a Box.
        idle_action: What a player who does nothing sends.
        real: Import path of the real env's class, or None where there is none.
        real_vector: Import path of its natively batched form.
        real_kwargs: Keyword arguments that both are made with, where the world is a variant of
            another.
        behaviours: Scripted players by name, with their weights in recordings.
        ladder: Policies of different skill, near-equals among them, to be ranked in both worlds;
            the last acts at random. `make_behaviour` knows them.
        undreamt: Options of the real env that its dream refuses, with the reason for each.
        keys: The action that a person sends while a key is held, by the key's name in pygame
            (`left`, `a`); of several keys the one pressed last counts, and the window's own keys
            give way to them. Empty where a person plays with a pointer.
        pointer: How a person plays with a mouse, or None where keys do.
        make_behaviour: Players for rows; row i plays `names[i]`, seeded with `seeds[i]`.
        reset_options: Options of `reset` that a behaviour's episodes begin with, or None.
        events: Counts the named events of a recorded episode.
        task: Where the reward is a function of the frames: which one. Else None.
        most_real: How many of its real games a machine bears at once, where each is a process; None
            for as many as there is memory for.
        cap: Bytes that its packaged weights may take, starts included, or None for no bound. Starts
            are fewer, or shorter, where the weights leave little room for them.
        licence: Of its packaged weights and of the pictures in them, as the model card says it.
        own: The description of a world of one's own, or of footage; None for one that is simulated
            by the library.
        presets: Model configurations by name.
        recipes: Training configurations by preset name.
    """

    name: str
    id_suffix: str
    fps: int
    max_episode_steps: int
    observation_space: gym.spaces.Box
    action_space: gym.Space[Any]
    action_names: tuple[str, ...]
    idle_action: Any
    real: str | None
    real_vector: str | None
    behaviours: Mapping[str, float]
    make_behaviour: Callable[[Sequence[str], Sequence[int]], Behaviour]
    reset_options: Callable[[str, np.random.Generator], dict[str, Any] | None]
    events: Callable[[Episode], dict[str, int]]
    ladder: tuple[str, ...] = ()
    real_kwargs: Mapping[str, Any] = field(default_factory=dict)
    undreamt: Mapping[str, str] = field(default_factory=dict)
    keys: Mapping[str, Any] = field(default_factory=dict)
    pointer: Pointer | None = None
    task: Task | None = None
    most_real: int | None = None
    cap: int | None = None
    licence: str = "MIT, like the library: weights and data were made by it."
    own: OwnWorld | None = None
    presets: Mapping[str, Callable[..., WorldModelConfig]] = field(default_factory=dict)
    recipes: Mapping[str, Callable[[], AnyRecipe]] = field(default_factory=dict)

    @property
    def known_as(self) -> str | None:
        """Its name among the library's worlds; None for a world of one's own."""
        from learned_envs.worlds import names

        return self.name if self.name in names() else None

    @property
    def dream_id(self) -> str:
        """The id that its dream is made by."""
        suffix = f"-{self.id_suffix}" if self.known_as else ""
        return f"learned_envs:Dream{suffix}-v0"

    @property
    def begun_pretrained(self) -> tuple[str, ...]:
        """Names of the presets that begin from a pretrained network, by default one of a hub."""
        made = self.presets.items()
        return tuple(n for n, preset in made if "pretrained" in signature(preset).parameters)

    def with_pretrained(self, preset: str, name: str) -> World:
        """The same, where one of its presets begins from another pretrained network.

        Args:
            preset: Name of a preset that begins from one.
            name: Folder or hub id of the network.

        Raises:
            ValueError: If there is no such preset, or it begins from nothing pretrained.
        """
        able = self.begun_pretrained
        if preset not in able:
            raise ValueError(
                f"{name!r} was given for {self.name}'s preset {preset!r} to begin from, which "
                f"begins from nothing pretrained; those that do: {', '.join(able) or 'none'}"
            )
        begun = partial(self.presets[preset], pretrained=name)
        return replace(self, presets={**self.presets, preset: begun})

    def make_real(self, **kwargs: Any) -> gym.Env[Any, Any]:
        """Builds the real env, without a time limit."""
        return _imported(self.real, self.name)(**{**self.real_kwargs, **kwargs})

    def make_real_vec(self, num_envs: int, **kwargs: Any) -> gym.vector.VectorEnv[Any, Any, Any]:
        """Builds the natively batched real env."""
        return _imported(self.real_vector, self.name)(num_envs, **{**self.real_kwargs, **kwargs})


def _imported(path: str | None, world: str) -> Callable[..., Any]:
    if path is None:
        raise ValueError(f"world {world!r} has no real environment: only its dream can be played")
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)
