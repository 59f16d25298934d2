"""Writing so that a reader finds the old or the new, never half of it, whenever a writer dies."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

ABANDONED_SECONDS = 3600.0
_SWAP = {"linux": "renameat2", "darwin": "renameatx_np"}
_HERE = {"linux": -100, "darwin": -2}  # AT_FDCWD: paths are relative to the working directory
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


class FullDiskError(OSError):
    """A disk or a quota is full; the message says what is kept and what to do."""


@contextlib.contextmanager
def full_disk_says(message: str) -> Iterator[None]:
    """Gives the error of a full disk or quota a message, unless it has one from further inside.

    Raises:
        FullDiskError: With the same `errno`, instead of the one raised inside.
    """
    try:
        yield
    except OSError as error:
        if isinstance(error, FullDiskError) or error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FullDiskError(error.errno, message) from error


@contextlib.contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Keeps a folder, which is made, to this process; the system lets go of it however this ends.

    Raises:
        ValueError: If another process has it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        held = FileLock(folder / "lock").acquire(timeout=0)
    except Timeout as error:
        raise ValueError(
            f"{folder} is being written by another process: wait for its end, or stop it "
            "(`kill`; one in the background does not hear Ctrl-C)"
        ) from error
    with held:
        yield


def replace_file(path: Path, content: bytes) -> None:
    """Writes a file under a temporary name and renames it, so that `path` never holds half of it.

    Raises:
        OSError: If it cannot be written; then what stood there still does.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def replace_folder(folder: Path, by: Path) -> None:
    """Puts folder `by` in the place of `folder`; what stood there is removed.

    Linux and macOS swap the two in one step. Where the system or its disk cannot (Windows, some
    network disks), `folder` is gone for an instant, and a writer that is killed in it leaves the
    old one whole beside it, as `<name>.old`.
    """
    if not folder.exists():
        os.replace(by, folder)
        return
    if not _swapped(by, folder):
        old = folder.with_name(f"{folder.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        os.replace(folder, old)
        os.replace(by, folder)
        by = old
    shutil.rmtree(by, ignore_errors=True)


def _swapped(one: Path, other: Path) -> bool:
    """Exchanges two folders in one step; False where that cannot be done."""
    if sys.platform not in _SWAP:
        return False
    swap = getattr(ctypes.CDLL(None), _SWAP[sys.platform], None)
    here = _HERE[sys.platform]
    return swap is not None and not swap(
        here, os.fsencode(one), here, os.fsencode(other), _EXCHANGE
    )


def remove_abandoned(folder: Path, pattern: str) -> None:
    """Removes the temporary folders that writers which were killed left an hour ago or earlier."""
    for temporary in folder.glob(pattern):
        try:
            age = time.time() - temporary.stat().st_mtime
        except FileNotFoundError:  # renamed by its writer in this moment
            continue
        if age > ABANDONED_SECONDS:
            shutil.rmtree(temporary, ignore_errors=True)
