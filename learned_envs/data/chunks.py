"""Recordings as short raw chunks: what a loader without Zarr, in a browser say, can read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from learned_envs.data.store import EpisodeStore
from learned_envs.disk import full_disk_says, replace_file


def export_chunks(
    recordings: str | os.PathLike[str], out: str | os.PathLike[str], *, seconds: float = 6.0
) -> Iterator[Path]:
    """Writes every episode as chunks of raw frames and their actions; those there already are kept.

    A chunk is two files. `NAME_frames.bin` holds n frames, (n, H, W, 4) uint8 RGBA in C order,
    alpha 255. `NAME_meta.json` holds `world`, `behaviour`, `seed`, `fps`, `width`, `height`,
    `frames` (n), `first_frame` (the chunk's place in its take), `action_names`, `actions`
    (`actions[i]` takes frame i to frame i + 1; the last leads to the next chunk's first frame, and
    a take's last chunk is one short) and `actions_before`: all of the take before the chunk. What
    an action of before still does in the chunk, such as a ripple, thus has its cause beside it.

    Args:
        recordings: A recordings folder or fsspec URL.
        out: Folder to write to.
        seconds: Length of a chunk; the last of a part may be shorter.

    Yields:
        The path of each chunk's `_meta.json`, which is written last.

    Raises:
        FileNotFoundError: If there are no such recordings.
        ValueError: If `seconds` is shorter than two frames, or a part of a take is missing.
    """
    store, folder = EpisodeStore(recordings), Path(out)
    before: dict[str, list[object]] = {}  # actions of each take so far
    parts: dict[str, int] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for name in store.names():
        episode = store.read(name)
        about = episode.attributes
        length = round(seconds * about.fps)
        if length < 2:
            raise ValueError(
                f"`seconds` (={seconds}) is {length} frames at {about.fps:g} a second: give more"
            )
        if about.part != parts.get(about.take, 0):
            raise ValueError(
                f"{name} goes on where a part that is not in {store.folder.name} ends, so the "
                "actions before it are unknown: record the take again, or remove this part"
            )
        parts[about.take] = about.part + 1
        played = before.setdefault(about.take, [])
        offset, actions = len(played), episode.action.tolist()
        frames = episode.steps + about.last  # a part's last frame is the next one's first
        for begin in range(0, frames, length):
            end = min(begin + length, frames)
            yield _write(
                folder / f"{about.take}-f{offset + begin:06d}",
                episode.observation[begin:end],
                {
                    "world": about.world, "behaviour": about.behaviour, "seed": about.seed,
                    "fps": about.fps, "first_frame": offset + begin,
                    "action_names": about.action_names, "actions": actions[begin:end],
                    "actions_before": [*played, *actions[:begin]],
                },
            )  # fmt: skip
        played += actions


def _write(name: Path, frames: np.ndarray, about: dict[str, object]) -> Path:
    count, height, width = frames.shape[:3]
    meta = name.with_name(f"{name.name}_meta.json")
    if meta.exists():
        return meta
    pixels = np.dstack([frames.reshape(-1, width, 3), np.full((count * height, width), 255, "u1")])
    about |= {"width": width, "height": height, "frames": count}
    with full_disk_says(
        f"no space is left for {name.parent}. Whole chunks are kept: free some space and run the "
        "same command again to go on"
    ):
        replace_file(name.with_name(f"{name.name}_frames.bin"), pixels.tobytes())
        replace_file(meta, (json.dumps(about) + "\n").encode())
    return meta
