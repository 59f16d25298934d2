"""One recorded episode, or one part of a long one, in memory."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np

MAX_FRAMES = 900
Split = Literal["train", "validation", "test"]
_SPLIT_ENDS: tuple[tuple[Split, float], ...] = (("train", 0.8), ("validation", 0.9), ("test", 1.0))
_FILE_SAFE = re.compile(r"\w[\w.-]*")


class Frames(Protocol):
    """Frames (n, H, W, 3) uint8: an array, or something that decodes them when it is indexed."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, H, W, 3)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Always uint8."""
        ...

    def __getitem__(self, frames: slice, /) -> np.ndarray:
        """The chosen frames as an array."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class EpisodeAttributes:
    """What a recording says of itself beside its arrays.

    A take is what happened between one reset and the end; its name derives from world, behaviour
    and seed. Takes longer than `MAX_FRAMES` are kept as consecutive parts.

    Attributes:
        world: Name of the world, e.g. `breakout`.
        fps: Steps a second.
        seed: Seed of the take, from 0.
        behaviour: Who acted.
        action_names: A name for each discrete action, or for each component of a vector.
        source: Where the take comes from. Takes of one source (pieces of one video, say) always
            share a split. By default, the take itself.
        part: Place of this part in its take, from 0.
        last: Whether the take ends with this part.
    """

    world: str
    fps: float
    seed: int
    behaviour: str
    action_names: tuple[str, ...]
    source: str = ""
    part: int = 0
    last: bool = True

    def __post_init__(self) -> None:
        for name in ("world", "behaviour"):
            if not _FILE_SAFE.fullmatch(getattr(self, name)):
                raise ValueError(
                    f"`{name}` (={getattr(self, name)!r}) becomes part of a file name: use "
                    "letters, digits, '_', '-' and '.' only"
                )
        for name in ("seed", "part"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least 0")
        if not self.source:
            object.__setattr__(self, "source", self.take)

    @property
    def take(self) -> str:
        """Name of the take, e.g. `breakout-careful-000000000007`."""
        return f"{self.world}-{self.behaviour}-{self.seed:012d}"

    @property
    def name(self) -> str:
        """Name of this part, unique in a folder: its take and its number."""
        return f"{self.take}-p{self.part:03d}"

    @property
    def split(self) -> Split:
        """`train` (four in five), `validation` or `test`, by a hash of the source."""
        digest = hashlib.blake2b(self.source.encode(), digest_size=8).digest()
        position = int.from_bytes(digest, "big") / 2**64
        return next(split for split, end in _SPLIT_ENDS if position < end)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Episode:
    """T recorded steps, T >= 1, and the T + 1 frames around them.

    Attributes:
        observation: (T + 1, H, W, 3) uint8.
        action: (T, ...), numbers; `action[t]` takes frame t to frame t + 1.
        reward: (T,) float32.
        terminated: (T,) bool, may hold at the last step only.
        truncated: (T,) bool, may hold at the last step only.
        metadata: By name, (T + 1, ...) numbers.
        attributes: Where the recording comes from.

    Raises:
        ValueError: If a shape or dtype is another, or an end lies before the last step.
    """

    observation: Frames
    action: np.ndarray
    reward: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    metadata: dict[str, np.ndarray] = field(default_factory=dict)
    attributes: EpisodeAttributes

    def __post_init__(self) -> None:
        steps = len(self.action)
        if steps < 1:
            raise ValueError("an episode needs at least one step")
        _expect("observation", self.observation, (steps + 1, None, None, 3), (np.uint8,))
        _expect("action", self.action, (steps, ...), (np.number, np.bool_))
        _expect("reward", self.reward, (steps,), (np.float32,))
        for name in ("terminated", "truncated"):
            array = getattr(self, name)
            _expect(name, array, (steps,), (np.bool_,))
            if array[:-1].any():
                raise ValueError(
                    f"`{name}` holds at step {array.argmax()} of {steps}: an episode ends there, "
                    "so begin another with the next frame"
                )
        for name, array in self.metadata.items():
            if not _FILE_SAFE.fullmatch(name):
                raise ValueError(f"metadata {name!r} becomes a file name: use letters, digits, '_'")
            _expect(f"metadata/{name}", array, (steps + 1, ...), (np.number, np.bool_))

    @property
    def steps(self) -> int:
        """T, the number of steps."""
        return len(self.action)

    def parts(self, max_frames: int = MAX_FRAMES) -> Iterator[Episode]:
        """Cuts a take into consecutive parts of at most `max_frames` (at least 2) frames.

        The last frame of a part is the first of the next, so no step is lost.
        """
        length = max_frames - 1
        for part, start in enumerate(range(0, self.steps, length), self.attributes.part):
            steps = slice(start, min(start + length, self.steps))
            frames = slice(start, steps.stop + 1)
            yield Episode(
                observation=self.observation[frames],
                action=self.action[steps],
                reward=self.reward[steps],
                terminated=self.terminated[steps],
                truncated=self.truncated[steps],
                metadata={name: array[frames] for name, array in self.metadata.items()},
                attributes=dataclasses.replace(
                    self.attributes,
                    part=part,
                    last=self.attributes.last and steps.stop == self.steps,
                ),
            )


def _expect(
    name: str, array: Any, shape: tuple[Any, ...], dtypes: Sequence[type[np.generic]]
) -> None:
    fixed = shape[:-1] if shape[-1] is ... else shape
    fits = len(array.shape) == len(fixed) or (shape[-1] is ... and len(array.shape) > len(fixed))
    fits = fits and all(
        want is None or have == want for have, want in zip(array.shape, fixed, strict=False)
    )
    if not fits or not any(np.issubdtype(array.dtype, dtype) for dtype in dtypes):
        wanted = ", ".join("any" if n is None else "..." if n is ... else str(n) for n in shape)
        kinds = " or ".join(dtype.__name__ for dtype in dtypes)
        raise ValueError(
            f"`{name}` has shape {tuple(array.shape)} and dtype {array.dtype}, "
            f"expected ({wanted}) of {kinds}"
        )
