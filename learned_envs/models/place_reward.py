"""Reward of figures by where they are: the share of them that are at places which pay.

Which places pay is read from the still picture, in which it must show (a ring of pads, a goal). An
episode never ends.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.codec import Kept
from learned_envs.models.codecs.table import FigureTable
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution

_CELL = 8  # pixels a side of the places that are told apart; what lies between is interpolated


@configuration
class PlaceRewardConfig:
    """Sizes of `PlaceReward`.

    Attributes:
        count: Most figures, as the codec has it.
        code: Numbers that tell a figure's shape, as the codec has it.
        width: Channels.
        dilations: Of the convolutions, in cells of 8x8 pixels, which must see as far as what shows
            that a place pays.
    """

    count: int = 12
    code: int = 8
    width: int = 24
    dilations: tuple[int, ...] = (1, 2, 4, 2)

    def build(self, latent_shape: tuple[int, int, int]) -> "PlaceReward":
        """Builds the head for latents (3, h, w) of the codec `Sprites`."""
        return PlaceReward(self, latent_shape)


class PlaceReward(nn.Module):
    """Maps where figures are, and the still picture behind them, to a reward."""

    def __init__(self, config: PlaceRewardConfig, latent_shape: tuple[int, int, int]):
        super().__init__()
        _, height, width = latent_shape
        self.config, self.table = config, FigureTable(config.count, config.code, (height, width))
        last = convolution(config.width, 1)
        with torch.no_grad():  # begin by paying for little
            assert last.bias is not None
            last.bias.fill_(-2.0)
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(_CELL), nn.Conv2d(3 * _CELL**2, config.width, 1), nn.ReLU(),
            *(layer for far in config.dilations for layer in _looking(config.width, far)), last,
        )  # fmt: skip

    def forward(self, previous: Tensor, latent: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        """Maps latents (B, 3, h, w) to reward and termination probability, both (B,)."""
        alive, poses, _ = self.table.read(latent)
        odds = self.at(self.paying(kept["still"]), poses.centre)
        reward = _share((odds > 0).float(), alive)
        return reward, torch.zeros_like(reward)

    def loss(self, still: Tensor, centre: Tensor, there: Tensor, reward: Tensor) -> Tensor:
        """Mean squared error of the number of figures that are paid for, a scalar.

        Args:
            still: (B, 3, H, W) in [-1, 1].
            centre: (B, M, N, 2), where figures were in M moments, x and y in pixels.
            there: (B, M, N) bool, who was there.
            reward: (B, M), what they earned.
        """
        odds = self.at(self.paying(still), centre.flatten(1, 2)).unflatten(1, centre.shape[1:3])
        return ((_share(odds.sigmoid(), there) - reward) * there.sum(-1)).square().mean()

    def paying(self, still: Tensor) -> Tensor:
        """Log-odds (B, 1, H / 8, W / 8) that a figure at a place of stills (B, 3, H, W) pays."""
        return self.layers(still.contiguous(memory_format=torch.channels_last)).float()

    def at(self, odds: Tensor, centre: Tensor) -> Tensor:
        """What `paying` said of places (B, N, 2), x and y in pixels: (B, N)."""
        height, width = self.table.plane
        grid = (2 * centre + 1) / centre.new_tensor([2 * width, 2 * height]) - 1
        sampled = F.grid_sample(odds, grid[:, None], align_corners=False, padding_mode="border")
        return sampled[:, 0, 0]


def _share(paid: Tensor, alive: Tensor) -> Tensor:
    return (paid * alive).sum(-1) / alive.sum(-1).clamp(min=1)


def _looking(width: int, far: int) -> list[nn.Module]:
    return [nn.Conv2d(width, width, 3, padding=far, dilation=far), nn.ReLU()]
