"""A small pond: red-headed fish of 22x6 pixels over a mottled ground, under one leaf."""

from collections.abc import Iterator

import numpy as np

from learned_envs.data.window import Window
from learned_envs.models.codecs.figures import FiguresConfig
from learned_envs.models.codecs.finder import FinderConfig
from learned_envs.models.codecs.sprites import SpritesConfig

SIZE = 64
FISH = (16, 32)  # pixels across and along in which a fish fits
LEAF = (32.0, 50.0, 11.0)  # x, y and radius


def config(count: int = 3) -> SpritesConfig:
    return SpritesConfig(
        count=count, shade=3, cover=8,
        finder=FinderConfig(widths=(12, 20), dilations=(1, 2)),
        figures=FiguresConfig(
            size=FISH, code=2, bends=(2, 4), widths=(8, 8, 8, 8), hidden=16, matte=(8, 12)
        ),
    )  # fmt: skip


def ground(seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    mottled = random.integers(40, 60, (SIZE // 4, SIZE // 4, 3)).repeat(4, 0).repeat(4, 1)
    mottled[leaf()] = (20, 140, 20)
    return mottled.astype(np.uint8)


def leaf() -> np.ndarray:
    y, x = np.mgrid[:SIZE, :SIZE]
    return (x - LEAF[0]) ** 2 + (y - LEAF[1]) ** 2 < LEAF[2] ** 2


def frame(bed: np.ndarray, fish: list[tuple[float, float, float]]) -> np.ndarray:
    """Fish at x, y, heading: white, with a red head, and smaller towards the tail."""
    picture = bed.astype(np.float64)
    y, x = np.mgrid[:SIZE, :SIZE]
    for left, down, heading in fish:
        dx, dy = x - left, y - down
        ahead = dx * np.cos(heading) + dy * np.sin(heading)
        aside = dy * np.cos(heading) - dx * np.sin(heading)
        width = 2.8 * np.sqrt(np.clip(1 - (ahead / 11) ** 2, 0, 1)) * (1 + 0.03 * ahead)
        cover = np.clip(width - np.abs(aside) + 0.5, 0, 1) * (width > 0)
        coat = np.where((ahead > 4)[..., None], (240, 40, 30), (240, 240, 230))
        picture += cover[..., None] * (coat - picture)
    picture[leaf()] = bed[leaf()]
    return np.rint(picture).astype(np.uint8)


def take(
    fish: list[tuple[float, float, float]], steps: int, speed: float = 1.0, seed: int = 0
) -> np.ndarray:
    """Frames (steps + 1, 64, 64, 3) of fish that swim straight on and come in again elsewhere."""
    bed, frames = ground(seed), []
    for t in range(steps + 1):
        moved = [
            ((x + t * speed * np.cos(a)) % SIZE, (y + t * speed * np.sin(a)) % SIZE, a)
            for x, y, a in fish
        ]
        frames.append(frame(bed, moved))
    return np.stack(frames)


def windows(seed: int, rows: int = 4, steps: int = 60) -> Iterator[Window]:
    """Endless windows of two fish in each of `rows` ponds."""
    random = np.random.default_rng(seed)
    while True:
        frames = np.stack(
            [
                take(
                    [(*random.uniform(0, SIZE, 2), random.uniform(-3, 3)) for _ in range(2)],
                    steps, 1.3, int(random.integers(1000)),
                )
                for _ in range(rows)
            ]
        )  # fmt: skip
        yield Window(
            observation=frames,
            action=np.zeros((rows, steps, 3), np.float32),
            reward=np.zeros((rows, steps), np.float32),
            terminated=np.zeros((rows, steps), bool),
            first=np.zeros((rows, steps + 1), bool),
            valid=np.ones((rows, steps), bool),
            metadata={},
        )
