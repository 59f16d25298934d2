"""Hands at a real screen: what they do is injected into an X server, and waited for."""

import contextlib
import itertools
import queue
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np
from tiny_capture import Sitting
from tiny_window import GREENER, WIDTH

from learned_envs.recording.capture.listening import Hear, Move, listen

PATIENCE = 60.0


class Injector:
    """Sends what real hands would, through the X server."""

    def __init__(self, display: str):
        from Xlib import XK, X
        from Xlib.display import Display
        from Xlib.ext import xtest

        self._display, self._input, self._x, self._keysyms = Display(display), xtest, X, XK

    def __enter__(self) -> "Injector":
        return self

    def __exit__(self, *error: object) -> None:
        self._display.close()

    def key(self, name: str, down: bool) -> None:
        code = self._display.keysym_to_keycode(self._keysyms.string_to_keysym(name))
        self._send(self._x.KeyPress if down else self._x.KeyRelease, code)

    def button(self, down: bool) -> None:
        self._send(self._x.ButtonPress if down else self._x.ButtonRelease, 1)

    def point(self, x: int, y: int) -> None:
        self._send(self._x.MotionNotify, x=x, y=y)

    def _send(self, kind: int, detail: int = 0, **place: int) -> None:
        self._input.fake_input(self._display, kind, detail, **place)
        self._display.sync()


class Watched(Sitting):
    """A person at a real screen with real hands, whose time goes on when all have followed.

    In the middle of each step something is done; time goes on when the recorder has heard it and
    the window has shown it, however long that takes.
    """

    def __init__(self, hands: Injector, window: IO[str], random: np.random.Generator):
        super().__init__()
        self._hands, self._window, self._random = hands, window, random
        self._heard: queue.Queue[object] = queue.Queue()
        self._held = {"w": False, "mouse_left": False}
        self._colours = {"red": 0, "green": 0, "blue": 0, "white": 0}

    def sleep(self, seconds: float) -> None:
        self.now += seconds / 2
        self._act()
        self.now += seconds / 2

    @contextlib.contextmanager
    def listen(self, hear: Hear, move: Move | None) -> Iterator[None]:
        assert move is not None

        def hear_and_tell(name: str, down: bool) -> None:
            hear(name, down)
            self._heard.put((name, down))

        def move_and_tell(x: float, y: float) -> None:
            move(x, y)
            self._heard.put((x, y))

        with listen(hear_and_tell, move_and_tell):
            self._until_heard(lambda: self._hands.key("z", True), ("z", True))
            self._until_heard(lambda: self._hands.key("z", False), ("z", False))
            places = itertools.cycle([(9, 9), (10, 10)])
            self._until_heard(lambda: self._hands.point(*next(places)), (10, 10))
            self._do(lambda: self._hands.point(20, 20), [(20, 20)], blue=255 * 20 // WIDTH)
            self.now += 1.0  # all that was before the first frame
            yield

    def _until_heard(self, do: Callable[[], None], what: object) -> None:
        """Listeners are ready a little before they hear."""
        while True:
            do()
            with contextlib.suppress(queue.Empty):
                while self._heard.get(timeout=0.1) != what:
                    pass
                return

    def _act(self) -> None:
        match int(self._random.integers(5)):
            case 0:
                self._hold("w", lambda down: self._hands.key("w", down), "red")
            case 1:
                self._hold("mouse_left", self._hands.button, "white")
            case 2:
                green = (self._colours["green"] + GREENER) % 256
                self._do(self._tap, [("space", True), ("space", False)], green=green)
            case 3:
                x, y = self._random.integers(30, 150, 2).tolist()
                if 255 * x // WIDTH != self._colours["blue"]:
                    self._do(lambda: self._hands.point(x, y), [(x, y)], blue=255 * x // WIDTH)

    def _tap(self) -> None:
        self._hands.key("space", True)
        self._hands.key("space", False)

    def _hold(self, name: str, do: Callable[[bool], None], colour: str) -> None:
        down = self._held[name] = not self._held[name]
        self._do(lambda: do(down), [(name, down)], **{colour: 255 * down})

    def _do(self, do: Callable[[], None], heard: list[object], **colours: int) -> None:
        do()
        for event in heard:
            while self._heard.get(timeout=PATIENCE) != event:
                pass
        while self._colours | colours != self._colours:
            shown = map(int, self._window.readline().split())
            self._colours = dict(zip(self._colours, shown, strict=True))
