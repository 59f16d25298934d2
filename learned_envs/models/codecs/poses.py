"""Places and directions in a picture, and what a picture looks like from there."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, kw_only=True, slots=True)
class Poses:
    """Where things are in a picture, and which way they face.

    Attributes:
        centre: (..., 2), x and y in pixels; a pixel's middle is whole.
        facing: (..., 2), unit vectors x and y.
    """

    centre: Tensor
    facing: Tensor

    def moved(self, ahead: Tensor, aside: Tensor, turn: Tensor) -> "Poses":
        """Moved `ahead` and `aside` (...) by pixels as seen from each, turned by radians."""
        along = self.facing
        across = torch.stack([-along[..., 1], along[..., 0]], -1)
        centre = self.centre + ahead[..., None] * along + aside[..., None] * across
        facing = turn.cos()[..., None] * along + turn.sin()[..., None] * across
        return Poses(centre=centre, facing=facing)

    def seen(self, points: Tensor) -> Tensor:
        """Points (..., 2) of the picture as seen from here: pixels ahead and aside, (..., 2)."""
        return self.along(points - self.centre)

    def along(self, ways: Tensor) -> Tensor:
        """Vectors (..., 2) of the picture as seen from here: their parts ahead and aside."""
        (dx, dy), (fx, fy) = ways.unbind(-1), self.facing.unbind(-1)
        return torch.stack([dx * fx + dy * fy, dy * fx - dx * fy], -1)

    def points(self, seen: Tensor) -> Tensor:
        """The inverse of `seen`."""
        (ahead, aside), (fx, fy) = seen.unbind(-1), self.facing.unbind(-1)
        return self.centre + torch.stack([ahead * fx - aside * fy, ahead * fy + aside * fx], -1)

    def moves(self, after: "Poses") -> Tensor:
        """How things moved from here to `after`: (..., 3), pixels ahead and aside, and radians."""
        cosine, sine = self.along(after.facing).unbind(-1)
        return torch.cat([self.seen(after.centre), torch.atan2(sine, cosine)[..., None]], -1)


def apart(one: Tensor, other: Tensor) -> Tensor:
    """Distances (B, N, M) of points (B, N, 2) from others (B, M, 2); `cdist` has no ONNX form."""
    return torch.linalg.vector_norm(one[:, :, None] - other[:, None], dim=-1)


def crop(
    images: Tensor,
    poses: Poses,
    size: tuple[int, int],
    texels: float = 1.0,
    mode: Literal["bilinear", "bicubic"] = "bilinear",
) -> Tensor:
    """Cuts oriented rectangles out of images.

    Args:
        images: (B, C, H, W).
        poses: (B, N), the rectangles' middles and the directions in which they are long.
        size: Texels across and along, (h, w).
        texels: Texels a pixel.
        mode: How pixels are interpolated; what is drawn again had best be cut out bicubically.

    Returns:
        (B, N, C, h, w); beyond the picture's edge as at the edge.
    """
    height, width = size
    ahead = (torch.arange(width, device=images.device) + 0.5 - width / 2) / texels
    aside = (torch.arange(height, device=images.device) + 0.5 - height / 2) / texels
    seen = torch.stack(torch.meshgrid(ahead, aside, indexing="xy"), -1)
    spread = Poses(
        centre=poses.centre[:, :, None, None], facing=poses.facing[:, :, None, None]
    ).points(seen)
    extent = torch.tensor([images.shape[3], images.shape[2]], device=images.device)
    grid = ((2 * spread + 1) / extent - 1).flatten(1, 2)
    cut = F.grid_sample(images, grid, mode, padding_mode="border", align_corners=False)
    return cut.unflatten(2, (poses.centre.shape[1], height)).transpose(1, 2)
