"""What every codec does, and the two conversions between frames and images."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from learned_envs.models.lattice import Lattice

Kept = dict[str, Tensor]


class Codec(nn.Module, ABC):
    """Turns images (B, 3, H, W) in [-1, 1] into latents (B, C, h, w) and back.

    What does not change while a dream lasts may be *kept* beside the latents: seen at the start,
    carried on unchanged, and given back for decoding.

    Attributes:
        latent_shape: (C, h, w).
        lattice: The values latents are rounded to, or None where they are continuous.
        kept_spec: Shapes of what is kept, by name, for one row.
        ages: How many steps ago the images were that `begin` had best see, oldest first; it takes
            others, too.
    """

    latent_shape: tuple[int, int, int]
    lattice: Lattice | None
    kept_spec: dict[str, tuple[int, ...]]
    ages: tuple[int, ...]

    @abstractmethod
    def begin(self, images: Tensor) -> tuple[Tensor, Kept]:
        """Encodes a history: images (B, k, 3, H, W) in [-1, 1], oldest first, k >= 1.

        Returns:
            Latents (B, k, C, h, w), on the lattice if any, and what is kept, as `kept_spec` says.
        """

    @abstractmethod
    def decode(self, latents: Tensor, kept: Kept) -> Tensor:
        """Decodes latents (B, C, h, w) to images (B, 3, H, W), nominally in [-1, 1]."""

    def obscured(self, images: Tensor) -> Tensor:
        """How much a dream would miss of what a history (B, k, 3, H, W) hides: (B,), 0 to 1."""
        return images.new_zeros(len(images))


class ImageCodec(Codec):
    """A codec that encodes every image by itself and keeps nothing."""

    kept_spec = {}
    ages = (0,)

    @abstractmethod
    def encode(self, images: Tensor) -> Tensor:
        """Encodes images (B, 3, H, W) in [-1, 1] as latents (B, C, h, w), on the lattice if any."""

    @abstractmethod
    def decode(self, latents: Tensor, kept: Kept | None = None) -> Tensor:
        """See `Codec.decode`."""

    def begin(self, images: Tensor) -> tuple[Tensor, Kept]:
        """Encodes images (B, k, 3, H, W) one by one; nothing is kept."""
        return self.encode(images.flatten(0, 1)).unflatten(0, images.shape[:2]), {}


class TrainableCodec(ImageCodec):
    """A codec with parameters, which are fitted to single frames before there are dynamics.

    Attributes:
        factor: Pixels of an image along the side of one place of the latent.
    """

    factor: int

    @abstractmethod
    def encode_continuous(self, images: Tensor) -> Tensor:
        """Encodes images (B, 3, H, W) as latents (B, C, h, w) before any rounding."""

    @abstractmethod
    def reconstruct(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Passes images (B, 3, H, W) through the noisy bottleneck that training uses.

        The noise comes from torch's global generator.

        Returns:
            The reconstructions (B, 3, H, W), and losses of the bottleneck, weighted scalars by
            name, to be minimised besides the error of the reconstructions.
        """


def to_images(frames: Tensor) -> Tensor:
    """Turns frames (..., H, W, 3) uint8 into images (..., 3, H, W) float32 in [-1, 1]."""
    return frames.movedim(-1, -3).float().div_(127.5).sub_(1)


def to_frames(images: Tensor) -> Tensor:
    """Turns images (..., 3, H, W) into frames (..., H, W, 3) uint8, clipped and rounded."""
    pixels = torch.floor((images.clamp(-1, 1) + 1) * 127.5 + 0.5)
    return pixels.to(torch.uint8).movedim(-3, -1)
