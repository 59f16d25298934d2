"""Writes docs/koi_pond.png: a real koi pond and a dreamed one, tapped, and minutes later.

python docs/write_koi_pond.py
"""

from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

import learned_envs  # noqa: F401
from learned_envs.worlds.koi_pond import FPS, SIZE

DOCS = Path(__file__).parent
TAP, STRONG = 15, (0.5, 0.45, 1.0)
SHOWN = 0, TAP + 8, 30 * FPS, 200 * FPS  # frames: the last after 3 minutes and 20 seconds
GAP = 6  # pixels between pictures


def played(env_id: str) -> list[np.ndarray]:
    """The frames (256, 256, 3) of one pond that are shown."""
    env = gym.make(env_id, max_episode_steps=SHOWN[-1] + 1)
    frame, _ = env.reset(seed=3)
    shown = [frame]
    for step in range(1, SHOWN[-1] + 1):
        action = STRONG if step == TAP else (0.0, 0.0, 0.0)
        frame, *_ = env.step(np.array(action, np.float32))
        if step in SHOWN:
            shown.append(frame)
    return shown


def main() -> None:
    """Writes the picture: real ponds above, dreamed ones below."""
    step = SIZE + GAP
    sheet = np.full((2 * step - GAP, len(SHOWN) * step - GAP, 3), 255, np.uint8)
    for row, env_id in enumerate(("Real-KoiPond-v0", "Dream-KoiPond-v0")):
        for column, frame in enumerate(played(env_id)):
            sheet[row * step :, column * step :][:SIZE, :SIZE] = frame
    Image.fromarray(sheet).quantize(256).save(DOCS / "koi_pond.png", optimize=True)


if __name__ == "__main__":
    main()
