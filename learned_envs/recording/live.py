"""Endless windows straight from a world's batched simulator, with nothing written to disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from gymnasium.vector import AutoresetMode

from learned_envs.data.window import Window
from learned_envs.recording.cast import Cast, behaviour_weights
from learned_envs.recording.metadata import metadata_names
from learned_envs.worlds import World

_MOST_BYTES = 2**28  # of a window that is measured


def affordable_rows(world: World, rows: int, steps: int, most_bytes: int = _MOST_BYTES) -> int:
    """How many of `rows` a window of so many steps can have, at least one.

    Within `most_bytes`, and of no more games than may be played at once.
    """
    rows = min(rows, world.most_real or rows)
    frame = int(np.prod(world.observation_space.shape))
    return max(1, min(rows, most_bytes // (frame * (steps + 1))))


class LiveWindows:
    """Plays a batch of real games for ever and hands out consecutive segments of them.

    With every episode, a row gets a behaviour drawn by weight and the start that the world has for
    it. The step between two episodes is not `valid`, and the frame after it is `first`. Equal
    arguments give equal windows; the iterator can be pickled and goes on where it was.

    Args:
        world: What to play.
        batch: Rows, each a game of its own, B.
        length: Steps a window, T.
        seed: Of everything random.
        behaviours: Weights by name; None for the world's own.
        max_episode_steps: Steps after which an episode is truncated; None for the world's own.
        warm_up: Steps played before the first window, during which each row is restarted once, at
            a random time. At 0, the first windows show young episodes only; at
            `max_episode_steps`, every age from the beginning.

    Raises:
        ValueError: If a behaviour is unknown to the world, or an argument is out of its range.
    """

    def __init__(
        self,
        world: World,
        batch: int,
        length: int,
        seed: int,
        behaviours: Mapping[str, float] | None = None,
        max_episode_steps: int | None = None,
        warm_up: int = 0,
    ):
        if batch < 1 or length < 1:
            raise ValueError(f"`batch` (={batch}) and `length` (={length}) must be at least 1")
        weights = behaviour_weights(world, behaviours)
        self._names, self._shares = list(weights), list(weights.values())
        self._world, self._batch, self._length = world, batch, length
        self._random = np.random.default_rng(seed)
        names = self._random.choice(self._names, size=batch, p=self._shares).tolist()
        self._cast = Cast(world, names, self._random)
        self._env: Any = world.make_real_vec(
            batch,
            max_episode_steps=max_episode_steps or world.max_episode_steps,
            autoreset_mode=AutoresetMode.NEXT_STEP,
        )
        self._env.autoreset_options = self._begin
        seeds = self._random.integers(2**31, size=batch).tolist()
        options = {"rows": {row: self._start(name) for row, name in enumerate(names)}}
        self._frame, info = self._env.reset(seed=seeds, options=options)
        self._metadata_names = metadata_names(info, batch)
        self._metadata = self._read(info)
        self._first = np.ones(batch, bool)
        self._ended = np.zeros(batch, bool)
        self._warm_up(warm_up)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Window:
        """Plays T steps; frame 0 is the last frame of the window before."""
        rows, steps = self._batch, self._length
        frames = np.empty((rows, steps + 1, *self._frame.shape[1:]), np.uint8)
        first = np.empty((rows, steps + 1), bool)
        frames[:, 0], first[:, 0], metadata = self._frame, self._first, [self._metadata]
        actions, rewards, terminations = [], [], []
        for t in range(steps):
            action, reward, terminated = self._step()
            frames[:, t + 1], first[:, t + 1] = self._frame, self._first
            metadata.append(self._metadata)
            actions.append(action)
            rewards.append(reward)
            terminations.append(terminated)
        return Window(
            observation=frames,
            action=np.stack(actions, 1),
            reward=np.stack(rewards, 1).astype(np.float32),
            terminated=np.stack(terminations, 1),
            first=first,
            valid=~first[:, 1:],
            metadata={
                name: np.stack([frame[name] for frame in metadata], 1)
                for name in self._metadata_names
            },
        )

    def _step(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        action = self._cast(self._frame, self._first)
        self._frame, reward, terminated, truncated, info = self._env.step(action)
        self._metadata = self._read(info)
        self._first, self._ended = self._ended, terminated | truncated
        return action, reward, terminated

    def _begin(self, rows: np.ndarray) -> dict[int, dict[str, Any]]:
        """Draws new players for `rows` and returns the starts of their episodes."""
        names = self._random.choice(self._names, size=len(rows), p=self._shares).tolist()
        starts = {}
        for row, name in zip(rows.tolist(), names, strict=True):
            self._cast.give(row, name)
            starts[row] = self._start(name)
        return starts

    def _start(self, name: str) -> dict[str, Any]:
        return self._world.reset_options(name, self._random) or {}

    def _warm_up(self, steps: int) -> None:
        restarts = self._random.integers(max(steps, 1), size=self._batch)
        for step in range(steps):
            self._step()
            again = restarts == step
            if again.any():
                options = {"reset_mask": again, "rows": self._begin(np.flatnonzero(again))}
                self._frame, info = self._env.reset(options=options)
                self._metadata = self._read(info)
                self._first, self._ended = self._first | again, self._ended & ~again

    def _read(self, info: dict[str, Any]) -> dict[str, np.ndarray]:
        return {name: info[name] for name in self._metadata_names}
