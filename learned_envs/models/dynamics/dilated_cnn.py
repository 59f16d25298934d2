"""A plain pixel network: dilated convolutions at one resolution, nothing exotic to export.

Everything it is told comes in as planes beside the noisy latent. The dilations widen its view to
the whole of a 64x64 frame without pooling (Yu and Koltun 2016, arXiv:1511.07122). At the default
size, with four frames of three channels and three actions, it has 2,424,963 parameters.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding
from learned_envs.models.configuration import configuration
from learned_envs.models.diffusion import Conditioning
from learned_envs.models.dynamics.blocks import convolution


@configuration
class DilatedCnnConfig:
    """Sizes of a `DilatedCnn`.

    Attributes:
        width: Channels.
        blocks: Residual blocks of two convolutions.
        dilations: Of the blocks in turn, repeated.
    """

    width: int = 96
    blocks: int = 14
    dilations: tuple[int, ...] = (1, 2, 4, 8)

    def __post_init__(self):
        if not self.dilations or min(self.dilations) < 1:
            raise ValueError(f"`dilations` (={self.dilations}) must be numbers of at least 1")

    def build(
        self, latent_shape: tuple[int, int, int], context: int, actions: ActionEncoding
    ) -> "DilatedCnn":
        """Builds the network for latents (C, h, w) and `context` of them."""
        return DilatedCnn(self, latent_shape, context, actions)


class DilatedCnn(nn.Module):
    """Writes the clean latent itself, in (-1, 1); sees the current action and none before it."""

    def __init__(
        self,
        config: DilatedCnnConfig,
        latent_shape: tuple[int, int, int],
        context: int,
        actions: ActionEncoding,
    ):
        super().__init__()
        channels = latent_shape[0]
        self.stem = convolution((1 + context) * channels + actions.size + 1, config.width)
        self.blocks = nn.ModuleList(
            DilatedBlock(config.width, config.dilations[i % len(config.dilations)])
            for i in range(config.blocks)
        )
        self.head = nn.Sequential(
            nn.SiLU(),
            convolution(config.width, config.width),
            nn.SiLU(),
            nn.Conv2d(config.width, channels, 1),
            nn.Tanh(),
        )

    def forward(self, noisy: Tensor, told: Tensor, conditioning: Conditioning) -> Tensor:
        """Maps noisy latents (B, C, h, w), told levels (B,) and conditioning to (B, C, h, w)."""
        return self.from_planes(planes(noisy, told, conditioning))

    def from_planes(self, x: Tensor) -> Tensor:
        """The network alone: maps planes (B, P, h, w), as `planes` lays them out, to (B, C, h, w).

        For pixels, four frames and three actions: (B, 19, 64, 64) to (B, 3, 64, 64).
        """
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class DilatedBlock(nn.Module):
    """Adds two dilated 3x3 convolutions of its input to it; begins close to the identity."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        for parameter in self.second.parameters():
            nn.init.normal_(parameter, std=0.2 * (9 * width) ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, width, h, w) to the same shape."""
        return x + self.second(F.silu(self.first(F.silu(x))))


def planes(noisy: Tensor, told: Tensor, conditioning: Conditioning) -> Tensor:
    """Lays out all inputs as planes (B, C + K * C + A + 1, h, w).

    In this order: the noisy latent, the past latents from the oldest on, one plane for each
    component of the current action, and the level of noise.
    """
    rows, _, height, width = noisy.shape
    flat = torch.cat([conditioning.actions[:, -1], told[:, None]], 1)
    spread = flat[:, :, None, None].expand(rows, flat.shape[1], height, width)
    return torch.cat([noisy, conditioning.context.flatten(1, 2), spread], 1)
