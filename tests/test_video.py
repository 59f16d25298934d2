"""Footage becomes a recording: the right frame at each step, whole takes, described worlds."""

import re
import shutil
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from tiny_footage import HEIGHT, WIDTH, clip, contents, film, imported, numbers, shown, still, table

from learned_envs import worlds
from learned_envs.data import EpisodeStore
from learned_envs.recording.footage.described import rounded_outward
from learned_envs.recording.footage.film import read_film
from learned_envs.recording.footage.video import Clip, import_video
from learned_envs.recording.inspect import inspect

SIZE = (HEIGHT, WIDTH)


@pytest.mark.parametrize(
    ("filmed", "fps", "expected"),
    [
        (30, 15, [0, 2, 4, 6, 8, 10]),
        (30, 30, [0, 1, 2, 3, 4, 5]),
        (25, 15, [0, 2, 3, 5, 7, 8]),
        (60, 15, [0, 4, 8, 12, 16, 20]),
        (24, 10, [0, 2, 5, 7, 10, 12]),
    ],
)
def test_each_step_has_the_frame_shown_nearest_to_its_time(
    tmp_path: Path, filmed: int, fps: int, expected: list[int]
) -> None:
    video = film(tmp_path / "a.mp4", 40, filmed)
    imported(still(tmp_path, video), tmp_path / "out", fps=fps)
    (frames,) = shown(tmp_path / "out")
    assert frames[:6] == expected
    assert len(frames) == int(39 / filmed * fps + 1e-6) + 1


def test_actions_are_of_the_time_from_their_frame_to_the_next(tmp_path: Path) -> None:
    """The input `frame` is the number on screen, so the last one of a step is the one before."""
    imported(clip(tmp_path), tmp_path / "out")
    (episode,) = EpisodeStore(tmp_path / "out")
    assert numbers(episode.observation[:]) == [*range(0, 60, 2)]
    assert episode.action[:, 1].tolist() == [*range(1, 59, 2)]
    assert episode.action[:, 0].tolist() == [1] * 29
    assert episode.action.dtype == np.float32


@pytest.mark.parametrize("kind", ["mkv", "ts", "avi"])
def test_time_counts_from_the_first_frame_in_every_kind_of_file(tmp_path: Path, kind: str) -> None:
    codec = "mpeg4" if kind == "avi" else "libx264"
    video = film(tmp_path / f"a.{kind}", 40, codec=codec)
    imported(still(tmp_path, video), tmp_path / "out")
    assert shown(tmp_path / "out") == [[*range(0, 39, 2)]]


def test_a_film_that_begins_late_in_its_file_begins_at_zero(tmp_path: Path) -> None:
    times = [5 + number / 30 for number in range(40)]
    video = film(tmp_path / "a.mkv", 40, times=times)
    imported(still(tmp_path, video), tmp_path / "out")
    assert shown(tmp_path / "out") == [[*range(0, 39, 2)]]


def test_an_offset_shifts_the_inputs(tmp_path: Path) -> None:
    straight = clip(tmp_path)
    rows = [(number / 30 + 7, number % 2, number) for number in range(60)]
    late = table(tmp_path / "late.csv", ("time", "w", "frame"), rows)
    imported(straight, tmp_path / "out")
    imported(Clip(straight.video, late, offset=-7.0), tmp_path / "shifted")
    one, other = (next(iter(EpisodeStore(tmp_path / out))) for out in ("out", "shifted"))
    np.testing.assert_array_equal(one.action, other.action)
    assert (one.attributes.source, other.attributes.source) == ("run.mp4@0", "run.mp4@0-7")


def test_a_film_that_begins_amid_what_cannot_be_decoded_begins_at_its_first_frame(
    tmp_path: Path,
) -> None:
    video = film(tmp_path / "a.ts", 90)
    data = video.read_bytes()
    video.write_bytes(data[len(data) * 2 // 5 // 188 * 188 :])
    imported(still(tmp_path, video), tmp_path / "out")
    (frames,) = shown(tmp_path / "out")
    assert frames[0] in (36, 48)
    assert frames == [*range(frames[0], 90, 2)]


def test_frames_that_come_a_little_unevenly_pass(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    times = [number / 30 + random.uniform(0, 0.01) for number in range(60)]
    imported(still(tmp_path, film(tmp_path / "a.mkv", 60, times=times)), tmp_path / "out")
    (frames,) = shown(tmp_path / "out")
    expected = [int(np.argmin(np.abs(np.array(times) - times[0] - k / 15))) for k in range(30)]
    assert frames == expected[: len(frames)]
    assert len(frames) >= 29


def test_pictures_are_shrunk_by_area_and_the_right_way_up(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    picture = np.zeros((480, 640, 3), np.uint8)
    for _ in range(40):
        x, y, w, h = (int(n) for n in random.integers((0, 0, 8, 8), (600, 440, 90, 90)))
        cv2.rectangle(picture, (x, y), (x + w, y + h), random.integers(256, size=3).tolist(), -1)
    imported(still(tmp_path, film(tmp_path / "a.mp4", [picture] * 4)), tmp_path / "out")
    (episode,) = EpisodeStore(tmp_path / "out")
    assert episode.observation.shape[1:] == (64, 88, 3)
    expected = cv2.resize(picture, (88, 64), interpolation=cv2.INTER_AREA)
    apart = np.abs(episode.observation[:][0].astype(int) - expected)
    assert apart.mean() < 1.2
    assert np.quantile(apart, 0.99) < 20  # 34 if the decoder's scaler does all of it


def test_a_film_taken_with_a_phone_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    video = film(tmp_path / "a.mp4", 10)
    turned = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)  # a quarter right
    data = bytearray(video.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    data[matrix : matrix + 36] = turned
    video.write_bytes(data)
    imported(still(tmp_path, video), tmp_path / "out")
    (episode,) = EpisodeStore(tmp_path / "out")
    upright = np.rot90(episode.observation[:], 1, (1, 2))
    assert numbers(upright) == [0, 2, 4, 6, 8]


def test_a_clip_is_cut_into_takes_that_share_no_frame_and_have_sources_of_their_own(
    tmp_path: Path,
) -> None:
    done = imported(clip(tmp_path, frames=100), tmp_path / "out", take_seconds=1.0)
    assert done.takes == 4
    assert shown(tmp_path / "out") == [
        [*range(0, 30, 2)], [*range(30, 60, 2)], [*range(60, 90, 2)], [*range(90, 100, 2)],
    ]  # fmt: skip
    about = [episode.attributes for episode in EpisodeStore(tmp_path / "out")]
    assert [each.source for each in about] == [f"run.mp4@{second}" for second in range(4)]
    assert [each.seed for each in about] == [0, 1, 2, 3]
    assert {each.behaviour for each in about} == {"footage"}
    for episode in EpisodeStore(tmp_path / "out"):
        assert np.flatnonzero(episode.truncated).tolist() == [episode.steps - 1]
        assert not episode.terminated.any()
        assert not episode.reward.any()


def test_a_frame_that_is_left_over_is_no_take(tmp_path: Path) -> None:
    imported(clip(tmp_path, frames=31), tmp_path / "out", take_seconds=1.0)
    assert [len(frames) for frames in shown(tmp_path / "out")] == [15]


def test_a_long_take_goes_on_in_parts(tmp_path: Path) -> None:
    imported(clip(tmp_path, frames=1000), tmp_path / "out", fps=30, take_seconds=60.0)
    one, other = EpisodeStore(tmp_path / "out")
    assert numbers(one.observation[:]) == [*range(900)]
    assert numbers(other.observation[:]) == [*range(899, 1000)]
    assert [*one.action[:, 1], *other.action[:, 1]] == [*range(999)]
    assert (one.attributes.last, other.attributes.last) == (False, True)
    assert not one.truncated.any()


def test_a_few_minutes_fill_all_splits(tmp_path: Path) -> None:
    imported(clip(tmp_path, frames=480), tmp_path / "out", fps=6, take_seconds=0.5)
    store = EpisodeStore(tmp_path / "out")
    assert all(store.names(split) for split in ("train", "validation", "test"))


def test_several_clips_make_one_recording_whatever_the_order_of_their_columns(
    tmp_path: Path,
) -> None:
    one, other = clip(tmp_path, "one"), clip(tmp_path, "other", frames=30)
    rows = [(number, number / 30, 0) for number in range(30)]
    table(other.inputs, ("frame", "time", "w"), rows)
    assert imported([one, other], tmp_path / "out").takes == 2
    first, second = EpisodeStore(tmp_path / "out")
    assert second.attributes.seed == 1_000_000
    assert second.attributes.source == "other.mp4@0"
    assert first.attributes.action_names == second.attributes.action_names == ("w", "frame")
    assert second.action[:, 1].tolist() == [*range(1, 29, 2)]


def test_the_world_is_described_with_the_bounds_of_its_actions_and_its_keys(tmp_path: Path) -> None:
    rows = [(k / 30, k % 2, -1.23 * (k == 7), k / 4, 1, 0) for k in range(60)]
    columns = ("time", "W", "mouse_dx", "z", "shift", "jump")
    video = film(tmp_path / "a.mp4", 60)
    done = imported(Clip(video, table(tmp_path / "a.csv", columns, rows)), tmp_path / "out")
    world = worlds.find(str(tmp_path / "out"))
    assert world.action_names == ("W", "mouse_dx", "z", "shift", "jump")
    np.testing.assert_allclose(world.action_space.low, [0, -1.3, 0, 0, 0])
    np.testing.assert_allclose(world.action_space.high, [1, 0, 15, 1, 1])
    assert {key: action.tolist() for key, action in world.keys.items()} == {
        "w": [1, 0, 0, 0, 0], "left shift": [0, 0, 0, 1, 0], "space": [0, 0, 0, 0, 1],
    }  # fmt: skip
    assert world.idle_action.tolist() == [0] * 5
    assert world.real is None
    assert (world.name, world.fps, world.observation_space.shape) == ("run", 15, (*SIZE, 3))
    for episode in EpisodeStore(tmp_path / "out"):
        assert all(action in world.action_space for action in episode.action)
    assert "W held (guessed), mouse_dx delta (guessed), z value (guessed)" in str(done)


def test_a_footage_folder_can_be_inspected(tmp_path: Path) -> None:
    imported(clip(tmp_path), tmp_path / "out", kinds={"w": "held"})
    report = inspect(tmp_path / "out")
    assert (report.world, report.frames, report.behaviours) == ("run", 30, {"footage": 1})


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ((-37.2, 41.9), (-38, 42)),
        ((0.0, 0.0123), (0, 0.013)),
        ((-2.0, -2.0), (-2, -1)),
        ((0.0, 0.0), (0, 1)),
        ((3.0, 1234.0), (0, 1300)),
    ],
)
def test_bounds_are_rounded_outward(seen: tuple, expected: tuple) -> None:
    assert rounded_outward(*seen) == expected


def test_pictures_take_the_size_that_is_asked_for(tmp_path: Path) -> None:
    imported(clip(tmp_path, frames=6), tmp_path / "out", image_size=(32, 48))
    (episode,) = EpisodeStore(tmp_path / "out")
    assert episode.observation.shape == (3, 32, 48, 3)


def test_pauses_in_the_inputs_are_told(tmp_path: Path) -> None:
    given = clip(tmp_path)
    rows = [(number / 30, 0, number) for number in range(60) if not 20 <= number < 50]
    table(given.inputs, ("time", "w", "frame"), rows)
    (note,) = imported(given, tmp_path / "out").notes
    assert "no rows between seconds 0.633 (row 21) and 1.667" in note


def test_what_is_missing_is_imported_again_and_nothing_else(tmp_path: Path) -> None:
    clips = [clip(tmp_path, "one", 200), clip(tmp_path, "other", 100)]
    imported(clips, tmp_path / "out", take_seconds=1.0)
    before = contents(tmp_path / "out")
    assert imported(clips, tmp_path / "out", take_seconds=1.0).takes == 0
    names = EpisodeStore(tmp_path / "out").names()
    for name in (names[2], names[4], names[5], names[-1]):
        shutil.rmtree(tmp_path / "out" / f"{name}.zarr")
    assert imported(clips, tmp_path / "out", take_seconds=1.0).takes == 4
    assert contents(tmp_path / "out") == before


def test_a_file_without_an_index_goes_on_too(tmp_path: Path) -> None:
    given = still(tmp_path, film(tmp_path / "a.ts", 100))
    imported(given, tmp_path / "out", take_seconds=1.0)
    before = contents(tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / f"{EpisodeStore(tmp_path / 'out').names()[2]}.zarr")
    assert imported(given, tmp_path / "out", take_seconds=1.0).takes == 1
    assert contents(tmp_path / "out") == before


def test_further_clips_are_added_behind_the_others(tmp_path: Path) -> None:
    one, other = clip(tmp_path, "one"), clip(tmp_path, "other", frames=30)
    imported(one, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert imported([one, other], tmp_path / "out").takes == 1
    assert before.items() <= contents(tmp_path / "out").items()


def test_other_settings_clips_or_offsets_are_refused_and_nothing_is_lost(tmp_path: Path) -> None:
    one, other = clip(tmp_path, "one"), clip(tmp_path, "other")
    imported(one, tmp_path / "out")
    before = contents(tmp_path / "out")
    for arguments in (
        {"fps": 10}, {"take_seconds": 1.0}, {"image_size": (32, 48)}, {"columns": ["frame"]},
        {"kinds": {"w": "value"}},
    ):  # fmt: skip
        with pytest.raises(ValueError, match="give each a folder of its own"):
            imported(one, tmp_path / "out", **arguments)
    message = "holds run-footage-000000000000 of 'one.mp4@0', not of "
    for clips, source in (
        ([other, one], "'other.mp4@0'"),
        ([Clip(one.video, one.inputs, 0.01)], "'one.mp4@0+0.01'"),
    ):
        with pytest.raises(ValueError, match=re.escape(message + source)):
            imported(clips, tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_folder_of_another_world_is_left_as_it_is(tmp_path: Path) -> None:
    import_video([clip(tmp_path)], tmp_path / "out", name="other", progress=False)
    (tmp_path / "out/world.json").unlink()
    before = contents(tmp_path / "out")
    with pytest.raises(ValueError, match="holds recordings of the world 'other'"):
        imported(clip(tmp_path), tmp_path / "out")
    assert contents(tmp_path / "out") == before


def test_a_film_is_looked_through_without_being_decoded(tmp_path: Path) -> None:
    found = read_film(film(tmp_path / "a.mp4", 60))
    assert found.size == SIZE
    np.testing.assert_allclose(found.times, np.arange(60) / 30, atol=1e-6)
    assert found.interval == pytest.approx(1 / 30)
