"""Which parts of a world's info are recorded beside its frames."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def metadata_names(info: Mapping[str, Any], rows: int | None = None) -> list[str]:
    """Names of the numbers that an env tells of itself, at reset and after every step.

    Left out are pictures, which an env shows at reset only, and the masks, `_<name>`, that
    Gymnasium puts beside what a batch tells.

    Args:
        info: From a reset.
        rows: Of the batch, in which every row has a number or an array; None for a single env.
    """
    told = {name: np.asarray(value) for name, value in info.items() if not name.startswith("_")}
    if rows is not None:
        told = {name: value[0] for name, value in told.items() if value.shape[:1] == (rows,)}
    return [name for name, value in told.items() if value.dtype.kind in "biuf" and value.ndim < 3]
