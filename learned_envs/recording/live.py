"""Endless windows straight from a world's batched simulator, with nothing written to disk."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode

from learned_envs.data.window import Window
from learned_envs.worlds import World


class LiveWindows(Iterator[Window]):
    """Plays a batch of real games for ever and hands out consecutive segments of it.

    Rows are shared out among the behaviours by weight, and every episode begins where the world
    lets that behaviour begin. Equal seeds give equal windows.

    Args:
        world: What to play.
        batch: Rows, each a game of its own.
        length: Steps T in each window.
        seed: Row i draws from generators seeded with (seed, i).
        behaviours: Weights by name; the world's own if None.

    Raises:
        ValueError: If a behaviour is unknown to the world.
    """

    def __init__(
        self,
        world: World,
        batch: int,
        length: int,
        seed: int,
        behaviours: dict[str, float] | None = None,
    ):
        weights = dict(behaviours or world.behaviours)
        if unknown := set(weights) - set(world.behaviours):
            raise ValueError(
                f"{world.name} has no behaviours {sorted(unknown)}; it has {sorted(world.behaviours)}"
            )
        self._length = length
        self._random = [np.random.default_rng((seed, row)) for row in range(batch)]
        self._names = _stratified(weights, batch)
        self._reset_options = world.reset_options
        self._play = world.make_behaviour(self._names, _seeds(self._random))
        self._env = world.make_real_vec(
            batch,
            max_episode_steps=world.max_episode_steps,
            autoreset_mode=AutoresetMode.NEXT_STEP,
        )
        rows = np.arange(batch)
        self._env.unwrapped.autoreset_options = self._options
        options = {"rows": self._options(rows)}
        self._frame, _ = self._env.reset(seed=_seeds(self._random), options=options)
        self._first = np.ones(batch, bool)
        self._ended = np.zeros(batch, bool)

    def __next__(self) -> Window:
        """Plays `length` steps; frame 0 is the last frame of the window before."""
        frames, first, valid = [self._frame], [self._first], []
        actions, rewards, terminations = [], [], []
        for _ in range(self._length):
            action = self._play(self._frame, self._first)
            self._frame, reward, terminated, truncated, _ = self._env.step(action)
            self._first, self._ended = self._ended, terminated | truncated
            frames.append(self._frame)
            first.append(self._first)
            valid.append(~self._first)
            actions.append(action)
            rewards.append(reward.astype(np.float32))
            terminations.append(terminated)
        return Window(
            observation=np.stack(frames, 1),
            action=np.stack(actions, 1),
            reward=np.stack(rewards, 1),
            terminated=np.stack(terminations, 1),
            first=np.stack(first, 1),
            valid=np.stack(valid, 1),
            metadata={},
        )

    def _options(self, rows: np.ndarray) -> dict[int, dict[str, Any]]:
        drawn = {row: self._reset_options(self._names[row], self._random[row]) for row in rows}
        return {row: options for row, options in drawn.items() if options is not None}


def _seeds(random: list[np.random.Generator]) -> list[int]:
    return [int(generator.integers(2**31)) for generator in random]


def _stratified(weights: dict[str, float], rows: int) -> list[str]:
    """Gives each row a behaviour so that the shares of rows match the weights."""
    edges = np.cumsum(list(weights.values())) / sum(weights.values())
    middles = (np.arange(rows) + 0.5) / rows
    names = list(weights)
    return [names[i] for i in np.minimum(np.searchsorted(edges, middles), len(names) - 1)]
