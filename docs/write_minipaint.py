"""Writes docs/minipaint.png: one drawing, made in the real paint program and in its dream.

    python docs/write_minipaint.py

The same thousand actions, driven as the play window drives a mouse, go to both. The dream sees none
of the real frames.
"""

from collections.abc import Iterator
from pathlib import Path

import gymnasium as gym
import numpy as np
from PIL import Image

import learned_envs  # noqa: F401
from learned_envs.evaluation.minipaint.viewer import as_viewed
from sims.minipaint.layout import CANVAS, CONTROLS, SIZE, SLIDER

DOCS = Path(__file__).parent
STEPS = 1000
GAP = 12  # pixels between the two pictures
SCALE = 2

Path_ = np.ndarray  # points (k, 2) of the canvas


def scene() -> Iterator[tuple[str, int, Path_]]:
    """Strokes as tool, brush and path: a boat on the sea, a sun, clouds, trees on hills, birds."""
    across = np.linspace(0, 181, 60)
    spiral = np.linspace(0, 8 * np.pi, 90)
    yield "yellow", 7, _around(142, 38, spiral, spiral / spiral[-1] * 17)
    for angle in np.linspace(0, 2 * np.pi, 16, endpoint=False):
        yield "yellow", 2, _around(142, 38, np.full(2, angle), np.array([24, 33]))
    for height, swell in ((118, 15), (122, 13), (126, 10), (130, 7), (134, 4)):
        yield "green", 8, np.stack([across, height - swell * np.sin(across / 29) ** 2], 1)
    for row, y in enumerate((140, 146, 152, 158, 164, 170, 176, 143, 149, 155, 161, 167, 173, 179)):
        waves = y + 2.5 * np.sin(across / 6 + row)
        yield "blue", 7, np.stack([across, waves], 1)[:: 1 if row % 2 else -1]
    for row, y in enumerate((158, 167, 176)):
        for x in range(12 + 9 * row, 170, 38):
            yield "white", 1, _around(x, y, np.linspace(np.pi, 2 * np.pi, 7), np.full(7, 7.0))
    for y in range(137, 150, 3):
        inset = (y - 137) * 1.1
        yield "red", 5, np.array([[52 + inset, y], [112 - inset, y]], float)
    yield "black", 3, np.array([[82, 134], [82, 64]], float)
    for x in range(6, 34, 4):
        yield "white", 5, np.array([[84 + x, 72 + 1.7 * x], [84 + x, 130]], float)
    yield "black", 1, np.array([[87, 68], [121, 131], [87, 131], [87, 68]], float)
    yield "red", 3, np.array([[80, 64], [66, 69], [80, 74]], float)
    for x in (16, 31, 150, 166):
        top = 122 - 13 * np.sin(x / 29) ** 2
        yield "black", 2, np.array([[x, top], [x, top - 12]], float)
        yield "green", 6, _around(x, top - 17, spiral[:30], spiral[:30] / spiral[29] * 6)
    for x, y in ((34, 46), (52, 36), (28, 66)):
        wing = np.linspace(0, np.pi, 9)
        yield "black", 1, np.stack([x - 12 + 6 * (1 - np.cos(wing)), y - 5 * np.sin(wing)], 1)
        yield "black", 1, np.stack([x + 6 * (1 - np.cos(wing)), y - 5 * np.sin(wing)], 1)
    for x, y, size in ((22, 22, 8), (84, 20, 9), (60, 52, 6)):
        for puff in range(3):
            arc = np.linspace(np.pi, 2 * np.pi, 9)
            yield "black", 1, _around(x + 1.6 * size * puff, y, arc, np.full(9, float(size)))
        yield "black", 1, np.array([[x - size, y], [x + 4.2 * size, y]])
    for x in (0, 30, 60, 90, 120, 150):
        yield "eraser", 0, np.array([[x + 4, 179], [x + 24, 179]], float)
    yield "yellow", 1, _around(76, 143, np.linspace(0, 2 * np.pi, 10), np.full(10, 3.0))
    yield "yellow", 1, _around(92, 143, np.linspace(0, 2 * np.pi, 10), np.full(10, 3.0))


def _around(x: float, y: float, angle: np.ndarray, radius: np.ndarray) -> Path_:
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], 1)


def drawn() -> np.ndarray:
    """The scene as actions (T, 3), the first `STEPS` of what a viewer sends."""
    actions: list[tuple[float, float, float]] = []
    chosen: tuple[str, int] | None = None
    for colour, brush, path in scene():
        if (colour, brush) != chosen:
            x, y, width, height = CONTROLS[colour]
            lowest = SLIDER.y + SLIDER.height - 5
            slider = SLIDER.x + 9, lowest - brush * (SLIDER.height - 9) / 9
            for at in ((x + width / 2, y + height / 2), slider):  # tool, then brush
                actions += [_action(*at, True), _action(*at, False)]
            chosen = colour, brush
        points = path + (CANVAS.x, CANVAS.y)
        actions += [_action(*point, True) for point in points.clip((CANVAS.x, 0), (SIZE - 1, 181))]
        actions.append(_action(*points[-1], False))
    return as_viewed(np.array(actions, np.float32))[:STEPS]


def _action(x: float, y: float, pressed: bool) -> tuple[float, float, float]:
    return min((x + 0.5) / SIZE, 1.0), min((y + 0.5) / SIZE, 1.0), float(pressed)


def played(env: gym.Env, actions: np.ndarray) -> np.ndarray:
    """The last frame (224, 224, 3) of an episode of those actions."""
    frame, _ = env.reset(seed=0)
    for action in actions:
        frame, *_ = env.step(action)
    return frame


def main() -> None:
    """Writes the picture."""
    actions = drawn()
    pair = [played(gym.make(f"{kind}-Minipaint-v0"), actions) for kind in ("Real", "Dream")]
    sheet = np.full((SIZE, 2 * SIZE + GAP, 3), 255, np.uint8)
    sheet[:, :SIZE], sheet[:, SIZE + GAP :] = pair
    image = Image.fromarray(sheet)
    image = image.resize((SCALE * image.width, SCALE * image.height), Image.Resampling.NEAREST)
    image.quantize(64).save(DOCS / "minipaint.png", optimize=True)
    wrong = (pair[0] != pair[1]).any(-1).mean()
    print(f"{len(actions)} steps; {100 * wrong:.2f}% of pixels differ")


if __name__ == "__main__":
    main()
