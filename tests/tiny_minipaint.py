"""Hands at Minipaint: clicks, drags, and a program to try them on."""

from typing import Any

import numpy as np

from sims.minipaint import MinipaintEnv

IDLE = np.zeros(3, np.float32)
CONTROLS = {  # x, y, width, height
    "pen": (4, 4, 35, 35),
    "eraser": (4, 46, 35, 35),
    "slider": (12, 88, 18, 88),
    "black": (4, 186, 26, 26),
    "red": (34, 186, 26, 26),
    "blue": (65, 186, 26, 26),
    "green": (95, 186, 26, 26),
    "yellow": (126, 186, 26, 26),
    "white": (157, 186, 26, 26),
}
COLOURS = list(CONTROLS)[3:]
RGB = {
    "black": (0, 0, 0), "red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 128, 0),
    "yellow": (255, 255, 0), "white": (255, 255, 255),
}  # fmt: skip


def program(soft: bool = False, seed: int = 0, **options: Any) -> MinipaintEnv:
    env = MinipaintEnv(render_mode="rgb_array", soft=soft)
    env.reset(seed=seed, options=options)
    return env


def at(x: int, y: int, pressed: float = 1.0) -> np.ndarray:
    """The action that puts the cursor on a pixel of the frame."""
    return np.array([(x + 0.5) / 224, (y + 0.5) / 224, pressed], np.float32)


def drag(env: MinipaintEnv, *points: tuple[int, int]) -> tuple[np.ndarray, float]:
    """Presses at the first point, moves to the others and lets go; the last frame and the sum."""
    reward = sum(float(env.step(at(x, y))[1]) for x, y in points)
    return env.step(IDLE)[0], reward


def click(env: MinipaintEnv, name: str) -> np.ndarray:
    """Clicks the middle of a control."""
    x, y, width, height = CONTROLS[name]
    return drag(env, (x + width // 2, y + height // 2))[0]


def canvas(frame: np.ndarray) -> np.ndarray:
    return frame[:182, 42:]


def chosen(env: MinipaintEnv) -> tuple[str, str, int]:
    """Tool, colour and brush."""
    info = env.step(IDLE)[4]
    return ("pen", "eraser")[info["tool"]], COLOURS[info["colour"]], info["brush"]
