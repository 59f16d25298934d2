"""Writes docs/WORLD.png: held-out play, real above and dreamed below under the same actions.

    python docs/write_strip.py my_way_home --seed 3
    python docs/write_strip.py airstriker

The first is of the footage that comes with the world, the second of games that are played for it.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from learned_envs import worlds
from learned_envs.dream.weights import resolve
from learned_envs.evaluation.held_out import held_out_footage, held_out_windows
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.models.dreaming import dream_frames

DOCS = Path(__file__).parent
SHOWN = 0, 4, 10, 20, 40, 90  # steps after the last frame that was known
GAMES, GAP, WIDTH = 3, 4, 1100


def write(name: str, seed: int) -> None:
    """Writes a world's picture."""
    world = worlds.get(name)
    model = load_checkpoint(resolve(None, world.name)).model
    steps = model.context + SHOWN[-1]
    footage = held_out_footage(world)
    window = next(held_out_windows(world, footage, rows=GAMES, steps=steps, seed=seed))
    dreamed = dream_frames(model, window.observation[:, : model.context], window.action)
    height, width = world.observation_space.shape[:2]
    step_y, step_x = height + GAP, width + GAP
    sheet = np.full((2 * GAMES * step_y - GAP, len(SHOWN) * step_x - GAP, 3), 255, np.uint8)
    real = window.observation[:, model.context :]
    for row in range(2 * GAMES):
        frames = (real if row % 2 == 0 else dreamed)[row // 2]
        for column, step in enumerate(SHOWN):
            sheet[row * step_y :, column * step_x :][:height, :width] = frames[step]
    large = Image.fromarray(sheet)
    times = max(1, WIDTH // large.width)
    large = large.resize((large.width * times, large.height * times), Image.Resampling.NEAREST)
    large.quantize(256).save(DOCS / f"{name}.png", optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world")
    parser.add_argument("--seed", type=int, default=900_003)
    given = parser.parse_args()
    write(given.world, given.seed)
