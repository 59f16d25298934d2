"""Dreams of held-out play under its own actions, told the variables from one source or another."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor

from learned_envs.data.window import Window
from learned_envs.models.world_model import WorldModel, draw_noise

Feed = Literal["predicted", "oracle", "shuffled"]
FEEDS: tuple[Feed, ...] = get_args(Feed)
"""Where the variables of each step come from: the model itself, the true game, or another game."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fed:
    """A dream, step by step, beside the truth.

    Attributes:
        frames: (B, h, H, W, 3) uint8, dreamed.
        values: (B, h, V) float32, what the dream was told.
        true_frames: (B, h, H, W, 3) uint8.
        true_values: (B, h + 1, V) float32, from the last known frame on.
    """

    frames: np.ndarray
    values: np.ndarray
    true_frames: np.ndarray
    true_values: np.ndarray


def whole_rows(windows: Iterator[Window], windows_read: int, steps: int) -> Iterator[Window]:
    """Rows of some windows in which no episode begins within so many steps, each as a window."""
    for _ in range(windows_read):
        window = next(windows)
        rows = window.valid[:, :steps].all(1)
        if rows.any():
            yield Window(
                observation=window.observation[rows, : steps + 1],
                action=window.action[rows, :steps],
                reward=window.reward[rows, :steps],
                terminated=window.terminated[rows, :steps],
                first=window.first[rows, : steps + 1],
                valid=window.valid[rows, :steps],
                metadata={
                    name: value[rows, : steps + 1] for name, value in window.metadata.items()
                },
            )


@torch.no_grad()
def fed(model: WorldModel, window: Window, feed: Feed, seed: int = 0) -> Fed:
    """Dreams a window's rows from their first `context` frames on.

    Args:
        model: One that is told variables, or, with `predicted`, any other.
        window: Of at least `context` frames and one more, all of one episode in each row.
        feed: Where the variables come from. At the start they are the true ones. `shuffled` are
            those of the next row.
        seed: Row i draws its noise from a generator seeded with seed + i.

    Raises:
        ValueError: If the model is told nothing, and is to be fed.
    """
    if model.config.metadata is None and feed != "predicted":
        raise ValueError(f"`feed` (={feed!r}) was given for a model that is told no variables")
    known = model.context
    frames, actions = torch.from_numpy(window.observation), torch.from_numpy(window.action)
    values = _values(model, window)
    start = values[:, :known] if model.config.metadata is not None else None
    state = model.start(frames[:, :known], actions[:, : known - 1], start)
    given = values.roll(-1, 0) if feed == "shuffled" else values
    generators = [np.random.default_rng(seed + row) for row in range(len(frames))]
    shown, told = [], []
    for t in range(known - 1, actions.shape[1]):
        draws = draw_noise(model.noise_spec, generators)
        noise = {name: torch.from_numpy(value) for name, value in draws.items()}
        code = model.actions.encode(actions[:, t])
        code, variables = model.tell(
            state, code, noise, None if feed == "predicted" else given[:, t + 1]
        )
        prediction = model.dynamics.predict(state, code, noise)
        state = model.advance(state, code, prediction, noise) | variables
        shown.append(model.render(state).numpy())
        told.append(
            state["metadata"][:, 1].numpy() if "metadata" in state else values[:, 0].numpy()
        )
    return Fed(
        frames=np.stack(shown, 1),
        values=np.stack(told, 1),
        true_frames=window.observation[:, known:],
        true_values=values[:, known - 1 :].numpy(),
    )


def _values(model: WorldModel, window: Window) -> Tensor:
    if model.config.metadata is None:
        return torch.zeros(*window.first.shape, 0)
    return model.config.metadata.collect(window.metadata)
