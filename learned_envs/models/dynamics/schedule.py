"""What is due now, and where: a world that runs by its clock sends the same things every time.

A level of a game is a schedule. When its ships come and shoot is in no picture, only in the time;
and time is told as waves, of whose sums no single one of a hundred moments stands out. Hidden
layers pick the moments, and each place says which of them mean anything there.
"""

import torch
from torch import Tensor, nn

_HIDDEN = 256


class Schedule(nn.Module):
    """Features of every place by what the network is told; none at first.

    Args:
        told: Numbers told.
        moments: Kinds of moments told apart.
        features: Of a place.
        grid: Places (h, w).
    """

    def __init__(self, told: int, moments: int, features: int, grid: tuple[int, int]):
        super().__init__()
        self.moments = nn.Sequential(
            nn.Linear(told, _HIDDEN), nn.ReLU(), nn.Linear(_HIDDEN, moments), nn.ReLU()
        )
        self.where = nn.Parameter(torch.ones(1, moments, *grid))
        self.due = nn.Conv2d(moments, features, 1)
        nn.init.zeros_(self.due.weight)
        assert self.due.bias is not None
        nn.init.zeros_(self.due.bias)

    def forward(self, told: Tensor) -> Tensor:
        """Features (B, features, h, w) for what is told (B, told)."""
        return self.due(self.moments(told)[:, :, None, None] * self.where)
