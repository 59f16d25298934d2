"""Training of a reward by place: which places pay, from what figures earned there."""

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
from learned_envs.models.place_reward import PlaceReward
from learned_envs.models.world_model import WorldModel
from learned_envs.training.motion_labels import SHORTEST, ground_of
from learned_envs.training.rounds import Log, Rounds, Schedule, check_positive
from learned_envs.training.tracks import Take, takes_of


@configuration
class PlacesRecipe(Schedule):
    """How it is learned which places pay.

    Attributes:
        batch: Takes of an optimiser step.
        windows: Windows of a round, among whose takes its steps choose.
        moments: Of each take.
    """

    steps: int = 900
    round_steps: int = 100
    learning_rate: float = 3e-3
    warmup: int = 30
    decay: float = 0.5
    average: float = 0.98
    batch: int = 8
    windows: int = 4
    moments: int = 20

    def __post_init__(self):
        Schedule.__post_init__(self)
        check_positive(self, "batch", "windows", "moments")


class Moments(NamedTuple):
    """M moments of each of B takes.

    Attributes:
        still: (B, 3, H, W) in [-1, 1], the picture without figures.
        centre: (B, M, N, 2), where figures were found, x and y in pixels.
        there: (B, M, N) bool, who was.
        reward: (B, M), of the step to there.
    """

    still: Tensor
    centre: Tensor
    there: Tensor
    reward: Tensor


def places_trainer(
    model: WorldModel,
    recipe: PlacesRecipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    log: Log | None = None,
) -> Rounds[WorldModel]:
    """Prepares the training of a reward by place.

    Args:
        model: Of `Sprites` and `PlaceReward`, its codec trained; only the reward is trained.
        recipe: How.
        windows: Gives the endless windows of round r.
        folder: Where progress is kept.
        device: Where to train.
        log: Receives figures every 20 steps.
    """
    codec, heads = model.codec, model.heads
    assert isinstance(codec, Sprites) and isinstance(heads, PlaceReward)
    model.requires_grad_(False)
    heads.requires_grad_(True)

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        random = np.random.default_rng((recipe.seed, number))
        seen = [
            _moments(codec, take, recipe.moments, random)
            for window in islice(windows(number), recipe.windows)
            for take in takes_of(window, SHORTEST)
        ]
        while True:
            chosen = [seen[i] for i in random.integers(len(seen), size=recipe.batch)]
            moments = turned(Moments(*(torch.cat(v) for v in zip(*chosen, strict=True))), random)
            error = heads.loss(*moments)
            yield error, {"paid": error.detach().sqrt()}

    return Rounds(model, recipe, losses, folder, device=device, log=log)


def turned(moments: Moments, random: np.random.Generator) -> Moments:
    """The same moments, mirrored and, if pictures are square, turned at random."""
    still, centre = moments.still, moments.centre
    extent = centre.new_tensor([still.shape[3], still.shape[2]]) - 1
    for axis in range(2):
        if random.random() < 0.5:
            mirrored = torch.arange(2, device=centre.device) == axis
            still, centre = still.flip(3 - axis), torch.where(mirrored, extent - centre, centre)
    if still.shape[2] == still.shape[3] and random.random() < 0.5:
        still, centre = still.transpose(2, 3), centre.flip(-1)
    return moments._replace(still=still, centre=centre)


@torch.no_grad()
def _moments(codec: Sprites, take: Take, count: int, random: np.random.Generator) -> Moments:
    device = next(codec.parameters()).device
    still = to_images(torch.from_numpy(ground_of(take.frames)).to(device))
    steps = random.integers(len(take.reward), size=count)
    poses, there = codec.finder.find(
        to_images(torch.from_numpy(take.frames[steps + 1]).to(device)), codec.config.count
    )
    reward = torch.from_numpy(take.reward[steps]).float().to(device)
    return Moments(still[None], poses.centre[None], there[None], reward[None])
