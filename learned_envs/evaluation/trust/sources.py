"""Where a trust report's clips come from: the real world played live, or a recording of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import gymnasium as gym
import numpy as np

from learned_envs.data.window import Window
from learned_envs.data.windows import EpisodeCache
from learned_envs.evaluation.held_out import held_out_windows, longest_held_out
from learned_envs.evaluation.rollouts import replay
from learned_envs.evaluation.trust.branching import Branching, measure_branching
from learned_envs.evaluation.trust.clips import LENGTH, Clips, clip_ends, collect, joined
from learned_envs.models.world_model import WorldModel
from learned_envs.recording.opened import recordings_of
from learned_envs.worlds import World

_BRANCHES, _IDLERS = 64, 32  # rows

Env = gym.vector.VectorEnv[Any, Any, Any]


class Source(Protocol):
    """Play of a world, real and dreamed, that no model was trained on.

    Attributes:
        ages: Of the clips, in steps.
        fault_age: Of those in which faults are planted, one of `ages`.
    """

    ages: tuple[int, ...]
    fault_age: int

    def real(self, seed: int) -> dict[int, Clips]:
        """Clips of real play by age; other seeds give others."""
        ...

    def dreamed(self, seed: int) -> dict[int, Clips]:
        """Clips of dreamed play by age."""
        ...

    def windows(self, rows: int, steps: int, seed: int) -> Iterator[Window]:
        """Endless windows of real play."""
        ...

    def branching(self, seed: int) -> Branching | None:
        """How dreamed branches part, beside real ones; None where the real world cannot branch."""
        ...

    def idlers(self) -> tuple[Env, Env | None]:
        """Batches of as many rows, dreamed and real, to be left idle; None without a real env."""
        ...


def make_dreams(world: World, weights: str | None, count: int) -> Env:
    """A batch of dreams without a limit."""
    return gym.make_vec(world.dream_id, count, weights=weights, max_episode_steps=None)


class Live:
    """The real world and its dream, each played by the world's most careful behaviour.

    Args:
        world: With a batched real env that can branch.
        weights: As `gym.make("Dream-v0", weights=...)` takes them; the packaged ones if None.
        rows: Games in each set of clips.
    """

    ages: tuple[int, ...] = (15, 150, 900)
    fault_age = 150

    def __init__(self, world: World, weights: str | None, rows: int):
        self._world, self._weights, self._rows = world, weights, rows

    def real(self, seed: int) -> dict[int, Clips]:
        """See `Source.real`."""
        return self._played(self._world.make_real_vec(self._rows, max_episode_steps=None), seed)

    def dreamed(self, seed: int) -> dict[int, Clips]:
        """See `Source.dreamed`."""
        return self._played(make_dreams(self._world, self._weights, self._rows), seed)

    def windows(self, rows: int, steps: int, seed: int) -> Iterator[Window]:
        """See `Source.windows`."""
        return held_out_windows(self._world, None, rows=rows, steps=steps, seed=seed)

    def branching(self, seed: int) -> Branching:
        """See `Source.branching`."""
        dreams = make_dreams(self._world, self._weights, _BRANCHES)
        return measure_branching(self._world, dreams, seed=seed)

    def idlers(self) -> tuple[Env, Env | None]:
        """See `Source.idlers`."""
        real = self._world.make_real_vec(_IDLERS, max_episode_steps=None)
        return make_dreams(self._world, self._weights, _IDLERS), real

    def _played(self, env: Env, seed: int) -> dict[int, Clips]:
        names = [next(iter(self._world.behaviours))] * self._rows
        players = self._world.make_behaviour(names, range(seed, seed + self._rows))
        return collect(env, players, self.ages, seed)


class Recorded:
    """Stretches of a recording's test split, and dreams that begin as they do, under their actions.

    A clip's age counts from where its stretch begins to be dreamed. Rows of even and of odd number
    come from different episodes, so that no episode is in both halves of a set.

    Args:
        world: What is dreamed.
        weights: As `gym.make("Dream-v0", weights=...)` takes them.
        model: The same weights, loaded: it says how many frames a dream begins with.
        recordings: Folder of the recording.
        rows: Stretches in each set of clips.

    Raises:
        ValueError: If the test split does not hold two episodes that are long enough.
    """

    AGES = (15, 60, 150)

    def __init__(
        self, world: World, weights: str | None, model: WorldModel, recordings: str, rows: int
    ):
        self._world, self._weights, self._rows = world, weights, rows
        self._folder, self._before = recordings, model.span - 1
        store = recordings_of(world, recordings)
        self._store, self._cache = store, EpisodeCache(store)
        self.ages = tuple(age for age in self.AGES if len(self._by_source(age)) >= 2)
        if not self.ages:
            raise ValueError(
                f"the test split of {recordings} holds {len(store.names('test'))} episodes, "
                f"expected at least 2 of {self._before + self.AGES[0]} steps or more: record more, "
                "or longer ones"
            )
        self.fault_age = self.ages[-1]
        self._length = self._before + self.ages[-1]
        long = self._by_source(self.ages[-1])
        self._names = sum(long[0::2], []), sum(long[1::2], [])

    def real(self, seed: int) -> dict[int, Clips]:
        """See `Source.real`."""
        rows = [self._row(place, row) for row, place in enumerate(self._places(seed))]
        return {age: joined([row[age] for row in rows]) for age in self.ages}

    def dreamed(self, seed: int) -> dict[int, Clips]:
        """See `Source.dreamed`."""
        begun, taken = {}, []
        for row, (name, start) in enumerate(self._places(seed)):
            episode, now = self._cache.read(name), start + self._before
            begun[row] = {
                "frames": episode.observation[start : now + 1],
                "actions": episode.action[start:now],
            }
            taken.append(episode.action[now : start + self._length])
        dreams = make_dreams(self._world, self._weights, self._rows)
        return collect(dreams, replay(np.stack(taken, 1)), self.ages, seed, {"rows": begun})

    def windows(self, rows: int, steps: int, seed: int) -> Iterator[Window]:
        """See `Source.windows`; no longer than the longest episode."""
        steps = min(steps, longest_held_out(self._store))
        return held_out_windows(self._world, self._folder, rows=rows, steps=steps, seed=seed)

    def branching(self, seed: int) -> None:
        """See `Source.branching`; a recording goes one way."""
        return None

    def idlers(self) -> tuple[Env, None]:
        """See `Source.idlers`; dreams begin mid-play, where no real env can be put to idle."""
        return make_dreams(self._world, self._weights, _IDLERS), None

    def _by_source(self, age: int) -> list[list[str]]:
        """Test episodes that can be dreamed to an age, together with those of the same source."""
        found: dict[str, list[str]] = {}
        for name in self._store.names("test"):
            header = self._store.headers[name]
            if header.steps >= self._before + age:
                found.setdefault(header.attributes.source, []).append(name)
        return list(found.values())

    def _places(self, seed: int) -> list[tuple[str, int]]:
        """Episode and first step of every row's stretch."""
        random = np.random.default_rng(seed)
        chosen = [str(random.choice(self._names[row % 2])) for row in range(self._rows)]
        return [
            (name, int(random.integers(self._store.headers[name].steps - self._length + 1)))
            for name in chosen
        ]

    def _row(self, place: tuple[str, int], row: int) -> dict[int, Clips]:
        """The clips of one stretch by age."""
        name, start = place
        episode, now = self._cache.read(name), start + self._before
        cut = {}
        for age in self.ages:
            spans = [(now + end + 1 - LENGTH, now + end + 1) for end in clip_ends(age)]
            cut[age] = Clips(
                frames=np.stack([episode.observation[a:b] for a, b in spans]),
                actions=np.stack([episode.action[a : b - 1] for a, b in spans]),
                row=np.full(len(spans), row),
            )
        return cut
