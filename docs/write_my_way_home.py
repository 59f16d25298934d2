"""Writes docs/my_way_home.png: held-out walks, filmed above and dreamed below under the same keys.

python docs/write_my_way_home.py
"""

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
WALKS, GAP, ENLARGED = 3, 4, 2


def main() -> None:
    """Writes the picture."""
    world = worlds.get("my_way_home")
    model = load_checkpoint(resolve(None, world.name)).model
    steps = model.context + SHOWN[-1]
    footage = held_out_footage(world)
    window = next(held_out_windows(world, footage, rows=WALKS, steps=steps, seed=3))
    dreamed = dream_frames(model, window.observation[:, : model.context], window.action)
    height, width = world.observation_space.shape[:2]
    step_y, step_x = height + GAP, width + GAP
    sheet = np.full((2 * WALKS * step_y - GAP, len(SHOWN) * step_x - GAP, 3), 255, np.uint8)
    filmed = window.observation[:, model.context :]
    for row in range(2 * WALKS):
        frames = (filmed if row % 2 == 0 else dreamed)[row // 2]
        for column, step in enumerate(SHOWN):
            sheet[row * step_y :, column * step_x :][:height, :width] = frames[step]
    large = Image.fromarray(sheet)
    large = large.resize(
        (large.width * ENLARGED, large.height * ENLARGED), Image.Resampling.NEAREST
    )
    large.quantize(256).save(DOCS / "my_way_home.png", optimize=True)


if __name__ == "__main__":
    main()
