"""Files of inputs: rows over time become the actions of steps, and what is wrong names its row."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_envs.recording.footage.clocks import check_clocks, pauses
from learned_envs.recording.footage.input_log import (
    Inputs,
    checked_kinds,
    guessed_kind,
    read_inputs,
    step_actions,
)


def make_inputs(times: list[float], **columns: list[float]) -> Inputs:
    return Inputs(
        path=Path("inputs.csv"),
        times=np.array(times),
        columns=tuple(columns),
        values=np.array([*columns.values()], np.float32).T,
    )


def actions(times: list[float], values: list[float], kind: str, steps: int = 4) -> list[float]:
    """Actions of one column at 10 steps a second."""
    inputs = make_inputs(times, a=values)
    return step_actions(inputs, {"a": kind}, 10, steps)[:, 0].tolist()


def test_a_key_is_held_until_it_is_let_go() -> None:
    assert actions([0.0, 0.1, 0.3], [0, 1, 0], "held") == [0, 1, 1, 0]


def test_a_press_shorter_than_a_step_is_not_lost() -> None:
    assert actions([0.0, 0.12, 0.13], [0, 1, 0], "held") == [0, 1, 0, 0]
    assert actions([0.0, 0.0995, 0.1003], [0, 1, 0], "held") == [0, 1, 0, 0]


def test_a_key_that_is_let_go_within_a_step_was_down_in_it() -> None:
    assert actions([0.0, 0.15], [1, 0], "held") == [1, 1, 0, 0]


def test_a_key_is_down_at_the_beginning_if_it_was_pressed_before() -> None:
    assert actions([-0.5, 0.2], [1, 0], "held") == [1, 1, 0, 0]


def test_movement_is_summed_over_a_step() -> None:
    moved = actions([0.0, 0.04, 0.08, 0.1, 0.35], [1, 2, 3, 4, 5], "delta")
    assert moved == [6, 4, 0, 5]


def test_movement_before_the_clip_is_left_out() -> None:
    assert actions([-0.1, 0.0, 0.1], [7, 1, 1], "delta") == [1, 1, 0, 0]


def test_a_value_is_the_last_one_before_the_steps_end() -> None:
    assert actions([0.0, 0.05, 0.1, 0.29], [1, 2, 3, 4], "value") == [2, 3, 4, 4]


@pytest.mark.parametrize("kind", ["held", "delta", "value"])
def test_times_that_are_rounded_to_milliseconds_stay_in_their_step(kind: str) -> None:
    steps = 300
    values = np.random.default_rng(0).integers(2, size=steps)
    inputs = make_inputs([round(k / 15, 3) for k in range(steps)], a=values.tolist())
    np.testing.assert_array_equal(step_actions(inputs, {"a": kind}, 15, steps)[:, 0], values)


def naive(times: list[float], values: list[float], kind: str, begin: float, end: float) -> float:
    within = [v for t, v in zip(times, values, strict=True) if begin <= t < end]
    before = [v for t, v in zip(times, values, strict=True) if t < begin]
    if kind == "delta":
        return sum(within)
    if kind == "value":
        return (within or before[-1:] or values[:1])[-1]
    return max(within + before[-1:] * (begin not in times), default=0)


@settings(deadline=None)
@given(
    rows=st.dictionaries(st.integers(-60, 700), st.integers(0, 1), min_size=1),
    kind=st.sampled_from(["held", "delta", "value"]),
)
def test_actions_are_those_of_a_plain_loop(rows: dict[int, int], kind: str) -> None:
    """Times are hundredths of a second: only those at a step's beginning are near it."""
    times, values = [t / 100 for t in sorted(rows)], [float(rows[t]) for t in sorted(rows)]
    expected = [naive(times, values, kind, k / 10, (k + 1) / 10) for k in range(50)]
    assert actions(times, values, kind, 50) == expected


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("w", [0, 1, 1], "held"),
        ("speed", [0, 0.5, 1], "value"),
        ("dx", [0, 1, 0], "delta"),
        ("mouse_dy", [0.5], "delta"),
        ("scroll_delta", [3], "delta"),
        ("d", [0, 1], "held"),
        ("index", [0, 2], "value"),
    ],
)
def test_kinds_are_guessed_from_names_and_numbers(name: str, values: list, kind: str) -> None:
    assert guessed_kind(name, [np.array(values)]) == kind


def test_a_column_is_held_only_if_it_is_in_every_clip() -> None:
    clips = [make_inputs([0, 1], a=[0, 1], b=[0, 1]), make_inputs([0, 1], b=[1, 0], a=[0, 2])]
    assert checked_kinds(clips) == {"a": "value", "b": "held"}


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ({"c": "held"}, r"`kinds` names \['c'\], but the columns are \['a', 'b'\]"),
        ({"a": "pressed"}, r"`kinds` has \['pressed'\], expected some of \('held',"),
        ({"b": "held"}, r"inputs.csv: row 3 has 0.5 in the held column 'b', expected 0 or 1"),
    ],
)
def test_kinds_that_do_not_fit_are_refused(kinds: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        checked_kinds([make_inputs([0, 1], a=[0, 1], b=[0, 0.5])], kinds)


def test_clips_with_other_columns_are_refused() -> None:
    other = make_inputs([0], b=[0], c=[0])
    with pytest.raises(ValueError, match=r"lacks the columns \['a'\] of .* has \['c'\] beside"):
        checked_kinds([make_inputs([0], a=[0], b=[0]), other])


def read(folder: Path, text: str, **arguments: object) -> Inputs:
    (folder / "inputs.csv").write_text(text)
    return read_inputs(folder / "inputs.csv", **arguments)


def test_a_file_is_read_as_a_spreadsheet_writes_it(tmp_path: Path) -> None:
    text = "\ufefftime, w ,dx,frame_time\r\n0,1,-2.5,0\r\n0.5,0,1e1,0.4\r\n\r\n"
    inputs = read(tmp_path, text, offset=0.25)
    assert inputs.columns == ("w", "dx")
    assert inputs.times.tolist() == [0.25, 0.75]
    assert inputs.values.tolist() == [[1, -2.5], [0, 10]]
    assert inputs.frame_times is not None
    np.testing.assert_allclose(inputs.frame_times, [0, 0.4])


def test_only_the_columns_that_are_asked_for_are_read(tmp_path: Path) -> None:
    inputs = read(tmp_path, "time,level,w,a\n0,cave,1,0\n", columns=["a", "w"])
    assert inputs.columns == ("a", "w")
    assert inputs.values.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty: expected a row of names"),
        ("time,w\n", "has names but no rows"),
        ("seconds,w\n0,1\n", r"no column 'time' .* but \['seconds', 'w'\]"),
        ("time;w\n0;1\n", r"no column 'time' .* commas"),
        ("time\n0\n", "no column besides"),
        ("time,w,w\n0,1,1\n", r"row 1 has the names \['w'\] twice or empty"),
        ("time,w,\n0,1,\n", r"row 1 has the names \[''\] twice or empty"),
        ("time,w\n0,1\n0.2,1\n0.1,1\n", "row 4 has the time 0.1 and row 3 has 0.2"),
        ("time,w\n0,1\n0,1\n", "row 3 has the time 0 and row 2 has 0"),
        ("time,w\n0,1\n0.1,up\n", "row 3 has 'up' in column 'w', expected a number"),
        ("time,w\n0,1\n0.1,\n", "row 3 has '' in column 'w'"),
        ("time,w\n0,1\n0.1,nan\n", "row 3 has 'nan' in column 'w'"),
        ("time,w\nstart,1\n", "row 2 has 'start' in column 'time'"),
        ("time,w\n0,1\n0.1\n", "row 3 has 1 cells, expected 2"),
        ("time,w\n0,1\n\n0.1,1\n", "row 3 has no cells, expected 2"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_row(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_missing_files_and_columns_and_other_encodings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no file of inputs"):
        read_inputs(tmp_path / "none.csv")
    with pytest.raises(ValueError, match=r"no columns \['jump'\], which were asked for"):
        read(tmp_path, "time,w\n0,1\n", columns=["w", "jump"])
    (tmp_path / "utf16.csv").write_text("time,w\n0,1\n", encoding="utf-16")
    with pytest.raises(ValueError, match="no CSV file in UTF-8"):
        read_inputs(tmp_path / "utf16.csv")


def check(times: list[float], frame_times: list[float] | None = None) -> None:
    """Against a clip of 100 seconds at 10 frames a second, with a tolerance of 0.05 s."""
    inputs = make_inputs(times, a=[0] * len(times))
    if frame_times is not None:
        inputs = Inputs(
            path=inputs.path, times=inputs.times, columns=inputs.columns, values=inputs.values,
            frame_times=np.array(frame_times),
        )  # fmt: skip
    check_clocks(inputs, 99.9, 0.1, 0.05)


@pytest.mark.parametrize("times", [[0.0, 99.9], [0.04, 99.86], [0.0, 100.04], [-3.0, 500.0]])
def test_clocks_within_the_tolerance_pass(times: list[float]) -> None:
    check(times)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ([0.06, 99.9], r"begin at second 0.060 \(row 2\)"),
        ([0.0, 50.0, 99.8], r"end at second 99.800 \(row 4\), the clip goes on until 99.900"),
        ([0.0, 50.0, 100.2], r"end at second 100.200 \(row 4\), after .* drift by \+0.20%"),
    ],
)
def test_clocks_that_differ_at_either_end_are_refused(times: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check(times)


def test_clocks_that_drift_on_the_way_are_refused_by_row() -> None:
    times = np.arange(0, 100, 0.1)
    check(times.tolist(), (times - 0.09).tolist())
    message = r"row 152 is of second 15.000, but the frame on screen was .* second 14.850"
    with pytest.raises(ValueError, match=message):
        check(times.tolist(), (times * 0.99).tolist())


def test_pauses_are_told_where_rows_otherwise_come_regularly() -> None:
    times = [*np.arange(0, 10, 0.1), *np.arange(20, 30, 0.1)]
    told = pauses(make_inputs(times, a=[0] * len(times)))
    assert "no rows between seconds 9.900 (row 101) and 20.000, though they come every 0.1" in told
    events = np.cumsum(np.random.default_rng(0).exponential(1, 200))
    assert not pauses(make_inputs(events.tolist(), a=[0] * 200))
