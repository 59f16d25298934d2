"""Ten-second clips, real or dreamed: of free play under behaviours, or of a recording."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from learned_envs.data.store import EpisodeStore
from learned_envs.play.player import Player
from learned_envs.worlds import World

if TYPE_CHECKING:
    from learned_envs.dream.dream_env import DreamEnv

SECONDS = 10
OLDEST = 600
"""Steps of free play, at most, before a clip begins."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Clip:
    """A clip and what it is.

    Attributes:
        frames: (T, H, W, 3) uint8.
        dreamed: Whether it is.
        behaviour: Who plays.
        age: Steps of free play before the first frame.
    """

    frames: np.ndarray
    dreamed: bool
    behaviour: str
    age: int


class _FreePlay:
    """One game of a scripted player that begins anew where it ends.

    Real or dreamed, a game begins as recordings do, and after as many real steps as the dream's
    context holds, so that beginnings tell nothing.
    """

    def __init__(
        self,
        world: World,
        real: gym.Env[Any, Any],
        dream: DreamEnv | None,
        context: int,
        behaviour: str,
        random: np.random.Generator,
    ):
        self._world, self._behaviour, self._random = world, behaviour, random
        self._real = Player(real, context)
        self._dream = Player(dream) if dream is not None else None
        self._context = context
        self._act = world.make_behaviour([behaviour], [self._seed()])
        self._begin()

    def frame(self) -> np.ndarray:
        """The present frame (H, W, 3)."""
        assert self._shown.game is not None
        return self._shown.game.frame

    def step(self) -> None:
        assert self._shown.game is not None
        if self._shown.game.over:
            self._begin()
        else:
            self._shown.step(self._action())

    def _begin(self) -> None:
        self._shown, self._first = self._real, True
        options = self._world.reset_options(self._behaviour, self._random)
        self._real.begin(self._seed(), options)
        for _ in range(self._context - 1):
            self._real.step(self._action())
            assert self._real.game is not None
            if self._real.game.over:
                return self._begin()
        if self._dream is not None:
            self._dream.begin(self._seed(), self._real.history())
            self._shown = self._dream

    def _action(self) -> Any:
        action = self._act(self.frame()[None], np.array([self._first]))[0]
        self._first = False
        return action

    def _seed(self) -> int:
        return int(self._random.integers(2**31))


def make_clips(
    world: World,
    real: gym.Env[Any, Any],
    dream: DreamEnv,
    *,
    count: int = 20,
    seconds: float = SECONDS,
    oldest: int = OLDEST,
    seed: int = 0,
) -> Iterator[Clip]:
    """Makes clips one after another, each real or dreamed by the fall of a coin.

    Args:
        world: Whose behaviours play, by their weights in recordings.
        real: Its real env.
        dream: Its dream.
        count: How many clips.
        seconds: Length of each.
        oldest: Each begins 0 to so many steps after its game did.
        seed: Equal seeds give equal clips.
    """
    names, weights = list(world.behaviours), np.array(list(world.behaviours.values()))
    context = dream.runtime.spec.span
    for number in range(count):
        random = np.random.default_rng([seed, number])
        dreamed = bool(random.integers(2))
        behaviour = str(random.choice(names, p=weights / weights.sum()))
        age = int(random.integers(oldest + 1))
        play = _FreePlay(world, real, dream if dreamed else None, context, behaviour, random)
        for _ in range(age):
            play.step()
        frames = []
        for _ in range(round(seconds * world.fps)):
            frames.append(play.frame())
            play.step()
        yield Clip(frames=np.stack(frames), dreamed=dreamed, behaviour=behaviour, age=age)


def recorded_clips(
    world: World,
    store: EpisodeStore,
    dream: DreamEnv,
    *,
    count: int = 20,
    seconds: float = SECONDS,
    oldest: int = OLDEST,
    seed: int = 0,
) -> Iterator[Clip]:
    """Makes clips of a recording's test split, shown as recorded or dreamed under the same actions.

    Args:
        world: What is dreamed.
        store: The recording.
        dream: Its dream, which begins with recorded frames.
        count: How many clips.
        seconds: Length of each; less where episodes are shorter.
        oldest: Each begins 0 to so many steps after the dream did, or would have.
        seed: Equal seeds give equal clips.

    Raises:
        ValueError: If the test split holds no episode of a second.
    """
    before = dream.runtime.spec.span - 1
    room = {name: store.headers[name].steps - before for name in store.names("test")}
    names = [name for name, steps in room.items() if steps >= world.fps]
    if not names:
        raise ValueError(
            f"the test split of {store.folder.name} holds {len(room)} episodes, expected one of "
            f"{before + world.fps} steps or more: record more, or longer ones"
        )
    for number in range(count):
        random = np.random.default_rng([seed, number])
        dreamed, episode = bool(random.integers(2)), store.read(str(random.choice(names)))
        length = min(round(seconds * world.fps), episode.steps - before)
        begin = int(random.integers(episode.steps - before - length + 1))  # of the dream
        age = min(oldest, episode.steps - before - length - begin)
        age = int(random.integers(age + 1))
        now = begin + before  # the frame that the dream goes on from
        frames = episode.observation[now + age : now + age + length]
        if dreamed:
            known = slice(begin, now + 1)
            played = Player(dream)
            played.begin(
                int(random.integers(2**31)),
                {"frames": episode.observation[known], "actions": episode.action[begin:now]},
            )
            shown = []
            for action in episode.action[now : now + age + length]:
                assert played.game is not None
                shown.append(played.game.frame)
                if not played.game.over:
                    played.step(action)
            frames = np.stack(shown[age:])
        yield Clip(frames=frames, dreamed=dreamed, behaviour=episode.attributes.behaviour, age=age)


class ClipMaker:
    """Makes clips on a thread of its own.

    Args:
        source: Gives the clips, on that thread.
        count: How many it will give.

    Attributes:
        count: How many there will be.
        error: What went wrong, or empty.
    """

    def __init__(self, source: Callable[[], Iterator[Clip]], count: int):
        self.count, self.error = count, ""
        self._source = source
        self._clips: list[Clip] = []
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="clips", daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Stops after the clip in hand, or leaves it alone after `timeout` seconds."""
        self._closing = True
        if self._thread.is_alive():
            self._thread.join(timeout)

    def wait(self) -> None:
        """Waits until all clips are made."""
        self._thread.join()

    @property
    def ready(self) -> int:
        """How many are made."""
        return len(self._clips)

    def clip(self, number: int) -> Clip | None:
        """Clip `number`, from 0, or None if it is not made yet."""
        return self._clips[number] if number < len(self._clips) else None

    def _run(self) -> None:
        try:
            for clip in self._source():
                self._clips.append(clip)
                if self._closing:
                    return
        except Exception as error:  # whatever it is, the person shall read it
            self.error = str(error) or type(error).__name__
