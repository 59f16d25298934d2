"""Any game of stable-retro as a world of one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium import spaces

from learned_envs.worlds.own import USUAL_KEYS, OwnWorld, as_world, world_name
from learned_envs.worlds.spaces import space_to_json
from learned_envs.worlds.world import World
from sims.retro.console import check_known
from sims.retro.env import EMULATED_FPS

_OF_NO_USE = ("START", "SELECT", "MODE", "COIN", "RESET", "PAUSE")


def retro_world(
    game: str,
    *,
    actions: Mapping[str, Sequence[str]] | None = None,
    image_size: tuple[int, int] = (112, 160),
    frame_skip: int = 4,
    tapped: Sequence[str] = (),
    variables: Mapping[str, Mapping[str, Any]] | None = None,
    states: Sequence[str] = (),
    name: str | None = None,
    max_episode_steps: int = 900,
) -> World:
    """The world that a game is, with the variables of its `data.json` as metadata.

    Its ROM is looked for when the real env is made.

    Args:
        game: stable-retro's name, e.g. `SonicTheHedgehog-Genesis-v0`.
        actions: By name, the buttons that are held; one without buttons is the idle one. None for
            nothing, and each button of the console alone but those that begin and stop a game.
        image_size: (H, W) of the pictures, multiples of 8.
        frame_skip: Emulated frames a step, of 60 a second.
        tapped: Buttons let go after half of a step.
        variables: Addresses and types of further variables, as in a `data.json`.
        states: To begin in; () for the game's default.
        name: Of the world; None for one made of the game's.
        max_episode_steps: Steps after which an episode is cut.

    Raises:
        gymnasium.error.DependencyNotInstalled: If stable-retro is missing.
        ValueError: If it knows no such game, no action is idle, or a value is out of its range.
    """
    check_known(game)
    chosen = {n: tuple(held) for n, held in (actions or _each_button(game)).items()}
    idle = next((i for i, held in enumerate(chosen.values()) if not held), None)
    if idle is None:
        raise ValueError(f"`actions` {list(chosen)} all hold a button: add one that holds none")
    settings = {
        "game": game, "actions": chosen, "frame_skip": frame_skip, "tapped": tuple(tapped),
        "variables": dict(variables or {}), "states": tuple(states), "image_size": image_size,
    }  # fmt: skip
    own = OwnWorld(
        name=name or world_name(game.removesuffix("-v0")),
        env="sims.retro:RetroEnv",
        env_kwargs=settings,
        picture="observation",
        image_size=image_size,
        fps=max(1, round(EMULATED_FPS / frame_skip)),
        max_episode_steps=max_episode_steps,
        action_space=space_to_json(spaces.Discrete(len(chosen))),
        action_names=tuple(chosen),
        idle_action=idle,
        keys={
            key: i for i, action in enumerate(chosen) for key in USUAL_KEYS.get(action.lower(), ())
        },
    )
    return as_world(own)


def _each_button(game: str) -> dict[str, tuple[str, ...]]:
    """Nothing, and each button of a game's console that plays."""
    import stable_retro

    system = game.removesuffix("-v0").rpartition("-")[2]
    buttons = stable_retro.get_system_info(system)["buttons"]
    played = [name for name in buttons if name and name.upper() not in _OF_NO_USE]
    return {"noop": (), **{name.lower(): (name,) for name in played}}
