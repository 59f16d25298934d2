"""One frame of a pond, from the bed up: shadows, fish, the surface, food, pads."""

import cv2
import numpy as np

from sims.koi_pond import bodies
from sims.koi_pond.scenery import SIZE, Scenery
from sims.koi_pond.water import seen_through

_SHADOW = 0.46  # of the light is lost in the middle of a shadow
_SHADOW_FALL = (5, 7)  # pixels to the right and down
_PELLETS = ((-1.9, 0.6), (1.4, -1.5), (1.1, 1.8))
_FOOD = (206, 150, 84)
_SHIFT = 4  # bits of a pixel's fraction in OpenCV's drawing


def compose(scenery: Scenery, fish: np.ndarray, height: np.ndarray, food: np.ndarray) -> np.ndarray:
    """Puts a frame together.

    Args:
        scenery: The pond's still parts.
        fish: The layer that `bodies.draw` made.
        height: (128, 128) float32, the surface.
        food: (k, 2) float64, pellets in pixels; NaN where there is none.

    Returns:
        (256, 256, 3) uint8, in memory of its own.
    """
    frame = slice(bodies.BORDER, bodies.BORDER + SIZE)
    right, down = _SHADOW_FALL
    cast = fish[
        bodies.BORDER - down - 8 : bodies.BORDER - down + SIZE + 8,
        bodies.BORDER - right - 8 : bodies.BORDER - right + SIZE + 8,
        3,
    ]
    soft = cv2.GaussianBlur(cast, (0, 0), 2.2)[8:-8, 8:-8]
    light = cv2.convertScaleAbs(soft, alpha=-_SHADOW, beta=255)
    picture = cv2.multiply(scenery.bed, cv2.merge([light] * 3), scale=1 / 255)
    red, green, blue, alpha = cv2.split(fish[frame, frame])
    clear = cv2.bitwise_not(alpha)
    picture = cv2.multiply(picture, cv2.merge([clear] * 3), scale=1 / 255)
    picture = cv2.add(picture, cv2.merge([red, green, blue]))
    picture = seen_through(picture, height)
    for point in food[~np.isnan(food[:, 0])]:
        for offset in _PELLETS:
            x, y = np.rint((point + offset) * 2**_SHIFT).astype(int).tolist()
            cv2.circle(picture, (x + 12, y + 20), 24, (28, 56, 56), -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(picture, (x, y), 24, _FOOD, -1, cv2.LINE_AA, _SHIFT)
    picture = cv2.multiply(picture, scenery.through, scale=1 / 255)
    return cv2.add(picture, scenery.pads)
