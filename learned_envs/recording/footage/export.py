"""Recordings as footage: a video and a file of inputs, as `import_video` reads them."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from learned_envs.data.episode import Episode
from learned_envs.recording.footage.encoder import encoder
from learned_envs.recording.footage.input_log import TIME


def export_clip(
    episodes: Iterable[Episode],
    video: str | os.PathLike[str],
    inputs: str | os.PathLike[str],
    *,
    scale: int = 4,
) -> int:
    """Writes episodes as one clip, and what was done at each of its frames as a CSV file.

    Parts of a take go on where the one before ended; anything else follows behind a cut, at which
    nothing is done. One episode at a time is in memory.

    Args:
        episodes: At least one, all of one world and size, such as an `EpisodeStore`.
        video: File to write, of a kind that holds H.264: `.mp4`, `.mkv`. Where PyAV has no encoder
            for it, MPEG-4 is written.
        inputs: CSV file to write: the time of each frame and a column for each component of the
            actions, or a held one for each discrete action.
        scale: Pixels of the video for one of the frames, on each side. At 1, colours blur: videos
            keep them at half the resolution.

    Returns:
        The number of frames.

    Raises:
        ValueError: If there are no episodes, or they differ in rate, size or actions.
        gymnasium.error.DependencyNotInstalled: If PyAV is missing.
    """
    remaining = iter(episodes)
    first = next(remaining, None)
    if first is None:
        raise ValueError("no episodes were given to export: expected at least one")
    about, (_, height, width, _) = first.attributes, first.observation.shape
    frames = 0
    with (
        encoder(Path(video), about.fps, (scale * height, scale * width)) as encode,
        Path(inputs).open("w", newline="", encoding="utf-8") as file,
    ):
        table = csv.writer(file)
        table.writerow([TIME, *about.action_names])
        for frame, action in _moments(chain([first], remaining)):
            if frame.shape != (height, width, 3):
                raise ValueError(
                    f"an episode has frames {frame.shape}, expected {(height, width, 3)} as in the "
                    "first: export each size to a clip of its own"
                )
            encode(frame.repeat(scale, 0).repeat(scale, 1))
            table.writerow([repr(frames / about.fps), *action.tolist()])
            frames += 1
    return frames


def _moments(episodes: Iterable[Episode]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Each frame (H, W, 3) with the action (components,) that follows it."""
    before = pending = None
    for episode in episodes:
        about, vectors = episode.attributes, _vectors(episode)
        if before and (before.fps, before.action_names) != (about.fps, about.action_names):
            raise ValueError(
                f"{about.name} has {about.fps:g} steps a second and the actions "
                f"{about.action_names}, {before.name} before it {before.fps:g} and "
                f"{before.action_names}: export them to clips of their own"
            )
        goes_on = before and (before.take, before.part + 1) == (about.take, about.part)
        if pending and not goes_on:
            yield pending
        frames = episode.observation[:]
        yield from zip(frames[:-1], vectors, strict=True)
        before, pending = about, (frames[-1], np.zeros_like(vectors[0]))
    if pending:
        yield pending


def _vectors(episode: Episode) -> np.ndarray:
    """(T, components), discrete actions as ones among zeros."""
    about, action = episode.attributes, episode.action
    if action.ndim > 1:
        return action.reshape(len(action), -1)
    hot = action[:, None] == np.arange(len(about.action_names))
    if not hot.any(1).all():
        raise ValueError(
            f"{about.name} has actions from {action.min()} to {action.max()}, expected places in "
            f"its action names {about.action_names}"
        )
    return hot.astype(np.uint8)
