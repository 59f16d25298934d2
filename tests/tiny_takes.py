"""Small takes of a world that nobody knows, with metadata."""

from pathlib import Path

import numpy as np

from learned_envs.data import Episode, EpisodeAttributes, EpisodeStore, EpisodeWriter

NAMES = ("stay", "rise", "fall")
SIZE = (6, 10)


def take_of(
    steps: int,
    seed: int = 0,
    *,
    behaviour: str = "up",
    vectors: bool = False,
    size: tuple[int, int] = SIZE,
    fps: float = 15,
    metadata: dict[str, np.ndarray] | None = None,
) -> Episode:
    """A take of noise: discrete actions, or three components, and `score` and `lives` if not told.

    Takes with even seeds end, the others are cut.
    """
    random = np.random.default_rng(seed)
    end = np.arange(steps) == steps - 1
    told = {"score": np.arange(steps + 1) * 10, "lives": np.full(steps + 1, 3, np.int8)}
    return Episode(
        observation=random.integers(256, size=(steps + 1, *size, 3), dtype=np.uint8),
        action=random.random((steps, 3), np.float32) if vectors else np.arange(steps) % 3,
        reward=random.integers(3, size=steps).astype(np.float32),
        terminated=end & (seed % 2 == 0),
        truncated=end & (seed % 2 == 1),
        metadata=told if metadata is None else metadata,
        attributes=EpisodeAttributes(
            world="hill", fps=fps, seed=seed, behaviour=behaviour, action_names=NAMES
        ),
    )


def recorded(folder: Path, *takes: Episode) -> EpisodeStore:
    """Writes takes as a recording."""
    writer = EpisodeWriter(folder, "hill")
    for take in takes:
        writer.write_take(take)
    return EpisodeStore(folder)


def spoil_frames(store: EpisodeStore, name: str) -> bytes:
    """Writes other bytes over an episode's frames, as many as there were; returns those."""
    (frames,) = (Path(store.folder.path(name)) / "observation" / "c").rglob("0/0/0/0")
    content = frames.read_bytes()
    frames.write_bytes(bytes(len(content)))
    return content
