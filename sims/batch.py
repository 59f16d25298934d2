"""The bookkeeping of a natively batched Gymnasium environment: limits, autoreset modes, resets.

A subclass holds n worlds as arrays and says how rows start, advance and are observed; everything
that Gymnasium's vector API asks for on top of that is here, once, for simulators and for dreams.
"""

from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space


class BatchEnv(VectorEnv[Any, Any, Any]):
    """A `VectorEnv` whose rows live in one batch instead of in n environments.

    Args:
        num_envs: Rows in the batch, at least 1.
        observation_space: Space of one row's observation.
        action_space: Space of one row's action.
        max_episode_steps: Steps after which a row is truncated, or None for no limit.
        autoreset_mode: `NEXT_STEP`, `SAME_STEP` or `DISABLED` (an `AutoresetMode` or its value).
        metadata: The class's render metadata; the autoreset mode is added to a copy of it.

    Attributes:
        autoreset_options: Gives the reset options of rows that autoreset restarts, as a dict from
            row to options; None for the defaults.
        reset_info: What `reset` gives as info.

    Raises:
        ValueError: If `num_envs` or `max_episode_steps` is below 1.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        observation_space: gym.Space[Any],
        action_space: gym.Space[Any],
        max_episode_steps: int | None,
        autoreset_mode: AutoresetMode | str,
        metadata: dict[str, Any],
    ):
        if num_envs < 1:
            raise ValueError(f"`num_envs` (={num_envs}) must be at least 1")
        if max_episode_steps is not None and max_episode_steps < 1:
            raise ValueError(
                f"`max_episode_steps` (={max_episode_steps}) must be at least 1, or None"
            )
        self.num_envs = num_envs
        self.single_observation_space = observation_space
        self.single_action_space = action_space
        self.observation_space = batch_space(observation_space, num_envs)
        self.action_space = batch_space(action_space, num_envs)
        self.max_episode_steps = max_episode_steps
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {**metadata, "autoreset_mode": self.autoreset_mode}
        self.autoreset_options: Callable[[np.ndarray], dict[int, dict[str, Any]]] | None = None
        self.reset_info: dict[str, Any] = {}
        self._elapsed = np.zeros(num_envs, np.int64)
        self._ended = np.ones(num_envs, bool)
        self._started = False

    @abstractmethod
    def _start(
        self, rows: np.ndarray, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> None:
        """Begins an episode in `rows` (m,) int64; `seeds[j]`, if given, reseeds `rows[j]`."""

    @abstractmethod
    def _advance(
        self, actions: Any, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Steps the rows where `rows` (n,) bool holds; returns reward, terminated (n,) and info."""

    @abstractmethod
    def _observe(self) -> Any:
        """Returns the batch of observations, in memory of its own."""

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[Any, dict[str, Any]]:
        """Begins episodes in all rows, or in those of `options["reset_mask"]` (n,) bool.

        Args:
            seed: None, an int (row i is seeded with seed + i), or one int or None a row.
            options: The single environment's reset options, applied to every row that is reset;
                `options["rows"]`, a dict from row to options, overrides them for single rows.

        Returns:
            The batch of observations and an info dict.

        Raises:
            ValueError: If seeds or mask do not have one entry a row, the mask selects none, or
                `options["rows"]` names a row that is not reset.
        """
        options = dict(options or {})
        mask = _reset_mask(options.pop("reset_mask", None), self.num_envs)
        seeds = _row_seeds(seed, self.num_envs)
        rows = np.flatnonzero(mask)
        if strangers := set(options.get("rows", {})) - set(rows.tolist()):
            raise ValueError(
                f"options were given for rows {sorted(strangers)}, but only rows {rows.tolist()} "
                "are reset"
            )
        self._start(rows, [seeds[i] for i in rows], options)
        self._elapsed[rows] = 0
        self._ended[rows] = False
        self._started = not self._ended.any() or self._started
        return self._observe(), dict(self.reset_info)

    def step(self, actions: Any) -> tuple[Any, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Steps every row by one tick; see `gymnasium.vector.VectorEnv.step`.

        Raises:
            gymnasium.error.ResetNeeded: Before the first reset, or, with autoreset disabled, when
                a row has ended and was not reset.
            gymnasium.error.InvalidAction: If actions of a Discrete space are no integers within it.
            ValueError: If the actions' shape is not that of the action space.
        """
        if not self._started:
            raise gym.error.ResetNeeded("step() was called before reset(): call reset() first")
        live = ~self._ended
        if not live.all() and self.autoreset_mode is AutoresetMode.DISABLED:
            raise gym.error.ResetNeeded(
                f"rows {np.flatnonzero(~live).tolist()} have ended: reset them with "
                "options={'reset_mask': mask} before stepping"
            )
        actions = self._checked(actions)
        restart = np.flatnonzero(~live)
        if restart.size:
            self._restart(restart)
        reward, terminated, info = self._advance(actions, live)
        self._elapsed = np.where(live, self._elapsed + 1, 0)
        truncated = np.zeros(self.num_envs, bool)
        if self.max_episode_steps is not None:
            truncated = live & (self._elapsed >= self.max_episode_steps)
        self._ended = terminated | truncated
        observation = self._observe()
        ended = np.flatnonzero(self._ended)
        if ended.size and self.autoreset_mode is AutoresetMode.SAME_STEP:
            info |= _final_rows(observation, info, ended, self.num_envs)
            self._restart(ended)
            self._elapsed[ended] = 0
            self._ended[ended] = False
            observation = self._observe()
        return observation, reward, terminated, truncated, info

    def _restart(self, rows: np.ndarray) -> None:
        options = {"rows": self.autoreset_options(rows)} if self.autoreset_options else {}
        self._start(rows, [None] * rows.size, options)

    def _checked(self, actions: Any) -> Any:
        shape = getattr(actions, "shape", None)
        if shape is None:
            actions = np.asarray(actions)
            shape = actions.shape
        if tuple(shape) != self.action_space.shape:
            raise ValueError(
                f"actions of shape {tuple(shape)} were given, expected {self.action_space.shape}: "
                f"one action of {self.single_action_space} for each of {self.num_envs} rows"
            )
        space = self.single_action_space
        if isinstance(space, gym.spaces.Discrete):
            first, last = int(space.start), int(space.start + space.n - 1)
            integers = "int" in str(actions.dtype)  # of numpy or of torch
            if not integers or actions.min() < first or actions.max() > last:
                raise gym.error.InvalidAction(
                    f"actions {actions.min()} to {actions.max()} of dtype {actions.dtype} were "
                    f"given, expected integers from {first} to {last}"
                )
        return actions


class SeededBatchEnv(BatchEnv):
    """A `BatchEnv` of simulators: every row has a random generator of its own, part of its state.

    Args:
        num_envs: Rows in the batch, at least 1.
        **settings: As for `BatchEnv`.
    """

    def __init__(self, num_envs: int, **settings: Any):
        super().__init__(num_envs, **settings)
        self._random = [seeding.np_random(None)[0] for _ in range(num_envs)]

    def _seeded(
        self, rows: np.ndarray, seeds: Sequence[int | None], options: dict[str, Any]
    ) -> Iterator[tuple[int, np.random.Generator, dict[str, Any]]]:
        """Yields each of `rows` that begins, with its generator, reseeded if asked, and options."""
        shared = {name: value for name, value in options.items() if name != "rows"}
        for row, seed in zip(rows.tolist(), seeds, strict=True):
            if seed is not None:
                self._random[row] = seeding.np_random(seed)[0]
            yield row, self._random[row], shared | options.get("rows", {}).get(row, {})

    def _clock(self) -> dict[str, Any]:
        """A copy of what every row's state holds besides its world: its age and its generator."""
        random = [generator.bit_generator.state for generator in self._random]
        return {"elapsed": self._elapsed.copy(), "ended": self._ended.copy(), "random": random}

    def _set_clock(self, state: dict[str, Any]) -> None:
        """Restores what `_clock` returned, in this batch or in another of as many rows."""
        for generator, saved in zip(self._random, state["random"], strict=True):
            generator.bit_generator.state = saved
        self._elapsed, self._ended = state["elapsed"].copy(), state["ended"].copy()
        self._started = True


def info_of_begun(values: Mapping[str, np.ndarray], begun: np.ndarray) -> dict[str, Any]:
    """Infos of the rows that have just begun, as Gymnasium's batches give them.

    Args:
        values: By name, (n, ...) each.
        begun: (n,) bool.

    Returns:
        Copies with zeros for the other rows, and who they are of; nothing where no row has begun.
    """
    info: dict[str, Any] = {}
    for name, value in values.items() if begun.any() else ():
        info[name] = value.copy()
        info[name][~begun] = 0
        info[f"_{name}"] = begun
    return info


def _row_seeds(seed: int | Sequence[int | None] | None, count: int) -> list[int | None]:
    if seed is None:
        return [None] * count
    if isinstance(seed, int | np.integer):
        return [int(seed) + i for i in range(count)]
    if len(seed) != count:
        raise ValueError(f"{len(seed)} seeds were given for {count} rows: give one for each")
    return [None if one is None else int(one) for one in seed]


def _reset_mask(mask: np.ndarray | None, count: int) -> np.ndarray:
    if mask is None:
        return np.ones(count, bool)
    mask = np.asarray(mask)
    if mask.shape != (count,) or mask.dtype != np.bool_ or not mask.any():
        raise ValueError(
            f"`reset_mask` must be a bool array of shape ({count},) with at least one True, "
            f"got dtype {mask.dtype}, shape {mask.shape}, {int(mask.sum())} rows selected"
        )
    return mask


def _final_rows(
    observation: Any, info: dict[str, Any], ended: np.ndarray, count: int
) -> dict[str, Any]:
    """Gymnasium's `final_obs` and `final_info` for the rows that were reset within the step."""
    final = np.full(count, None, dtype=object)
    mask = np.zeros(count, bool)
    mask[ended] = True
    for i in ended:
        final[i] = observation[i]
    return {"final_obs": final, "_final_obs": mask, "final_info": dict(info), "_final_info": mask}
