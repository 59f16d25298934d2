"""The trainer: dynamics and heads together, in rounds that can be killed and resumed."""

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from learned_envs.data.window import Window
from learned_envs.models.world_model import WorldModel
from learned_envs.training.closed_loop import LoopStep, closed_loop
from learned_envs.training.progress import load_progress, save_progress
from learned_envs.training.recipe import Recipe

Log = Callable[[int, dict[str, float]], None]
RoundEnd = Callable[[int, WorldModel], None]


class DivergedError(RuntimeError):
    """Training came to a loss that is not a number, or is growing without end."""


class Trainer:
    """Trains a `WorldModel` by a `Recipe`.

    Args:
        model: What is trained, in place.
        recipe: How.
        windows: Gives the endless windows of round r; called anew for every round.
        folder: Where progress is kept; a run found there is gone on with.
        device: Where to train.
        log: Receives figures every 20 steps.
        round_end: Called after each round with the averaged model.
    """

    def __init__(
        self,
        model: WorldModel,
        recipe: Recipe,
        windows: Callable[[int], Iterator[Window]],
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        log: Log | None = None,
        round_end: RoundEnd | None = None,
    ):
        self._device = torch.device(device)
        self.model = model.to(self._device, memory_format=torch.channels_last)
        self.average = deepcopy(self.model).requires_grad_(False)
        self._recipe, self._windows, self._folder = recipe, windows, folder
        self._log, self._round_end = log, round_end
        trained = [p for p in self.model.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            trained, lr=recipe.learning_rate, weight_decay=recipe.weight_decay, betas=(0.9, 0.99),
            fused=True,
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._modules = {"model": self.model, "average": self.average}
        self.step = load_progress(folder, self._modules, self._optimiser)
        self._usual_loss = math.inf

    def run(self, minutes: float | None = None, *, progress: bool = True) -> bool:
        """Trains until the recipe's end, or until a round ends after `minutes`.

        Returns:
            True when the recipe is complete.

        Raises:
            DivergedError: When the loss or its gradient is no longer finite, or the loss exceeds 20
                times its usual value.
        """
        deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
        with tqdm(
            total=self._recipe.steps, initial=self.step, unit="step", disable=not progress
        ) as bar:
            while self.step < self._recipe.steps and time.monotonic() < deadline:
                self._round(bar)
        return self.step >= self._recipe.steps

    def _round(self, bar: tqdm) -> None:
        recipe = self._recipe
        number = self.step // recipe.round_steps
        end = min(recipe.steps, (number + 1) * recipe.round_steps)
        torch.manual_seed(hash((recipe.seed, number)) % 2**31)
        windows = self._windows(number)
        self.model.train()
        while self.step < end:
            with self._autocast():
                loop = closed_loop(
                    self.model, next(windows), resync=recipe.resync_at(self.step),
                    divergence=recipe.divergence, device=self._device,
                )  # fmt: skip
                for item in loop:
                    self._update(item)
                    bar.update()
                    if self.step >= end:
                        break
        save_progress(self._folder, self.step, self._modules, self._optimiser)
        if self._round_end is not None:
            self._round_end(self.step, self.average)

    def _autocast(self) -> torch.autocast:
        # The cache would keep serving the weights of the first step inside the context.
        return torch.autocast(self._device.type, dtype=torch.bfloat16, cache_enabled=False)

    def _update(self, item: LoopStep) -> None:
        recipe = self._recipe
        total, parts = item.loss.total, dict(item.loss.parts)
        if self.model.heads is not None:
            losses = self.model.heads.loss(
                self._noisy(item.previous), self._noisy(item.target), item.reward, item.terminated
            )
            total = total + sum(losses.values())
            parts |= {name: loss.detach() for name, loss in losses.items()}
        for group in self._optimiser.param_groups:
            group["lr"] = recipe.learning_rate_at(self.step)
        self._optimiser.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), recipe.clip)
        self._check(total.item(), norm.item())
        self._optimiser.step()
        decay = min(recipe.average, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(
            list(self.average.parameters()), list(self.model.parameters()), 1 - decay
        )
        self.step += 1
        if self._log is not None and self.step % 20 == 0:
            figures = {name: value.item() for name, value in parts.items()}
            self._log(self.step, figures | {"norm": norm.item(), "age": item.age})

    def _noisy(self, latent: Tensor) -> Tensor:
        """Adds noise to one row in eight: enough to make the heads robust, and cheap."""
        rows = len(latent) // 8
        noise = self._recipe.head_noise * torch.randn_like(latent[:rows])
        return torch.cat([latent[:rows] + noise, latent[rows:]])

    def _check(self, loss: float, norm: float) -> None:
        if not math.isfinite(loss + norm) or loss > 20 * self._usual_loss + 20:
            raise DivergedError(
                f"loss is {loss} (usually {self._usual_loss:.3g}), gradient norm {norm} at step "
                f"{self.step}: training has diverged. The last good round is kept in "
                f"{self._folder}; go on from it with a lower learning rate"
            )
        usual = loss if math.isinf(self._usual_loss) else self._usual_loss
        self._usual_loss = 0.99 * usual + 0.01 * loss
