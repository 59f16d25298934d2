"""n dreams of one world in a batch: starts, noise, steps and states, with no Gymnasium bookkeeping.

The single and the batched environment both stand on it, so that they cannot differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from learned_envs.dream.dream_spec import checked_actions
from learned_envs.dream.runtime import Runtime, RuntimeState
from learned_envs.models.history import looked_back_on
from learned_envs.models.world_model import draw_noise

_OPTIONS = {"frames", "actions", "start"}


class DreamError(RuntimeError):
    """A model predicted what is no number."""


class Dream:
    """n dreams that start, advance and are observed together.

    Args:
        runtime: What steps the model.
        count: n.

    Attributes:
        age: (n,) int64, steps since each row's start.
        goals: What each row is to come to, by name, (n, ...) each; empty where the frames are not
            judged by a task.
    """

    def __init__(self, runtime: Runtime, count: int):
        self.runtime, self.spec = runtime, runtime.spec
        self.age = np.zeros(count, np.int64)
        self._task = self.spec.task
        example = self._task.draw(np.random.default_rng(0)) if self._task else {}
        self.goals = {name: np.stack([value] * count) for name, value in example.items()}
        self._state: RuntimeState | None = None
        self._frames: Any = None

    def start(
        self,
        rows: np.ndarray,
        generators: Sequence[np.random.Generator],
        options: Sequence[Mapping[str, Any]],
    ) -> None:
        """Begins dreams in some rows.

        Args:
            rows: (m,) int64.
            generators: One for each of them; draws the start if none is given.
            options: One for each of them: `frames` (k, H, W, 3) uint8 and `actions` (k - 1, ...),
                k >= 1, or `start`, the number of a start in the bank; empty to draw one. A goal,
                by its name, where the world has a task.

        Raises:
            ValueError: If an option is unknown, or of another shape, dtype or range.
        """
        goals = [
            self._goal(generator, option)
            for generator, option in zip(generators, options, strict=True)
        ]
        histories = [
            self._history(generator, option, goal)
            for generator, option, goal in zip(generators, options, goals, strict=True)
        ]
        frames, actions = (np.stack(parts) for parts in zip(*histories, strict=True))
        begun = self.runtime.start(frames, actions)
        if self._state is None:  # rows that are not started yet hold copies of the first one
            source = np.zeros(self.age.size, np.int64)
            source[rows] = np.arange(rows.size)
            self._state = self.runtime.rows(begun, source)
        else:
            self.runtime.put(self._state, rows, begun)
        for name, value in self.goals.items():
            value[rows] = [goal[name] for goal in goals]
        self.age[rows] = 0
        self._frames = None

    def advance(
        self, actions: Any, rows: np.ndarray, generators: Sequence[np.random.Generator]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Dreams one step in the rows where `rows` (n,) bool holds.

        Args:
            actions: (n, ...) raw actions.
            rows: (n,) bool, the rows that move.
            generators: One a row; draws the noise.

        Returns:
            Reward (n,) float64, terminated (n,) bool and doubt (n,) float64; zeros where a row
            does not move.

        Raises:
            gymnasium.error.InvalidAction: If an action is not one of the action space.
            DreamError: If the model predicts what is no number. The state stays as it was.
        """
        assert self._state is not None
        checked = checked_actions(self.spec.action_space, actions)
        noise = self._noise(rows, generators)
        before = self.runtime.to_numpy(self.frames()) if self._task else None
        following, outcome = self.runtime.step(self._state, checked, noise)
        broken = np.flatnonzero(rows & ~outcome["finite"])
        if broken.size:
            raise DreamError(
                f"the model of {self.spec.source} predicted NaN or infinite values in step "
                f"{self.age[broken[0]] + 1} after the start (rows {broken.tolist()}): reset to go "
                "on from another start; if it happens again the weights or the given frames are "
                "damaged, so load other weights, or use runtime='torch' if this was an fp16 graph"
            )
        if not rows.all():
            still = np.flatnonzero(~rows)
            self.runtime.put(following, still, self.runtime.rows(self._state, still))
        self._state, self._frames = following, None
        self.age[rows] += 1
        by_model = self.spec.reward in ("head", "metadata")
        given = outcome["reward"] if by_model else np.zeros(rows.size)
        if self._task and before is not None:
            given = self._task.reward(before, self.runtime.to_numpy(self.frames()), self.goals)
        reward = np.where(rows, given, 0).astype(np.float64)
        doubt = np.where(rows, outcome["doubt"], 0).astype(np.float64)
        return reward, rows & (outcome["termination"] > 0.5), doubt

    def frames(self) -> Any:
        """The newest frames (n, H, W, 3) uint8, of the runtime's own kind. Not to be written to."""
        if self._frames is None:
            assert self._state is not None
            self._frames = self.runtime.frames(self._state)
        return self._frames

    def latents(self) -> Any:
        """The newest latents (n, C, h, w) float32, of the runtime's kind. Not to be written to."""
        assert self._state is not None
        return self.runtime.latents(self._state)

    def variables(self) -> dict[str, np.ndarray]:
        """The world's own variables as the model predicts them, by name, (n,) float32 each."""
        if not self.spec.variables:
            return {}
        assert self._state is not None
        newest = self.runtime.to_numpy(self._state["metadata"])[:, -1]
        return {name: newest[:, i].copy() for i, name in enumerate(self.spec.variables)}

    def get_state(self) -> dict[str, Any]:
        """A copy of everything but the generators, as NumPy arrays with a leading row axis.

        Raises:
            ValueError: If no dream has begun.
        """
        if self._state is None:
            raise ValueError("there is no state before the first reset: call reset() first")
        state = {n: self.runtime.to_numpy(value).copy() for n, value in self._state.items()}
        frames = self.runtime.to_numpy(self.frames()).copy()
        goals = {name: value.copy() for name, value in self.goals.items()}
        return {"model": state, "frames": frames, "age": self.age.copy(), "goals": goals}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores what `get_state` returned, here or in another dream of as many rows.

        Raises:
            ValueError: If it is the state of another model, runtime or number of rows.
        """
        given = {name: value.shape for name, value in state["model"].items()}
        rows = self.age.size
        expected = {name: (rows, *shape) for name, shape in self.runtime.state_shapes.items()}
        if given != expected:
            raise ValueError(
                f"a state with arrays {given} was given, expected {expected}: restore it into an "
                f"environment with the same weights, runtime (here {self.runtime.name!r}) and "
                "number of rows"
            )
        self._state = {n: self.runtime.from_numpy(value) for n, value in state["model"].items()}
        self._frames = self.runtime.from_numpy(state["frames"])
        self.age[:] = state["age"]
        self.goals = {name: value.copy() for name, value in state["goals"].items()}

    def _noise(
        self, rows: np.ndarray, generators: Sequence[np.random.Generator]
    ) -> dict[str, np.ndarray]:
        """Noise for all rows, drawn only for those that move."""
        if rows.all():
            return draw_noise(self.spec.noise, generators)
        moving = np.flatnonzero(rows)
        noise = {
            name: np.zeros((rows.size, *item.shape), np.float32)
            for name, item in self.spec.noise.items()
        }
        if moving.size:
            drawn = draw_noise(self.spec.noise, [generators[row] for row in moving.tolist()])
            for name, value in drawn.items():
                noise[name][moving] = value
        return noise

    def _goal(
        self, generator: np.random.Generator, options: Mapping[str, Any]
    ) -> dict[str, np.ndarray]:
        """A row's goal: drawn first, as in the real world, then replaced by what is given."""
        goal = self._task.draw(generator) if self._task else {}
        for name, drawn in goal.items():
            if name not in options:
                continue
            given = np.asarray(options[name])
            if given.shape != drawn.shape or given.dtype != drawn.dtype:
                raise ValueError(
                    f"option `{name}` has shape {given.shape} and dtype {given.dtype}, expected "
                    f"{drawn.shape} {drawn.dtype}"
                )
            goal[name] = given
        return goal

    def _history(
        self,
        generator: np.random.Generator,
        options: Mapping[str, Any],
        goal: Mapping[str, np.ndarray],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames (K, H, W, 3) and actions (K - 1, ...) that a row with such a goal starts from."""
        spec = self.spec
        known = _OPTIONS | goal.keys()
        if unknown := set(options) - known:
            raise ValueError(
                f"unknown reset options {sorted(unknown)}: a dream knows {sorted(known)}"
            )
        if "frames" in options:
            return self._looked_back_on(*self._given(options))
        if "actions" in options:
            raise ValueError("option `actions` was given without `frames`: give both or none")
        bank = len(spec.start_frames)
        number = options.get("start")
        if number is None:
            number = int(generator.integers(bank))
        elif not 0 <= number < bank:
            raise ValueError(f"option `start` (={number}) must lie in 0..{bank - 1}")
        frames = spec.start_frames[number]
        actions = checked_actions(spec.action_space, spec.start_actions[number])
        if len(frames) == spec.context:  # they are of the right ages already
            return frames, actions
        return self._looked_back_on(frames, actions)

    def _looked_back_on(
        self, frames: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Frames (K, H, W, 3) of the dream's ages among frames in a row, and what led to them."""
        idle = np.asarray(self.spec.idle_action)
        picked, led = looked_back_on(frames[None], actions[None], self.spec.ages, idle)
        return picked[0], led[0]

    def _given(self, options: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray]:
        frames = np.asarray(options["frames"])
        space, picture = self.spec.action_space, self.spec.observation_space.shape
        if frames.dtype != np.uint8 or frames.shape[1:] != picture or not len(frames):
            raise ValueError(
                f"option `frames` has shape {frames.shape} and dtype {frames.dtype}, expected "
                f"(k, {', '.join(map(str, picture))}) uint8 with k >= 1, oldest first"
            )
        expected = (len(frames) - 1, *self.spec.action_shape)
        actions = np.asarray(options.get("actions", ()))
        if not actions.size and len(frames) == 1:
            actions = np.empty(expected, space.dtype)
        if actions.shape != expected:
            raise ValueError(
                f"option `actions` has shape {actions.shape}, expected {expected}: the actions "
                f"between the {len(frames)} frames"
            )
        return frames, checked_actions(space, actions)
