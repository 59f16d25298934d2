"""Which parts of a world's info are recorded beside its frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

_NAME = re.compile(r"[^\W_][\w.-]*")


def metadata_names(info: Mapping[str, Any], rows: int | None = None) -> list[str]:
    """Names of the numbers that an env tells of itself, at reset and after every step.

    Left out are pictures, which an env shows at reset only, the masks, `_<name>`, that Gymnasium
    puts beside what a batch tells, and what has a name that is none for a file.

    Args:
        info: From a reset.
        rows: Of the batch, in which every row has a number or an array; None for a single env.
    """
    named = {n: v for n, v in info.items() if isinstance(n, str) and _NAME.fullmatch(n)}
    told = {name: _array(value) for name, value in named.items()}
    if rows is not None:
        told = {name: value[0] for name, value in told.items() if value.shape[:1] == (rows,)}
    return [name for name, value in told.items() if value.dtype.kind in "biuf" and value.ndim < 3]


def _array(value: Any) -> np.ndarray:
    """A value as an array; of objects where it is no number, nor numbers of one shape."""
    try:
        return np.asarray(value)
    except ValueError:
        return np.empty(0, object)
