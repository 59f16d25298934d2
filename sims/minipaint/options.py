"""What a reset may be asked for, checked before anything is changed."""

from typing import Any

import numpy as np

from sims.minipaint.layout import BRUSHES, CANVAS, COLOURS

_CHOICES = {"tool": ("pen", "eraser"), "colour": tuple(COLOURS)}
_PICTURES = ("canvas", "target")
_KNOWN = {*_CHOICES, *_PICTURES, "brush"}
_SHAPE = (CANVAS.height, CANVAS.width, 3)


def checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `MinipaintEnv.reset` in their own types, pictures copied.

    Raises:
        ValueError: If an option is unknown or out of its range.
    """
    if unknown := set(options) - _KNOWN:
        raise ValueError(
            f"unknown reset options {sorted(unknown)}: Minipaint knows {sorted(_KNOWN)}"
        )
    checked = dict(options)
    for name in _CHOICES.keys() & options.keys():
        if options[name] not in _CHOICES[name]:
            raise ValueError(
                f"option `{name}` (={options[name]!r}) must be one of {', '.join(_CHOICES[name])}"
            )
    if "brush" in options:
        brush = options["brush"]
        whole = isinstance(brush, int | np.integer) and not isinstance(brush, bool)
        if not whole or not 0 <= brush < BRUSHES:
            raise ValueError(
                f"option `brush` (={brush!r}) must be a whole number from 0, the smallest, to "
                f"{BRUSHES - 1}"
            )
        checked["brush"] = int(brush)
    for name in options.keys() & set(_PICTURES):
        picture = options[name]
        shape, kind = np.shape(picture), getattr(picture, "dtype", type(picture).__name__)
        if shape != _SHAPE or kind != np.uint8:
            raise ValueError(
                f"option `{name}` has shape {shape} and type {kind}, expected a picture of the "
                f"canvas: {_SHAPE} of uint8"
            )
        checked[name] = np.array(picture)
    return checked
