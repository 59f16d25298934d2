"""Where the thing that moves in a glimpse is, to a fraction of a place, and what it would meet.

A *point* is the centroid of a learned feature (spatial soft-argmax: Levine et al. 2016, "End-to-End
Training of Deep Visuomotor Policies"), given as sines and cosines (Fourier features: Tancik et al.
2020), over the places near the centre that changed: of those alone, and less the ground, since what
stands still all around would outweigh the thing that moves. The newest latent is then seen as from
the place where the point's motion takes it (Jaderberg et al. 2015, "Spatial Transformer Networks").
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_CLEAR = 8.0  # changes of a latent by more than 1 / 8 count in full
_GROUND = 5  # side of the box in which something stands out
_AHEAD = 3  # places seen on every side of where a point would be
_PERIODS = (1, 2, 4, 8, 16, 32, 64)  # of the sines, in places


class Points(nn.Module):
    """Tells of each glimpse where its points are, where they would be, what they would meet there.

    Args:
        count: Points, P.
        channels: Of a latent, C.
        side: Height and width of a glimpse in places.
        width: Features told.
        reach: Places from the centre, down and across, that count.
    """

    def __init__(self, count: int, channels: int, side: int, width: int, *, reach: int):
        super().__init__()
        self.channels = channels
        first = nn.Conv2d(3 * channels, 3 * count, 1)
        second = nn.Conv2d(3 * count, count, 1)
        with torch.no_grad():  # begin with points on what is bright, and every second on the dark
            for layer in (first, second):
                layer.weight.abs_()
                assert layer.bias is not None
                layer.bias.zero_()
            by_contrast, by_change = first.weight.split([2 * channels, channels], 1)
            by_contrast[::2, channels:] = by_contrast[1::2, :channels] = 0
            by_change *= 0.3
            second.weight[::2, 1::2] = second.weight[1::2, ::2] = 0
        self.feature = nn.Sequential(first, nn.ReLU(), second)
        sines = 2 * 3 * 2 * len(_PERIODS)  # of two axes, three positions
        self.tell = nn.Linear((sines + 4 + channels * (2 * _AHEAD + 1) ** 2) * count, width)
        offset = torch.arange(side) - float(side // 2)
        place = torch.stack(torch.meshgrid(offset, offset, indexing="ij"))
        near = (place.abs().amax(0) <= reach).float()
        rate = torch.tensor([2 * math.pi / period for period in _PERIODS])
        ahead = torch.arange(-_AHEAD, _AHEAD + 1.0)
        for name, value in (("place", place), ("near", near), ("rate", rate)):
            self.register_buffer(name, value, persistent=False)
        self.register_buffer("distance", offset - ahead[:, None], persistent=False)
        self.place: Tensor
        self.near: Tensor
        self.rate: Tensor
        self.distance: Tensor

    def forward(self, cut: Tensor, y: Tensor, x: Tensor) -> Tensor:
        """Maps glimpses (N, K C, side, side) centred at `y`, `x` (N,) to features (N, width)."""
        change, newest = cut[:, -2 * self.channels :].split(self.channels, 1)
        before = newest - change
        moving = self._moving(change)
        low = -F.max_pool2d(-torch.minimum(newest, before), _GROUND, 1, _GROUND // 2)
        high = F.max_pool2d(torch.maximum(newest, before), _GROUND, 1, _GROUND // 2)
        now, mass = self._centroids(newest - low, high - newest, change, moving)
        then, mass_then = self._centroids(before - low, high - before, -change, moving)
        moved = now - then
        centre = torch.stack([y, x], 1)[:, None].to(now.dtype)
        at = torch.stack([now, now + moved, now - moved], -1) + centre[..., None]
        angle = at[..., None] * self.rate
        sines = torch.cat([angle.sin(), angle.cos()], -1).flatten(1)
        ahead = self._seen_from(newest, now + moved).flatten(1)
        return self.tell(torch.cat([sines, moved.flatten(1), mass, mass_then, ahead], 1))

    def _moving(self, change: Tensor) -> Tensor:
        """Which places count, from 0 to 1: those near the centre at or beside a clear change."""
        clear = (_CLEAR * change.abs().amax(1, keepdim=True)).clamp(max=1)
        return F.max_pool2d(clear, 3, 1, 1) * self.near

    def _centroids(
        self, bright: Tensor, dark: Tensor, change: Tensor, moving: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Centroids (N, P, 2), y and x from the middle, and masses (N, P) of an image's features.

        A feature is of one place alone: by how much it is brighter and darker than the ground
        around it, and what differs from another moment.
        """
        weight = F.relu(self.feature(torch.cat([bright, dark, change], 1))).float() * moving
        mass = weight.sum((2, 3))
        moment = (weight[:, :, None] * self.place).sum((3, 4))
        return moment / (mass[..., None] + 1e-2), mass / weight[0, 0].numel()

    def _seen_from(self, image: Tensor, place: Tensor) -> Tensor:
        """What is around places (N, P, 2) of images (N, C, side, side), between pixels linearly."""
        share = F.relu(1 - (self.distance - place[..., None, None]).abs())
        down, across = share[:, :, None].unbind(3)
        return down @ image[:, None] @ across.transpose(-1, -2)
