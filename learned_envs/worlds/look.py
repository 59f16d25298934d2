"""Looks at a Gymnasium environment and describes it as a world of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium import spaces

from learned_envs.worlds.frame_env import (
    Picture,
    fps_of,
    from_zero,
    make_env,
    rgb,
    shows_pictures,
)
from learned_envs.worlds.own import (
    USUAL_KEYS,
    OwnWorld,
    idle_action,
    shrunk_size,
    world_name,
)
from learned_envs.worlds.spaces import end_of, names_needed, space_to_json

_PAIRS = [("left", "right"), ("down", "up"), ("q", "e"), ("1", "2"), ("3", "4"), ("5", "6")]


def describe(
    env: str,
    *,
    name: str | None = None,
    env_kwargs: Mapping[str, Any] | None = None,
    picture: Picture | None = None,
    image_size: tuple[int, int] | None = None,
    fps: int | None = None,
    max_episode_steps: int | None = None,
) -> OwnWorld:
    """Looks at an environment and describes it.

    Args:
        env: As `make_env` takes it.
        name: Of the world; made from `env` if None.
        env_kwargs: What the environment is made with.
        picture: Whether its `observation` is seen or what it `render`s; if None, the observation
            where that is a picture.
        image_size: (H, W); if None, the shorter side becomes 64 and the other keeps the shape.
        fps: Steps a second for people; if None, what the environment asks for.
        max_episode_steps: If None, the environment's own limit, or 1,000 without one.

    Raises:
        ValueError: If there is no such environment, or it has no pictures or no actions that a
            dream can take.
    """
    made = make_env(env, env_kwargs or {})
    try:
        picture = picture or ("observation" if shows_pictures(made.observation_space) else "render")
        observation, _ = made.reset(seed=0)
        shown = rgb(observation if picture == "observation" else made.render(), env)
        space, first = from_zero(made.action_space)
        limit = made.spec and made.spec.max_episode_steps
        if isinstance(space, spaces.Box) and len(space.shape) != 1:
            raise ValueError(
                f"{env!r} has actions {space}: flatten them to one axis with a wrapper"
            )
        names = action_names(made, space)
        return OwnWorld(
            name=name or world_name(env),
            env=env,
            env_kwargs=dict(env_kwargs or {}),
            picture=picture,
            image_size=image_size or shrunk_size(*shown.shape[:2]),
            fps=fps or fps_of(made),
            max_episode_steps=max_episode_steps or limit or 1000,
            action_space=space_to_json(space),
            action_names=names,
            idle_action=idle_action(space, names),
            keys=keys(made, space, names, first),
        )
    finally:
        made.close()


def action_names(env: Any, space: spaces.Space[Any]) -> tuple[str, ...]:
    """What an environment calls its actions; `action 0` and so on where it does not say."""
    known, count = env.unwrapped, names_needed(space)
    if hasattr(known, "get_action_meanings"):
        names = [str(name).lower() for name in known.get_action_meanings()]
    else:
        names = [
            name.lower() for name in getattr(getattr(known, "actions", None), "__members__", ())
        ]
    if isinstance(space, spaces.Discrete) and len(names) == count:
        return tuple(names)
    return tuple(f"action {i}" for i in range(count))


def keys(
    env: Any, space: spaces.Space[Any], names: Sequence[str], first: int = 0
) -> dict[str, Any]:
    """Which keys a person plays with: as the environment says, else guessed from names.

    Actions without a key get those of the digits; of a Box, pairs of keys move a component to
    either end, the first with the arrows.

    Args:
        env: The environment.
        space: Of its actions, discrete ones numbered from 0.
        names: Of its actions.
        first: What the environment calls action 0.
    """
    idle = idle_action(space, names)
    found: dict[str, Any] = {}
    if isinstance(space, spaces.Discrete):
        for number, name in enumerate(names):
            for key in USUAL_KEYS.get(name, ()):
                found.setdefault(key, number)
        told = getattr(env.unwrapped, "get_keys_to_action", dict)() or {}
        for pressed, number in told.items():
            action = int(number) - first
            if len(pressed) == 1 and isinstance(pressed[0], str) and action != idle:
                found.setdefault("space" if pressed[0] == " " else pressed[0], action)
        reached = {*found.values(), idle}
        spare = [str(digit) for digit in range(1, 10)]
        for number in range(int(space.n)):
            if number not in reached and spare:
                found[spare.pop(0)] = number
        return found
    for place, (less, more) in zip(range(names_needed(space)), _PAIRS, strict=False):
        for key, value in ((less, end_of(space, place, -1)), (more, end_of(space, place, 1))):
            if value != idle[place]:
                found[key] = [value if i == place else v for i, v in enumerate(idle)]
    return found
