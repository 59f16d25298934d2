"""Whether two runtimes make the same step, given the same state and noise.

Continuous outputs must agree within a tolerance. What is rounded or decided may differ only where
the value before rounding lies within that tolerance of a boundary. After every step both go on from
the same state, since one flipped code legitimately changes the future.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from learned_envs.dream.dream_spec import checked_actions
from learned_envs.dream.onnx_runtime import OnnxRuntime
from learned_envs.dream.torch_runtime import TorchRuntime
from learned_envs.models.codecs.codec import to_frames
from learned_envs.models.dynamics.dynamics import Prediction
from learned_envs.models.world_model import WorldModel, draw_noise

TOLERANCE = {"fp32": 1e-3, "fp16": 1e-2}
_EXACT = 1e-6


class ParityError(ValueError):
    """An exported graph that does not compute what its checkpoint does."""


def check_parity(
    reference: TorchRuntime,
    graph: OnnxRuntime,
    *,
    tolerance: float,
    steps: int = 200,
    seed: int = 0,
) -> None:
    """Steps both from equal states and compares all that they give.

    Half of the steps are made by one row, half by three, each from recorded starts, with actions
    drawn at random.

    Args:
        reference: The checkpoint.
        graph: What was exported from it.
        tolerance: Largest difference of continuous values.
        steps: How many.
        seed: Of starts, actions and noise.

    Raises:
        ParityError: If they disagree; the message names the step, the value and the difference.
    """
    spec = reference.spec
    space = spec.action_space
    space.seed(seed)
    for rows in (1, 3):
        generators = [np.random.default_rng((seed, row)) for row in range(rows)]
        state = _starts(reference, graph, generators)
        for step in range(steps // 2):
            action = checked_actions(space, np.stack([space.sample() for _ in range(rows)]))
            noise = draw_noise(spec.noise, generators)
            given = {name: value.numpy() for name, value in state.items()}
            following, outcome = graph.step(given, action, noise)
            try:
                with torch.inference_mode():
                    state = _compared(
                        reference.model,
                        state,
                        torch.from_numpy(action),
                        {name: torch.from_numpy(value) for name, value in noise.items()},
                        {n: torch.tensor(v) for n, v in (following | outcome).items()},
                        tolerance,
                    )
            except ParityError as error:
                raise ParityError(
                    f"step {step} of {rows} rows: {error}. The graph was not kept"
                ) from None


def _starts(
    reference: TorchRuntime, graph: OnnxRuntime, generators: list[np.random.Generator]
) -> dict[str, Tensor]:
    """States from the bank of starts, from both runtimes, compared."""
    spec = reference.spec
    chosen = [int(generator.integers(len(spec.start_frames))) for generator in generators]
    frames, actions = spec.start_frames[chosen], spec.start_actions[chosen]
    missing = max(0, spec.context - frames.shape[1])
    skipped = max(0, frames.shape[1] - spec.context)
    idle = np.broadcast_to(spec.idle_action, (len(chosen), missing, *spec.action_shape))
    frames = np.concatenate([np.repeat(frames[:, :1], missing, 1), frames], 1)[:, skipped:]
    actions = np.concatenate([idle.astype(actions.dtype), actions], 1)[:, skipped:]
    state, other = reference.start(frames, actions), graph.start(frames, actions)
    for name, value in state.items():
        _agree(f"state {name!r} at the start", torch.tensor(other[name]), value, 1e-3)
    return state


def _compared(
    model: WorldModel,
    state: dict[str, Tensor],
    action: Tensor,
    noise: dict[str, Tensor],
    got: dict[str, Tensor],
    tolerance: float,
) -> dict[str, Tensor]:
    """Compares one step with what the model makes of it; returns the model's next state."""
    code, told = model.tell(state, model.actions.encode(action), noise)
    raw = model.dynamics.predict(state, code, noise)
    following = model.advance(state, code, raw, noise) | told
    previous, latent = state["latents"][:, -1], got["latents"][:, -1]
    sure, settled = _settled(raw, latent, tolerance)
    low, high = (_rounded(model, raw.latent + side, noise) for side in (-tolerance, tolerance))
    if raw.edited is not None:
        low = torch.where(raw.edited, low, previous)
        high = torch.where(raw.edited, high, previous)
    settled = settled.expand_as(latent)
    _between("the latent", latent[settled], low[settled], high[settled], _EXACT)
    for name, value in following.items():
        if name == "latents":
            _agree("the latents kept", got[name][:, :-1], value[:, :-1], _EXACT)
        else:
            _agree(f"state {name!r}", got[name][sure], value[sure], tolerance)
    image = model.decode(got)
    frames = got["frame"].float()
    below, above = (to_frames(image + side).float() for side in (-tolerance, tolerance))
    _between("the frame", frames, below, above, _EXACT)
    _agree("the surprise", got["surprise"][sure], raw.surprise[sure], tolerance)
    doubts = [(raw.surprise[:, None] + side > model.surprises) for side in (-tolerance, tolerance)]
    least, most = (doubt.float().mean(1)[sure] for doubt in doubts)
    _between("the doubt", got["doubt"][sure], least, most, 1e-4)
    if model.heads is not None:  # on the latent that the graph made, so that all rows count
        reward, termination = model.heads(previous, latent, model.kept(following))
        _agree("the reward", got["reward"], reward, tolerance)
        _agree("the probability of termination", got["termination"], termination, tolerance)
    return following


def _settled(raw: Prediction, latent: Tensor, tolerance: float) -> tuple[Tensor, Tensor]:
    """Rows (B,) and places (B, 1, h, w) of `latent` where no decision is too close to call."""
    sure = latent.new_ones(len(latent), dtype=torch.bool)
    settled = latent.new_ones(len(latent), 1, *latent.shape[2:], dtype=torch.bool)
    for decision in raw.decisions().values():
        clear = decision.abs() > tolerance
        if decision.ndim == 4:
            settled = settled & clear
        else:
            sure = sure & clear.flatten(1).all(1)
    return sure, settled & sure[:, None, None, None]


def _rounded(model: WorldModel, latent: Tensor, noise: dict[str, Tensor]) -> Tensor:
    lattice = model.codec.lattice
    return latent if lattice is None else lattice.round(latent, noise.get("dither"))


def _agree(what: str, got: Tensor, expected: Tensor, tolerance: float) -> None:
    _between(what, got, expected, expected, tolerance)


def _between(what: str, got: Tensor, low: Tensor, high: Tensor, slack: float) -> None:
    outside = torch.maximum(low - got, got - high)
    if not bool((outside <= slack).all()):  # false for NaN, too
        worst = outside.nan_to_num(torch.inf).max().item()
        raise ParityError(f"{what} differs by {worst:.3g} more than it may")
