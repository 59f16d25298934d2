"""What `learned-envs record` does besides playing a world that the library knows by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro


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
        env: Its id (`ALE/Pong-v5`), or the import path of its class (`package.module:MyEnv`).
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
    from learned_envs.recording.capture.screen import record_screen

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


def video(
    clips: Annotated[tuple[Path, ...], tyro.conf.Positional],
    /,
    *,
    out: Path,
    inputs: tuple[Path, ...] = (),
    name: str | None = None,
    fps: int = 15,
    size: tuple[int, int] | None = None,
    columns: str | None = None,
    kinds: str = "",
    tolerance: float = 0.05,
    offset: float = 0.0,
) -> None:
    """Makes a recording of videos and logs of what was pressed meanwhile.

    Args:
        clips: Videos of one game.
        out: Folder of the recording; what it holds already is kept.
        inputs: A CSV of each clip's inputs, in the same order; those beside the clips, called like
            them, if not given.
        name: Of the world; that of the folder of the recording if not given.
        fps: Steps a second.
        size: Height and width of the recorded pictures; about 64 at the shorter side if not given.
        columns: Which inputs become actions, as in w,a,s,d; all of them if not given.
        kinds: How inputs are read, as in w=held,dx=delta,throttle=value; guessed if not given.
        tolerance: Seconds that frames and inputs may be away from where they should be.
        offset: Seconds that are added to the times of all inputs.
    """
    from learned_envs.recording.footage.video import Clip, import_video
    from learned_envs.worlds.own import world_name

    logs = inputs or tuple(clip.with_suffix(".csv") for clip in clips)
    if len(logs) != len(clips):
        raise ValueError(
            f"{len(clips)} clips and {len(logs)} files of inputs were given: one for each clip"
        )
    told: dict[str, Any] = {}
    for part in filter(None, kinds.split(",")):
        column, _, told[column] = part.partition("=")
    print(
        import_video(
            [Clip(*pair, offset) for pair in zip(clips, logs, strict=True)], out,
            name=name or world_name(out.name), fps=fps, image_size=size,
            columns=columns.split(",") if columns else None,
            kinds=told or None,
            tolerance=tolerance,
        )
    )  # fmt: skip


SOURCES: dict[str, Callable[..., Any]] = {"gym": gym, "screen": screen, "video": video}
"""By the word that stands in place of a world's name."""
