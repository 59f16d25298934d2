"""What a player did while a clip was filmed: a file of inputs over time, as actions of steps."""

from __future__ import annotations

import csv
import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Literal, get_args

import numpy as np

Kind = Literal["held", "delta", "value"]

TIME = "time"
FRAME_TIME = "frame_time"
_DELTA = re.compile(r"(.*_)?(d[xyz]|delta)(_.*)?")
_SNAP = 1e-3  # seconds by which rounding in a file may move a time off that of a step


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Inputs:
    """Rows of a file of inputs; row i of the arrays is row i + 2 of the file.

    Two hours of 60 rows a second and twenty columns are 38 MB.

    Attributes:
        path: The file.
        times: (n,) float64 seconds from the clip's first frame, increasing.
        columns: Names of the inputs.
        values: (n, columns) float32.
        frame_times: (n,) float32 seconds, or None where the file has no such column.
    """

    path: Path
    times: np.ndarray
    columns: tuple[str, ...]
    values: np.ndarray
    frame_times: np.ndarray | None = None

    def column(self, name: str) -> np.ndarray:
        """(n,) float32 values of one input."""
        return self.values[:, self.columns.index(name)]


def read_inputs(path: Path, columns: Sequence[str] | None = None, offset: float = 0.0) -> Inputs:
    """Reads a CSV file with a row of names, one of them `time`, and a row of numbers for each time.

    Args:
        path: The file.
        columns: Which columns are inputs; None takes all but `time` and `frame_time`.
        offset: Seconds that are added to the times.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a column is missing, a cell is no number, or times do not increase; the
            message names the row as a spreadsheet counts it, with the names in row 1.
    """
    with _rows(path) as rows:
        header = [name.strip() for name in next(rows, [])]
        names = _checked_columns(path, header, columns)
        logged = FRAME_TIME in header
        places = [header.index(name) for name in (TIME, *[FRAME_TIME] * logged, *names)]
        times, values, blank = array("d"), array("f"), 0
        for number, row in enumerate(rows, 2):
            if not row:
                blank = blank or number
                continue
            if blank or len(row) != len(header):
                cells = f"row {blank} has no" if blank else f"row {number} has {len(row)}"
                raise ValueError(f"{path}: {cells} cells, expected {len(header)} as in row 1")
            numbers = [_number(path, number, header[i], row[i]) for i in places]
            time = numbers[0] + offset
            if times and not time > times[-1]:
                raise ValueError(
                    f"{path}: times must increase, but row {number} has the time {row[places[0]]} "
                    f"and row {number - 1} has {times[-1] - offset:g}. Merge rows of one moment, "
                    "or log times more finely"
                )
            times.append(time)
            values.extend(numbers[1:])
    if not times:
        raise ValueError(f"{path} has names but no rows: expected a row of numbers for each time")
    table = np.array(values, np.float32).reshape(len(times), len(places) - 1)
    return Inputs(
        path=path,
        times=np.array(times),
        columns=names,
        values=table[:, int(logged) :],
        frame_times=table[:, 0] if logged else None,
    )


def _checked_columns(
    path: Path, header: list[str], columns: Sequence[str] | None
) -> tuple[str, ...]:
    if not header:
        raise ValueError(f"{path} is empty: expected a row of names, one of them {TIME!r}")
    if twice := sorted({name for name in header if header.count(name) > 1 or not name}):
        raise ValueError(f"{path}: row 1 has the names {twice} twice or empty: name each once")
    if TIME not in header:
        raise ValueError(
            f"{path} has no column {TIME!r} (seconds from the clip's first frame) but {header}; "
            "columns are separated by commas"
        )
    names = [n for n in header if n not in (TIME, FRAME_TIME)] if columns is None else [*columns]
    if missing := [name for name in names if name not in header]:
        raise ValueError(f"{path} has no columns {missing}, which were asked for, but {header}")
    if not names:
        raise ValueError(f"{path} has no column besides {header}: name at least one input")
    return tuple(names)


def _number(path: Path, row: int, column: str, cell: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = float("nan")
    if not isfinite(number):
        raise ValueError(f"{path}: row {row} has {cell!r} in column {column!r}, expected a number")
    return number


@contextmanager
def _rows(path: Path) -> Iterator[Iterator[list[str]]]:
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of inputs {path}")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            yield csv.reader(file)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8 ({error})") from error


def guessed_kind(name: str, columns: Sequence[np.ndarray]) -> Kind:
    """What a column seems to hold.

    A name like `dx`, `mouse_dy` or `scroll_delta` is a delta. Of the others, those that hold only 0
    and 1 in all clips are held, and the rest are values.
    """
    if _DELTA.fullmatch(name.lower()):
        return "delta"
    binary = all(np.isin(values, (0, 1)).all() for values in columns)
    return "held" if binary else "value"


def checked_kinds(
    inputs: Sequence[Inputs], kinds: Mapping[str, Kind] | None = None
) -> dict[str, Kind]:
    """The kind of each column: as given, else guessed.

    Raises:
        ValueError: If clips have different columns, a kind is unknown or of no column, or a held
            column holds anything but 0 and 1.
    """
    names, kinds = inputs[0].columns, kinds or {}
    for other in inputs[1:]:
        if set(other.columns) != set(names):
            missing = sorted(set(names) - set(other.columns))
            extra = sorted(set(other.columns) - set(names))
            raise ValueError(
                f"{other.path} lacks the columns {missing} of {inputs[0].path} and has {extra} "
                "beside them: all clips of a recording need the same, or say which are inputs"
            )
    if unknown := sorted(set(kinds) - set(names)):
        raise ValueError(f"`kinds` names {unknown}, but the columns are {list(names)}")
    if wrong := sorted(set(kinds.values()) - set(get_args(Kind))):
        raise ValueError(f"`kinds` has {wrong}, expected some of {get_args(Kind)}")
    found: dict[str, Kind] = {}
    for name in names:
        columns = [each.column(name) for each in inputs]
        found[name] = kinds.get(name) or guessed_kind(name, columns)
        for each, values in zip(inputs, columns, strict=True):
            if found[name] == "held" and not (fits := np.isin(values, (0, 1))).all():
                row = int(np.argmin(fits))
                raise ValueError(
                    f"{each.path}: row {row + 2} has {values[row]:g} in the held column {name!r}, "
                    "expected 0 or 1"
                )
    return found


def step_actions(inputs: Inputs, kinds: Mapping[str, Kind], fps: int, steps: int) -> np.ndarray:
    """What was done in each step; step k lasts from second k / fps until just before (k + 1) / fps.

    Of a held input the greatest state in the step, so that no short press is lost: the one it
    begins with or a later one. Of a delta the sum over the step. Of a value the last before the
    step's end. Times within a millisecond of a step's beginning count as that.

    Args:
        inputs: With the offset in their times.
        kinds: By column, in the order of the actions' components.
        fps: Steps a second.
        steps: How many.

    Returns:
        (steps, columns) float32.
    """
    begins = np.rint(inputs.times * fps)
    ticks = np.where(np.abs(begins / fps - inputs.times) <= _SNAP, begins, inputs.times * fps)
    edges = np.searchsorted(ticks, np.arange(steps + 1))  # the first row at or after each beginning
    first, last = edges[:-1], edges[1:]
    at_begin = np.append(ticks, np.inf)[first] == np.arange(steps)
    actions = np.empty((steps, len(kinds)), np.float32)
    for place, (name, kind) in enumerate(kinds.items()):
        values = inputs.column(name)
        match kind:
            case "held":  # nothing was held before the first row
                padded = np.concatenate([[0.0], values, [0.0]])
                actions[:, place] = _over(np.maximum, padded, first + at_begin, last + 1)
            case "delta":
                padded = np.append(values.astype(float), 0.0)
                actions[:, place] = np.where(first < last, _over(np.add, padded, first, last), 0)
            case "value":
                actions[:, place] = values[np.maximum(last - 1, 0)]
    return actions


def _over(combine: np.ufunc, values: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Combines `values[first[i]:last[i]]` for each i; the last of `values` belongs to none."""
    return combine.reduceat(values, np.stack([first, last], 1).ravel())[::2]
