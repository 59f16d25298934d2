"""Training of a surface: how waves run on it and what is seen through it, from frames alone.

A take that is begun with has a flat surface until it is touched. From then on waves run for many
frames; what is seen of the ground through them, where no figure is near, is to be what was seen.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from learned_envs.data.window import Window
from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.sprites import Sprites
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.sprite_dynamics import SpriteDynamics
from learned_envs.models.world_model import WorldModel
from learned_envs.training.motion_labels import SHORTEST, ground_of
from learned_envs.training.rounds import Log, Rounds, Schedule, check_positive
from learned_envs.training.tracks import takes_of

_OFTEN = 2  # every second frame is compared
_WEIGHT = 1e4  # of the error, which is that of few pixels
_BEGINNING = 6  # steps of a stretch at first


@configuration
class RipplesRecipe(Schedule):
    """How a surface is trained.

    Attributes:
        batch: Takes of an optimiser step.
        takes: Takes of a round, among which its steps choose.
        span: Steps from the first touch on, at most.
        growth: First share of the steps, over which stretches grow longer.
    """

    steps: int = 400
    round_steps: int = 100
    learning_rate: float = 5e-3
    warmup: int = 30
    decay: float = 0.5
    clip: float = 1.0
    average: float = 0.98
    weight_decay: float = 0.0
    batch: int = 2
    takes: int = 10
    span: int = 28
    growth: float = 0.5

    def __post_init__(self):
        Schedule.__post_init__(self)
        check_positive(self, "batch", "takes", "span")

    def span_at(self, step: int) -> int:
        """Steps of a stretch at optimiser step `step`."""
        share = min(1.0, step / max(1, self.growth * self.steps))
        beginning = min(_BEGINNING, self.span)
        return round(beginning + share * (self.span - beginning))


class Rippled(NamedTuple):
    """The beginnings of B takes, T steps from the first touch on.

    Attributes:
        frames: (B, T + 1, H, W, 3) uint8.
        touch: (B, T, 3), as `Waves` takes it.
        still: (B, 3, H, W) in [-1, 1], the picture without figures.
        open: (B, T + 1, 1, H, W) float16, where the ground is seen, 0 to 1.
    """

    frames: Tensor
    touch: Tensor
    still: Tensor
    open: Tensor


def ripples_trainer(
    model: WorldModel,
    recipe: RipplesRecipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    log: Log | None = None,
) -> Rounds[WorldModel]:
    """Prepares the training of a surface.

    Args:
        model: Of `Sprites` and `SpriteDynamics`, its figures trained; waves and what is seen
            through them are trained.
        recipe: How.
        windows: Gives the endless windows of round r, in which takes begin.
        folder: Where progress is kept.
        device: Where to train.
        log: Receives figures every 20 steps.
    """
    codec, dynamics = model.codec, model.dynamics
    assert isinstance(codec, Sprites) and isinstance(dynamics, SpriteDynamics)
    model.requires_grad_(False)
    codec.surface.requires_grad_(True)
    dynamics.waves.requires_grad_(True)

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        step, random = number * recipe.round_steps, np.random.default_rng((recipe.seed, number))
        takes = list(islice(_takes(model, recipe.span, windows(number)), recipe.takes))
        while True:
            chosen = [takes[i] for i in random.integers(len(takes), size=recipe.batch)]
            with torch.autocast(chosen[0].open.device.type, enabled=False):  # it refuses halves
                rippled = Rippled(*(torch.cat(values) for values in zip(*chosen, strict=True)))
            yield ripples_loss(codec, dynamics, rippled, recipe.span_at(step))
            step += 1

    return Rounds(model, recipe, losses, folder, device=device, log=log)


def ripples_loss(
    codec: Sprites, dynamics: SpriteDynamics, rippled: Rippled, span: int
) -> tuple[Tensor, dict[str, Tensor]]:
    """The squared error of how the ground is seen for `span` steps, a scalar, and its parts.

    `ripples` is that error as a share of the error under a surface that is always flat.
    """
    still, touch = rippled.still, rippled.touch
    surface = still.new_zeros(len(still), 2, *dynamics.waves.size)
    ground = (still + 1) / 2
    error, flat = still.new_zeros(()), still.new_zeros(())
    compared = 0
    for t in range(min(span, touch.shape[1])):
        surface = dynamics.waves(surface, touch[:, t])
        if t % _OFTEN:
            continue
        true, seen = (to_images(rippled.frames[:, t + 1]) + 1) / 2, rippled.open[:, t + 1].float()
        share = seen.sum().clamp(min=1) * 3
        drawn = codec.surface(ground, surface[:, :1])
        error = error + ((drawn - true).square() * seen).sum() / share
        flat = flat + ((ground - true).square() * seen).sum() / share
        compared += 1
    parts = {"ripples": error.detach() / flat.clamp(min=1e-6), "error": error.detach() / compared}
    return error / compared * _WEIGHT, parts


def _takes(model: WorldModel, span: int, windows: Iterator[Window]) -> Iterator[Rippled]:
    """The beginnings of takes that are touched, for ever."""
    codec, dynamics = model.codec, model.dynamics
    assert isinstance(codec, Sprites) and isinstance(dynamics, SpriteDynamics)
    for window in windows:
        for take in takes_of(window, max(SHORTEST, span + 1)):
            touch = dynamics.touch(model.actions.encode(torch.from_numpy(take.action)))
            first = int((touch[:, 2] > 0).to(torch.uint8).argmax())
            if take.fresh and touch[first, 2] > 0 and first + span < len(take.frames):
                seen, part = slice(first, first + span + 1), slice(first, first + span)
                yield _rippled(codec, take.frames[seen], touch[part], ground_of(take.frames))


@torch.no_grad()
def _rippled(codec: Sprites, take: np.ndarray, touch: Tensor, ground: np.ndarray) -> Rippled:
    device = next(codec.parameters()).device
    still = to_images(torch.from_numpy(ground)[None].to(device))
    frames = torch.from_numpy(take).to(device)
    seen = torch.zeros(len(take), 1, *still.shape[2:], dtype=torch.float16, device=device)
    bare = 1 - codec.cover(still)
    for t in range(1, len(take), _OFTEN):
        hidden = codec.hidden(to_images(frames[t : t + 1]))
        seen[t] = ((~hidden).float() * bare)[0].half()
    return Rippled(frames=frames[None], touch=touch[None].to(device), still=still, open=seen[None])
