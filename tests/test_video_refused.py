"""Footage that cannot be used is refused by the second, and what was recorded is kept."""

import dataclasses
import socket
import sys
import wave
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from tiny_footage import (
    HEIGHT,
    WIDTH,
    clip,
    contents,
    film,
    imported,
    shown,
    still,
)

from learned_envs.data import EpisodeStore
from learned_envs.recording.footage.film import read_film
from learned_envs.recording.footage.video import Clip

SIZE = (HEIGHT, WIDTH)


def refused(clips: Clip | list[Clip], out: Path, message: str, **arguments: object) -> None:
    with pytest.raises(ValueError, match=message):
        imported(clips, out, **arguments)


@pytest.mark.parametrize("content", [b"", b"time,w\n0,1\n" * 50, b"\x00" * 5000])
def test_a_file_that_is_no_video_is_refused(tmp_path: Path, content: bytes) -> None:
    given = clip(tmp_path)
    given.video.write_bytes(content)
    refused(given, tmp_path / "out", r"run\.mp4 cannot be read as a video")
    assert not (tmp_path / "out").exists()


def test_a_missing_video_is_refused(tmp_path: Path) -> None:
    given = clip(tmp_path)
    given.video.unlink()
    with pytest.raises(FileNotFoundError, match=r"there is no video .*run\.mp4"):
        imported(given, tmp_path / "out")


def test_a_file_that_holds_only_sound_is_refused(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes(16000))
    refused(still(tmp_path, tmp_path / "a.wav"), tmp_path / "out", "has no video stream")


def test_a_playlist_opens_no_connection(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.ts"
        playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{address}\n#EXT-X-ENDLIST\n"
        (tmp_path / "a.m3u8").write_text(playlist)
        refused(still(tmp_path, tmp_path / "a.m3u8"), tmp_path / "out", "cannot be read as a video")
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("frames", [1, 2])
def test_a_film_without_a_step_is_refused(tmp_path: Path, frames: int) -> None:
    given = still(tmp_path, film(tmp_path / "a.mp4", frames))
    refused(given, tmp_path / "out", "a single frame|0.033 s long: at `fps`")


def test_a_film_with_fewer_frames_a_second_than_asked_for_is_refused(tmp_path: Path) -> None:
    given = still(tmp_path, film(tmp_path / "a.mp4", 30, fps=10))
    refused(given, tmp_path / "out", r"a\.mp4 has 10 frames a second and `fps` \(=15\)")
    imported(given, tmp_path / "out", fps=10)


def test_a_rate_that_falls_short_by_a_hair_passes(tmp_path: Path) -> None:
    times = [number * 1001 / 30000 for number in range(60)]
    imported(still(tmp_path, film(tmp_path / "a.mkv", 60, times=times)), tmp_path / "out", fps=30)
    assert len(shown(tmp_path / "out")[0]) == 60


def test_a_frame_rate_that_varies_beyond_the_tolerance_is_refused_by_second(tmp_path: Path) -> None:
    times = [number / 30 + 0.2 * (number > 40) for number in range(60)]
    given = still(tmp_path, film(tmp_path / "a.mkv", 60, times=times))
    message = r"no frame from second 1.333 to 1.567, so the step at 1.400 .*frame rate varies"
    refused(given, tmp_path / "out", message)
    imported(given, tmp_path / "out", tolerance=0.2)


def test_clips_of_different_shapes_are_refused_unless_a_size_is_given(tmp_path: Path) -> None:
    square = film(tmp_path / "square.mp4", [np.zeros((64, 64, 3), np.uint8)] * 60)
    clips = [clip(tmp_path), still(tmp_path, square)]
    refused(clips, tmp_path / "out", r"different shapes .*run\.mp4: 96 x 64 .*square\.mp4: 64 x 64")
    imported(clips, tmp_path / "out", image_size=(64, 64))


def cut(video: Path, share: float) -> bytes:
    """Cuts a file off; returns what it was."""
    whole = video.read_bytes()
    video.write_bytes(whole[: int(share * len(whole))])
    return whole


def test_of_a_film_that_was_cut_whole_takes_are_kept_and_the_rest_follows_once_it_is_whole(
    tmp_path: Path,
) -> None:
    video = film(tmp_path / "run.mkv", 150)
    given = Clip(video, clip(tmp_path, frames=150).inputs)
    imported(given, tmp_path / "expected", take_seconds=1.0)
    whole = cut(video, 0.6)
    refused(given, tmp_path / "out", r"run\.mkv cannot be read beyond second 2\.\d+: the file was",
            take_seconds=1.0)  # fmt: skip
    assert len(EpisodeStore(tmp_path / "out")) == 2
    video.write_bytes(whole)
    assert imported(given, tmp_path / "out", take_seconds=1.0).takes == 3
    assert contents(tmp_path / "out") == contents(tmp_path / "expected")


def test_a_film_that_was_never_finished_is_refused(tmp_path: Path) -> None:
    given = clip(tmp_path)
    cut(given.video, 0.9)
    refused(given, tmp_path / "out", "cannot be read as a video .* cut off before it was finished")


def test_a_film_whose_times_are_out_of_order_is_refused(tmp_path: Path) -> None:
    """AVI has no place for the times of frames that are stored out of order."""
    given = still(tmp_path, film(tmp_path / "a.avi", 60))
    refused(given, tmp_path / "out", r"a\.avi cannot .* the times of its frames go back")


def test_a_film_that_is_damaged_within_is_refused_by_second(tmp_path: Path) -> None:
    given = clip(tmp_path, frames=150)
    data = bytearray(given.video.read_bytes())
    begin = data.index(b"mdat")
    length = int.from_bytes(data[begin - 4 : begin])
    for place in range(begin + length // 2, begin + length * 3 // 4):
        data[place] = (7 * data[place] + 13) % 256
    given.video.write_bytes(data)
    refused(given, tmp_path / "out", r"cannot be read beyond second 2\.\d+", take_seconds=1.0)
    assert len(EpisodeStore(tmp_path / "out")) == 2


def test_a_damaged_frame_is_refused_where_the_decoder_would_make_one_up(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    noise = [random.integers(256, size=(*SIZE, 3), dtype=np.uint8) for _ in range(60)]
    given = still(tmp_path, film(tmp_path / "a.mkv", noise))
    data = bytearray(given.video.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 200] = random.bytes(200)
    given.video.write_bytes(data)
    refused(given, tmp_path / "out", r"beyond second (0\.9|1\.0)\d+: the frame is damaged", fps=30)


def test_frames_that_are_announced_and_not_there_are_missed(tmp_path: Path) -> None:
    found = read_film(film(tmp_path / "a.mkv", 60, times=[k / 30 + (k > 29) for k in range(60)]))
    with pytest.raises(ValueError, match=r"beyond second 2.967: the file was cut"):
        list(found.frames(np.array([60]), SIZE, 0.05))
    announced = np.sort([*found.stamps, 1500])
    frames = dataclasses.replace(found, stamps=announced).frames(np.arange(61), SIZE, 0.05)
    with pytest.raises(ValueError, match=r"beyond second 1\.500: there is no frame"):
        list(frames)


def test_inputs_and_video_must_span_the_same_time(tmp_path: Path) -> None:
    video = film(tmp_path / "a.mp4", 60)
    early, late = r"inputs end at second 1.500 \(row 3\)", r"end at second 2.500 .* drift by \+25"
    refused(still(tmp_path, video, 0, 1.5), tmp_path / "out", early)
    refused(still(tmp_path, video, 0, 2.5), tmp_path / "out", late)
    refused(still(tmp_path, video, 0.1, 2), tmp_path / "out", r"begin at second 0.100 \(row 2\)")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "arguments",
    [{"fps": 0}, {"tolerance": 0.0}, {"take_seconds": 0.05}],
)
def test_arguments_out_of_range_are_refused(tmp_path: Path, arguments: dict) -> None:
    refused(clip(tmp_path), tmp_path / "out", "expected at least one clip", **arguments)
    refused([], tmp_path / "out", "0 clips")


def test_without_pyav_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = clip(tmp_path)
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(gym.error.DependencyNotInstalled, match=r'"learned-envs\[video\]"'):
        imported(given, tmp_path / "out")
