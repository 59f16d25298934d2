"""Pictures and films of what was played, written without holding up the window."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from learned_envs.evaluation.film import Reel, write_film
from learned_envs.play.snapshot import Mode, Snapshot, pictures

Write = Callable[[Path], None]
_SCALED_TO = 512
"""Screen pixels across a picture."""


class Saver:
    """Writes to files on threads of its own, one a file.

    Args:
        folder: Made if missing.
        name: Files begin with it.

    Attributes:
        note: What became of the latest file, for the person.
    """

    def __init__(self, folder: Path, name: str):
        self.note = ""
        self._folder, self._name = folder, name
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def png(self, snapshot: Snapshot, weight: float) -> None:
        """Saves the pictures of one moment."""
        self._start(".png", snapshot.mode, lambda path: write_png(path, snapshot, weight))

    def gif(self, snapshots: Sequence[Snapshot], weight: float, fps: int) -> None:
        """Saves a film of some moments."""
        if not snapshots:
            self.note = "nothing was played yet"
            return
        mode = snapshots[-1].mode
        self._start(".gif", mode, lambda path: write_gif(path, snapshots, weight=weight, fps=fps))

    def wait(self) -> None:
        """Waits until all is written."""
        for thread in self._threads:
            thread.join()

    def _start(self, suffix: str, mode: Mode, write: Write) -> None:
        self.note = f"saving a {suffix[1:].upper()} …"
        thread = threading.Thread(target=self._save, args=(suffix, mode, write))
        self._threads.append(thread)
        thread.start()

    def _save(self, suffix: str, mode: Mode, write: Write) -> None:
        try:
            with self._lock:  # so that no two choose one name
                path = self._free_path(f"{self._name}-{mode.value.replace(' ', '-')}", suffix)
                write(path)
            self.note = f"saved {path}"
        except (OSError, ValueError) as error:
            self.note = f"could not save: {error}"

    def _free_path(self, stem: str, suffix: str) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        number = 1
        while (path := self._folder / f"{stem}-{number}{suffix}").exists():
            number += 1
        return path


def write_png(path: Path, snapshot: Snapshot, weight: float) -> None:
    """Writes the pictures of a moment, side by side and enlarged to whole pixels."""
    frames = [picture.frame for picture in pictures(snapshot, weight)]
    if not frames:
        raise ValueError("there is no picture yet")
    row = np.concatenate(frames, axis=1)
    factor = _factor(frames[0])
    Image.fromarray(row.repeat(factor, 0).repeat(factor, 1)).save(path)


def write_gif(path: Path, snapshots: Sequence[Snapshot], *, weight: float, fps: int) -> None:
    """Writes moments of one mode as a film for ever repeating, at the world's own rate.

    Args:
        path: File to write.
        snapshots: At least one.
        weight: Share of the dream in the blend.
        fps: Frames a second.
    """
    moments = [pictures(snapshot, weight) for snapshot in snapshots]
    moments = [shown for shown in moments if len(shown) == len(moments[-1])]
    if len(moments[-1]) == 2:
        doubt = np.array([snapshot.doubt for snapshot in snapshots[-len(moments) :]])
        reels = [
            Reel(
                title=moments[-1][side].title,
                frames=np.stack([shown[side].frame for shown in moments]),
                score=np.array([shown[side].game.score for shown in moments]),
                doubt=doubt if side else np.full(len(moments), np.nan),
            )
            for side in (0, 1)
        ]
        factor = max(_factor(moments[-1][0].frame) // 2, 1)
        caption = f"seed {snapshots[-1].seed}"
        write_film(path, *reels, caption=caption, fps=fps, scale=factor)
        return
    factor = max(_factor(moments[-1][0].frame) // 2, 1)
    images = [
        Image.fromarray(shown[0].frame.repeat(factor, 0).repeat(factor, 1)) for shown in moments
    ]
    ends = np.rint(np.arange(len(images) + 1) * 100 / fps).astype(int)
    images[0].save(
        path, save_all=True, append_images=images[1:], loop=0,
        duration=(10 * np.diff(ends)).tolist(),
    )  # fmt: skip


def _factor(frame: np.ndarray) -> int:
    return max(_SCALED_TO // frame.shape[1], 1)
