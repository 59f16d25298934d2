"""A convolutional autoencoder, whose latents may live on a lattice.

With a lattice it is finite scalar quantisation (FSQ, Mentzer et al. 2023, arXiv:2309.15505):
latents are bounded by tanh and each is rounded to one of a few evenly spaced values,
straight-through. In training a share of the pictures gets uniform noise of one lattice step instead
of rounding (Ballé et al. 2017, arXiv:1611.01704), which gives the encoder true gradients and keeps
the decoder smooth between lattice values. Without a lattice, Gaussian noise in training makes
neighbouring latents decode alike.
"""

import torch
from torch import Tensor, nn

from learned_envs.models.codecs.codec import Kept, TrainableCodec
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import ResidualBlock, convolution
from learned_envs.models.lattice import Lattice


@configuration
class AutoencoderConfig:
    """Sizes of an `Autoencoder` and the noise on its latents in training.

    Attributes:
        channels: Of the latents.
        factor: Pixels of an image along the side of one place of the latent.
        widths: Channels of the network at each resolution, finest first; the finest is `factor`
            times the latents' own divided by 2 for each resolution after the first.
        blocks: Residual blocks at each resolution, in the encoder and in the decoder.
        lattice: The values of latents, or None where they are continuous.
        noise: Standard deviation of the noise on continuous latents in training.
        uniform_share: Share of the pictures with noise instead of rounding in training.
    """

    channels: int = 8
    factor: int = 8
    widths: tuple[int, ...] = (48, 128)
    blocks: int = 1
    lattice: Lattice | None = None
    noise: float = 0.08
    uniform_share: float = 0.3

    def __post_init__(self):
        smallest = 2 ** (len(self.widths) - 1)
        if not self.widths or self.factor % smallest:
            raise ValueError(
                f"`factor` (={self.factor}) must be divisible by {smallest}: 2 for each of "
                f"`widths` (={self.widths}) after the first"
            )
        if not 0 <= self.uniform_share <= 1:
            raise ValueError(f"`uniform_share` (={self.uniform_share}) must lie in [0, 1]")

    def build(self, image_size: tuple[int, int]) -> "Autoencoder":
        """Builds the codec for images (H, W)."""
        return Autoencoder(self, image_size)


class Autoencoder(TrainableCodec):
    """See the module's docstring. Takes images of any size that `factor` divides."""

    def __init__(self, config: AutoencoderConfig, image_size: tuple[int, int]):
        super().__init__()
        height, width = image_size
        if height % config.factor or width % config.factor:
            raise ValueError(
                f"images of {height}x{width} must be divisible by `factor` (={config.factor})"
            )
        self.config = config
        self.factor = config.factor
        self.latent_shape = (config.channels, height // config.factor, width // config.factor)
        self.lattice = config.lattice
        finest, coarsest = config.widths[0], config.widths[-1]
        patch = config.factor // 2 ** (len(config.widths) - 1)
        encoder: list[nn.Module] = [nn.PixelUnshuffle(patch), convolution(3 * patch**2, finest)]
        decoder: list[nn.Module] = [convolution(finest, 3 * patch**2), nn.PixelShuffle(patch)]
        for i, width in enumerate(config.widths):
            if i:
                finer = config.widths[i - 1]
                encoder += [nn.ReLU(), convolution(finer, width, stride=2)]
                decoder = [nn.ReLU(), nn.Conv2d(width, 4 * finer, 1), nn.PixelShuffle(2), *decoder]
            encoder += [ResidualBlock(width) for _ in range(config.blocks)]
            decoder = [*(ResidualBlock(width) for _ in range(config.blocks)), *decoder]
        self.encoder = nn.Sequential(*encoder, nn.ReLU(), convolution(coarsest, config.channels))
        self.decoder = nn.Sequential(convolution(config.channels, coarsest), *decoder)

    def encode(self, images: Tensor) -> Tensor:
        """See `ImageCodec.encode`; it rounds to the nearest value, on a stochastic lattice too."""
        return self._rounded(self.encode_continuous(images))

    def encode_continuous(self, images: Tensor) -> Tensor:
        """See `TrainableCodec.encode_continuous`; the latents lie in (-1, 1)."""
        latents = self.encoder(images.contiguous(memory_format=torch.channels_last))
        return latents.float().tanh()

    def decode(self, latents: Tensor, kept: Kept | None = None) -> Tensor:
        """See `Codec.decode`."""
        return self.decoder(latents.contiguous(memory_format=torch.channels_last)).float()

    def reconstruct(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `TrainableCodec.reconstruct`; this bottleneck has no losses."""
        return self.decode(self._bottleneck(self.encode_continuous(images))), {}

    def _bottleneck(self, latents: Tensor) -> Tensor:
        if self.lattice is None:
            return latents + self.config.noise * torch.randn_like(latents)
        uniform = latents + self.lattice.step * (torch.rand_like(latents) - 0.5)
        draws = torch.rand(len(latents), 1, 1, 1, device=latents.device)
        return torch.where(draws < self.config.uniform_share, uniform, self._rounded(latents))

    def _rounded(self, latents: Tensor) -> Tensor:
        if self.lattice is None:
            return latents
        # Dither of one half rounds to the nearest value, however the lattice rounds in a dream.
        return self.lattice.round(latents, torch.full_like(latents, 0.5))
