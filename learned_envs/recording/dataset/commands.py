"""What `learned-envs dataset` does with a recording."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from learned_envs.data.episode import Split


def card(folder: tyro.conf.Positional[str], /, *, out: Path | None = None) -> None:
    """Prints a Markdown page that describes a recording.

    Args:
        folder: Of the recording.
        out: Also write it to this file, such as the folder's README.md.
    """
    from learned_envs.disk import replace_file
    from learned_envs.recording.dataset.card import dataset_card
    from learned_envs.recording.inspect import inspect

    if out is not None and out.is_dir():
        raise ValueError(f"`--out` (={out}) is a folder, expected a file, as {out / 'README.md'}")
    text = dataset_card(inspect(folder, progress=True, frames=False))
    print(text, end="")
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        replace_file(out, text.encode())


def export(
    folder: tyro.conf.Positional[str],
    /,
    *,
    to: Literal["minari", "parquet"],
    out: Path,
    split: Split | None = None,
) -> None:
    """Exports a recording for other libraries: as a Minari dataset, or as videos and a table.

    Args:
        folder: Of the recording.
        to: `minari`, or `parquet`: a lossless MP4 video for each episode, one Parquet table of all
            steps, and a manifest.
        out: Folder to write to. Of `parquet`, videos that are there already are kept.
        split: Only this part of the recording.
    """
    if to == "minari":
        from learned_envs.recording.dataset.minari_export import export_minari as export_as
    else:
        from learned_envs.recording.dataset.parquet_export import export_parquet as export_as
    print(export_as(folder, out, split=split, progress=True))


DATASET: dict[str, Callable[..., Any]] = {"card": card, "export": export}

Command = (
    Annotated[None, tyro.conf.subcommand("card", constructor=card)]
    | Annotated[None, tyro.conf.subcommand("export", constructor=export)]
)
"""For tyro: one of `DATASET`."""
