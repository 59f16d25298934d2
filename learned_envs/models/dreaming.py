"""Dreaming a stretch of frames from a recorded context, for pictures and for measurements."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from learned_envs.models.dynamics.dynamics import Prediction, State
from learned_envs.models.history import looked_back_on
from learned_envs.models.world_model import WorldModel, draw_noise

_SETTLING = 8  # steps after which dynamics remember


def look_back(model: WorldModel, frames: np.ndarray, actions: np.ndarray) -> State:
    """Makes a state from frames in a row, of which the model looks back on those of its ages.

    Args:
        model: Any world model.
        frames: (B, k, H, W, 3) uint8, oldest first.
        actions: (B, k - 1, ...), between them.
    """
    device = next(model.parameters()).device
    start = looked_back_on(frames, actions, model.ages, np.array(model.actions.idle))
    return model.start(*(torch.from_numpy(array).to(device) for array in start))


@torch.no_grad()
def dream_frames(
    model: WorldModel, context: np.ndarray, actions: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Dreams from a context under given actions, on the model's own predictions.

    Args:
        model: Any world model.
        context: (B, k, H, W, 3) uint8, frames in a row, oldest first, of which the model looks
            back on those of its ages.
        actions: (B, k - 1 + h, ...), the first k - 1 of them between the context's frames.
        seed: Row i draws its noise from a generator seeded with seed + i.

    Returns:
        (B, h, H, W, 3) uint8.
    """
    was_training = model.training
    model.eval()
    device = next(model.parameters()).device
    known = context.shape[1] - 1
    action = torch.from_numpy(actions).to(device)
    state = look_back(model, context, actions[:, :known])
    generators = [np.random.default_rng(seed + row) for row in range(len(context))]
    dreamed = []
    for t in range(known, actions.shape[1]):
        draws = draw_noise(model.noise_spec, generators)
        noise = {name: torch.from_numpy(value).to(device) for name, value in draws.items()}
        state, _ = model.step(state, action[:, t], noise)
        dreamed.append(model.render(state).cpu().numpy())
    model.train(was_training)
    return np.stack(dreamed, 1)


@torch.no_grad()
def settled_steps(
    model: WorldModel,
    frames: np.ndarray,
    actions: np.ndarray,
    valid: np.ndarray,
    generators: Sequence[np.random.Generator],
    *,
    every: int,
) -> Iterator[tuple[int, np.ndarray, State, Prediction]]:
    """Predicts single steps all over a window of real play.

    Dynamics that remember come to each of them through the eight before it, on what they predict
    themselves: without, they would have nothing to remember.

    Args:
        model: Any world model.
        frames: (B, T + 1, H, W, 3) uint8.
        actions: (B, T, ...), between them.
        valid: (B, T), whether both frames of a step are of one take.
        generators: One for each row, for its noise.
        every: Steps between those that are predicted.

    Yields:
        A step t, the rows (B,) in which it and all before it that count are valid, and for these
        rows the state after it and its prediction.
    """
    settling = _SETTLING if model.dynamics.state_spec else 0
    taken = torch.from_numpy(actions)
    for t in range(model.context - 1, valid.shape[1] - settling, every):
        begin, end = max(0, t - model.span + 1), t + settling + 1
        kept = np.asarray(valid[:, begin:end].all(1))
        if not kept.any():
            continue
        state = look_back(model, frames[kept, begin : t + 1], actions[kept, begin:t])
        rows, steps = torch.from_numpy(kept), []
        for step in range(t, end):
            draws = draw_noise(model.noise_spec, generators[: int(rows.sum())])
            noise = {name: torch.from_numpy(value) for name, value in draws.items()}
            state, prediction = model.step(state, taken[rows, step], noise)
            steps.append(prediction)
        yield end - 1, kept, state, steps[-1]


def reconstruction(model: WorldModel) -> Callable[[np.ndarray], np.ndarray]:
    """A function that encodes and decodes what was seen: the codec's ceiling.

    It takes frames in a row (N, k, H, W, 3) uint8, of which the model looks back on those of its
    ages, and returns the last, (N, H, W, 3).
    """
    idle = np.array(model.actions.idle)

    @torch.no_grad()
    def reconstruct(frames: np.ndarray) -> np.ndarray:
        actions = np.broadcast_to(idle, (len(frames), frames.shape[1] - 1, *idle.shape))
        return model.render(look_back(model, frames, actions)).numpy()

    return reconstruct
