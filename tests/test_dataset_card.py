"""A dataset card says what a recording holds."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_takes import recorded, spoil_frames, take_of

from learned_envs import cli, worlds
from learned_envs.recording.dataset.card import dataset_card
from learned_envs.recording.inspect import inspect
from learned_envs.recording.recorder import record
from learned_envs.recording.values import MOST, Values


def card_of(folder: Path) -> str:
    return dataset_card(inspect(folder, frames=False))


def rows(card: str, section: str) -> dict[str, list[str]]:
    """The tables of a section, by the first cell of each row."""
    text = card.partition(f"## {section}\n")[2].partition("\n## ")[0]
    cells = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return {first: rest for first, *rest in cells}


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["learned-envs", "dataset", "card", *arguments])
    cli.main()


def test_the_head_counts_takes_episodes_frames_and_hours(tmp_path: Path) -> None:
    recorded(tmp_path, take_of(1000), take_of(79, seed=1))
    card = card_of(tmp_path)
    assert "# Recordings of hill" in card
    for row in (
        "| world | hill |",
        "| takes | 2 |",
        "| episodes | 3, every part of a long take counted |",
        "| frames | 1,082, 6 x 10 pixels (height x width), RGB, uint8 |",
        f"| length | {1079 / 15 / 3600:.2f} hours at 15 steps a second |",
    ):
        assert row in card


def test_a_card_agrees_with_a_full_inspection(tmp_path: Path) -> None:
    recorded(tmp_path, take_of(40), take_of(30, seed=1, behaviour="down"))
    assert card_of(tmp_path) == dataset_card(inspect(tmp_path))


def test_no_frame_is_decoded_where_events_need_none(tmp_path: Path) -> None:
    store = recorded(tmp_path, take_of(20))
    before = card_of(tmp_path)
    spoil_frames(store, *store.names())
    assert card_of(tmp_path) == before
    with pytest.raises(ValueError, match="damaged"):
        inspect(tmp_path)


def test_splits_and_behaviours_have_counts_and_shares(tmp_path: Path) -> None:
    takes = [take_of(3, seed, behaviour="down" if seed % 4 else "up") for seed in range(20)]
    store = recorded(tmp_path, *takes)
    card = card_of(tmp_path)
    assert rows(card, "Behaviours")["down"] == ["15", "75.0%"]
    for split in ("train", "validation", "test"):
        count = len(store.names(split))
        assert rows(card, "Splits")[split] == [str(count), f"{count / 20:.1%}"]


def test_discrete_actions_have_shares(tmp_path: Path) -> None:
    recorded(tmp_path, take_of(40))
    assert rows(card_of(tmp_path), "Actions")["stay"] == [f"{14 / 40:.1%}"]


def test_components_have_ranges(tmp_path: Path) -> None:
    take = take_of(40, vectors=True)
    take.action[:30, 1] = 0.5
    recorded(tmp_path, take)
    low, high = take.action[:, 1].min(), take.action[:, 1].max()
    expected = [f"{low:.6g}", f"{high:.6g}", "25.0%"]
    assert rows(card_of(tmp_path), "Actions")["rise"] == expected


def test_components_that_never_repeat_have_no_usual_value(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("learned_envs.recording.values.MOST", 8)
    recorded(tmp_path, take_of(9, vectors=True))
    assert rows(card_of(tmp_path), "Actions")["rise"][-1] == "100.0%"


def test_events_of_a_world_of_the_library_are_counted(tmp_path: Path) -> None:
    record(worlds.get("breakout"), tmp_path, 3, workers=0, max_steps=60, progress=False)
    report = inspect(tmp_path)
    assert report.events
    counted = {name: [f"{count:,}"] for name, count in report.events.items()}
    assert counted.items() <= rows(card_of(tmp_path), "Events").items()


def test_a_world_whose_events_nobody_knows_says_so(tmp_path: Path) -> None:
    recorded(tmp_path, take_of(5))
    assert "The library counts none of this world." in card_of(tmp_path)


def test_few_rewards_are_listed_and_those_of_takes_have_quartiles(tmp_path: Path) -> None:
    takes = [take_of(1000), take_of(40, seed=1), take_of(30, seed=2)]
    recorded(tmp_path, *takes)
    returns = [float(take.reward.sum()) for take in takes]
    table = rows(card_of(tmp_path), "Rewards")
    quartiles = [*np.quantile(returns, [0, 0.25, 0.5, 0.75, 1]), np.mean(returns)]
    assert table["a take"] == [f"{value:,.6g}" for value in quartiles]
    counts = Counter(np.concatenate([take.reward for take in takes]).tolist())
    for value, count in counts.items():
        assert table[f"{value:g}"] == [str(count), f"{count / 1070:.1%}"]


def test_many_rewards_are_summed_up(tmp_path: Path) -> None:
    take = take_of(40)
    take.reward[:] = np.arange(40)
    recorded(tmp_path, take)
    told = "Of a step: from 0 to 39, 19.5 on average, and not 0 at 97.5% of them; 40 different"
    assert told in card_of(tmp_path)


def test_metadata_has_type_shape_range_mean_and_number_of_values(tmp_path: Path) -> None:
    place = np.arange(8, dtype=np.float32).reshape(4, 2)
    flag = np.array([True, False, False, False])
    recorded(tmp_path, take_of(3, metadata={"place": place, "flag": flag}))
    table = rows(card_of(tmp_path), "Metadata")
    assert table["`place`"] == ["float32", "(2,)", "0", "7", "3.5", "8"]
    assert table["`flag`"] == ["bool", "()", "0", "1", "0.25", "2"]


def test_metadata_that_some_takes_lack_or_have_otherwise_is_marked(tmp_path: Path) -> None:
    recorded(
        tmp_path,
        take_of(2, 0, metadata={"score": np.arange(3), "places": np.zeros((3, 2))}),
        take_of(2, 1, metadata={"score": np.arange(3) / 2, "places": np.zeros((3, 4))}),
        take_of(2, 2, metadata={"score": np.arange(3), "wind": np.zeros(3)}),
    )
    table = rows(card_of(tmp_path), "Metadata")
    assert table["`score`"] == ["float64", "()", "0", "2", f"{7.5 / 9:.6g}", "4"]
    assert table["`places` (in 2 episodes)"][1] == "varies"
    assert "`wind` (in 1 episodes)" in table


def test_a_recording_without_metadata_says_so(tmp_path: Path) -> None:
    recorded(tmp_path, take_of(2, metadata={}))
    assert "None was recorded." in card_of(tmp_path)


@given(st.lists(st.lists(st.integers(-5, 5), max_size=9), max_size=9))
def test_few_values_are_counted_exactly(pieces: list[list[int]]) -> None:
    values, expected = Values(), Counter(number for piece in pieces for number in piece)
    for piece in pieces:
        values.add(np.array(piece, np.int64))
    found, counts = values.counts()
    assert dict(zip(found.tolist(), counts.tolist(), strict=True)) == expected
    assert values.distinct == len(expected)
    if expected:
        assert values.mean == pytest.approx(sum(expected.elements()) / expected.total())
        assert (values.low, values.high) == (min(expected), max(expected))


def test_many_values_take_no_more_memory_and_common_ones_are_found() -> None:
    values, random = Values(), np.random.default_rng(0)
    for _ in range(20):
        values.add(np.concatenate([random.random(2000), np.full(1000, 0.5)]))
    assert values.distinct is None
    assert len(values.counts()[0]) <= MOST
    assert 1 / 3 - 1 / MOST <= values.share(0.5) <= 1 / 3
    assert values.number == 60_000


def test_a_value_that_becomes_common_late_is_found() -> None:
    values = Values()
    values.add(np.repeat(np.arange(MOST), 5))
    for _ in range(100):
        values.add(np.array([-1]))
    assert 100 - values.number / MOST <= values.share(-1) * values.number <= 100


def test_what_is_no_number_is_left_out() -> None:
    values = Values()
    values.add(np.array([np.nan, 2.0, np.nan]))
    assert (values.number, values.mean, values.distinct) == (1, 2.0, 1)


def test_the_command_prints_the_card_and_writes_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder = tmp_path / "takes"
    recorded(folder, take_of(5))
    run(monkeypatch, str(folder), "--out", str(folder / "README.md"))
    printed = capsys.readouterr().out
    assert printed == card_of(folder) == (folder / "README.md").read_text()
    assert str(tmp_path) not in printed


def test_a_folder_to_write_to_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"is a folder, expected a file, as .*README.md"):
        run(monkeypatch, str(tmp_path), "--out", str(tmp_path))


def test_a_folder_without_episodes_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match="holds no episodes"):
        run(monkeypatch, str(tmp_path))
    with pytest.raises(SystemExit, match="there is no recordings folder"):
        run(monkeypatch, str(tmp_path / "nowhere"))
