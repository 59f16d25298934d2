"""Steps the real world and its dream with the same actions and writes a GIF of both."""

from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

import learned_envs  # noqa: F401  registers the ids


def main(steps: int = 120, path: Path = Path("side_by_side.gif")) -> Path:
    """Writes the GIF and returns its path."""
    real, dream = gym.make("Real-Breakout-v0"), gym.make("Dream-Breakout-v0")
    pair = [real.reset(seed=1)[0], dream.reset(seed=1)[0]]
    frames = [np.concatenate(pair, axis=1)]
    for t in range(steps):
        action = (t // 12) % 3
        pair = [env.step(action)[0] for env in (real, dream)]
        frames.append(np.concatenate(pair, axis=1))
    images = [
        Image.fromarray(frame).resize((512, 256), Image.Resampling.NEAREST) for frame in frames
    ]
    images[0].save(path, save_all=True, append_images=images[1:], duration=66, loop=0)
    return path


if __name__ == "__main__":
    print(main())
