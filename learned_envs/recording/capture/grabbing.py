"""Pictures of a region of the screen (mss), and why there may be none."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import cv2
import gymnasium as gym
import numpy as np


class Region(NamedTuple):
    """A rectangle of the screen, in the unit of its pointer: pixels, on macOS points."""

    x: int
    y: int
    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height} at {self.x},{self.y}"


Grab = Callable[[], np.ndarray]
"""Takes a picture: (H, W, 3) uint8."""

OpenScreen = Callable[[Region | None, bool], AbstractContextManager[tuple[Region, Grab]]]
"""Opens the region of a screen, or all of the first; the second says whether to draw the pointer.
Gives the region and what grabs it."""


@contextlib.contextmanager
def open_screen(region: Region | None, pointer: bool) -> Iterator[tuple[Region, Grab]]:
    """Opens the screen.

    Args:
        region: What to capture; None for all of the first screen.
        pointer: Whether to draw the pointer where it is; only Linux can.

    Raises:
        gymnasium.error.DependencyNotInstalled: If mss is missing.
        PermissionError: If the system shows this program nothing.
        RuntimeError: If there is no screen, or later, when it can no longer be captured.
        ValueError: If the region reaches beyond the screen.
    """
    check_session(os.environ, sys.platform)
    try:
        import mss
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            'mss is not installed: run `pip install "learned-envs[video]"` to record the screen'
        ) from None
    with contextlib.ExitStack() as opened:
        try:
            options: dict[str, Any] = {"with_cursor": pointer} if sys.platform == "linux" else {}
            shots = opened.enter_context(mss.MSS(**options))
            everything, first = shots.monitors[0], shots.primary_monitor
        except mss.ScreenShotError as error:
            raise RuntimeError(
                f"the screen cannot be opened ({error}): check that DISPLAY "
                f"(={os.environ.get('DISPLAY')!r}) names a running X server that lets you in"
            ) from error
        region = checked(region, _region(everything), _region(first))
        place = {
            "left": region.x, "top": region.y, "width": region.width, "height": region.height,
        }  # fmt: skip

        def grab() -> np.ndarray:
            try:
                shot = np.asarray(shots.grab(place))
            except mss.ScreenShotError as error:
                raise RuntimeError(
                    f"the screen can no longer be captured ({error}); what was recorded is kept. "
                    "If its resolution has changed, record again into the same folder"
                ) from error
            return cv2.cvtColor(shot, cv2.COLOR_BGRA2RGB)

        check_picture(grab(), sys.platform)
        yield region, grab


def check_session(environ: Mapping[str, str], platform: str) -> None:
    """Refuses sessions in which a program sees no screen and hears no keys.

    Raises:
        RuntimeError: The message says what to do.
    """
    if not platform.startswith("linux"):
        return
    display = environ.get("DISPLAY")
    wayland = environ.get("XDG_SESSION_TYPE") == "wayland"
    if wayland or (environ.get("WAYLAND_DISPLAY") and not display):
        raise RuntimeError(
            "this is a Wayland session, in which no program sees the screen or hears the keys of "
            "others: log out and choose an X session (X11, Xorg) at the login screen, or record a "
            "video with the desktop's own recorder and turn it into episodes with `learned-envs "
            "record video`"
        )
    if not display:
        raise RuntimeError(
            "there is no screen to record: DISPLAY is not set. Run this in a terminal of the "
            "graphical session, or set DISPLAY to its X server, such as :0"
        )


def check_picture(picture: np.ndarray, platform: str) -> None:
    """Refuses the black picture that macOS shows to programs without permission.

    Raises:
        PermissionError: The message says which permission.
    """
    if platform == "darwin" and not picture.any():
        raise PermissionError(
            "the screen is all black, which is what macOS shows to programs without permission: in "
            "System Settings, Privacy & Security, allow your terminal under Screen Recording, and "
            "start it anew"
        )


def checked(region: Region | None, everything: Region, first: Region) -> Region:
    """The region to capture.

    Args:
        region: As given; None for all of the first screen.
        everything: What all screens cover.
        first: The first screen.

    Raises:
        ValueError: If it reaches beyond the screens; the message says their size.
    """
    if region is None:
        return first
    x, y, width, height = region
    inside = everything.x <= x and x + width <= everything.x + everything.width
    inside = inside and everything.y <= y and y + height <= everything.y + everything.height
    if width < 1 or height < 1 or not inside:
        raise ValueError(
            f"`region` (={x},{y},{width},{height}: x, y, width, height) must lie on the screen, "
            f"which is {everything}"
        )
    return region


def _region(monitor: Mapping[str, int]) -> Region:
    return Region(monitor["left"], monitor["top"], monitor["width"], monitor["height"])
