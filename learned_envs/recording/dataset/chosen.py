"""The episodes of a recording that are exported, and what they have in common."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import get_args

import numpy as np

from learned_envs.data.episode import Episode, Split
from learned_envs.data.store import EpisodeStore
from learned_envs.recording.variables import Variable, Variables


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """What all exported episodes share.

    Attributes:
        fps: Steps a second.
        action_names: A name for each discrete action, or for each component.
        action_shape: Of one action; () for discrete ones.
        frame_size: (H, W).
    """

    fps: float
    action_names: tuple[str, ...]
    action_shape: tuple[int, ...]
    frame_size: tuple[int, int]


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Chosen:
    """Some episodes of a recording, all of one kind.

    Attributes:
        store: The recording.
        names: Of the episodes.
        split: Which part of the recording they are; None for all of it.
        kind: What they share.
        action_dtype: Holds the actions of all.
        variables: Metadata that has one shape wherever it occurs.
        uneven: Names of metadata whose shape differs from episode to episode.
    """

    store: EpisodeStore
    names: tuple[str, ...]
    split: Split | None
    kind: Kind
    action_dtype: np.dtype
    variables: tuple[Variable, ...]
    uneven: tuple[str, ...]


def choose(recordings: str | os.PathLike[str], split: str | None) -> Chosen:
    """Opens a recording and looks through it, frames left aside.

    Args:
        recordings: A path or fsspec URL.
        split: `train`, `validation` or `test`; None for all episodes.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If there is no such split, the folder is empty or damaged, or its episodes
            differ in rate, size or actions.
    """
    known = get_args(Split)
    part = next((each for each in known if each == split), None)
    if part != split:
        raise ValueError(f"`split` (={split!r}) must be one of {known}, or None for all episodes")
    store = EpisodeStore(recordings)
    names = store.names() if part is None else store.needed(part)
    kinds: dict[Kind, str] = {}
    dtypes: set[np.dtype] = set()
    variables = Variables()
    for name in names:
        episode = store.read(name, lazy=True)
        kinds.setdefault(_kind(episode), name)
        dtypes.add(episode.action.dtype)
        variables.add(episode)
    if len(kinds) > 1:
        (one, first), (other, second), *_ = kinds.items()
        raise ValueError(
            f"{second} has {other}, but {first} has {one}: an export holds episodes of one kind, "
            "so give each kind a recordings folder of its own"
        )
    found = variables.found()
    return Chosen(
        store=store,
        names=names,
        split=part,
        kind=next(iter(kinds)),
        action_dtype=np.result_type(*dtypes),
        variables=tuple(variable for variable in found if variable.shape is not None),
        uneven=tuple(variable.name for variable in found if variable.shape is None),
    )


def _kind(episode: Episode) -> Kind:
    _, height, width, _ = episode.observation.shape
    return Kind(
        fps=episode.attributes.fps,
        action_names=episode.attributes.action_names,
        action_shape=episode.action.shape[1:],
        frame_size=(height, width),
    )
