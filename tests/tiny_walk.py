"""Films of a walk through rooms of coloured clutter: one turns, walks ahead, or rests."""

import cv2
import numpy as np
from gymnasium import spaces

from learned_envs.worlds.own import OwnWorld
from learned_envs.worlds.spaces import space_to_json

FPS, HEIGHT, WIDTH = 15, 48, 64
TURN, ZOOM = 3.0, 1.04
REST, LEFT, RIGHT, AHEAD = ([0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1])

WORLD = OwnWorld(
    name="walk",
    env=None,
    image_size=(HEIGHT, WIDTH),
    fps=FPS,
    max_episode_steps=450,
    action_space=space_to_json(spaces.Box(0.0, 1.0, (3,), np.float32)),
    action_names=("left", "right", "forward"),
    idle_action=[0.0, 0.0, 0.0],
).world()


def room(seed: int) -> np.ndarray:
    """Walls all around (80, 600, 3), in colours of their own."""
    random = np.random.default_rng(seed)
    tint = random.uniform(0.15, 1.0, 3)
    coarse = random.uniform(40, 250, (20, 150, 1)) * tint
    return cv2.resize(coarse.astype(np.float32), (600, 80), interpolation=cv2.INTER_CUBIC)


def walked(actions: np.ndarray, seed: int) -> np.ndarray:
    """A film (T + 1, H, W, 3) of actions (T, 3) in a room."""
    walls = np.tile(room(seed), (1, 3, 1))
    place, near, frames = 600.0, 1.0, []
    for action in [*np.asarray(actions), np.zeros(3)]:
        height, width = HEIGHT * 1.5 / near, WIDTH * 1.5 / near
        middle = float(place % 600 + 600), 40.0
        picture = cv2.getRectSubPix(walls, (round(width), round(height)), middle)
        shown = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
        frames.append(np.clip(shown, 0, 255).astype(np.uint8))
        place += TURN * 1.5 / near * (action[1] - action[0])
        near = min(near * ZOOM, 2.0) if action[2] else max(near / 1.02, 1.0)
    return np.stack(frames)


def wander(steps: int, seed: int) -> np.ndarray:
    """Actions (T, 3) of someone who does each thing for a while."""
    random = np.random.default_rng(seed)
    kinds = np.array([REST, LEFT, RIGHT, AHEAD], np.float32)
    return kinds[np.repeat(random.choice(4, steps, p=[0.1, 0.35, 0.35, 0.2]), 8)[:steps]]
