"""Hearing the keyboard and the mouse, whatever window has the focus (pynput)."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

import gymnasium as gym

Hear = Callable[[str, bool], object]
"""Called with the name of a key or button and whether it went down."""

Move = Callable[[float, float], object]
"""Called with where the pointer is, x to the right and y down."""

Listen = Callable[[Hear, Move | None], AbstractContextManager[object]]
"""Listens as long as its context is open; to the mouse only if the second is given."""

_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"<>?~', "1234567890-=[]\\;',./`", strict=True))
_STARTING = 0.1  # seconds that a listener may take to find out that it hears nothing


@contextlib.contextmanager
def listen(hear: Hear, move: Move | None) -> Iterator[None]:
    """Listens to every key and, with `move`, to the mouse.

    Args:
        hear: Told of keys by the names of `inputs.KEYS`, of buttons as `mouse_left` and so on.
        move: Told of the pointer; first of where it is at the beginning.

    Raises:
        gymnasium.error.DependencyNotInstalled: If pynput is missing.
        PermissionError: If the system does not let this program listen.
        RuntimeError: If the display cannot be listened to.
    """
    keyboard, mouse = _pynput()

    def heard(key: Any, down: bool) -> None:
        if (name := key_name(key)) is not None:
            hear(name, down)

    def clicked(x: float, y: float, button: Any, down: bool) -> None:
        hear(f"mouse_{button.name}", down)

    def moved(x: float, y: float) -> None:
        if move is not None:
            move(x, y)

    def pressed(key: Any) -> None:
        heard(key, True)

    def released(key: Any) -> None:
        heard(key, False)

    listeners = [keyboard.Listener(on_press=pressed, on_release=released)]
    if move is not None:
        move(*mouse.Controller().position)
        listeners.append(mouse.Listener(on_move=moved, on_click=clicked))
    with contextlib.ExitStack() as opened:
        for listener in listeners:
            _start(listener)
            opened.callback(listener.stop)  # its thread ends at the next event, so none is joined
        yield


def key_name(key: Any) -> str | None:
    """Our name of a key as pynput tells it; None for one that has none.

    Shift, Ctrl and the side of the keyboard change what pynput tells of a key. The name stays the
    same, or a key that goes down with Shift and up without would stay down for ever.
    """
    char = getattr(key, "char", None)
    if char is not None:
        if char == " ":
            return "space"
        if len(char) == 1 and 0 < ord(char) <= 26:  # Ctrl and a letter
            char = chr(ord(char) + ord("a") - 1)
        return _SHIFTED.get(char, char.lower())
    name = getattr(key, "name", None)
    return None if name is None else name.removesuffix("_l").removesuffix("_r")


def _pynput() -> tuple[Any, Any]:
    try:
        from pynput import keyboard, mouse
    except ModuleNotFoundError:
        raise gym.error.DependencyNotInstalled(
            'pynput is not installed: run `pip install "learned-envs[video]"` to record what a '
            "person does"
        ) from None
    except ImportError as error:
        raise RuntimeError(
            f"keys and mouse cannot be heard here ({error}): run this in the graphical session of "
            "the person who plays"
        ) from error
    return keyboard, mouse


def _start(listener: Any) -> None:
    """Starts a listener; `wait` alone would wait for ever for one that failed."""
    listener.start()
    ready = threading.Thread(target=listener.wait, daemon=True)
    ready.start()
    while ready.is_alive() and listener.is_alive():
        ready.join(_STARTING)
    threading.Thread.join(listener, _STARTING)
    if not getattr(listener, "IS_TRUSTED", True):  # on macOS
        raise PermissionError(
            "this program may not hear keys and mouse: in System Settings, Privacy & Security, "
            "allow your terminal under Input Monitoring and Accessibility, and start it anew"
        )
    if not listener.is_alive():
        raise RuntimeError(
            "keys and mouse cannot be heard: the display does not let programs listen (an X server "
            "needs the RECORD extension). Run this in the graphical session of the person who plays"
        )
