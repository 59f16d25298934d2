"""Training of a codec on single frames, before the dynamics that will use it.

Besides reconstruction, and what a codec's own bottleneck asks for, there is one optional term: the
latent should move as the picture moves (equivariance, as in EQ-VAE, Kouzelis et al. 2025,
arXiv:2502.09509, here for shifts). On latents that do not, dynamics have to learn a new pattern for
every position of a thing within a cell, and things dissolve.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_envs.data.window import Window
from learned_envs.models.codecs.codec import Codec, TrainableCodec, to_images
from learned_envs.models.configuration import configuration
from learned_envs.training.rounds import Log, Rounds, Schedule, check_positive


@configuration
class CodecRecipe(Schedule):
    """How a codec is trained.

    Attributes:
        batch: Pictures of an optimiser step.
        equivariance: Weight of the equivariance loss; 0 for none.
        shift: Largest shift for it along each axis, in cells of the latent.
    """

    batch: int = 64
    learning_rate: float = 1e-3
    equivariance: float = 0.0
    shift: int = 1

    def __post_init__(self):
        Schedule.__post_init__(self)
        check_positive(self, "batch", "shift")
        if self.equivariance < 0:
            raise ValueError(f"`equivariance` (={self.equivariance}) must not be negative")


def train_codec(
    codec: TrainableCodec,
    recipe: CodecRecipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    minutes: float | None = None,
    device: torch.device | str = "cpu",
    log: Log | None = None,
    round_end: Callable[[int, TrainableCodec], None] | None = None,
    progress: bool = True,
) -> TrainableCodec | None:
    """Trains a codec, going on from what `folder` holds.

    Args:
        codec: What is trained, in place.
        recipe: How.
        windows: Gives the endless windows of round r; called anew for every round. The frames of
            one window are shuffled and make batches.
        folder: Where progress is kept.
        minutes: Stop at the end of a round after so long.
        device: Where to train.
        log: Receives figures every 20 steps.
        round_end: Called after each round with the step and the averaged codec.
        progress: Show a progress bar.

    Returns:
        The averaged codec, or None when `minutes` ran out first.

    Raises:
        DivergedError: When the loss or its gradient is no longer finite, or the loss explodes.
    """

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        for images in _batches(windows(number), recipe.batch, torch.device(device)):
            yield codec_loss(codec, images, recipe)

    rounds = Rounds(codec, recipe, losses, folder, device=device, log=log, round_end=round_end)
    return rounds.average if rounds.run(minutes, progress=progress) else None


@torch.no_grad()
def latent_spread(codec: Codec, window: Window) -> float:
    """The standard deviation of a codec's latents over the frames of a window."""
    device = next(codec.parameters()).device
    frames = torch.from_numpy(window.observation).flatten(0, 1)
    latents = [codec.begin(to_images(part.to(device))[:, None])[0] for part in frames.split(64)]
    return torch.cat(latents).std().item()


def codec_loss(
    codec: TrainableCodec, images: Tensor, recipe: CodecRecipe
) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss of images (B, 3, H, W) in [-1, 1], a scalar, and its parts by name."""
    reconstruction, losses = codec.reconstruct(images)
    total = F.l1_loss(reconstruction, images)
    parts = {"l1": total.detach()} | {name: loss.detach() for name, loss in losses.items()}
    total = total + sum(losses.values())
    if recipe.equivariance:
        shift = _draw_shift(recipe.shift * codec.factor)
        equivariance = equivariance_loss(
            codec.encode_continuous, images, factor=codec.factor, shift=shift
        )
        total = total + recipe.equivariance * equivariance
        parts["equivariance"] = equivariance.detach()
    return total, parts


def equivariance_loss(
    encode: Callable[[Tensor], Tensor],
    images: Tensor,
    *,
    factor: int,
    shift: tuple[int, int],
    margin: int = 2,
) -> Tensor:
    """How far latents of shifted crops are from shifted latents, relative to their variance.

    Two crops of each image, one shifted against the other, are encoded; the latent of the first is
    moved by as many cells, with linear interpolation for a part of a cell, and compared with the
    latent of the second. A codec made of strided convolutions is equivariant to whole cells (up to
    its borders) by nature; what it learns here is what a part of a cell does.

    Args:
        encode: From images to continuous latents.
        images: (B, 3, H, W).
        factor: Pixels to a cell.
        shift: Pixels (down, right), of either sign.
        margin: Cells at the crops' borders that are left out.

    Returns:
        A scalar.

    Raises:
        ValueError: If the images are too small for the shift and the margins.
    """
    first, second, cells = images, images, [pixels / factor for pixels in shift]
    for axis, pixels in zip((2, 3), shift, strict=True):
        size = (images.shape[axis] - abs(pixels)) // factor * factor
        if size // factor <= 2 * margin + math.ceil(abs(pixels) / factor) + 1:
            raise ValueError(
                f"images of {images.shape[axis]} pixels are too small for a shift of {pixels} with "
                f"cells of {factor}: lower `shift`, or set `equivariance` to 0"
            )
        first = first.narrow(axis, max(-pixels, 0), size)
        second = second.narrow(axis, max(pixels, 0), size)
    latent, target = encode(torch.cat([first, second])).chunk(2)
    for axis, distance in zip((2, 3), cells, strict=True):
        latent, target = _aligned(latent, target, axis, distance, margin)
    return ((latent - target) ** 2).mean() / (target.detach().var() + 1e-4)


def _aligned(
    latent: Tensor, target: Tensor, axis: int, cells: float, margin: int
) -> tuple[Tensor, Tensor]:
    """`latent` at i + `cells` along `axis` and `target` at i, for all i off both margins."""
    whole = math.floor(cells)
    begin = max(margin, margin - whole)
    count = min(latent.shape[axis] - margin, latent.shape[axis] - margin - whole - 1) - begin
    low = latent.narrow(axis, begin + whole, count)
    high = latent.narrow(axis, begin + whole + 1, count)
    return low + (cells - whole) * (high - low), target.narrow(axis, begin, count)


def _draw_shift(largest: int) -> tuple[int, int]:
    down, right = torch.randint(-largest, largest + 1, (2,)).tolist()
    return down, right


def _batches(windows: Iterator[Window], size: int, device: torch.device) -> Iterator[Tensor]:
    """Images (size, 3, H, W) from the shuffled frames of each window.

    What is left of a window is dropped; a window of fewer frames makes one smaller batch.
    """
    for window in windows:
        frames = window.observation.reshape(-1, *window.observation.shape[2:])
        order = torch.randperm(len(frames)).numpy()
        for begin in range(0, max(len(frames) - size, 0) + 1, size):
            chosen = np.ascontiguousarray(frames[order[begin : begin + size]])
            yield to_images(torch.from_numpy(chosen).to(device))
