"""Clips of play at chosen ages, and the faults that are planted in them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import VectorEnv

from learned_envs.evaluation.rollouts import pieces
from learned_envs.worlds import Behaviour

LENGTH = 16
"""Frames in a clip: about a second."""

_MOST_FROM_A_ROW = 4


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clips:
    """N clips of `LENGTH` frames.

    Attributes:
        frames: (N, L, H, W, 3) uint8.
        actions: (N, L - 1, ...); `actions[:, t]` takes frame t to frame t + 1.
        row: (N,) int64, the game that each is from.
    """

    frames: np.ndarray
    actions: np.ndarray
    row: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def halves(self) -> tuple[Clips, Clips]:
        """Clips of even and of odd games: no game is in both."""
        return self.where(self.row % 2 == 0), self.where(self.row % 2 == 1)

    def where(self, chosen: np.ndarray) -> Clips:
        """The clips that `chosen`, a mask or an index (N,), picks."""
        return Clips(frames=self.frames[chosen], actions=self.actions[chosen], row=self.row[chosen])

    def first(self, count: int) -> Clips:
        """The first `count` frames of each clip, and the actions between them."""
        return Clips(
            frames=self.frames[:, :count], actions=self.actions[:, : count - 1], row=self.row
        )

    def __add__(self, other: Clips) -> Clips:
        return joined([self, other])


def collect(
    env: VectorEnv[Any, Any, Any],
    behaviour: Behaviour,
    ages: Sequence[int],
    seed: int,
    options: dict[str, Any] | None = None,
) -> dict[int, Clips]:
    """Plays a batch from a fresh reset and cuts clips from it.

    Args:
        env: Any batch that resets by itself; a row counts until its first episode ends.
        behaviour: Who plays.
        ages: Ages in steps, at least `LENGTH` - 1. A clip of an age ends there, or before it within
            a fifth of the age; at most four of a row are taken.
        seed: Of the reset.
        options: Of the reset.

    Returns:
        Clips by age.

    Raises:
        ValueError: If an age is below `LENGTH` - 1, or no row lives as long.
    """
    if min(ages) < LENGTH - 1:
        raise ValueError(f"`ages` (={list(ages)}) must be at least {LENGTH - 1}: a clip's length")
    ends = {end: age for age in ages for end in clip_ends(age)}
    cut: dict[int, list[Clips]] = {age: [] for age in ages}
    frames: list[np.ndarray] = []
    actions: list[np.ndarray] = []
    steps = pieces(env, behaviour, max(ages), seed, options, piece=1)
    for now, piece in enumerate(steps, 1):
        frames = [*(frames or [piece.frames[0]]), piece.frames[1]][-LENGTH:]
        actions = [*actions, piece.actions[0]][1 - LENGTH :]
        if now in ends:
            rows = np.flatnonzero(piece.age[1] == now)
            cut[ends[now]].append(
                Clips(
                    frames=np.stack([frame[rows] for frame in frames], 1),
                    actions=np.stack([action[rows] for action in actions], 1),
                    row=rows,
                )
            )
    found = {age: [clips for clips in parts if len(clips)] for age, parts in cut.items()}
    if short := [age for age, parts in found.items() if not parts]:
        raise ValueError(
            f"no game lived to age {short[0]} without a reset: play a more careful behaviour, or "
            "ask for younger clips"
        )
    return {age: joined(parts) for age, parts in found.items()}


def clip_ends(age: int) -> list[int]:
    """When clips of an age end: there, and before it within a fifth of the age, at most four."""
    ends = range(age, max(round(0.8 * age), LENGTH - 2), -LENGTH)
    return list(ends)[:_MOST_FROM_A_ROW]


def joined(parts: Sequence[Clips]) -> Clips:
    """All clips of some sets, at least one, as one set."""
    return Clips(
        frames=np.concatenate([part.frames for part in parts]),
        actions=np.concatenate([part.actions for part in parts]),
        row=np.concatenate([part.row for part in parts]),
    )


def freeze(clips: Clips, random: np.random.Generator) -> Clips:
    """From a moment in the first half on, the picture stands still."""
    moment = random.integers(2, LENGTH // 2, len(clips))
    time = np.minimum(np.arange(LENGTH), moment[:, None])
    return _shown(clips, clips.frames[np.arange(len(clips))[:, None], time])


def blur(clips: Clips, random: np.random.Generator) -> Clips:
    """Every pixel is the mean of its 3x3 neighbours."""
    padded = np.pad(clips.frames, ((0, 0), (0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    height, width = clips.frames.shape[2:4]
    total = np.zeros(clips.frames.shape, np.uint16)
    for y in range(3):
        for x in range(3):
            total += padded[:, :, y : y + height, x : x + width]
    return _shown(clips, (total // 9).astype(np.uint8))


def ghost(clips: Clips, random: np.random.Generator) -> Clips:
    """What moved is still seen, half as bright, where it was four frames before."""
    before = clips.frames[:, np.maximum(np.arange(LENGTH) - 4, 0)]
    mixed = (clips.frames.astype(np.uint16) + before) // 2
    return _shown(clips, np.maximum(clips.frames, mixed).astype(np.uint8))


def delay(clips: Clips, random: np.random.Generator) -> Clips:
    """Actions act three frames late: those shown are three frames early, without the last three."""
    early = clips.first(LENGTH - 3)
    return Clips(frames=early.frames, actions=clips.actions[:, 3:], row=clips.row)


FAULTS: dict[str, Callable[[Clips, np.random.Generator], Clips]] = {
    "freeze": freeze,
    "blur": blur,
    "ghost": ghost,
    "action delay": delay,
}


def _shown(clips: Clips, frames: np.ndarray) -> Clips:
    return Clips(frames=frames, actions=clips.actions, row=clips.row)
