"""Held-out play to measure on: of the real world itself, or of a recording's test split."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from learned_envs.data.store import EpisodeStore
from learned_envs.data.window import Window
from learned_envs.data.windows import StoreWindows
from learned_envs.dream.weights import PACKAGED
from learned_envs.recording.footage.video import Clip, import_video
from learned_envs.recording.live import LiveWindows, affordable_rows
from learned_envs.recording.opened import recordings_of
from learned_envs.worlds import World

CLIPS = "held_out"
"""Folder of the footage that comes with a world, where its packaged weights are."""


def held_out_windows(
    world: World,
    recordings: str | None,
    *,
    rows: int,
    steps: int,
    seed: int,
) -> Iterator[Window]:
    """Endless windows of play that no model was trained on, of the real world from mid-episode on.

    Args:
        world: What is played.
        recordings: Folder of a recording whose test split is taken; None to play the real world.
        rows: In a window; of large frames as many as windows of 256 MiB hold.
        steps: In a window.
        seed: Of everything random.

    Raises:
        ValueError: If neither is there, or no episode of the test split has so many steps.
    """
    rows = affordable_rows(world, rows, steps)
    if recordings is not None:
        store = recordings_of(world, recordings)
        return StoreWindows(
            store, "test", batch=rows, length=steps, seed=seed, start_share=0.0, whole=True
        )
    if world.own is not None:
        raise ValueError(
            f"{world.name} is a world of one's own, which is measured on the test split of a "
            "recording: give its folder (--recordings)"
        )
    return LiveWindows(world, rows, steps, seed, warm_up=world.max_episode_steps // 2)


def longest_held_out(store: EpisodeStore) -> int:
    """Steps of the longest episode of a recording's test split; 0 if it has none."""
    return max((store.headers[name].steps for name in store.names("test")), default=0)


def held_out_footage(world: World) -> str | None:
    """A recording's folder: of the footage that comes with the library for a world, if any does.

    It is imported once, into a folder that is gone when the process ends. All of it is the test
    split: no model was trained on it.

    Raises:
        gymnasium.error.DependencyNotInstalled: If PyAV is missing.
    """
    clips = PACKAGED / world.name / CLIPS
    return _imported(world.name, clips).name if world.known_as and clips.is_dir() else None


@cache
def _imported(name: str, clips: Path) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix=f"{name}-")
    films = [Clip(film, film.with_suffix(".csv")) for film in sorted(clips.glob("*.mp4"))]
    import_video(films, folder.name, name=name, progress=False)
    return folder
