"""Recordings as films and one table: what any reader of MP4 and Parquet can use.

`videos/<episode>.mp4` holds the frames of one episode, bit by bit (H.264 of RGB without loss).
`steps.parquet` has a row for each frame; see `StepTable`. `manifest.json` says what they are of. It
is written first and the table last, so a folder with a table is whole; each file is written under
another name and renamed.
"""

from __future__ import annotations

import io
import json
import os
from pathlib import Path
from typing import Any

from tqdm import tqdm

from learned_envs.data.episode import Episode
from learned_envs.disk import full_disk_says, replace_file
from learned_envs.recording.dataset.chosen import Chosen, choose
from learned_envs.recording.dataset.exported import Exported, out_folder
from learned_envs.recording.dataset.extra import import_extra
from learned_envs.recording.dataset.step_table import StepTable
from learned_envs.recording.footage.encoder import encoder

MANIFEST = "manifest.json"
TABLE = "steps.parquet"
VIDEOS = "videos"
_FORMAT = "learned_envs steps and videos"
_VERSION = 1
_SAME = ("format", "version", "world", "split", "fps", "frame_size", "action_names", "action_shape")


def export_parquet(
    recordings: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    split: str | None = None,
    progress: bool = False,
) -> Exported:
    """Writes a film for each episode and one table of all their steps.

    Run again, it goes on: films that are there are kept, the table is written anew. One episode at
    a time is in memory.

    Args:
        recordings: A recordings folder or fsspec URL.
        out: Folder to write to.
        split: `train`, `validation` or `test`; None for all episodes, of which each row names its
            split.
        progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: If there are no such recordings.
        ValueError: If they cannot be exported as one (see `choose`), or `out` holds something else.
        OSError: If the disk is full; all that was written before is whole.
        gymnasium.error.DependencyNotInstalled: If pyarrow or PyAV is missing.
    """
    import_extra("pyarrow")
    import_extra("av")
    chosen = choose(recordings, split)
    manifest = _manifest(chosen)
    folder = out_folder(out, lambda entry: entry.with_name(MANIFEST).is_file())
    _check_same(folder / MANIFEST, manifest)
    videos = folder / VIDEOS
    videos.mkdir(exist_ok=True)
    with full_disk_says(
        f"no space is left for {folder}. Whole videos are kept: free some space and run the same "
        "command again to go on"
    ):
        replace_file(folder / MANIFEST, (json.dumps(manifest, indent=1) + "\n").encode())
        for name in tqdm(chosen.names, unit="video", disable=not progress):
            if not (video := videos / f"{name}.mp4").exists():
                replace_file(video, _video(chosen.store.read(name)))
        _write_table(folder / TABLE, chosen)
    return Exported(
        folder=folder,
        episodes=len(chosen.names),
        left_out=chosen.uneven,
        reading=f"frames in {VIDEOS}/, steps in {TABLE}, what they are of in {MANIFEST}",
    )


def _manifest(chosen: Chosen) -> dict[str, Any]:
    kind = chosen.kind
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "world": chosen.store.world,
        "split": chosen.split,
        "fps": kind.fps,
        "frame_size": list(kind.frame_size),
        "videos": "H.264, RGB, lossless",
        "action_names": list(kind.action_names),
        "action_shape": list(kind.action_shape),
        "metadata": {
            v.name: {"dtype": v.dtype.name, "shape": list(v.shape or ())} for v in chosen.variables
        },
    }


def _check_same(path: Path, manifest: dict[str, Any]) -> None:
    """Raises a ValueError if another export's manifest stands at `path`."""
    if not path.is_file():
        return
    try:
        there = dict(json.loads(path.read_bytes()))
    except (ValueError, TypeError):
        there = {}
    differing = [name for name in _SAME if there.get(name) != manifest[name]]
    if differing:
        told = ", ".join(f"{n} {there.get(n)!r}, not {manifest[n]!r}" for n in differing)
        raise ValueError(
            f"`out` (={path.parent}) holds another export ({told}): give each a folder of its own"
        )


def _video(episode: Episode) -> bytes:
    """The frames of an episode as an MP4 file."""
    frames, content = episode.observation[:], io.BytesIO()
    with encoder(content, episode.attributes.fps, frames.shape[1:3], lossless=True) as encode:
        for frame in frames:
            encode(frame)
    return content.getvalue()


def _write_table(path: Path, chosen: Chosen) -> None:
    """Writes the steps of all episodes, a row group for each."""
    table = StepTable(chosen)
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        with import_extra("pyarrow.parquet").ParquetWriter(temporary, table.schema) as writer:
            for name in chosen.names:
                episode = chosen.store.read(name, lazy=True)
                writer.write_table(table.rows(episode, f"{VIDEOS}/{name}.mp4"))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
