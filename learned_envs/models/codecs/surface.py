"""A surface that bends and lights what is seen through it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SCALE = 8.0  # what a Sobel operator makes of a slope of one
_BEND = 4.0  # pixels that a slope of one bends at first


class Surface(nn.Module):
    """What is seen through a surface of given heights, at half of the picture's resolution.

    A slope shifts what is seen and makes it lighter or darker; the steeper, the less more. How is
    learned. Through a flat surface everything is seen as it is.

    Args:
        tints: Width of the network that says how a slope looks.
    """

    def __init__(self, tints: int):
        super().__init__()
        across = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]]) / _SCALE
        self.slope = nn.Parameter(torch.stack([across, across.T])[:, None])
        self.bend = nn.Parameter(torch.tensor(_BEND))
        self.softness = nn.Parameter(torch.tensor(1.0))
        first, last = nn.Conv2d(2, tints, 1), nn.Conv2d(tints, 3, 1)
        with torch.no_grad():
            last.weight.mul_(0.1)
        self.tint = nn.Sequential(first, nn.Tanh(), last)

    def forward(self, picture: Tensor, height: Tensor) -> Tensor:
        """Pictures (B, C, H, W) as seen through surfaces (B, 1, H / 2, W / 2)."""
        size = picture.shape[2:]
        slope = F.conv2d(F.pad(height, (1, 1, 1, 1), mode="replicate"), self.slope)
        slope = slope / (1 + F.softplus(self.softness) * slope.abs())
        tint = self.tint(slope) - self.tint(torch.zeros_like(slope[:, :, :1, :1]))
        looks = torch.cat([self.bend * self._on_grid(slope, size), tint], 1)
        looks = F.interpolate(looks, size, mode="bilinear", align_corners=False)
        shift, tint = looks.tensor_split([2], 1)
        rows, columns = (
            (2 * torch.arange(side, device=shift.device) + 1) / side - 1 for side in size
        )
        straight = torch.stack(torch.meshgrid(columns, rows, indexing="xy"))
        grid = (straight + shift).movedim(1, -1)
        bent = F.grid_sample(picture, grid, align_corners=False, padding_mode="border")
        return bent + tint

    @staticmethod
    def _on_grid(pixels: Tensor, size: torch.Size) -> Tensor:
        """Distances (B, 2, h, w) to the right and down, in pixels, as `grid_sample` has them."""
        return pixels * (2 / pixels.new_tensor([size[1], size[0]]))[:, None, None]
