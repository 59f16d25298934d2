"""The networks of a `PointerEditor`: which blocks may change, and what becomes of places."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.dynamics.pointer_situation import (
    NEAR_PERIODS,
    PERIODS,
    describe,
    described,
    seen_from,
)

if TYPE_CHECKING:
    from learned_envs.models.dynamics.pointer_editor import PointerEditorConfig


def outcome_size(config: PointerEditorConfig) -> int:
    """Numbers that are written for a place: chances of V + 2 outcomes, and a blend of V + 1."""
    return 2 * config.values + 3


class Mask(nn.Module):
    """Log-odds (B, h, w) that something changes in each block."""

    def __init__(self, grid: tuple[int, int], config: PointerEditorConfig):
        super().__init__()
        height, width = grid[0] // config.block, grid[1] // config.block
        self.across = nn.Linear(2 * described(PERIODS), config.mask)
        self.down = nn.Linear(2 * described(PERIODS), config.mask)
        self.place = nn.Parameter(0.1 * torch.randn(height, width, config.mask))
        self.situation = nn.Linear(config.situation, config.mask)
        self.hidden = nn.Linear(config.mask, config.mask)
        self.last = nn.Linear(config.mask, 1)
        with torch.no_grad():
            self.last.bias.fill_(-3.0)  # little changes
        side = config.patch * config.block
        for name, count in (("columns", width), ("rows", height)):
            middles = torch.arange(count) * float(side) + (side - 1) / 2
            self.register_buffer(name, middles, persistent=False)
        self.columns: Tensor
        self.rows: Tensor

    def forward(self, situation: Tensor, pointers: Tensor) -> Tensor:
        across = pointers[:, None, [0, 2]] - self.columns[:, None]
        down = pointers[:, None, [1, 3]] - self.rows[:, None]
        x = self.across(describe(across, PERIODS).flatten(2))[:, None]
        x = x + self.down(describe(down, PERIODS).flatten(2))[:, :, None]
        x = F.relu(x + self.place + self.situation(situation)[:, None, None])
        return self.last(F.relu(self.hidden(x)))[..., 0]


class PatchBlock(nn.Module):
    """A residual block for patches (N, width), scaled and shifted by the situation (N, width)."""

    def __init__(self, config: PointerEditorConfig):
        super().__init__()
        self.norm = nn.LayerNorm(config.width, elementwise_affine=False)
        self.first = nn.Linear(config.width, config.hidden)
        self.second = nn.Linear(config.hidden, config.width)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(scale * self.norm(x) + shift)))


class Fine(nn.Module):
    """What happens at single places, shared by all: (N, places, n), to be added to the rest.

    Its first layer multiplies what it is told of the place with what it is told of the patch, so
    that an edge can lie anywhere between places.
    """

    def __init__(self, config: PointerEditorConfig, channels: int):
        super().__init__()
        width = config.fine
        self.from_patch = nn.Linear(config.width, 2 * width)
        self.from_place = nn.Linear(6 * described(NEAR_PERIODS), 2 * width, bias=False)
        self.from_value = nn.Linear(channels, 2 * width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.second = nn.Linear(width, width)
        self.third = nn.Linear(width, width)
        self.last = nn.Linear(width, outcome_size(config))
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)
        offset = torch.arange(float(config.patch))
        place = torch.stack(torch.meshgrid(offset, offset, indexing="xy"), -1).flatten(0, 1)
        self.register_buffer("place", place, persistent=False)
        self.place: Tensor

    def forward(self, patch: Tensor, values: Tensor, pointers: Tensor, corner: Tensor) -> Tensor:
        """See the class.

        Args:
            patch: Features of patches, (N, width).
            values: Of their places, (N * places, C).
            pointers: (N, 4), as `seen_from` takes them.
            corner: Their first places, (N, 2), x and y.
        """
        at = corner[:, None] + self.place
        told = describe(seen_from(pointers, at), NEAR_PERIODS)
        place = self.from_place(told.flatten(2).flatten(0, 1))
        x = (self.from_value(values) + place).unflatten(0, (-1, len(self.place)))
        one, other = (x + self.from_patch(F.relu(patch))[:, None]).flatten(0, 1).chunk(2, 1)
        x = F.relu(self.norm(one * other))
        x = self.last(F.relu(self.third(F.relu(self.second(x)))))
        return x.unflatten(0, (-1, len(self.place)))
