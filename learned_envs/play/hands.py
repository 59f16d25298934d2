"""What a person's hands send, on a keyboard or with a mouse."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np

from learned_envs.worlds import World
from learned_envs.worlds.world import Manners


class Hands:
    """Keys held on a keyboard, as an action of a world.

    Args:
        world: Names its keys and its idle action.
    """

    def __init__(self, world: World):
        self._world = world
        self._held: list[str] = []

    @property
    def action(self) -> Any:
        """What the keys that are held come to; the idle action without one.

        Of single actions that of the key pressed last, or, where the world has an action named
        after both (`left+fire`), of the last two. Of vectors what each key moves, and where two
        move the same, what the one pressed last does.
        """
        idle = self._world.idle_action
        held = [self._world.keys[key] for key in self._held]
        if not held:
            return idle
        if not np.shape(idle):
            return self._together(held[-2:])
        action = np.array(idle)
        for each in held:
            action = np.where(np.asarray(each) != idle, each, action).astype(action.dtype)
        return action

    def _together(self, held: list[int]) -> int:
        names = self._world.action_names
        both = ("+".join(names[i] for i in order) for order in permutations(held) if len(held) == 2)
        return next((names.index(name) for name in both if name in names), held[-1])

    def press(self, key: str) -> bool:
        """Holds a key down, by its name in pygame; False if it is none of the world's."""
        if key not in self._world.keys:
            return False
        self.release(key)
        self._held.append(key)
        return True

    def release(self, key: str) -> bool:
        """Lets a key go; False if it was not held."""
        if key not in self._held:
            return False
        self._held.remove(key)
        return True

    def let_go(self) -> bool:
        """Lets all keys go: a window without the focus hears of none. False if none was held."""
        held = bool(self._held)
        self._held.clear()
        return held


class Mouse:
    """A button held over a picture, as actions of a world; without effect where keys play.

    A pointer with manners is not followed but looked at from time to time: `look`.

    Args:
        world: Says what its pointer does, and with what manners.

    Attributes:
        at: Where the button is held, u and v in [0, 1]; None while it is not.
        manners: Of the world's pointer, or None.
    """

    def __init__(self, world: World):
        self._pointer = world.pointer
        self.manners = world.pointer.manners if world.pointer else None
        self._size = world.observation_space.shape[0], world.observation_space.shape[1]
        self._since = self._looked = 0.0
        self._sent = (0.0, 0.0)
        self.at: tuple[float, float] | None = None

    def press(self, u: float, v: float, now: float) -> list[Any]:
        """The button goes down at a time in seconds; returns the actions to send in turn."""
        if self._pointer is None:
            return []
        self.at = self._sent = u, v
        self._since = self._looked = now
        return [self._pointer.action(u, v, True, 0.0)]

    def move(self, u: float, v: float) -> list[Any]:
        """The pointer moves; returns the actions to send, none if the button is not down."""
        if self._pointer is None or self.at is None:
            return []
        self.at = u, v
        return [] if self.manners else [self._pointer.action(u, v, True, 0.0)]

    def look(self, now: float) -> list[Any]:
        """Looks at the pointer if it is time to; returns the actions to send in turn."""
        if self.manners is None or self.at is None or now - self._looked < self.manners.throttle:
            return []
        self._looked = now
        return self._way(self.manners, self.at)

    def release(self, now: float) -> list[Any]:
        """The button is let go; returns the actions to send in turn."""
        if self._pointer is None or self.at is None:
            return []
        held = max(self.held(now), 1e-3)
        (u, v), self.at = self.at, None
        let_go = self._pointer.action(u, v, False, held)
        if self.manners:
            return [*self._way(self.manners, (u, v)), let_go]
        return [let_go, self._pointer.action(u, v, False, 0.0)]

    def held(self, now: float) -> float:
        """For how many seconds the button is down."""
        return now - self._since if self.at is not None else 0.0

    def _way(self, manners: Manners, at: tuple[float, float]) -> list[Any]:
        """The actions that take the pointer from the point sent last to where it is now."""
        assert self._pointer is not None
        points = manners.pieces(self._sent, at, self._size)
        self._sent = points[-1] if points else self._sent
        return [self._pointer.action(*point, True, 0.0) for point in points]


def how_to_play(world: World) -> str:
    """One line that says how to play, empty if nobody can: `Play with  Left or A: left`."""
    if world.pointer is not None:
        return world.pointer.hint
    by_action: dict[str, list[str]] = {}
    for key, action in world.keys.items():
        by_action.setdefault(_moved(world, action), []).append(key_name(key))
    keys = "     ".join(f"{' or '.join(keys)}: {name}" for name, keys in by_action.items())
    return f"Play with     {keys}" if keys else ""


def key_name(key: str) -> str:
    """A key as it is written on a keyboard: `Space`, `Esc`, `A`."""
    return "Esc" if key == "escape" else key.capitalize()


def action_name(world: World, action: Any) -> str:
    """An action in words: its name, or its numbers where actions are vectors."""
    if getattr(action, "shape", ()) == () and not isinstance(action, (tuple, list)):
        return world.action_names[int(action)]
    pairs = zip(world.action_names, action, strict=True)
    return " ".join(f"{name} {float(value):.2g}" for name, value in pairs)


def _moved(world: World, action: Any) -> str:
    """What a key's action does: its name, or what it moves away from idle, and where to."""
    if not np.shape(action):
        return action_name(world, action)
    space, idle = world.action_space, world.idle_action
    most = getattr(space, "high", np.ones(np.shape(idle)))
    told = [
        name if value == end else f"{name} {float(value):.2g}"
        for name, value, rest, end in zip(world.action_names, action, idle, most, strict=True)
        if value != rest
    ]
    return " ".join(told)
