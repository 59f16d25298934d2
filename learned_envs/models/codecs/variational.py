"""A variational autoencoder as in latent diffusion, for latents of a quarter of the picture's side.

After Rombach et al. 2022 (arXiv:2112.10752): group normalisation, a Gaussian posterior held only
loosely to the unit one. As in Infinipaint, whose sizes are the defaults, there is no adversarial
loss and no attention. There are no blocks in the middle and no third one in the decoder's stages
either: without them this codec and the dynamics have the published 33.6M parameters, and latent
diffusion's two middle blocks alone would be 19M more. The perceptual loss that Infinipaint gives a
low weight is left out: its weights would have to be downloaded.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.codec import Kept, TrainableCodec
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution, doubling


@configuration
class VariationalAutoencoderConfig:
    """Sizes of a `VariationalAutoencoder`.

    Attributes:
        channels: Of the latents.
        widths: Channels of the network at each resolution, finest first; the finest is the
            image's, and each after it has half the side.
        blocks: Residual blocks at each resolution, in the encoder and in the decoder.
        groups: Of every group normalisation; divides all widths.
        kl_weight: Weight of the posterior's divergence from the unit Gaussian, averaged over the
            values of the latents, beside the error of a pixel's value.
    """

    channels: int = 16
    widths: tuple[int, ...] = (128, 256, 512)
    blocks: int = 2
    groups: int = 32
    kl_weight: float = 1e-6

    def __post_init__(self):
        if not self.widths or any(width % self.groups for width in self.widths):
            raise ValueError(
                f"`widths` (={self.widths}) must be at least one, all divisible by `groups` "
                f"(={self.groups})"
            )
        if self.kl_weight < 0:
            raise ValueError(f"`kl_weight` (={self.kl_weight}) must not be negative")

    def build(self, image_size: tuple[int, int]) -> "VariationalAutoencoder":
        """Builds the codec for images (H, W)."""
        return VariationalAutoencoder(self, image_size)


class VariationalAutoencoder(TrainableCodec):
    """See the module's docstring; a latent is its posterior's mean, continuous and unbounded."""

    def __init__(self, config: VariationalAutoencoderConfig, image_size: tuple[int, int]):
        super().__init__()
        self.config = config
        self.factor = 2 ** (len(config.widths) - 1)
        height, width = image_size
        if height % self.factor or width % self.factor:
            raise ValueError(
                f"images of {height}x{width} must be divisible by {self.factor}: 2 for each of "
                f"`widths` (={config.widths}) after the first"
            )
        self.latent_shape = (config.channels, height // self.factor, width // self.factor)
        self.lattice = None
        finest, coarsest = config.widths[0], config.widths[-1]
        current = finest
        encoder: list[nn.Module] = [convolution(3, finest)]
        for i, width in enumerate(config.widths):
            if i:
                encoder.append(convolution(current, current, stride=2))
            for _ in range(config.blocks):
                encoder.append(NormedBlock(current, width, config.groups))
                current = width
        decoder: list[nn.Module] = [convolution(config.channels, coarsest)]
        for i, width in reversed(tuple(enumerate(config.widths))):
            for _ in range(config.blocks):
                decoder.append(NormedBlock(current, width, config.groups))
                current = width
            if i:
                decoder.append(doubling(width))
        self.encoder = nn.Sequential(*encoder, _end(coarsest, 2 * config.channels, config.groups))
        self.decoder = nn.Sequential(*decoder, _end(finest, 3, config.groups))

    def encode(self, images: Tensor) -> Tensor:
        """See `Codec.encode`."""
        return self._posterior(images)[0]

    def encode_continuous(self, images: Tensor) -> Tensor:
        """See `TrainableCodec.encode_continuous`; there is no rounding."""
        return self.encode(images)

    def decode(self, latents: Tensor, kept: Kept | None = None) -> Tensor:
        """See `Codec.decode`."""
        return self.decoder(latents.contiguous(memory_format=torch.channels_last)).float()

    def reconstruct(self, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """See `TrainableCodec.reconstruct`; the loss `kl` holds the posterior to the prior."""
        mean, log_variance = self._posterior(images)
        latents = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        kl = (mean**2 + log_variance.exp() - 1 - log_variance).mean() / 2
        return self.decode(latents), {"kl": self.config.kl_weight * kl}

    def _posterior(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of each value of the latents, both (B, C, h, w)."""
        told = self.encoder(images.contiguous(memory_format=torch.channels_last)).float()
        mean, log_variance = told.chunk(2, 1)
        return mean, log_variance.clamp(-30, 20)


class NormedBlock(nn.Module):
    """Two 3x3 convolutions after group normalisation, added to the input."""

    def __init__(self, inputs: int, outputs: int, groups: int):
        super().__init__()
        self.first_norm = nn.GroupNorm(groups, inputs)
        self.first = convolution(inputs, outputs)
        self.second_norm = nn.GroupNorm(groups, outputs)
        self.second = convolution(outputs, outputs)
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, inputs, h, w) to (B, outputs, h, w)."""
        hidden = self.first(F.silu(self.first_norm(x)))
        return self.skip(x) + self.second(F.silu(self.second_norm(hidden)))


def _end(inputs: int, outputs: int, groups: int) -> nn.Sequential:
    return nn.Sequential(nn.GroupNorm(groups, inputs), nn.SiLU(), convolution(inputs, outputs))
