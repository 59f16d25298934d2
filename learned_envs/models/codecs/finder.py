"""Finds figures in a picture: where each is, and which way it faces.

A fully convolutional detector on a grid of 8x8 pixels, one figure a cell ("Objects as Points", Zhou
et al. 2019, arXiv:1904.07850).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.poses import Poses, apart
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution

CELL = 8  # pixels a side
_APART = 9.0  # pixels: what is nearer to a surer find is the same figure


@configuration
class FinderConfig:
    """Sizes of a `Finder`.

    Attributes:
        widths: Channels at a quarter and at an eighth of the picture's resolution.
        dilations: Of the residual blocks at the eighth, which must see a whole figure.
        chance: From which chance on something is found.
    """

    widths: tuple[int, int] = (32, 64)
    dilations: tuple[int, ...] = (1, 2, 3, 1)
    chance: float = 0.5


class Finder(nn.Module):
    """See the module's docstring."""

    def __init__(self, config: FinderConfig):
        super().__init__()
        fine, coarse = config.widths
        self._chance = config.chance
        last = nn.Conv2d(coarse, 5, 1)
        with torch.no_grad():  # begin by finding little
            assert last.bias is not None
            last.bias[0] = -4.0
        self.layers = nn.Sequential(
            nn.PixelUnshuffle(CELL // 2),
            convolution(3 * (CELL // 2) ** 2, fine),
            _Dilated(fine, 1),
            nn.ReLU(),
            nn.Conv2d(fine, coarse, 4, 2, 1),
            *(_Dilated(coarse, dilation) for dilation in config.dilations),
            nn.ReLU(),
            last,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Maps images (B, 3, H, W) in [-1, 1] to a map (B, 5, H / 8, W / 8).

        Of each cell: the log-odds that a figure's centre is in it, the centre's offset from the
        cell's middle to the right and down in cells, and the direction it faces, as a vector.
        """
        return self.layers(images.contiguous(memory_format=torch.channels_last)).float()

    def find(self, images: Tensor, count: int) -> tuple[Poses, Tensor]:
        """Finds up to `count` figures in images (B, 3, H, W), the surest first.

        Returns:
            Poses (B, count), and which of them are of figures, (B, count) bool.
        """
        cells = self(images)
        odds, width = cells[:, 0], cells.shape[3]
        highest = odds == F.max_pool2d(odds[:, None], 3, 1, 1)[:, 0]
        best, place = odds.where(highest, -torch.inf).flatten(1).topk(count)
        at = cells.flatten(2).gather(2, place[:, None].expand(-1, 5, -1))
        x, y = place % width + 0.5 + at[:, 1], place // width + 0.5 + at[:, 2]
        centre = torch.stack([x, y], 2) * CELL - 0.5
        facing = F.normalize(at[:, 3:].transpose(1, 2), dim=2)
        near = apart(centre, centre) < _APART
        twice = (near & torch.ones_like(near).tril(-1)).any(2)
        found = (best.sigmoid() > self._chance) & ~twice
        return Poses(centre=centre, facing=facing), found


class _Dilated(nn.Module):
    """Adds two 3x3 convolutions of its input to it, the first with gaps."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.first = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.second = convolution(width, width)
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))
