"""Episodes as rows of one table: a row for each frame, with what was done at it."""

from __future__ import annotations

from typing import Any

import numpy as np

from learned_envs.data.episode import Episode
from learned_envs.recording.dataset.chosen import Chosen
from learned_envs.recording.dataset.extra import import_extra


class StepTable:
    """Makes rows of episodes.

    Row t of an episode belongs to its frame t and holds the action that leads to frame t + 1, with
    the reward and the end that it brings. At the last frame nothing is done any more: its row has
    nulls there, and the metadata of that frame.

    Args:
        chosen: The episodes.

    Attributes:
        schema: The table's columns.

    Raises:
        gymnasium.error.DependencyNotInstalled: If pyarrow is missing.
    """

    def __init__(self, chosen: Chosen):
        self._pa, self._chosen = import_extra("pyarrow"), chosen
        pa, names = self._pa, chosen.kind.action_names
        discrete = not chosen.kind.action_shape
        self._actions = ["action"] if discrete else [f"action.{name}" for name in names]
        text = {name: pa.string() for name in ("episode", "take", "split", "behaviour", "file")}
        action = pa.from_numpy_dtype(chosen.action_dtype)
        self.schema = pa.schema(
            {
                **text, "part": pa.int32(), "step": pa.int32(),
                **{name: action for name in self._actions},
                "reward": pa.float32(), "terminated": pa.bool_(), "truncated": pa.bool_(),
                **{f"metadata.{v.name}": self._type(v.dtype, v.shape) for v in chosen.variables},
            }
        )  # fmt: skip

    def rows(self, episode: Episode, file: str) -> Any:
        """The rows of an episode, whose frames are in `file`, as a `pyarrow.Table`."""
        pa, about, frames = self._pa, episode.attributes, episode.steps + 1
        columns: dict[str, Any] = {
            name: pa.array([text] * frames)
            for name, text in {
                "episode": about.name, "take": about.take, "split": about.split,
                "behaviour": about.behaviour, "file": file,
            }.items()
        }  # fmt: skip
        columns["part"] = pa.array(np.full(frames, about.part, np.int32))
        columns["step"] = pa.array(np.arange(frames, dtype=np.int32))
        action = episode.action.astype(self._chosen.action_dtype).reshape(episode.steps, -1)
        for name, component in zip(self._actions, action.T, strict=True):
            columns[name] = self._done(component)
        for name in ("reward", "terminated", "truncated"):
            columns[name] = self._done(getattr(episode, name))
        for variable in self._chosen.variables:
            kind = self._type(variable.dtype, variable.shape)
            told = episode.metadata.get(variable.name)
            columns[f"metadata.{variable.name}"] = (
                pa.nulls(frames, kind) if told is None else self._told(told, variable.dtype)
            )
        return pa.table(columns).select(self.schema.names).cast(self.schema)

    def _type(self, dtype: np.dtype, shape: tuple[int, ...] | None) -> Any:
        kind = self._pa.from_numpy_dtype(dtype)
        return self._pa.list_(kind, int(np.prod(shape))) if shape else kind

    def _done(self, steps: np.ndarray) -> Any:
        """A column of what was done at each frame but the last."""
        last = np.arange(len(steps) + 1) == len(steps)
        return self._pa.array(np.append(steps, steps[-1:]), mask=last)

    def _told(self, frames: np.ndarray, dtype: np.dtype) -> Any:
        """A column of metadata; arrays are rolled out, in C order."""
        flat = self._pa.array(frames.astype(dtype).reshape(-1))
        if frames.ndim == 1:
            return flat
        return self._pa.FixedSizeListArray.from_arrays(flat, len(flat) // len(frames))
