"""What `learned-envs record` does besides playing a world that the library knows by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal


def gym(
    *,
    env: str,
    out: Path,
    episodes: int = 100,
    steps: int | None = None,
    policy: str | None = None,
    chance: float = 0.1,
    kwargs: str = "{}",
    picture: Literal["observation", "render"] | None = None,
    size: tuple[int, int] | None = None,
    fps: int | None = None,
    name: str | None = None,
    workers: int = 1,
    seed: int = 0,
) -> None:
    """Records episodes of any Gymnasium environment, to train a dream of it.

    Args:
        env: Its id (`ALE/Pong-v5`), or the import path of a class or function that makes it
            (`package.module:MyEnv`).
        out: Folder of the recording; what it holds already is kept and counted.
        episodes: How many episodes the folder shall hold.
        steps: Longest episode; the environment's own limit, or 1,000, if not given.
        policy: Who plays: a Stable-Baselines3 `.zip`, or the import path of a function that maps an
            observation to an action. Players who act by chance, and hold what they do, if not
            given.
        chance: Share of the steps at which a player acts by chance in place of the policy.
        kwargs: What the environment is made with, as JSON.
        picture: Whether its observation is seen or what it renders; the observation, where that is
            a picture, if not given.
        size: Height and width of the pictures; about 64 at the shorter side if not given.
        fps: Steps a second for people; what the environment asks for if not given.
        name: Of the world; made from the id if not given.
        workers: Processes.
        seed: Of the recording; different seeds share no episode.
    """
    from learned_envs.recording.policies import MakeAgent
    from learned_envs.recording.recorder import record as record_world
    from learned_envs.worlds.look import describe

    try:
        given = dict(json.loads(kwargs))
    except (ValueError, TypeError):
        raise ValueError(
            f"`--kwargs` (={kwargs!r}) must be a JSON object, such as '{{\"level\": 2}}'"
        ) from None
    own = describe(
        env, name=name, env_kwargs=given, picture=picture, image_size=size, fps=fps,
        max_episode_steps=steps,
    )  # fmt: skip
    agent = MakeAgent(policy, chance) if policy else None
    record_world(
        own.world(), out, episodes=episodes, workers=workers, seed=seed,
        agent=agent and (agent.name, agent),
    )  # fmt: skip
    print(f"learned-envs inspect {out}   shows what was recorded, and what can be trained on it")


def screen(
    *,
    out: Path,
    name: str = "screen",
    fps: int = 15,
    region: str | None = None,
    keys: str = "",
    mouse: bool = False,
    size: tuple[int, int] | None = None,
    seconds: float | None = None,
    hotkey: str = "f12",
) -> None:
    """Records a person at any program: a part of the screen, and what is done meanwhile.

    Args:
        out: Folder of the recording; what it holds already is kept.
        name: Of the world.
        fps: Frames a second.
        region: What to capture, as x,y,width,height; all of the first screen if not given.
        keys: Which keys to record, as in w,a,s,d,space; all others are ignored.
        mouse: Also record the pointer's moves and two buttons.
        size: Height and width of the recorded pictures; about 64 at the shorter side if not given.
        seconds: How long to record; until it is stopped if not given.
        hotkey: Key that stops it.
    """
    from learned_envs.recording.screen import record_screen

    place = None
    if region is not None:
        try:
            left, top, width, height = (int(number) for number in region.split(","))
        except ValueError:
            raise ValueError(
                f"`--region` (={region!r}) must be x,y,width,height in pixels, as in 0,0,640,480"
            ) from None
        place = left, top, width, height
    captured = record_screen(
        out, name=name, fps=fps, region=place, keys=tuple(filter(None, keys.split(","))),
        mouse=mouse, image_size=size, seconds=seconds, hotkey=hotkey,
    )  # fmt: skip
    print(captured)


SOURCES: dict[str, Callable[..., Any]] = {"gym": gym, "screen": screen}
"""By the word that stands in place of a world's name."""
