"""A UNet whose normalisation layers carry the noise level, the actions and the context's noise.

After the network of DIAMOND (Alonso et al. 2024, arXiv:2405.12399, appendix C), whose sizes for
64x64 pixels are the defaults. Adaptive group normalisation: Dhariwal and Nichol 2021,
arXiv:2105.05233.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding, PointActions
from learned_envs.models.configuration import configuration
from learned_envs.models.diffusion import Conditioning
from learned_envs.models.dynamics.blocks import convolution, near_zero
from learned_envs.models.dynamics.unet import Ladder, check_levels

FREQUENCIES = 32
_GROUP = 32


@configuration
class EdmUNetConfig:
    """Sizes of an `EdmUNet`.

    Attributes:
        widths: Channels at each resolution, finest first.
        blocks: Residual blocks at each resolution on the way down; one more each on the way up.
        attention: Whether places at the coarsest resolution attend to each other.
        head_width: Channels of one attention head.
        embedding: Length of the vector that the normalisation layers read.
        planes: Whether the current action and the level of noise on each past latent come in as
            planes beside the latents, and not through the embedding.
    """

    widths: tuple[int, ...] = (64, 64, 64, 64)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    attention: bool = True
    head_width: int = 8
    embedding: int = 256
    planes: bool = False

    def __post_init__(self):
        check_levels(self.widths, self.blocks)
        if self.attention and self.widths[-1] % self.head_width:
            raise ValueError(
                f"the last of `widths` (={self.widths[-1]}) must be divisible by `head_width` "
                f"(={self.head_width})"
            )

    def build(
        self,
        latent_shape: tuple[int, int, int],
        context: int,
        actions: ActionEncoding,
        *,
        carried: bool = False,
    ) -> "EdmUNet":
        """Builds the network for latents (C, h, w), `context` of them, and a carried one or not."""
        return EdmUNet(self, latent_shape, context, actions, carried=carried)


class EdmUNet(Ladder):
    """See the module's docstring."""

    def __init__(
        self,
        config: EdmUNetConfig,
        latent_shape: tuple[int, int, int],
        context: int,
        actions: ActionEncoding,
        *,
        carried: bool = False,
    ):
        super().__init__(config.widths, config.blocks)
        channels, height, width = latent_shape
        factor = 2 ** (len(config.widths) - 1)
        if height % factor or width % factor:
            raise ValueError(
                f"latents of {height}x{width} must be divisible by {factor}: "
                "2 for each resolution after the first"
            )
        self.actions: PointActions | None = None
        if config.planes:
            if not isinstance(actions, PointActions):
                raise ValueError(f"`planes` needs actions that can be drawn, not {actions}")
            self.actions = actions
        length = config.embedding
        told = 2 * FREQUENCIES if config.planes else 4 * FREQUENCIES + context * actions.size
        self.embed = nn.Sequential(
            nn.Linear(told, length),
            nn.SiLU(),
            nn.Linear(length, length),
            nn.SiLU(),
        )
        drawn = self.actions.planes + context if self.actions else 0
        seen = 1 + context + carried
        self.stem = convolution(seen * channels + drawn, config.widths[0])
        kept = self.add_down(lambda inputs, outputs, level: Block(inputs, outputs, length))
        current = config.widths[-1]
        self.middle = nn.ModuleList(Block(current, current, length) for _ in range(2))
        self.attend = nn.ModuleList(
            Attention(current, config.head_width) if config.attention else nn.Identity()
            for _ in self.middle
        )
        current = self.add_up(kept, lambda inputs, outputs: Block(inputs, outputs, length))
        self.norm = nn.GroupNorm(_groups(current), current)
        self.write = near_zero(convolution(current, channels))

    def forward(self, noisy: Tensor, told: Tensor, conditioning: Conditioning) -> Tensor:
        """Maps noisy latents (B, C, h, w), told levels (B,) and conditioning to (B, C, h, w)."""
        numbers, planes = [fourier_features(told)], [noisy, conditioning.context.flatten(1, 2)]
        if conditioning.carried is not None:
            planes.append(conditioning.carried)
        if self.actions is None:
            level, actions = conditioning.level[:, 0], conditioning.actions
            numbers += [fourier_features(level), actions.flatten(1)]
        else:
            levels = conditioning.level.expand(conditioning.context.shape[:2])
            height, width = noisy.shape[2:]
            planes += [
                self.actions.draw(conditioning.actions[:, -1], (height, width)),
                levels[:, :, None, None].expand(-1, -1, height, width),
            ]
        embedding = self.embed(torch.cat(numbers, 1))
        x = torch.cat(planes, 1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        kept = self.descend(x, embedding)
        x = kept[-1]
        for block, attend in zip(self.middle, self.attend, strict=True):
            x = attend(block(x, embedding))
        x = self.ascend(x, kept, embedding)
        return self.write(F.silu(self.norm(x)))


class Block(nn.Module):
    """Two 3x3 convolutions after adaptive norms, added to the input; begins close to a skip."""

    def __init__(self, inputs: int, outputs: int, embedding: int):
        super().__init__()
        self.first_norm = AdaptiveNorm(inputs, embedding)
        self.first = convolution(inputs, outputs)
        self.second_norm = AdaptiveNorm(outputs, embedding)
        self.second = near_zero(convolution(outputs, outputs))
        self.skip = nn.Conv2d(inputs, outputs, 1) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, inputs, h, w) and (B, E) to (B, outputs, h, w)."""
        hidden = self.first(F.silu(self.first_norm(x, embedding)))
        return self.skip(x) + self.second(F.silu(self.second_norm(hidden, embedding)))


class AdaptiveNorm(nn.Module):
    """Group normalisation whose scale and shift are read from an embedding."""

    def __init__(self, channels: int, embedding: int):
        super().__init__()
        self.norm = nn.GroupNorm(_groups(channels), channels, affine=False)
        self.scale_shift = nn.Linear(embedding, 2 * channels)

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """Maps (B, C, h, w) and (B, E) to (B, C, h, w)."""
        scale, shift = self.scale_shift(embedding)[:, :, None, None].chunk(2, 1)
        return self.norm(x) * (1 + scale) + shift


class Attention(nn.Module):
    """Self-attention between places, added to the input; begins close to the identity."""

    def __init__(self, channels: int, head_width: int):
        super().__init__()
        self.head_width = head_width
        self.norm = nn.GroupNorm(_groups(channels), channels)
        self.project = nn.Conv2d(channels, 3 * channels, 1)
        self.mix = near_zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, C, h, w) to the same shape."""
        parts = self.project(self.norm(x)).flatten(2).unflatten(1, (3, -1, self.head_width))
        query, key, value = parts.transpose(3, 4).unbind(1)  # (B, heads, places, head_width)
        attended = F.scaled_dot_product_attention(query, key, value)
        return x + self.mix(attended.transpose(2, 3).reshape(x.shape))


def fourier_features(values: Tensor) -> Tensor:
    """Maps values (B,) to cosines and sines (B, 64) of 32 frequencies, 1/8 to 8 cycles a unit."""
    powers = torch.linspace(-3, 3, FREQUENCIES, device=values.device)
    angles = 2 * math.pi * values.float()[:, None] * 2**powers
    return torch.cat([angles.cos(), angles.sin()], 1)


def _groups(channels: int) -> int:
    """The most groups of at least 32 channels that divide `channels`; 1 for fewer channels."""
    return next(n for n in range(max(1, channels // _GROUP), 0, -1) if channels % n == 0)
