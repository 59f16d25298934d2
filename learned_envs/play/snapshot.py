"""What the window is shown of a running stage, and which pictures that makes."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

import numpy as np


class Mode(StrEnum):
    """What is played."""

    REAL = "real"
    DREAM = "dream"
    SIDE = "side by side"
    BLEND = "blend"
    REPLAY = "replay"


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Game:
    """One of the two games as it stands.

    Attributes:
        frame: (H, W, 3) uint8, read-only.
        score: Sum of rewards since the game began.
        step: Steps since the game began.
        over: Whether it has ended.
    """

    frame: np.ndarray
    score: float = 0.0
    step: int = 0
    over: bool = False


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Snapshot:
    """A stage at one moment. Nothing in it changes afterwards.

    Attributes:
        number: Ticks played so far; grows by one with each.
        mode: What is played.
        modes: What could be played.
        real: The real game, or the recording; None if it has not begun.
        dream: The dream; None if it has not begun.
        action: The latest action sent.
        doubts: (n,) float64, doubt of the latest steps of the dream, oldest first.
        step_ms: Milliseconds a dream step takes, averaged over about ten; nan before the first.
        change: (h, w) float32, mean absolute change of the latent in the latest dream step or None.
        norms: Name of each block of the network and the root mean square of what it put out, in the
            order of their work; empty if nobody asked for it.
        path: Where the pointer was in the latest steps, u and v in [0, 1], oldest first; None where
            it was nowhere. Empty in a world that is not played with one.
        sampler_steps: Of a diffusion model, else None.
        seed: Of the latest reset.
        paused: Whether ticks wait.
        speed: Share of the world's own rate.
        rate: Ticks in the latest second; nan if not known.
        loading: Whether the worlds are still being made.
        error: What went wrong, or empty. Nothing moves until a reset.
    """

    number: int = 0
    mode: Mode = Mode.REAL
    modes: tuple[Mode, ...] = ()
    real: Game | None = None
    dream: Game | None = None
    action: Any = None
    doubts: np.ndarray = field(default_factory=lambda: np.empty(0))
    step_ms: float = float("nan")
    change: np.ndarray | None = None
    norms: tuple[tuple[str, float], ...] = ()
    path: tuple[tuple[float, float] | None, ...] = ()
    sampler_steps: int | None = None
    seed: int = 0
    paused: bool = False
    speed: float = 1.0
    rate: float = float("nan")
    loading: bool = False
    error: str = ""

    @property
    def doubt(self) -> float:
        """Of the latest dream step, in [0, 1]; nan before the first."""
        return float(self.doubts[-1]) if self.doubts.size else float("nan")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Picture:
    """One picture of the one or two that a mode shows.

    Attributes:
        title: Shown above it.
        frame: (H, W, 3) uint8.
        game: Whose score and step are shown.
        dreamed: Whether the dream is in it.
    """

    title: str
    frame: np.ndarray
    game: Game
    dreamed: bool


def pictures(snapshot: Snapshot, weight: float) -> tuple[Picture, ...]:
    """The pictures that a mode shows.

    Args:
        snapshot: Of which moment.
        weight: Share of the dream in the blend, in [0, 1].
    """
    real, dream, mode = snapshot.real, snapshot.dream, snapshot.mode
    left = "recorded" if mode is Mode.REPLAY else "real"
    shown = []
    if mode is Mode.BLEND and real is not None and dream is not None:
        mixed = (1 - weight) * real.frame + weight * dream.frame
        frame = np.rint(mixed).astype(np.uint8)
        return (Picture(title="dream over real", frame=frame, game=real, dreamed=True),)
    if mode is not Mode.DREAM and real is not None:
        shown.append(Picture(title=left, frame=real.frame, game=real, dreamed=False))
    if mode is not Mode.REAL and dream is not None:
        shown.append(Picture(title="dream", frame=dream.frame, game=dream, dreamed=True))
    return tuple(shown)
