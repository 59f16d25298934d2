"""What keeps a screen from being recorded is said before anything is."""

import contextlib
import os
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import gymnasium as gym
import numpy as np
import pytest
from tiny_capture import (
    Sitting,
    record,
)

from learned_envs.recording.capture import listening
from learned_envs.recording.capture.grabbing import Region, check_picture, check_session, checked
from learned_envs.recording.capture.listening import listen


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keys": ["spcae"]}, r"no key 'spcae'.*Did you mean 'space'\?"),
        ({"keys": [], "mouse": False}, "give `keys`, or `mouse`"),
        ({"hotkey": "w"}, r"`hotkey` \(='w'\)"),
        ({"hotkey": "f99"}, "no key 'f99'"),
        ({"seconds": 0}, r"`seconds` \(=0\)"),
        ({"fps": 0}, r"`fps` \(=0\)"),
        ({"image_size": (9, 16)}, r"`image_size` \(=\(9, 16\)\)"),
        ({"name": "my world"}, r"`name` \(='my world'\)"),
    ],
)
def test_arguments_out_of_range_are_refused(
    tmp_path: Path, settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        record(Sitting(), tmp_path, **settings)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("environ", "platform", "message"),
    [
        ({"XDG_SESSION_TYPE": "wayland", "DISPLAY": ":0"}, "linux", "Wayland.*X session.*video"),
        ({"WAYLAND_DISPLAY": "wayland-0"}, "linux", "Wayland"),
        ({}, "linux", "DISPLAY is not set"),
        ({"WAYLAND_DISPLAY": "wayland-0", "DISPLAY": ":0"}, "linux", None),
        ({"XDG_SESSION_TYPE": "x11", "DISPLAY": ":0"}, "linux", None),
        ({}, "darwin", None),
        ({}, "win32", None),
    ],
)
def test_a_session_that_shows_nothing_is_refused_with_what_to_do(
    environ: dict[str, str], platform: str, message: str | None
) -> None:
    refused = pytest.raises(RuntimeError, match=message) if message else contextlib.nullcontext()
    with refused:
        check_session(environ, platform)


def test_a_black_screen_on_macos_is_a_missing_permission() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(PermissionError, match="Screen Recording"):
        check_picture(black, "darwin")
    check_picture(black, "linux")
    check_picture(black + 1, "darwin")


def test_a_region_beyond_the_screen_is_refused_with_its_size() -> None:
    both, first = Region(-800, 0, 1600, 600), Region(0, 0, 800, 600)
    assert checked(None, both, first) == first
    assert checked(Region(-800, 0, 640, 480), both, first).x == -800
    for region in ((700, 0, 640, 480), (0, 200, 640, 480), (-900, 0, 9, 9), (0, 0, 0, 9)):
        with pytest.raises(ValueError, match=r"`region` \(=.*which is 1600x600 at -800,0"):
            checked(Region(*region), both, first)


def test_missing_packages_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    from learned_envs.recording.capture.grabbing import open_screen

    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setenv("XDG_SESSION_TYPE", "x11")
    for package in ("mss", "pynput"):
        monkeypatch.setitem(sys.modules, package, None)
    for opening in (open_screen(None, False), listen(print, None)):
        with (
            pytest.raises(gym.error.DependencyNotInstalled, match=r"learned-envs\[video\]"),
            opening,
        ):
            pass


class FakeListener(threading.Thread):
    """As pynput's, on a system that does not let it listen."""

    IS_TRUSTED = True

    def __init__(self, **callbacks: object):
        super().__init__(daemon=True)
        self._stopped = threading.Event()

    def wait(self) -> None:
        """Nothing to wait for."""

    def run(self) -> None:
        self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()


class Untrusted(FakeListener):
    IS_TRUSTED = False


class Deaf(FakeListener):
    def wait(self) -> None:
        self._stopped.wait()

    def run(self) -> None:
        """Fails before it is ready."""


@pytest.mark.parametrize(
    ("listener", "error", "message"),
    [(Untrusted, PermissionError, "Input Monitoring"), (Deaf, RuntimeError, "RECORD")],
)
def test_a_listener_that_may_not_hear_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    listener: type[FakeListener],
    error: type[Exception],
    message: str,
) -> None:
    monkeypatch.setattr(
        listening, "_pynput", lambda: (SimpleNamespace(Listener=listener), SimpleNamespace())
    )
    with pytest.raises(error, match=message), listen(print, None):
        pass
