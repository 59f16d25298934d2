"""A UNet that looks at the past by cross-attention: places of the next frame ask the last ones.

After "A World Diffusion Model Criminally Undertrained" (Hillsbrad), which conditioned a denoiser of
latents on ten previous frames by cross-attention and on a few inputs, as latent diffusion does on
text (Rombach et al. 2022, arXiv:2112.10752). Its sizes were not published; the defaults are ours.
Unlike frames stacked as channels, tokens are at no place of the picture: wherever the camera has
taken a thing, the place where it is now can find it.

Those dreams hardly followed their inputs. Here an action goes two ways that can be had apart: in
the tokens of the frame that it followed, and through every normalisation layer.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding
from learned_envs.models.configuration import configuration
from learned_envs.models.diffusion import Conditioning
from learned_envs.models.dynamics.blocks import convolution, near_zero
from learned_envs.models.dynamics.edm_unet import (
    FREQUENCIES,
    AdaptiveNorm,
    Attention,
    Block,
    fourier_features,
)
from learned_envs.models.dynamics.unet import Ladder, check_levels


@configuration
class CrossAttentionConfig:
    """Sizes of a `CrossAttentionUNet`.

    Attributes:
        widths: Channels at each resolution, finest first.
        blocks: Residual blocks at each resolution on the way down; one more each on the way up.
        asking: The coarsest resolutions at which places ask the past, and each other at the
            coarsest; 0 for none of it.
        patch: Side of the patches of a past latent that become one token.
        token: Width of a token.
        head_width: Channels of one attention head; divides `token` and the widths that ask.
        embedding: Length of the vector that the normalisation layers read.
        told: Whether actions reach the network in its `tokens`, through its `layers`, or `both`.
    """

    widths: tuple[int, ...] = (128, 256, 384)
    blocks: tuple[int, ...] = (2, 2, 2)
    asking: int = 2
    patch: int = 2
    token: int = 256
    head_width: int = 32
    embedding: int = 512
    told: Literal["tokens", "layers", "both"] = "both"

    def __post_init__(self):
        check_levels(self.widths, self.blocks)
        if not 0 <= self.asking <= len(self.widths):
            raise ValueError(f"`asking` (={self.asking}) must lie in [0, {len(self.widths)}]")
        asked = (self.token, *self.widths[len(self.widths) - self.asking :])
        if any(width % self.head_width for width in asked):
            raise ValueError(
                f"`token` (={self.token}) and the last {self.asking} of `widths` (={self.widths}) "
                f"must be divisible by `head_width` (={self.head_width})"
            )
        if self.told not in ("tokens", "layers", "both"):
            raise ValueError(f"`told` (={self.told!r}) must be 'tokens', 'layers' or 'both'")

    def build(
        self, latent_shape: tuple[int, int, int], context: int, actions: ActionEncoding
    ) -> "CrossAttentionUNet":
        """Builds the network for latents (C, h, w) and `context` of them."""
        return CrossAttentionUNet(self, latent_shape, context, actions)


class CrossAttentionUNet(Ladder):
    """See the module's docstring."""

    def __init__(
        self,
        config: CrossAttentionConfig,
        latent_shape: tuple[int, int, int],
        context: int,
        actions: ActionEncoding,
    ):
        super().__init__(config.widths, config.blocks)
        channels, height, width = latent_shape
        coarsening = 2 ** (len(config.widths) - 1)
        if any(side % coarsening or side % config.patch for side in (height, width)):
            raise ValueError(
                f"latents of {height}x{width} must be divisible by {coarsening}, 2 for each "
                f"resolution after the first, and by `patch` (={config.patch})"
            )
        self.config = config
        self.tokens = Tokens(config, latent_shape, context, actions)
        length = config.embedding
        told = 4 * FREQUENCIES + (context * actions.size if config.told != "tokens" else 0)
        self.embed = nn.Sequential(
            nn.Linear(told, length), nn.SiLU(), nn.Linear(length, length), nn.SiLU()
        )
        # The newest latent comes in as planes, too: most of the next frame is a shift of it.
        self.stem = convolution(2 * channels, config.widths[0])
        first = len(config.widths) - config.asking  # of the resolutions that ask
        kept = self.add_down(
            lambda inputs, outputs, level: AskingBlock(config, inputs, outputs, level >= first)
        )
        current = config.widths[-1]
        self.middle = nn.ModuleList(
            AskingBlock(config, current, current, config.asking > 0) for _ in range(2)
        )
        self.attend = Attention(current, config.head_width) if config.asking else nn.Identity()
        current = self.add_up(kept, lambda inputs, outputs: Block(inputs, outputs, length))
        self.norm = AdaptiveNorm(current, length)
        self.write = near_zero(convolution(current, channels))

    def forward(self, noisy: Tensor, told: Tensor, conditioning: Conditioning) -> Tensor:
        """Maps noisy latents (B, C, h, w), told levels (B,) and conditioning to (B, C, h, w)."""
        numbers = [fourier_features(told), fourier_features(conditioning.level[:, 0])]
        if self.config.told != "tokens":
            numbers.append(conditioning.actions.flatten(1))
        embedding = self.embed(torch.cat(numbers, 1))
        past = self.tokens(conditioning)
        x = torch.cat([noisy, conditioning.context[:, -1]], 1)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        kept = self.descend(x, embedding, past)
        first, second = self.middle
        x = second(self.attend(first(kept[-1], embedding, past)), embedding, past)
        x = self.ascend(x, kept, embedding)
        return self.write(F.silu(self.norm(x, embedding)))


class Tokens(nn.Module):
    """The past as tokens: patches of its latents, told when and where and what was done."""

    def __init__(
        self,
        config: CrossAttentionConfig,
        latent_shape: tuple[int, int, int],
        context: int,
        actions: ActionEncoding,
    ):
        super().__init__()
        channels, height, width = latent_shape
        grid = height // config.patch, width // config.patch
        self.read = nn.Conv2d(channels, config.token, config.patch, config.patch)
        self.place = nn.Parameter(0.02 * torch.randn(1, 1, config.token, *grid))
        self.time = nn.Parameter(0.02 * torch.randn(1, context, config.token, 1, 1))
        self.done = nn.Linear(actions.size, config.token) if config.told != "layers" else None
        self.norm = nn.LayerNorm(config.token)

    def forward(self, conditioning: Conditioning) -> Tensor:
        """Maps a context of K latents, and the action after each, to tokens (B, K p, T)."""
        context = conditioning.context
        tokens = self.read(context.flatten(0, 1)).unflatten(0, context.shape[:2])
        tokens = tokens + self.place + self.time
        if self.done is not None:
            tokens = tokens + self.done(conditioning.actions)[..., None, None]
        return self.norm(tokens.flatten(3).transpose(2, 3).flatten(1, 2))


class AskingBlock(nn.Module):
    """A residual block whose places then ask the past, if they are to."""

    def __init__(self, config: CrossAttentionConfig, inputs: int, outputs: int, asks: bool):
        super().__init__()
        self.block = Block(inputs, outputs, config.embedding)
        self.ask = CrossAttention(config, outputs) if asks else None

    def forward(self, x: Tensor, embedding: Tensor, past: Tensor) -> Tensor:
        """Maps (B, inputs, h, w), (B, E) and tokens (B, N, T) to (B, outputs, h, w)."""
        x = self.block(x, embedding)
        return x if self.ask is None else self.ask(x, embedding, past)


class CrossAttention(nn.Module):
    """Attention of places to tokens, added to the input; begins close to the identity."""

    def __init__(self, config: CrossAttentionConfig, channels: int):
        super().__init__()
        self.heads = channels // config.head_width
        self.norm = AdaptiveNorm(channels, config.embedding)
        self.query = nn.Conv2d(channels, channels, 1)
        self.key_value = nn.Linear(config.token, 2 * channels)
        self.mix = near_zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor, embedding: Tensor, past: Tensor) -> Tensor:
        """Maps (B, C, h, w), (B, E) and tokens (B, N, T) to (B, C, h, w)."""
        query = self.query(self.norm(x, embedding)).flatten(2).unflatten(1, (self.heads, -1))
        told = self.key_value(past).unflatten(2, (2, self.heads, -1))
        key, value = told.permute(2, 0, 3, 1, 4)  # (B, heads, N, head width) each
        attended = F.scaled_dot_product_attention(query.transpose(2, 3), key, value)
        return x + self.mix(attended.transpose(2, 3).reshape(x.shape))
