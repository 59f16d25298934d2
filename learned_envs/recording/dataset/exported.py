"""Where an export goes, and what is said of it when it is done."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_CARD = "README.md"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exported:
    """What an export wrote.

    Attributes:
        folder: Where it is.
        episodes: How many it holds.
        left_out: Names of the metadata that it does not hold.
        reading: How it is read.
    """

    folder: Path
    episodes: int
    left_out: tuple[str, ...]
    reading: str

    def __str__(self) -> str:
        """Some lines for people."""
        lines = [f"{self.episodes:,} episodes in {self.folder}: {self.reading}"]
        if self.left_out:
            names = ", ".join(self.left_out)
            lines.append(f"left out, since not all episodes have it in one shape: {names}")
        return "\n".join(lines)


def out_folder(out: str | os.PathLike[str], belongs: Callable[[Path], bool]) -> Path:
    """Makes the folder of an export, unless it is there.

    Args:
        out: Its path.
        belongs: Tells what may be in it, besides a card and hidden files.

    Raises:
        ValueError: If it is a file, or holds something else.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"`out` (={folder}) is a file, expected a folder to write to")
    folder.mkdir(parents=True, exist_ok=True)
    for entry in sorted(folder.iterdir()):
        passed = entry.name.startswith(".") or entry.name == _CARD or entry.suffix == ".tmp"
        if not passed and not belongs(entry):
            raise ValueError(
                f"`out` (={folder}) holds {entry.name!r}, which is no part of such an export: give "
                "a folder of its own"
            )
    return folder
