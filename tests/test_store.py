"""The episode store: what is written is read back, and what is damaged is refused."""

import dataclasses
import errno
import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_faults import flipped

from learned_envs.data import Episode, EpisodeAttributes, EpisodeStore, EpisodeWriter

ARRAYS = ("action", "reward", "terminated", "truncated")


def make_episode(
    steps: int = 5,
    seed: int = 0,
    *,
    behaviour: str = "careful",
    source: str = "",
    frame: tuple[int, int] = (4, 6),
    action: np.ndarray | None = None,
    metadata: dict[str, np.ndarray] | None = None,
) -> Episode:
    random = np.random.default_rng(seed)
    return Episode(
        observation=random.integers(256, size=(steps + 1, *frame, 3), dtype=np.uint8),
        action=random.integers(3, size=steps) if action is None else action,
        reward=random.random(steps, np.float32),
        terminated=np.arange(steps) == steps - 1,
        truncated=np.zeros(steps, bool),
        metadata=metadata or {},
        attributes=EpisodeAttributes(
            world="tiny",
            fps=15,
            seed=seed,
            behaviour=behaviour,
            action_names=("noop", "left", "right"),
            source=source,
        ),
    )


def assert_same(left: Episode, right: Episode) -> None:
    assert left.attributes == right.attributes
    np.testing.assert_array_equal(left.observation[:], right.observation[:])
    for name in ARRAYS:
        expected = getattr(right, name)
        assert getattr(left, name).dtype == expected.dtype
        np.testing.assert_array_equal(getattr(left, name), expected)
    assert left.metadata.keys() == right.metadata.keys()
    for name, array in right.metadata.items():
        assert left.metadata[name].dtype == array.dtype
        np.testing.assert_array_equal(left.metadata[name], array)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one episode of 40 steps, not to be changed."""
    folder = tmp_path_factory.mktemp("written")
    EpisodeWriter(folder, "tiny").write(make_episode(40))
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A folder with one episode of 40 steps."""
    return shutil.copytree(written, tmp_path / "recordings")


def only_episode(folder: Path) -> Path:
    (path,) = folder.glob("*.zarr")
    return path


@st.composite
def episodes(draw: st.DrawFn) -> Episode:
    steps = draw(st.integers(1, 40))
    shape = draw(st.sampled_from([(), (3,), (2, 2)]))
    dtype = draw(st.sampled_from([np.int64, np.uint8, np.float32, np.float64, np.bool_]))
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    names = draw(st.sets(st.sampled_from(["lives", "score", "x"])))
    return make_episode(
        steps,
        seed=draw(st.integers(0, 10**14)),
        behaviour=draw(st.sampled_from(["careful", "a-b", "v1.2"])),
        source=draw(st.text(max_size=8)),
        frame=draw(st.sampled_from([(1, 1), (3, 5), (8, 8)])),
        action=(4 * random.random((steps, *shape)) - 1).astype(dtype),
        metadata={name: random.integers(-9, 9, size=(steps + 1, 2)) for name in names},
    )


@settings(deadline=None, max_examples=25)
@given(episodes())
def test_an_episode_is_read_back_as_it_was_written(episode: Episode) -> None:
    with tempfile.TemporaryDirectory() as folder:
        EpisodeWriter(folder, "tiny").write(episode)
        (found,) = EpisodeStore(folder, "tiny")
        assert_same(found, episode)


def test_an_episode_is_a_zarr_v3_group_in_chunks_of_16_frames_and_one_shard(folder: Path) -> None:
    group = zarr.open_group(only_episode(folder), mode="r", zarr_format=3)
    observation = group["observation"]
    assert isinstance(observation, zarr.Array)
    assert observation.chunks == (16, 4, 6, 3)
    assert len([p for p in (only_episode(folder) / "observation/c").rglob("*") if p.is_file()]) == 1
    assert group.attrs["world"] == "tiny"
    assert group.attrs["schema"] == 1


def test_lazy_frames_equal_those_read_at_once(folder: Path) -> None:
    store = EpisodeStore(folder)
    (name,) = store.names()
    lazy = store.read(name, lazy=True).observation
    whole = store.read(name).observation
    np.testing.assert_array_equal(lazy[13:35], whole[13:35])


def test_a_long_take_becomes_consecutive_parts_that_share_a_frame(tmp_path: Path) -> None:
    take = make_episode(2000)
    EpisodeWriter(tmp_path, "tiny").write_take(take)
    parts = list(EpisodeStore(tmp_path))
    assert [part.observation.shape[0] for part in parts] == [900, 900, 203]
    assert [part.attributes.part for part in parts] == [0, 1, 2]
    assert [part.attributes.last for part in parts] == [False, False, True]
    np.testing.assert_array_equal(parts[0].observation[-1:], parts[1].observation[:1])
    np.testing.assert_array_equal(np.concatenate([part.action for part in parts]), take.action)


def test_a_part_that_is_too_long_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"901 frames, at most 900 fit.*parts\(\)"):
        EpisodeWriter(tmp_path, "tiny").write(make_episode(900))


def test_writing_an_episode_twice_keeps_the_first(folder: Path) -> None:
    before = only_episode(folder).stat().st_ino
    EpisodeWriter(folder, "tiny").write(make_episode(40))
    assert only_episode(folder).stat().st_ino == before
    assert sorted(os.listdir(folder)) == [only_episode(folder).name]


def test_a_writer_knows_the_takes_that_are_whole(tmp_path: Path) -> None:
    writer = EpisodeWriter(tmp_path, "tiny")
    writer.write(make_episode(5, seed=0))
    for seed, kept in ((1, 0), (2, 1)):
        writer.write(list(make_episode(1000, seed=seed).parts())[kept])
    assert EpisodeWriter(tmp_path, "tiny").whole_takes == {"tiny-careful-000000000000"}


@given(st.text(min_size=1, max_size=20), st.integers(0, 50), st.integers(0, 10**9))
def test_parts_of_one_source_share_a_split(source: str, part: int, seed: int) -> None:
    one = make_episode(1, source=source).attributes
    other = dataclasses.replace(one, part=part, seed=seed, behaviour="careless")
    assert one.split == other.split


def test_splits_are_about_eight_to_one_to_one() -> None:
    splits = [make_episode(1, seed).attributes.split for seed in range(2000)]
    shares = [splits.count(split) / 2000 for split in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.8, 0.1, 0.1], atol=0.03)


def test_a_missing_folder_is_named_with_the_command_that_fills_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.*learned-envs record breakout --out"):
        EpisodeStore(tmp_path / "nowhere", "breakout")


def test_an_empty_folder_is_named_with_the_command_that_fills_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no episodes.*learned-envs record breakout --out"):
        EpisodeStore(tmp_path, "breakout")


@pytest.mark.parametrize("opened", [EpisodeStore, EpisodeWriter])
def test_a_folder_of_another_world_is_refused(folder: Path, opened: type) -> None:
    with pytest.raises(ValueError, match="'tiny'.*expected 'breakout'"):
        opened(folder, "breakout")


def test_two_worlds_in_one_folder_are_refused(folder: Path) -> None:
    other = make_episode()
    other = dataclasses.replace(
        other, attributes=dataclasses.replace(other.attributes, world="other", source="")
    )
    EpisodeWriter(folder.parent / "other", "other").write(other)
    only_episode(folder.parent / "other").rename(folder / "other.zarr")
    with pytest.raises(ValueError, match="expected 'other'"):
        EpisodeStore(folder)


def change_header(folder: Path, **fields: object) -> None:
    path = only_episode(folder) / "zarr.json"
    header = json.loads(path.read_text())
    header["attributes"] |= fields
    path.write_text(json.dumps(header))


def test_another_schema_is_refused(folder: Path) -> None:
    change_header(folder, schema=2)
    with pytest.raises(ValueError, match="episode schema 2, .* reads 1: upgrade"):
        EpisodeStore(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"attributes": {}}', '{"attributes": null}'])
def test_a_damaged_header_is_named(folder: Path, text: str) -> None:
    (only_episode(folder) / "zarr.json").write_text(text)
    with pytest.raises(ValueError, match=r"p000\.zarr/zarr\.json is truncated or damaged"):
        EpisodeStore(folder)


def test_a_header_without_a_field_is_named(folder: Path) -> None:
    change_header(folder, behaviour=None)
    with pytest.raises(ValueError, match=r"p000\.zarr/zarr\.json is truncated or damaged"):
        EpisodeStore(folder)


def test_an_episode_without_its_header_is_named(folder: Path) -> None:
    (only_episode(folder) / "zarr.json").unlink()
    with pytest.raises(ValueError, match=r"zarr\.json is truncated or damaged .*Delete .*record"):
        EpisodeStore(folder)


def data_files(folder: Path) -> dict[str, Path]:
    root = only_episode(folder)
    return {str(p.relative_to(root)): p for p in root.rglob("c/**/*") if p.is_file()}


@pytest.mark.parametrize("array", ["observation", *ARRAYS])
def test_a_truncated_array_is_named(folder: Path, array: str) -> None:
    for name, path in data_files(folder).items():
        if name.startswith(f"{array}/"):
            path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=rf"p000\.zarr/{array}/c/.* is truncated or damaged"):
        list(EpisodeStore(folder))


@pytest.mark.parametrize("array", ["observation", *ARRAYS])
def test_a_missing_array_is_named(folder: Path, array: str) -> None:
    for name, path in data_files(folder).items():
        if name.startswith(f"{array}/"):
            path.unlink()
    with pytest.raises(ValueError, match=rf"p000\.zarr/{array}/c/.*the file is missing"):
        list(EpisodeStore(folder))


def all_files(folder: Path) -> dict[str, Path]:
    root = only_episode(folder)
    return {str(p.relative_to(root)): p for p in root.rglob("*") if p.is_file()}


def changed_copy(written: Path, name: str, change: Callable[[bytes], bytes]) -> Path:
    """A copy of the recording in which one file of the episode is another."""
    folder = shutil.copytree(written, Path(tempfile.mkdtemp()) / "recordings")
    path = all_files(folder)[name]
    path.write_bytes(change(path.read_bytes()))
    return folder


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_file_cut_at_any_length_is_noticed_and_named(written: Path, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(all_files(written))))
    length = data.draw(st.integers(0, all_files(written)[name].stat().st_size - 1))
    folder = changed_copy(written, name, lambda content: content[:length])
    with pytest.raises(ValueError, match=rf"p000\.zarr/{name} is truncated or damaged"):
        list(EpisodeStore(folder))
    shutil.rmtree(folder)


@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_a_flipped_bit_is_noticed_and_named_or_changes_nothing(
    written: Path, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(all_files(written))))
    bit = data.draw(st.integers(0, 8 * all_files(written)[name].stat().st_size - 1))
    folder = changed_copy(written, name, lambda content: flipped(content, bit))
    try:
        (found,) = EpisodeStore(folder)
    except ValueError as error:
        assert re.search(
            rf"p000\.zarr/{name} (is truncated or damaged|has episode schema)", str(error)
        )
    else:  # what Zarr says of the group besides our attributes is of no use to us
        assert name == "zarr.json"
        assert_same(found, make_episode(40))
    shutil.rmtree(folder)


def test_an_episode_of_before_there_were_checksums_is_read(folder: Path) -> None:
    path = only_episode(folder) / "zarr.json"
    header = json.loads(path.read_text())
    del header["attributes"]["checksum"], header["attributes"]["checksums"]
    path.write_text(json.dumps(header))
    (found,) = EpisodeStore(folder)
    assert_same(found, make_episode(40))


def test_a_flipped_bit_is_noticed_when_frames_are_read_lazily(folder: Path) -> None:
    path = data_files(folder)["observation/c/0/0/0/0"]
    path.write_bytes(flipped(path.read_bytes(), 800))
    store = EpisodeStore(folder)
    frames = store.read(store.names()[0], lazy=True).observation
    with pytest.raises(ValueError, match=r"p000\.zarr/observation is truncated or damaged"):
        frames[0:5]


@pytest.mark.parametrize("fails_at", range(0, 12, 3))
def test_a_full_disk_leaves_no_trace_of_the_episode_and_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch, fails_at: int
) -> None:
    write_bytes, calls = Path.write_bytes, iter(range(99))

    def full(path: Path, content: bytes) -> int:
        if next(calls) == fails_at:
            write_bytes(path, content[: len(content) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    before = os.listdir(folder)
    with pytest.raises(OSError, match="no space is left for .*recordings.*free some space") as info:
        EpisodeWriter(folder, "tiny").write(make_episode(seed=1))
    assert info.value.errno == errno.ENOSPC
    assert os.listdir(folder) == before


def test_unfinished_episodes_are_ignored_and_swept_after_an_hour(folder: Path) -> None:
    for name, age in (("young", 60), ("old", 3700)):
        path = folder / f".{name}.tmp"
        path.mkdir()
        changed = path.stat().st_mtime - age
        os.utime(path, (changed, changed))
    assert len(EpisodeStore(folder)) == 1
    EpisodeWriter(folder, "tiny")
    assert (folder / ".young.tmp").exists()
    assert not (folder / ".old.tmp").exists()


def test_episodes_can_be_kept_behind_a_url() -> None:
    url = "memory://test-store/recordings"
    episode = make_episode(40)
    EpisodeWriter(url, "tiny").write(episode)
    (found,) = EpisodeStore(url, "tiny")
    assert_same(found, episode)
    assert EpisodeWriter(url, "tiny").whole_takes == {episode.attributes.take}


def test_behind_a_url_an_episode_counts_only_once_its_header_is_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "memory://test-store/killed"
    writer = EpisodeWriter(url, "tiny")
    writer.write(make_episode(seed=0))

    def killed(path: str, content: bytes) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(writer.folder.files, "pipe_file", killed)
        writer.write(make_episode(seed=1))
    assert len(EpisodeStore(url)) == 1
    writer.write(make_episode(seed=1))
    assert len(EpisodeStore(url)) == 2


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("observation", np.zeros((6, 4, 6), np.uint8), r"shape \(6, 4, 6\)"),
        ("observation", np.zeros((6, 4, 6, 3), np.float32), "float32, expected .* of uint8"),
        ("observation", np.zeros((5, 4, 6, 3), np.uint8), r"expected \(6, any, any, 3\)"),
        ("reward", np.zeros(5), "float64, expected .* of float32"),
        ("reward", np.zeros(4, np.float32), r"shape \(4,\)"),
        ("terminated", np.arange(5) == 2, "holds at step 2 of 5"),
        ("metadata", {"x": np.zeros(5)}, r"metadata/x.*expected \(6, \.\.\.\)"),
        ("metadata", {"../x": np.zeros(6)}, "file name"),
    ],
)
def test_an_episode_with_a_wrong_array_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(make_episode(5), **{field: value})


@pytest.mark.parametrize("field", ["world", "behaviour"])
def test_a_name_that_is_no_file_name_is_refused(field: str) -> None:
    with pytest.raises(ValueError, match="becomes part of a file name"):
        dataclasses.replace(make_episode().attributes, **{field: "a/b"})
