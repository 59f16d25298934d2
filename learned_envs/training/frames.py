"""The first stage of a pretrained UNet: to draw a world's frames, each alone."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from learned_envs.data.window import Window
from learned_envs.models.codecs.codec import Codec, to_images
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.diffusion_dynamics import DiffusionDynamics
from learned_envs.training.rounds import Log, Rounds, Schedule, check_positive


@configuration
class FramesRecipe(Schedule):
    """How a UNet learns a world's frames before it is shown their past.

    Attributes:
        batch: Frames of an optimiser step, drawn from one window.
    """

    steps: int = 3_000
    learning_rate: float = 1e-4
    warmup: int = 100
    batch: int = 32

    def __post_init__(self):
        Schedule.__post_init__(self)
        check_positive(self, "batch")


def frames_trainer(
    dynamics: DiffusionDynamics,
    codec: Codec,
    recipe: FramesRecipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    log: Log | None = None,
) -> Rounds[DiffusionDynamics]:
    """Prepares the training of dynamics on frames alone; what tells of a past is left as it is.

    Args:
        dynamics: What is trained, in place; its network is a `PretrainedUNet`.
        codec: Makes its latents; left as it is.
        recipe: How.
        windows: Gives the endless windows of round r; called anew for every round.
        folder: Where progress is kept; a run found there is gone on with.
        device: Where to train.
        log: Receives figures every 20 steps.
    """
    place = torch.device(device)

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        for window in windows(number):
            frames = torch.from_numpy(window.observation).flatten(0, 1)
            chosen = frames[torch.randperm(len(frames))[: recipe.batch]]
            with torch.no_grad():
                latents = codec.begin(to_images(chosen[:, None].to(place)))[0][:, 0]
            loss = dynamics.frame_loss(latents)
            yield loss, {"frames": loss.detach()}

    codec.to(place)
    return Rounds(dynamics, recipe, losses, folder, device=place, log=log)
