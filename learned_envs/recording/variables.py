"""What a world says of itself beside its frames: the metadata of a recording."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from learned_envs.data.episode import Episode
from learned_envs.recording.values import Values


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Variable:
    """One variable of a recording.

    Attributes:
        name: As the world calls it.
        dtype: Holds the values of all episodes.
        shape: Of its value at one frame; None if that differs from episode to episode.
        episodes: How many episodes have it.
        values: Of all frames; those of a vector are counted together.
    """

    name: str
    dtype: np.dtype
    shape: tuple[int, ...] | None
    episodes: int
    values: Values


class Variables:
    """Looks at the metadata of one episode after the other."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def add(self, episode: Episode) -> None:
        """Counts what the episode has."""
        for name, array in episode.metadata.items():
            seen = self._seen.setdefault(name, _Seen())
            seen.shapes.add(array.shape[1:])
            seen.dtypes.add(array.dtype)
            seen.episodes += 1
            seen.values.add(array)

    def found(self) -> tuple[Variable, ...]:
        """What the episodes had, in the order of names."""
        return tuple(
            Variable(
                name=name,
                dtype=np.result_type(*seen.dtypes),
                shape=next(iter(seen.shapes)) if len(seen.shapes) == 1 else None,
                episodes=seen.episodes,
                values=seen.values,
            )
            for name, seen in sorted(self._seen.items())
        )


@dataclass(kw_only=True, slots=True, eq=False)
class _Seen:
    shapes: set[tuple[int, ...]] = field(default_factory=set)
    dtypes: set[np.dtype] = field(default_factory=set)
    episodes: int = 0
    values: Values = field(default_factory=Values)
