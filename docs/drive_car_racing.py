"""A driver for CarRacing, for a recording that gets past the first corner.

`PYTHONPATH=docs learned-envs record gym --env CarRacing-v3 --policy drive_car_racing:steer ...`
"""

import numpy as np

_AHEAD = slice(44, 60)  # rows of the picture, a car's length and more before the car
_MIDDLE = 47.5  # column of the car
_CAREFUL = 10.0  # columns that the road may lie beside the car before gas is lifted


def steer(picture: np.ndarray) -> np.ndarray:
    """Steers towards the road ahead, slower where it bends.

    Args:
        picture: What the environment shows, (96, 96, 3) uint8.

    Returns:
        Steering in [-1, 1], gas and brake in [0, 1], float32.
    """
    seen = picture[_AHEAD].astype(int)
    grey = np.ptp(seen, axis=-1) < 15
    columns = np.nonzero(grey)[1]
    if not len(columns):
        return np.array([0.3, 0.1, 0.0], np.float32)  # lost: circle until road is in sight
    # Roads that only pass by are further off than the one that the car is on.
    near = columns[abs(columns - _MIDDLE) <= abs(columns - _MIDDLE).min() + 16]
    aside = float(near.mean() - _MIDDLE)
    bends = abs(aside) > _CAREFUL
    return np.array([np.clip(aside / 25, -1, 1), 0.0 if bends else 0.08, 0.05 * bends], np.float32)
