"""Recording a real window on a real display, with keys pressed from outside."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from tiny_capture import (
    FPS,
    column,
    only,
)
from tiny_hands import PATIENCE, Injector, Watched

from learned_envs.recording.capture.screen import record_screen

WINDOW = Path(__file__).with_name("tiny_window.py")
needs_a_display = pytest.mark.skipif(
    shutil.which("Xvfb") is None or not all(map(find_spec, ("mss", "pynput", "Xlib"))),
    reason="needs Xvfb, mss and pynput",
)


@pytest.fixture(scope="module")
def display() -> Iterator[str]:
    """An X server with a screen of 400x300 that shows nothing anywhere."""
    reading, writing = os.pipe()
    command = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "400x300x24", "-noreset"]
    server = subprocess.Popen(
        [*command, "-nolisten", "tcp"], pass_fds=[writing], stderr=subprocess.DEVNULL
    )
    os.close(writing)
    with pytest.MonkeyPatch.context() as patch, os.fdopen(reading) as told:
        name = f":{told.readline().strip()}"
        patch.setenv("DISPLAY", name)
        patch.setenv("SDL_VIDEODRIVER", "x11")
        patch.setenv("SDL_VIDEO_WINDOW_POS", "0,0")
        for variable in ("XDG_SESSION_TYPE", "WAYLAND_DISPLAY"):
            patch.delenv(variable, raising=False)
        yield name
        with Injector(name) as hands:  # listeners that were told to stop end at the next event
            hands.key("z", True)
            hands.key("z", False)
            hands.point(0, 0)
            for thread in threading.enumerate():
                if type(thread).__module__.startswith("pynput"):
                    threading.Thread.join(thread, PATIENCE)
    server.terminate()
    server.wait()


@needs_a_display
def test_what_is_recorded_is_what_the_pictures_show(display: str, tmp_path: Path) -> None:
    command = [sys.executable, WINDOW]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as window,
        Injector(display) as hands,
    ):
        try:
            assert window.stdout is not None
            person = Watched(hands, window.stdout, np.random.default_rng(0))
            captured = record_screen(
                tmp_path,
                name="window",
                fps=FPS,
                region=(0, 0, 320, 240),
                keys=["w", "space"],
                mouse=True,
                image_size=(48, 64),
                seconds=8.0,
                progress=False,
                listen=person.listen,
                clock=person.clock,
                sleep=person.sleep,
            )
        finally:
            window.kill()
    episode = only(tmp_path)
    assert captured.dropped == 0 and episode.steps == 80
    frames = episode.observation[:].astype(int)
    red, green, blue = np.median(frames[:, :, :32], axis=(1, 2)).T
    white = np.median(frames[:, :, 32:], axis=(1, 2, 3))
    for name, shown in (("w", red > 127), ("mouse_left", white > 127)):
        during = shown[1:] | shown[:-1]
        assert during.any() and not during.all()
        np.testing.assert_array_equal(column(episode, name), during)
    np.testing.assert_array_equal(column(episode, "space"), green[1:] != green[:-1])
    moved = np.diff(blue) / 255
    assert abs(moved).max() > 0.2
    np.testing.assert_allclose(column(episode, "mouse_dx"), moved, atol=0.02)


@needs_a_display
def test_the_hotkey_is_heard_on_a_real_keyboard(display: str, tmp_path: Path) -> None:
    with Injector(display) as hands:

        def press_again(seconds: float) -> None:
            hands.key("F12", True)
            hands.key("F12", False)
            time.sleep(seconds)

        settings = {"name": "window", "keys": ["w"], "progress": False}
        assert record_screen(tmp_path, **settings, sleep=press_again).frames >= 1


@needs_a_display
def test_a_region_beyond_a_real_screen_is_refused(display: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must lie on the screen, which is 400x300 at 0,0"):
        record_screen(tmp_path, name="window", keys=["w"], region=(0, 0, 640, 480))


@needs_a_display
def test_a_display_that_is_not_there_is_named(
    display: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":987654")
    with pytest.raises(RuntimeError, match=r"DISPLAY \(=':987654'\)"):
        record_screen(tmp_path, name="window", keys=["w"])
