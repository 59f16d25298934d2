"""What a person does with keys and mouse, as one action for each recorded step."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from difflib import get_close_matches

import numpy as np
from gymnasium import spaces

KEYS = {
    **{key: key for key in "abcdefghijklmnopqrstuvwxyz0123456789-=[]\\;',./`"},
    **{f"f{number}": f"f{number}" for number in range(1, 13)},
    **{key: key for key in ("up", "down", "left", "right", "space", "tab", "home", "end")},
    **{key: key for key in ("backspace", "insert", "delete")},
    "enter": "return", "esc": "escape", "page_up": "page up", "page_down": "page down",
    "shift": "left shift", "ctrl": "left ctrl", "alt": "left alt",
}  # fmt: skip
"""Names of the keys that can be recorded, and what pygame calls them."""

MOTION = ("mouse_dx", "mouse_dy")
BUTTONS = ("mouse_left", "mouse_right")


def known_keys(keys: Iterable[str]) -> tuple[str, ...]:
    """Names of keys in small letters, each once.

    Raises:
        ValueError: If there is no such key; the message suggests the nearest.
    """
    names = tuple(dict.fromkeys(key.strip().lower() for key in keys))
    for name in names:
        if name not in KEYS:
            near = get_close_matches(name, KEYS, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            words = ", ".join(key for key in KEYS if len(key) > 1)
            raise ValueError(
                f"there is no key {name!r}: keys are letters, digits, the signs of a US keyboard "
                f"and {words}.{hint}"
            )
    return names


class Inputs:
    """Gathers what is done between two frames into an action.

    Components of an action, all float32, in the order of `names`:

    - a key, `mouse_left` or `mouse_right`: 1 if it was down at any time of the step, else 0, so
      that a press shorter than a step is not lost;
    - `mouse_dx`, `mouse_dy`: how far the pointer went in the step, in widths of the picture to the
      right and in its heights down, clipped to [-1, 1].

    Threads that listen call `hear` and `move`; the one that records calls `until`.

    Args:
        keys: Names of `KEYS`.
        mouse: Whether the mouse is recorded, too.
        size: (width, height) of what is captured, in the pointer's unit.
        clock: Seconds that only go on.

    Attributes:
        names: Of the components.
        space: Of the actions.
    """

    def __init__(
        self,
        keys: tuple[str, ...],
        *,
        mouse: bool,
        size: tuple[int, int],
        clock: Callable[[], float],
    ):
        self.names = keys + (MOTION + BUTTONS if mouse else ())
        low = np.array([-1 if name in MOTION else 0 for name in self.names], np.float32)
        self.space = spaces.Box(low, np.ones_like(low), dtype=np.float32)
        self._places = {name: place for place, name in enumerate(self.names)}
        self._size, self._clock = size, clock
        self._lock = threading.Lock()
        self._log: deque[tuple[float, int, float]] = deque()
        self._held = np.zeros_like(low)
        self._pointer: tuple[float, float] | None = None

    def hear(self, name: str, down: bool) -> None:
        """Notes that a key or button went down or up, now; all that is not recorded is ignored."""
        if name in self._places and name not in MOTION:
            with self._lock:  # what is dated before a moment is in the log at that moment
                self._log.append((self._clock(), self._places[name], float(down)))

    def move(self, x: float, y: float) -> None:
        """Notes where the pointer is now."""
        with self._lock:
            before, self._pointer = self._pointer or (x, y), (x, y)
            for name, place, last, side in zip(
                MOTION, self._pointer, before, self._size, strict=True
            ):
                if name in self._places:
                    way = (place - last) / side
                    self._log.append((self._clock(), self._places[name], way))

    def until(self, time: float) -> np.ndarray:
        """The action (n,) float32 of the step that ends at `time` and began where the last ended.

        What happened at `time` or later is left for the next step.
        """
        with self._lock:
            action = self._held.copy()
            while self._log and self._log[0][0] < time:
                _, place, value = self._log.popleft()
                if self.names[place] in MOTION:
                    action[place] += value
                else:
                    self._held[place] = value
                    action[place] = max(action[place], value)
        return np.clip(action, self.space.low, self.space.high)
