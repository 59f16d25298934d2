"""Training of dynamics and heads together, from teacher forcing to the closed loop."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from learned_envs.data.window import Window
from learned_envs.models.heads import Heads
from learned_envs.models.world_model import WorldModel
from learned_envs.training.closed_loop import LoopStep, closed_loop
from learned_envs.training.recipe import Recipe
from learned_envs.training.replay import Replay
from learned_envs.training.rounds import Log, Rounds

_REPLAYED_FROM = 40  # times as many of the worst steps are kept as are shown again at once


def dynamics_trainer(
    model: WorldModel,
    recipe: Recipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    log: Log | None = None,
    round_end: Callable[[int, WorldModel], None] | None = None,
) -> Rounds[WorldModel]:
    """Prepares the training of a `WorldModel` by a `Recipe`.

    Args:
        model: What is trained, in place; its codec and what predicts its variables are left as
            they are.
        recipe: How.
        windows: Gives the endless windows of round r; called anew for every round.
        folder: Where progress is kept; a run found there is gone on with.
        device: Where to train.
        log: Receives figures every 20 steps.
        round_end: Called after each round with the step and the averaged model.

    Raises:
        ValueError: If the recipe's windows are shorter than the model's context.
    """

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        step = number * recipe.round_steps
        replay = Replay(model.context, _REPLAYED_FROM * recipe.replayed, seed=number)
        for window in windows(number):
            loop = closed_loop(
                model, window, resync=recipe.resync_at(step), divergence=recipe.divergence,
                rollout=recipe.rollout, patience=recipe.patience, device=torch.device(device),
                on_truth=recipe.on_truth, damaged=recipe.damaged,
            )  # fmt: skip
            for item in loop:
                total, figures = _loss(model, item, recipe.head_noise)
                if recipe.replayed:
                    replay.see(window, item.step, item.rows, _each(item))
                    if len(replay):
                        more, others = again(replay)
                        total, figures = total + more, figures | others
                yield total, figures
                step += 1

    def again(replay: Replay) -> tuple[Tensor, dict[str, Tensor]]:
        chosen, window = replay.draw(recipe.replayed)
        item = next(
            closed_loop(model, window, resync=1, divergence=math.inf, device=torch.device(device))
        )
        replay.saw(chosen, _each(item))
        total, figures = _loss(model, item, recipe.head_noise)
        return total, {f"again_{name}": value for name, value in figures.items()}

    if recipe.window < model.context:
        raise ValueError(
            f"`window` (={recipe.window}) must be at least the model's context "
            f"(={model.context}): no step of a shorter one has a known context"
        )
    model.codec.requires_grad_(False)
    if model.metadata is not None:
        model.metadata.requires_grad_(False)
    return Rounds(model, recipe, losses, folder, device=device, log=log, round_end=round_end)


def _each(item: LoopStep) -> np.ndarray:
    if item.loss.each is None:
        raise ValueError(
            "`replayed` was asked for with dynamics that do not tell how badly each row went: "
            "set it to 0"
        )
    return item.loss.each.cpu().numpy()


def _loss(model: WorldModel, item: LoopStep, head_noise: float) -> tuple[Tensor, dict[str, Tensor]]:
    total, figures = item.loss.total, {**item.loss.parts, "age": torch.tensor(item.age)}
    if isinstance(model.heads, Heads):
        before, after = _noisy(item.previous, head_noise), _noisy(item.target, head_noise)
        losses = model.heads.loss(before, after, item.reward, item.terminated)
        total = total + sum(losses.values())
        figures |= {name: loss.detach() for name, loss in losses.items()}
    return total, figures


def _noisy(latent: Tensor, level: float) -> Tensor:
    """Adds noise to one row in eight: enough to make the heads robust, and cheap."""
    rows = len(latent) // 8
    return torch.cat([latent[:rows] + level * torch.randn_like(latent[:rows]), latent[rows:]])
