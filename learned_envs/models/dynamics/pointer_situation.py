"""What a pointer's world comes to at a step: the picture, the pointers, what lies under them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

PERIODS = (4, 8, 16, 32, 64, 128)  # of the sines that tell distances, in places
NEAR_PERIODS = PERIODS[:4]

_REACH = 72  # places; what is further away is told as being that far
_AROUND = 5  # places looked at on every side of the pointer
_SIDE = 8  # places along a side of a tile
_STRIDE = 4  # tiles that become one part in the summary, along each side

SUMMARISED = _SIDE * _STRIDE
"""Places by which the sides of latents must be divisible."""


def describe(distance: Tensor, periods: tuple[int, ...]) -> Tensor:
    """Distances (...) in places as features (..., n): as they are, clipped, absolute, and sines."""
    distance = distance.clamp(-_REACH, _REACH)
    angle = distance[..., None] * distance.new_tensor([2 * math.pi / period for period in periods])
    near = distance / 16
    plain = torch.stack([near, near.clamp(-1, 1), near.abs()], -1)
    return torch.cat([plain, angle.sin(), angle.cos()], -1)


def described(periods: tuple[int, ...]) -> int:
    """How many features `describe` makes."""
    return 3 + 2 * len(periods)


def tiles_of(latents: Tensor) -> Tensor:
    """Latents (B, C, h, w) as tiles of 8x8 places: (B, h / 8, w / 8, 64, C)."""
    tiles = latents.unflatten(3, (-1, _SIDE)).unflatten(2, (-1, _SIDE))
    return tiles.permute(0, 2, 4, 3, 5, 1).flatten(3, 4)


class Summary(nn.Module):
    """Sums up tiles (B, h / 8, w / 8, 64, C) of latents as (B, n).

    Parts of the picture have weights of their own, so that a small thing that tells much, such as
    the colour that is held, is read where it stands.
    """

    def __init__(self, latent_shape: tuple[int, int, int], widths: tuple[int, int, int]):
        super().__init__()
        channels, height, width = latent_shape
        fine, coarse, whole = widths
        parts, told = (height // SUMMARISED) * (width // SUMMARISED), fine * _STRIDE**2
        self.first = nn.Linear(channels * _SIDE**2, fine)
        self.first_place = nn.Parameter(0.1 * torch.randn(height // _SIDE, width // _SIDE, fine))
        self.second = nn.Parameter(torch.randn(parts, told, coarse) / told**0.5)
        self.second_place = nn.Parameter(0.1 * torch.randn(parts, 1, coarse))
        self.third = nn.Linear(coarse * parts, 2 * whole)
        self.last = nn.Linear(2 * whole, whole)

    def forward(self, tiles: Tensor) -> Tensor:
        """See the class."""
        x = F.relu(self.first(tiles.flatten(3)) + self.first_place)
        x = x.unflatten(2, (-1, _STRIDE)).unflatten(1, (-1, _STRIDE)).permute(1, 3, 0, 5, 2, 4)
        parts = x.flatten(3).flatten(0, 1)  # (parts, B, told)
        x = F.relu(parts @ self.second + self.second_place)  # (parts, B, coarse)
        return self.last(F.relu(self.third(x.permute(1, 2, 0).flatten(1))))


class Situation(nn.Module):
    """Joins a summary (B, n), two pointers (B, 4), which are down (B, 2), and what lies around.

    A pointer's place is told exactly, and roughly, so that what is learned of one place holds for
    those beside it. What lies around the newest pointer is looked at closely: it tells what is
    clicked, and where exactly its edge is. The means of all tiles of the picture are told besides
    the summary, since what it once left out it hardly learns to tell.
    """

    def __init__(self, latent_shape: tuple[int, int, int], summary: int, width: int):
        super().__init__()
        channels, height, across = latent_shape
        sizes = across, height, across, height
        self.places = nn.ModuleList(nn.Embedding(size, 32) for size in sizes)
        self.regions = nn.ModuleList(nn.Embedding(-(-size // 8), 32) for size in sizes)
        self.down = nn.Linear(3, 32)
        self.around = nn.Linear(channels * (2 * _AROUND + 1) ** 2, 96)
        told = 4 * 32 + 32 + 2 * described(PERIODS) + summary + 96
        self.first = nn.Linear(told, width)
        self.means = nn.Linear(channels * (height // _SIDE) * (across // _SIDE), width, bias=False)
        nn.init.zeros_(self.means.weight)
        self.second = nn.Linear(width, width)
        self.register_buffer("offset", torch.arange(-_AROUND, _AROUND + 1), persistent=False)
        self.offset: Tensor

    def forward(
        self, summary: Tensor, latents: Tensor, tiles: Tensor, pointers: Tensor, down: Tensor
    ) -> Tensor:
        """Of a summary, latents (B, C, h, w), their tiles, and pointers as the class says.

        Returns:
            (B, width).
        """
        index = pointers.long()
        places = [
            exact(index[:, i]) + rough(index[:, i] // 8)
            for i, (exact, rough) in enumerate(zip(self.places, self.regions, strict=True))
        ]
        moved = describe(pointers[:, :2] - pointers[:, 2:], PERIODS).flatten(1)
        around = F.relu(self.around(self._around(latents, index).flatten(1)))
        down = self.down(torch.cat([down, down.prod(1, keepdim=True)], 1))
        x = self.first(torch.cat([*places, down, moved, summary, around], 1))
        x = F.relu(x + self.means(tiles.mean(3).flatten(1)))
        return F.relu(self.second(x))

    def _around(self, latents: Tensor, index: Tensor) -> Tensor:
        """The places (B, n, n, C) around the newest pointer; the edge is repeated beyond itself."""
        height, width = latents.shape[2:]
        across = (index[:, :1] + self.offset).clamp(0, width - 1)
        down = (index[:, 1:2] + self.offset).clamp(0, height - 1)
        row = torch.arange(len(latents), device=latents.device)[:, None, None]
        return latents.permute(0, 2, 3, 1)[row, down[:, :, None], across[:, None]]


def seen_from(pointers: Tensor, at: Tensor) -> Tensor:
    """Where places are in a pointer's terms: (N, places, 6).

    Right and down of it; along its last movement and beside it; how far from its two ends.

    Args:
        pointers: (N, 4), x and y now and before.
        at: (N, places, 2), x and y.
    """
    now, before = pointers[:, None, :2], pointers[:, None, 2:]
    moved = now - before
    length = moved.square().sum(2, keepdim=True).sqrt().clamp(min=1e-3)
    ahead = moved / length
    from_now, from_before = at - now, at - before
    along = (from_now * ahead).sum(2)
    beside = from_now[..., 0] * ahead[..., 1] - from_now[..., 1] * ahead[..., 0]
    far, far_before = ((away.square().sum(2) + 1e-6).sqrt() for away in (from_now, from_before))
    return torch.stack([*from_now.unbind(2), along, beside, far, far_before], 2)
