"""What a reset may be asked for, checked before anything is changed."""

from typing import Any

import numpy as np

from sims.koi_pond.scenery import SIZE
from sims.koi_pond.shoal import CENTRE_MARGIN, MAX_KOI

_KNOWN = {"fish", "positions", "headings", "calm", "look"}
_LEAST_GAP = 16.0  # pixels between the centres of two fish


def checked_options(options: dict[str, Any]) -> dict[str, Any]:
    """The options of `KoiPondEnv.reset` in their own types.

    Raises:
        ValueError: If an option is unknown, out of its range, or at odds with another.
    """
    if unknown := set(options) - _KNOWN:
        raise ValueError(
            f"unknown reset options {sorted(unknown)}: the koi pond knows {sorted(_KNOWN)}"
        )
    checked: dict[str, Any] = {}
    for name, low, high in (("fish", 1, MAX_KOI), ("look", 0, 2**31 - 1)):
        if name in options:
            value = _numbers(options[name])
            if value.shape != () or not low <= value <= high or value % 1:
                raise ValueError(
                    f"option `{name}` (={options[name]!r}) must be a whole number from {low} to "
                    f"{high}"
                )
            checked[name] = int(value)
    if "calm" in options:
        if not isinstance(options["calm"], bool | np.bool_):
            raise ValueError(f"option `calm` (={options['calm']!r}) must be True or False")
        checked["calm"] = bool(options["calm"])
    if "positions" in options:
        checked["positions"] = _checked_positions(options["positions"], checked.get("fish"))
    if "headings" in options:
        if "positions" not in checked:
            raise ValueError("option `headings` was given without `positions`: give both")
        value, expected = _numbers(options["headings"]), checked["positions"].shape[:1]
        if value.shape != expected or not np.isfinite(value).all():
            raise ValueError(
                f"option `headings` (={options['headings']!r}) must be {expected[0]} angles in "
                "radians, one for each of `positions`"
            )
        checked["headings"] = value
    return checked


def _checked_positions(given: Any, fish: int | None) -> np.ndarray:
    positions, high = _numbers(given), SIZE - CENTRE_MARGIN
    if positions.ndim != 2 or positions.shape[1] != 2 or not 1 <= len(positions) <= MAX_KOI:
        raise ValueError(
            f"option `positions` has shape {positions.shape}, expected (fish, 2) with 1 to "
            f"{MAX_KOI} fish: x and y of each centre in pixels"
        )
    if not (np.all(positions >= CENTRE_MARGIN) and np.all(positions <= high)):
        raise ValueError(
            f"option `positions` (={given!r}) must be from {CENTRE_MARGIN} to {high} pixels"
        )
    if fish is not None and fish != len(positions):
        raise ValueError(
            f"option `fish` (={fish}) differs from the {len(positions)} given `positions`: leave "
            "it out or make them equal"
        )
    gaps = np.linalg.norm(positions[:, None] - positions, axis=-1)
    gaps[np.eye(len(positions), dtype=bool)] = np.inf
    if gaps.min() < _LEAST_GAP:
        raise ValueError(
            f"option `positions` has two fish {gaps.min():.1f} pixels apart, expected at least "
            f"{_LEAST_GAP}: move them apart"
        )
    return positions


def _numbers(value: Any) -> np.ndarray:
    """The value as float64, or NaN where it is no number or array of numbers."""
    try:
        return np.asarray(value, float)
    except (TypeError, ValueError):
        return np.array(np.nan)
