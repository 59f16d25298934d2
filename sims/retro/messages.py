"""What an emulator and whoever plays it say to each other: JSON, and bytes beside it."""

import json
import struct
from typing import IO, Any

import numpy as np


def send(pipe: IO[bytes], message: Any) -> None:
    """Writes a message of what JSON knows, of bytes, and of uint8 arrays.

    How many parts it has and how long they are, as little-endian integers, then the parts: the
    text, and what was set aside from it.
    """
    aside: list[bytes] = []

    def set_aside(value: Any) -> dict[str, Any]:
        if not isinstance(value, bytes | np.ndarray):
            raise TypeError(f"{value!r} cannot be sent to an emulator")
        shape = None if isinstance(value, bytes) else value.shape
        aside.append(value if isinstance(value, bytes) else value.tobytes())
        return {"part": len(aside), "shape": shape}

    text = json.dumps(message, default=set_aside).encode()
    parts = [text, *aside]
    pipe.write(struct.pack(f"<I{len(parts)}Q", len(parts), *map(len, parts)))
    for part in parts:
        pipe.write(part)
    pipe.flush()


def receive(pipe: IO[bytes]) -> Any:
    """Reads what `send` wrote; tuples have become lists.

    Raises:
        EOFError: If the other end is gone.
    """
    (count,) = struct.unpack("<I", _read(pipe, 4))
    sizes = struct.unpack(f"<{count}Q", _read(pipe, 8 * count))
    text, *aside = (_read(pipe, size) for size in sizes)

    def put_back(found: dict[str, Any]) -> Any:
        if found.keys() != {"part", "shape"}:
            return found
        part = aside[found["part"] - 1]
        if found["shape"] is None:
            return part
        return np.frombuffer(part, np.uint8).reshape(found["shape"])

    return json.loads(text, object_hook=put_back)


def _read(pipe: IO[bytes], size: int) -> bytes:
    read = pipe.read(size)
    if len(read) < size:
        raise EOFError
    return read
