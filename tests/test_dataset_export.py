"""Recordings that were exported hold what was recorded, for readers that know nothing of us."""

import json
import sys
from pathlib import Path

import av
import gymnasium as gym
import minari
import numpy as np
import pyarrow.parquet as pq
import pytest
from tiny_takes import NAMES, SIZE, recorded, spoil_frames, take_of

from learned_envs import cli, worlds
from learned_envs.data import Episode
from learned_envs.recording.dataset.minari_export import export_minari
from learned_envs.recording.dataset.parquet_export import export_parquet
from learned_envs.recording.recorder import record

BOTH = pytest.mark.parametrize("export", [export_minari, export_parquet])


def minari_of(out: Path, name: str = "hill-v0") -> minari.MinariDataset:
    return minari.MinariDataset(out / name / "data")


def shown(video: Path) -> np.ndarray:
    """The frames of a video (n, H, W, 3)."""
    with av.open(str(video)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(frames)


def steps_of(out: Path, episode: Episode) -> dict[str, list]:
    """The rows of an episode, by column."""
    name = episode.attributes.name
    return pq.read_table(out / "steps.parquet", filters=[("episode", "=", name)]).to_pydict()


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize("size", [SIZE, (40, 48)])  # Minari would make JPEG of the larger one
@pytest.mark.parametrize("vectors", [False, True])
def test_minari_gives_back_what_was_recorded(
    tmp_path: Path, vectors: bool, size: tuple[int, int]
) -> None:
    takes = [take_of(9, seed, vectors=vectors, size=size) for seed in range(3)]
    recorded(tmp_path / "takes", *takes)
    export_minari(tmp_path / "takes", tmp_path / "out")
    dataset = minari_of(tmp_path / "out")
    assert (dataset.total_episodes, dataset.total_steps) == (3, 27)
    for read, take in zip(dataset, takes, strict=True):
        np.testing.assert_array_equal(read.observations, take.observation[:])
        np.testing.assert_array_equal(read.actions, take.action)
        np.testing.assert_array_equal(read.rewards, take.reward)
        np.testing.assert_array_equal(read.terminations, take.terminated)
        np.testing.assert_array_equal(read.truncations, take.truncated)
        assert read.infos.keys() == take.metadata.keys()
        for name, array in take.metadata.items():
            np.testing.assert_array_equal(read.infos[name], array)
            assert read.infos[name].dtype == array.dtype
        assert dataset.observation_space.contains(read.observations[0])
        assert dataset.action_space.contains(read.actions[0])


def test_minari_finds_the_dataset_by_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recorded(tmp_path / "takes", take_of(3))
    done = export_minari(tmp_path / "takes", tmp_path / "out")
    assert "hill-v0" in str(done)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "out"))
    assert list(minari.list_local_datasets()) == ["hill-v0"]
    assert minari.load_dataset("hill-v0").total_steps == 3


def test_a_part_of_a_long_take_is_truncated_where_it_is_cut(tmp_path: Path) -> None:
    take = take_of(1000)
    recorded(tmp_path / "takes", take)
    export_minari(tmp_path / "takes", tmp_path / "out")
    first, second = minari_of(tmp_path / "out")
    assert (len(first), len(second)) == (899, 101)
    assert first.truncations[-1] and not first.terminations.any()
    assert second.terminations[-1] and not second.truncations.any()
    np.testing.assert_array_equal(np.append(first.rewards, second.rewards), take.reward)


def test_minari_knows_who_played_and_where_an_episode_belongs(tmp_path: Path) -> None:
    take = take_of(1000, 7, behaviour="down")
    recorded(tmp_path / "takes", take)
    export_minari(tmp_path / "takes", tmp_path / "out")
    dataset = minari_of(tmp_path / "out")
    _, told = dataset.storage.get_episode_metadata(dataset.episode_indices)
    about = take.attributes
    expected = {"take": about.take, "part": 1, "take_seed": 7, "split": about.split}
    assert {**expected, "behaviour": "down", "last_part": True}.items() <= told.items()
    assert dataset.storage.metadata["algorithm_name"] == "down"


def test_a_dataset_of_a_world_of_the_library_knows_its_environment(tmp_path: Path) -> None:
    record(worlds.get("breakout"), tmp_path / "takes", 1, workers=0, max_steps=5, progress=False)
    export_minari(tmp_path / "takes", tmp_path / "out")
    dataset = minari_of(tmp_path / "out", "breakout-v0")
    env = dataset.recover_environment()
    assert env.spec is not None and env.spec.id == "Real-Breakout-v0"
    assert env.observation_space == dataset.observation_space
    assert env.action_space == dataset.action_space
    env.close()


def test_arrays_among_the_metadata_keep_their_shape_in_minari(tmp_path: Path) -> None:
    told = {"map": np.arange(24.0).reshape(4, 2, 3), "flag": np.ones(4, bool)}
    recorded(tmp_path / "takes", take_of(3, metadata=told))
    export_minari(tmp_path / "takes", tmp_path / "out")
    (read,) = minari_of(tmp_path / "out")
    np.testing.assert_array_equal(read.infos["map"], told["map"])
    np.testing.assert_array_equal(read.infos["flag"], told["flag"])


def test_minari_leaves_out_metadata_that_some_episodes_lack_and_says_so(tmp_path: Path) -> None:
    recorded(
        tmp_path / "takes",
        take_of(2, 0, metadata={"x": np.arange(3), "rare": np.arange(3), "odd": np.ones((3, 2))}),
        take_of(2, 1, metadata={"x": np.arange(3) / 2, "odd": np.ones((3, 4))}),
    )
    done = export_minari(tmp_path / "takes", tmp_path / "out")
    assert done.left_out == ("odd", "rare")
    assert "left out" in str(done)
    first, second = minari_of(tmp_path / "out")
    assert first.infos.keys() == second.infos.keys() == {"x"}
    assert second.infos["x"].tolist() == [0, 0.5, 1]


def test_a_minari_dataset_that_is_there_is_not_overwritten(tmp_path: Path) -> None:
    recorded(tmp_path / "takes", take_of(3))
    export_minari(tmp_path / "takes", tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match="holds the dataset hill-v0 already: delete"):
        export_minari(tmp_path / "takes", tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_minari_export_that_fails_leaves_nothing(tmp_path: Path) -> None:
    store = recorded(tmp_path / "takes", take_of(3, 0), take_of(3, 1))
    spoil_frames(store, store.names()[1])
    with pytest.raises(ValueError, match="damaged"):
        export_minari(tmp_path / "takes", tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_a_killed_minari_export_left_is_cleared_away(tmp_path: Path) -> None:
    recorded(tmp_path / "takes", take_of(3))
    left = tmp_path / "out" / ".hill-v0.tmp" / "data"
    left.mkdir(parents=True)
    (left / "metadata.json").write_text("{")
    export_minari(tmp_path / "takes", tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["hill-v0"]


def test_splits_stand_side_by_side_in_one_minari_folder(tmp_path: Path) -> None:
    store = recorded(tmp_path / "takes", *(take_of(3, seed) for seed in range(20)))
    for split in ("train", "test"):
        export_minari(tmp_path / "takes", tmp_path / "out", split=split)
        dataset = minari_of(tmp_path / "out", f"hill-{split}-v0")
        told = dataset.storage.get_episode_metadata(dataset.episode_indices)
        assert [episode["name"] for episode in told] == list(store.names(split))


@pytest.mark.parametrize("size", [SIZE, (5, 7)])
def test_videos_are_the_recorded_frames_bit_by_bit(tmp_path: Path, size: tuple[int, int]) -> None:
    takes = [take_of(9, seed, size=size) for seed in range(2)]
    recorded(tmp_path / "takes", *takes)
    export_parquet(tmp_path / "takes", tmp_path / "out")
    for take in takes:
        (file,) = set(steps_of(tmp_path / "out", take)["file"])
        np.testing.assert_array_equal(shown(tmp_path / "out" / file), take.observation[:])


def test_videos_run_at_the_rate_of_the_recording(tmp_path: Path) -> None:
    (name,) = recorded(tmp_path / "takes", take_of(9, fps=12.5)).names()
    export_parquet(tmp_path / "takes", tmp_path / "out")
    with av.open(str(tmp_path / "out" / "videos" / f"{name}.mp4")) as container:
        assert container.streams.video[0].average_rate == 12.5


def test_the_table_has_a_row_for_each_frame_and_nothing_done_at_the_last(tmp_path: Path) -> None:
    takes = [take_of(4, 0), take_of(6, 1, behaviour="down")]
    recorded(tmp_path / "takes", *takes)
    export_parquet(tmp_path / "takes", tmp_path / "out")
    for take in takes:
        rows, about = steps_of(tmp_path / "out", take), take.attributes
        assert rows["step"] == list(range(take.steps + 1))
        assert rows["action"] == [*take.action, None]
        assert rows["reward"] == [*take.reward, None]
        assert rows["terminated"] == [*take.terminated, None]
        assert rows["truncated"] == [*take.truncated, None]
        assert rows["metadata.score"] == take.metadata["score"].tolist()
        assert rows["metadata.lives"] == take.metadata["lives"].tolist()
        for column in ("take", "part", "split", "behaviour"):
            assert set(rows[column]) == {getattr(about, column)}


def test_parts_of_a_take_are_told_apart_in_the_table(tmp_path: Path) -> None:
    take = take_of(1000)
    recorded(tmp_path / "takes", take)
    export_parquet(tmp_path / "takes", tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "steps.parquet").to_pydict()
    assert (table["part"].count(0), table["part"].count(1)) == (900, 102)
    assert [value for value in table["reward"] if value is not None] == take.reward.tolist()


def test_each_component_of_an_action_has_a_column(tmp_path: Path) -> None:
    take = take_of(5, vectors=True)
    recorded(tmp_path / "takes", take)
    export_parquet(tmp_path / "takes", tmp_path / "out")
    rows = steps_of(tmp_path / "out", take)
    for place, name in enumerate(NAMES):
        assert rows[f"action.{name}"] == [*take.action[:, place], None]


def test_arrays_among_the_metadata_are_rolled_out_and_missing_ones_null(tmp_path: Path) -> None:
    told = {"map": np.arange(24.0).reshape(4, 2, 3), "x": np.arange(4)}
    takes = [take_of(3, 0, metadata=told), take_of(3, 1, metadata={"x": np.arange(4) / 2})]
    recorded(tmp_path / "takes", *takes)
    export_parquet(tmp_path / "takes", tmp_path / "out")
    one, other = (steps_of(tmp_path / "out", take) for take in takes)
    assert one["metadata.map"] == told["map"].reshape(4, 6).tolist()
    assert other["metadata.map"] == [None] * 4
    assert other["metadata.x"] == [0, 0.5, 1, 1.5]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["metadata"]["map"] == {"dtype": "float64", "shape": [2, 3]}


def test_the_manifest_says_what_the_files_are_of(tmp_path: Path) -> None:
    recorded(tmp_path / "takes", take_of(3))
    export_parquet(tmp_path / "takes", tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    expected = {"world": "hill", "fps": 15, "action_names": list(NAMES), "frame_size": list(SIZE)}
    assert {**expected, "split": None, "action_shape": []}.items() <= manifest.items()


def test_an_export_that_was_stopped_goes_on(tmp_path: Path) -> None:
    takes, out = [take_of(3, seed) for seed in range(3)], tmp_path / "out"
    store = recorded(tmp_path / "takes", *takes)
    whole = export_parquet(tmp_path / "takes", tmp_path / "whole").folder
    good = spoil_frames(store, store.names()[1])
    with pytest.raises(ValueError, match="damaged"):
        export_parquet(tmp_path / "takes", out)
    assert not (out / "steps.parquet").exists()
    (first,) = (out / "videos").iterdir()
    made = first.stat().st_mtime_ns
    (out / "videos" / f"{store.names()[1]}.mp4.tmp").write_bytes(b"cut")
    (out / "steps.parquet.tmp").write_bytes(b"cut")
    (frames,) = (Path(store.folder.path(store.names()[1])) / "observation/c").rglob("0/0/0/0")
    frames.write_bytes(good)
    export_parquet(tmp_path / "takes", out)
    assert first.stat().st_mtime_ns == made
    assert contents(out) == contents(whole)


def test_takes_that_were_recorded_later_are_added(tmp_path: Path) -> None:
    recorded(tmp_path / "takes", take_of(3))
    export_parquet(tmp_path / "takes", tmp_path / "out")
    recorded(tmp_path / "takes", take_of(4, 1))
    assert export_parquet(tmp_path / "takes", tmp_path / "out").episodes == 2
    assert pq.read_metadata(tmp_path / "out" / "steps.parquet").num_rows == 9
    assert len(list((tmp_path / "out" / "videos").iterdir())) == 2


def test_another_export_in_the_folder_is_refused(tmp_path: Path) -> None:
    recorded(tmp_path / "takes", *(take_of(3, seed) for seed in range(20)))
    export_parquet(tmp_path / "takes", tmp_path / "out", split="test")
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match="another export .split 'test', not 'train'"):
        export_parquet(tmp_path / "takes", tmp_path / "out", split="train")
    (tmp_path / "out" / "manifest.json").write_text("[]")
    with pytest.raises(ValueError, match="another export .format None"):
        export_parquet(tmp_path / "takes", tmp_path / "out", split="test")
    assert contents(tmp_path / "out") == {**before, "manifest.json": b"[]"}


@BOTH
def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path, export) -> None:
    recorded(tmp_path / "takes", take_of(3))
    with pytest.raises(ValueError, match=r"holds 'hill-up-.*zarr', which is no part"):
        export(tmp_path / "takes", tmp_path / "takes")
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ValueError, match="is a file, expected a folder"):
        export(tmp_path / "takes", file)


@BOTH
def test_a_card_and_hidden_files_may_be_there_already(tmp_path: Path, export) -> None:
    recorded(tmp_path / "takes", take_of(3))
    out = tmp_path / "out"
    (out / ".git").mkdir(parents=True)
    (out / "README.md").write_text("# hill")
    assert export(tmp_path / "takes", out).episodes == 1


@BOTH
def test_an_unknown_split_is_refused(tmp_path: Path, export) -> None:
    recorded(tmp_path / "takes", take_of(3))
    with pytest.raises(ValueError, match=r"`split` \(='tests'\) must be one of .*'train'"):
        export(tmp_path / "takes", tmp_path / "out", split="tests")
    assert not (tmp_path / "out").exists()


@BOTH
def test_an_empty_split_is_refused(tmp_path: Path, export) -> None:
    take = take_of(3)
    recorded(tmp_path / "takes", take)
    empty = next(split for split in ("train", "test") if split != take.attributes.split)
    with pytest.raises(ValueError, match=f"none of the 1 episodes .* the {empty} split"):
        export(tmp_path / "takes", tmp_path / "out", split=empty)


@BOTH
def test_episodes_of_different_kinds_are_refused(tmp_path: Path, export) -> None:
    recorded(tmp_path / "takes", take_of(3, 0), take_of(3, 1, size=(8, 8)))
    with pytest.raises(ValueError, match=r"frame_size=\(8, 8\).* but .*frame_size=\(6, 10\)"):
        export(tmp_path / "takes", tmp_path / "out")


@BOTH
def test_a_missing_recording_is_refused(tmp_path: Path, export) -> None:
    with pytest.raises(FileNotFoundError, match="there is no recordings folder"):
        export(tmp_path / "nowhere", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no episodes"):
        export(tmp_path / "empty", tmp_path / "out")


@pytest.mark.parametrize(
    ("export", "package"),
    [(export_minari, "minari"), (export_minari, "pyarrow"), (export_parquet, "pyarrow"),
     (export_parquet, "av")],
)  # fmt: skip
def test_a_missing_package_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, export, package: str
) -> None:
    recorded(tmp_path / "takes", take_of(3))
    monkeypatch.setitem(sys.modules, package, None)
    told = rf'{package} is not installed, .*pip install "learned-envs\[data\]"'
    with pytest.raises(gym.error.DependencyNotInstalled, match=told):
        export(tmp_path / "takes", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("to", ["minari", "parquet"])
def test_the_command_exports_a_split(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, to: str
) -> None:
    store = recorded(tmp_path / "takes", *(take_of(3, seed) for seed in range(20)))
    out = tmp_path / "out"
    words = ["dataset", "export", str(tmp_path / "takes"), "--to", to, "--out", str(out)]
    monkeypatch.setattr(sys, "argv", ["learned-envs", *words, "--split", "validation"])
    cli.main()
    assert f"{len(store.names('validation'))} episodes in {out}" in capsys.readouterr().out
