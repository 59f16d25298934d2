"""The loop that every training shares: optimiser steps in rounds that can be killed and resumed."""

import math
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import convert_conv2d_weight_memory_format
from torch.optim.swa_utils import get_ema_multi_avg_fn
from tqdm import tqdm

from learned_envs.disk import full_disk_says
from learned_envs.models.configuration import configuration
from learned_envs.models.precision import mixed_precision
from learned_envs.training.progress import load_progress, save_progress

Trained = TypeVar("Trained", bound=nn.Module)
Losses = Callable[[int], Iterator[tuple[Tensor, dict[str, Tensor]]]]
Log = Callable[[int, dict[str, float]], None]

_UNUSUAL = 5  # steps in a row of an unusual loss: the training has diverged


class DivergedError(RuntimeError):
    """Training came to a loss that is not a number, or is growing without end."""


@configuration
class Schedule:
    """How long and how fast to optimise.

    Training goes in rounds of `round_steps`. A round depends only on the parameters it begins with,
    the seed and its number, and a checkpoint is written at its end, so that a run that was killed
    comes to the same parameters as one that was not.

    Attributes:
        steps: Optimiser steps in all.
        round_steps: Optimiser steps between checkpoints.
        learning_rate: Of AdamW, after a warm-up of `warmup` steps.
        warmup: Steps of linear warm-up.
        decay: Last share of the steps over which the learning rate falls linearly to zero.
        weight_decay: Of AdamW.
        clip: Largest norm of the gradient.
        average: Decay of the moving average of the parameters, which is what gets packaged.
        seed: Of everything random.
    """

    steps: int = 20_000
    round_steps: int = 500
    learning_rate: float = 5e-4
    warmup: int = 500
    decay: float = 0.3
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.999
    seed: int = 0

    def __post_init__(self):
        check_positive(self, "steps", "round_steps")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of optimiser step `step`."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = min(1.0, (self.steps - step) / max(1, round(self.decay * self.steps)))
        return self.learning_rate * rise * fall


def check_positive(settings: Schedule, *names: str) -> None:
    """Raises a ValueError for a setting called one of `names` that is below 1."""
    for name in names:
        if getattr(settings, name) < 1:
            raise ValueError(f"`{name}` (={getattr(settings, name)}) must be at least 1")


class Rounds(Generic[Trained]):
    """Optimises a module's parameters.

    Args:
        module: What is trained, in place.
        schedule: How.
        losses: Gives the endless losses of round r, each a scalar and named figures to log. The
            next is asked for once the one before has moved the parameters.
        folder: Where progress is kept; a run found there is gone on with.
        device: Where to train.
        log: Receives figures every 20 steps.
        round_end: Called after each round with the step and the averaged module.

    Attributes:
        module: What is trained.
        average: The moving average of its parameters, as a module of its own.
        step: Optimiser steps so far.
    """

    def __init__(
        self,
        module: Trained,
        schedule: Schedule,
        losses: Losses,
        folder: Path,
        *,
        device: torch.device | str = "cpu",
        log: Log | None = None,
        round_end: Callable[[int, Trained], None] | None = None,
    ):
        self._device = torch.device(device)
        self.module = module.to(self._device)
        convert_conv2d_weight_memory_format(module, torch.channels_last)
        self.average = deepcopy(self.module).requires_grad_(False)
        self._schedule, self._losses, self._folder = schedule, losses, folder
        self._log, self._round_end = log, round_end
        trained = [p for p in self.module.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            trained, lr=schedule.learning_rate, weight_decay=schedule.weight_decay,
            betas=(0.9, 0.99), fused=True,
        )  # fmt: skip
        folder.mkdir(parents=True, exist_ok=True)
        self._modules = {"model": self.module, "average": self.average}
        self.step, self._cost = load_progress(folder, self._modules, self._optimiser)
        self._usual_loss, self._unusual = math.inf, 0

    def run(self, minutes: float | None = None, *, progress: bool = True) -> bool:
        """Trains until the schedule's end, or until a round ends after `minutes`.

        Returns:
            True when the schedule is complete.

        Raises:
            DivergedError: When the loss or its gradient is no longer finite, or the loss exceeds 20
                times its usual value in five steps in a row: once may be one strange window.
            OSError: If the disk is full; what the last whole round reached is kept.
        """
        begun = time.process_time() - self._cost
        deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
        bar = tqdm(total=self._schedule.steps, initial=self.step, unit="step", disable=not progress)
        full = full_disk_says(
            f"no space is left for {self._folder}. What the last whole round reached is kept: free "
            "some space and run the same command again to go on"
        )
        with bar, full:
            while self.step < self._schedule.steps and time.monotonic() < deadline:
                self._round(bar, begun)
        return self.step >= self._schedule.steps

    def _round(self, bar: tqdm, begun: float) -> None:
        schedule = self._schedule
        number = self.step // schedule.round_steps
        end = min(schedule.steps, (number + 1) * schedule.round_steps)
        torch.manual_seed(hash((schedule.seed, number)) % 2**31)
        self.module.train()
        with mixed_precision(self._device):
            losses = self._losses(number)
            while self.step < end:
                total, figures = next(losses)
                self._update(total, figures)
                bar.update()
        if not self._unusual or self.step == schedule.steps:
            self._cost = time.process_time() - begun
            save_progress(self._folder, self.step, self._modules, self._optimiser, self._cost)
        if self._round_end is not None:
            self._round_end(self.step, self.average)

    def _update(self, total: Tensor, figures: dict[str, Tensor]) -> None:
        schedule = self._schedule
        for group in self._optimiser.param_groups:
            group["lr"] = schedule.learning_rate_at(self.step)
        self._optimiser.zero_grad()
        total.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), schedule.clip)
        self._check(total.item(), norm.item())
        self._optimiser.step()
        averaged, trained = tuple(self.average.parameters()), tuple(self.module.parameters())
        decay = min(schedule.average, (1 + self.step) / (10 + self.step))
        get_ema_multi_avg_fn(decay)(averaged, trained, self.step)
        self.step += 1
        if self._log is not None and self.step % 20 == 0:
            self._log(self.step, {k: v.item() for k, v in {**figures, "norm": norm}.items()})

    def _check(self, loss: float, norm: float) -> None:
        unusual = loss > 20 * abs(self._usual_loss) + 20  # a likelihood's loss may be negative
        self._unusual = self._unusual + 1 if unusual else 0
        if not math.isfinite(loss + norm) or self._unusual == _UNUSUAL:
            raise DivergedError(
                f"loss is {loss} (usually {self._usual_loss:.3g}), gradient norm {norm} at step "
                f"{self.step}: training has diverged. The last good round is kept in "
                f"{self._folder}; go on from it with a lower learning rate"
            )
        usual = loss if math.isinf(self._usual_loss) else self._usual_loss
        if not self._unusual:
            self._usual_loss = 0.99 * usual + 0.01 * loss
