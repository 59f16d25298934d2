"""Dreaming a stretch of frames from a recorded context, for pictures and for measurements."""

from collections.abc import Callable

import numpy as np
import torch

from learned_envs.models.world_model import WorldModel, draw_noise


@torch.no_grad()
def dream_frames(
    model: WorldModel, context: np.ndarray, actions: np.ndarray, seed: int = 0
) -> np.ndarray:
    """Dreams from a context under given actions, on the model's own predictions.

    Args:
        model: Any world model.
        context: (B, k, H, W, 3) uint8, oldest first.
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
    state = model.start(torch.from_numpy(context).to(device), action[:, :known])
    generators = [np.random.default_rng(seed + row) for row in range(len(context))]
    dreamed = []
    for t in range(known, actions.shape[1]):
        draws = draw_noise(model.noise_spec, generators)
        noise = {name: torch.from_numpy(value).to(device) for name, value in draws.items()}
        state, _ = model.step(state, action[:, t], noise)
        dreamed.append(model.render(state).cpu().numpy())
    model.train(was_training)
    return np.stack(dreamed, 1)


def reconstruction(model: WorldModel) -> Callable[[np.ndarray], np.ndarray]:
    """A function that encodes and decodes frames (N, H, W, 3) uint8: the codec's ceiling."""

    @torch.no_grad()
    def reconstruct(frames: np.ndarray) -> np.ndarray:
        still = torch.from_numpy(frames)[:, None]
        none = torch.zeros(len(frames), 0, *model.actions.shape, dtype=model.actions.dtype)
        return model.render(model.start(still, none)).numpy()

    return reconstruct
