"""What happens to files, and to the processes that write them: flipped bits, full disks, kills."""

import errno
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_WRITING, _REMOVING = ("open", "half", "os.rename", "os.mkdir"), ("os.remove", "os.rmdir")


def flipped(content: bytes, bit: int) -> bytes:
    """`content` with one bit turned over."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@contextmanager
def full_disk(after: int = 0) -> Iterator[None]:
    """Files are written as ever `after` times; the next holds a half of what it should."""
    write_bytes, written = Path.write_bytes, []

    def write(path: Path, content: bytes) -> int:
        written.append(path)
        if len(written) <= after:
            return write_bytes(path, content)
        write_bytes(path, content[: len(content) // 2])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "write_bytes", write)
        yield


def killed_before(
    context: Any, operation: int, folder: Path, target: Callable[..., object], *args: object
) -> bool:
    """Runs `target(*args)` in a process that dies, as under `kill -9`, before a file operation.

    Args:
        context: Of `multiprocessing`, to start the process with.
        operation: Which, from 0: what is opened, made, half written or renamed in `folder`, and
            all that is removed anywhere.
        folder: Where the process writes.
        target: What it does.
        args: With what.

    Returns:
        Whether it was killed; False if it came to its end before.
    """
    process = context.Process(target=_doomed, args=(operation, str(folder), target, args))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    killed = process.exitcode != 0
    process.close()
    return killed


def _doomed(operation: int, folder: str, target: Callable[..., object], args: Any) -> None:
    left, write_bytes = operation, Path.write_bytes

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal left
        there = event in _WRITING and str(arguments[0]).startswith(folder)
        if there or event in _REMOVING:
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    def write(path: Path, content: bytes) -> int:
        write_bytes(path, content[: len(content) // 2])
        sys.audit("half", path)
        return write_bytes(path, content)

    Path.write_bytes = write  # type: ignore[method-assign]
    sys.addaudithook(watch)
    target(*args)
