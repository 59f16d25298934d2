"""The codec that leaves pixels as they are: its lattice is the 256 levels of a byte."""

from torch import Tensor

from learned_envs.models.codecs.codec import ImageCodec, Kept
from learned_envs.models.configuration import configuration
from learned_envs.models.lattice import Lattice


@configuration
class IdentityConfig:
    """Pixels as latents.

    Attributes:
        rounded: Round what a model writes to the levels of a byte.
    """

    rounded: bool = True

    def build(self, image_size: tuple[int, int]) -> "IdentityCodec":
        """Builds the codec for images (H, W)."""
        return IdentityCodec(self, image_size)


class IdentityCodec(ImageCodec):
    """Latents are images."""

    def __init__(self, config: IdentityConfig, image_size: tuple[int, int]):
        super().__init__()
        self.latent_shape = (3, *image_size)
        self.lattice = Lattice(levels=256) if config.rounded else None

    def encode(self, images: Tensor) -> Tensor:
        """Returns `images`."""
        return images

    def decode(self, latents: Tensor, kept: Kept | None = None) -> Tensor:
        """Returns `latents`."""
        return latents
