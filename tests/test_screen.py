"""Recording a person at a screen: on the beat, with what was done, whole however it is stopped."""

import errno
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_capture import (
    FPS,
    IMAGE_SIZE,
    Sitting,
    column,
    move,
    numbers,
    only,
    press,
    record,
    record_for_ever,
    recorded,
    release,
)

from learned_envs import worlds
from learned_envs.data import Episode
from learned_envs.data.episode import MAX_FRAMES
from learned_envs.recording.capture import screen
from learned_envs.recording.capture.grabbing import Region
from learned_envs.recording.capture.listening import key_name
from learned_envs.recording.inspect import inspect


def test_a_take_holds_frames_moments_and_what_was_done_between_them(tmp_path: Path) -> None:
    captured = record(Sitting({0.25: press("w"), 0.55: release("w")}), tmp_path)
    episode = only(tmp_path)
    assert numbers(episode) == list(range(21))
    assert episode.observation.shape == (21, *IMAGE_SIZE, 3)
    np.testing.assert_allclose(episode.metadata["time"], np.arange(21) / FPS, atol=1e-9)
    assert np.flatnonzero(column(episode, "w")).tolist() == [2, 3, 4, 5]
    assert not any(column(episode, "space"))
    assert episode.action.dtype == np.float32
    assert episode.truncated[-1] and not episode.terminated.any() and not episode.reward.any()
    assert (captured.frames, captured.takes, captured.dropped) == (21, 1, 0)
    assert str(captured) == (
        "21 frames in 1 take, 2.0 s at 10.00 a second, 0 dropped, longest gap 100 ms"
    )


def test_a_press_shorter_than_a_step_is_not_lost(tmp_path: Path) -> None:
    record(Sitting({0.32: press("space"), 0.34: release("space")}), tmp_path)
    assert np.flatnonzero(column(only(tmp_path), "space")).tolist() == [3]


def test_a_key_that_repeats_itself_stays_down(tmp_path: Path) -> None:
    script = {0.25: press("w"), 0.45: release("w"), 0.4501: press("w"), 0.65: release("w")}
    record(Sitting(script), tmp_path)
    assert np.flatnonzero(column(only(tmp_path), "w")).tolist() == [2, 3, 4, 5, 6]


def test_what_happens_while_a_frame_is_taken_acts_from_it_on(tmp_path: Path) -> None:
    record(Sitting({0.31: press("w")}, slow={3: 0.02}), tmp_path)
    assert column(only(tmp_path), "w") == [0.0] * 3 + [1.0] * 17


def test_keys_that_were_not_asked_for_are_ignored(tmp_path: Path) -> None:
    script = {0.25: press("q"), 0.35: press("mouse_left"), 0.45: press("mouse_dx")}
    record(Sitting(script), tmp_path)
    assert not only(tmp_path).action.any()


def test_the_pointers_way_is_summed_in_widths_and_heights_of_the_picture(tmp_path: Path) -> None:
    script = {0.02: move(60, 50), 0.04: move(70, 40), 0.16: move(20, 45)}
    record(Sitting(script), tmp_path, mouse=True)
    episode = only(tmp_path)
    np.testing.assert_allclose(column(episode, "mouse_dx")[:3], [0.2, -0.5, 0], atol=1e-6)
    np.testing.assert_allclose(column(episode, "mouse_dy")[:3], [-0.2, 0.1, 0], atol=1e-6)


def test_a_leap_of_the_pointer_is_clipped_to_the_bounds_of_the_space(tmp_path: Path) -> None:
    record(Sitting({0.02: move(900, -900)}), tmp_path, mouse=True)
    episode = only(tmp_path)
    assert column(episode, "mouse_dx")[0] == 1.0
    assert column(episode, "mouse_dy")[0] == -1.0


def test_buttons_are_held_as_keys_are(tmp_path: Path) -> None:
    script = {0.22: press("mouse_left"), 0.24: release("mouse_left"), 0.35: press("mouse_right")}
    record(Sitting(script), tmp_path, mouse=True)
    episode = only(tmp_path)
    assert np.flatnonzero(column(episode, "mouse_left")).tolist() == [2]
    assert np.flatnonzero(column(episode, "mouse_right")).tolist() == list(range(3, 20))


def test_a_frame_late_by_less_than_half_a_tick_is_kept(tmp_path: Path) -> None:
    captured = record(Sitting(slow={4: 0.14}), tmp_path)
    episode = only(tmp_path)
    assert captured.dropped == 0 and captured.frames == 21
    gaps = np.diff(episode.metadata["time"])
    np.testing.assert_allclose(gaps[3:6], [0.1, 0.14, 0.06], atol=1e-9)
    assert captured.longest_gap == pytest.approx(0.14)


def test_a_later_one_is_dropped_and_the_take_ends(tmp_path: Path) -> None:
    captured = record(Sitting({0.52: press("w")}, slow={4: 0.26}), tmp_path)
    one, other = recorded(tmp_path)
    assert numbers(one) == [0, 1, 2, 3, 4]
    assert numbers(other) == list(range(5, 19))
    assert (captured.takes, captured.frames, captured.dropped) == (2, 19, 2)
    assert captured.longest_gap == pytest.approx(0.3)
    assert one.truncated[-1]
    assert other.metadata["time"][0] == 0
    assert all(column(other, "w")) and not any(column(one, "w"))
    assert [e.attributes.seed for e in (one, other)] == [0, 1]


def test_frames_and_dropped_ones_are_all_ticks(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    slow = {n: float(random.exponential(0.08)) for n in range(130)}
    captured = record(Sitting(slow=slow), tmp_path, seconds=12.0)
    assert captured.dropped > 10
    assert captured.frames + captured.dropped == 121
    for episode in recorded(tmp_path):
        steps = np.diff(episode.metadata["time"]) * FPS
        assert 0.5 <= steps.min() and steps.max() <= 1.5


def test_a_machine_that_is_too_slow_is_told_what_to_do(tmp_path: Path) -> None:
    captured = record(Sitting(slow={n: 0.26 for n in range(99)}), tmp_path)
    assert captured.takes == 0
    assert "too slow, so ask for fewer frames a second" in str(captured)


def test_takes_last_a_minute_at_most_and_share_the_frame_between_them(tmp_path: Path) -> None:
    captured = record(Sitting(), tmp_path, seconds=150.0)
    takes = recorded(tmp_path)
    assert [take.steps for take in takes] == [600, 600, 300]
    assert captured.takes == 3
    assert [numbers(take)[0] for take in takes[1:]] == [numbers(take)[-1] for take in takes[:-1]]
    assert all(take.attributes.last and take.metadata["time"][0] == 0 for take in takes)


def test_a_minute_of_many_frames_a_second_still_fits_a_part(tmp_path: Path) -> None:
    record(Sitting(), tmp_path, seconds=20.0, fps=60)
    assert [take.steps for take in recorded(tmp_path)] == [MAX_FRAMES - 1, 1200 - MAX_FRAMES + 1]


def test_takes_of_large_pictures_are_kept_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(screen, "PART_BYTES", 6 * np.prod(IMAGE_SIZE) * 3 + 1)
    record(Sitting(slow={10: 0.26}), tmp_path)
    parts = [e.attributes for e in recorded(tmp_path)]
    assert [(a.seed, a.part, a.last) for a in parts] == [
        (0, 0, False), (0, 1, True), (1, 0, False), (1, 1, True),
    ]  # fmt: skip
    one, two, *_ = recorded(tmp_path)
    assert numbers(one) + numbers(two)[1:] == list(range(11))
    np.testing.assert_allclose(two.metadata["time"], np.arange(5, 11) / FPS, atol=1e-9)
    assert not one.truncated.any() and two.truncated[-1]


def test_recording_goes_on_with_new_takes(tmp_path: Path) -> None:
    for _ in range(3):
        record(Sitting(), tmp_path)
    assert [e.attributes.seed for e in recorded(tmp_path)] == [0, 1, 2]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fps": 20}, "fps 10, not 20"),
        ({"keys": ["w"]}, "action_names"),
        ({"name": "draw"}, "holds recordings of the world 'paint'"),
    ],
)
def test_other_settings_need_a_folder_of_their_own(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    record(Sitting(), tmp_path)
    with pytest.raises(ValueError, match=rf"{message}.*folder of its own"):
        record(Sitting(), tmp_path, **settings)
    assert len(recorded(tmp_path)) == 1


def test_a_folder_is_a_world_that_the_library_finds_and_inspects(tmp_path: Path) -> None:
    record(Sitting({0.25: press("w")}), tmp_path, keys=["w", "enter"], mouse=True)
    world = worlds.find(str(tmp_path))
    assert world.action_names == ("w", "enter", *screen.Inputs((), mouse=True, size=(1, 1),
                                  clock=time.perf_counter).names)  # fmt: skip
    assert world.action_space.contains(only(tmp_path).action[0])
    assert world.action_space.contains(world.idle_action)
    assert world.keys["return"].tolist() == [0, 1, 0, 0, 0, 0]
    assert inspect(tmp_path, progress=False).takes == 1


def test_the_hotkey_stops(tmp_path: Path) -> None:
    captured = record(Sitting({0.95: press("f12")}), tmp_path, seconds=None)
    assert captured.frames == 11
    assert only(tmp_path).steps == 10


def test_another_hotkey_stops(tmp_path: Path) -> None:
    script = {0.55: press("f12"), 0.95: press("esc")}
    assert record(Sitting(script), tmp_path, seconds=None, hotkey="ESC").frames == 11


def test_it_stops_when_it_is_told_to(tmp_path: Path) -> None:
    stop = threading.Event()
    record(Sitting({0.95: lambda _: stop.set()}), tmp_path, seconds=None, stop=stop)
    assert only(tmp_path).steps == 10


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_and_keeps_the_last_short_part(tmp_path: Path, number: int) -> None:
    before = signal.getsignal(number)
    script = {0.95: lambda _: os.kill(os.getpid(), number)}
    assert record(Sitting(script), tmp_path, seconds=None).frames == 11
    assert only(tmp_path).steps == 10
    assert signal.getsignal(number) == before


def test_a_recorder_that_is_killed_keeps_all_but_its_last_parts(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=record_for_ever, args=(tmp_path,))
    process.start()
    while process.is_alive() and len(list(tmp_path.glob("*.zarr"))) < 4:
        time.sleep(0.0005)
    process.kill()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    held = recorded(tmp_path)
    assert [e.attributes.seed for e in held] == list(range(len(held)))
    for episode in held:
        assert episode.steps == 600
        assert (np.diff(episode.observation[:][:, 0, 0, 0]) == 1).all()
    record(Sitting(), tmp_path)
    assert [e.attributes.seed for e in recorded(tmp_path)] == list(range(len(held) + 1))


def test_a_full_disk_stops_the_capture_and_keeps_what_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, write = threading.Event(), screen.EpisodeWriter.write

    def write_until_full(writer: screen.EpisodeWriter, episode: Episode) -> None:
        if episode.attributes.seed == 2:
            full.set()
            raise OSError(errno.ENOSPC, "no space is left")
        write(writer, episode)

    monkeypatch.setattr(screen.EpisodeWriter, "write", write_until_full)
    script = {t / 10: lambda _: full.wait(30) for t in range(1850, 1860)}
    with pytest.raises(OSError, match="no space is left"):
        record(Sitting(script), tmp_path, seconds=None)
    assert [e.attributes.seed for e in recorded(tmp_path)] == [0, 1]


def test_a_screen_that_goes_away_ends_the_recording_and_keeps_what_came_before(
    tmp_path: Path,
) -> None:
    def fail(sitting: Sitting) -> None:
        raise RuntimeError("the screen can no longer be captured")

    with pytest.raises(RuntimeError, match="no longer"):
        record(Sitting({0.95: fail}), tmp_path)
    assert only(tmp_path).steps == 9


def test_pictures_are_shrunk_to_a_short_side_of_64(tmp_path: Path) -> None:
    record(Sitting(), tmp_path, image_size=None, region=Region(0, 0, 640, 480))
    assert only(tmp_path).observation.shape[1:] == (64, 88, 3)


@pytest.mark.parametrize(
    ("key", "name"),
    [
        (SimpleNamespace(char="w"), "w"),
        (SimpleNamespace(char="W"), "w"),
        (SimpleNamespace(char="\x17"), "w"),
        (SimpleNamespace(char="!"), "1"),
        (SimpleNamespace(char=" "), "space"),
        (SimpleNamespace(char=None, vk=65027), None),
        (SimpleNamespace(name="space"), "space"),
        (SimpleNamespace(name="shift_r"), "shift"),
        (SimpleNamespace(name="ctrl_l"), "ctrl"),
        (SimpleNamespace(name="page_up"), "page_up"),
        (None, None),
    ],
)
def test_a_key_has_one_name_whatever_is_held_beside_it(key: object, name: str | None) -> None:
    assert key_name(key) == name
