"""A small network that sees koi: where each one is, which way it swims, of which variety it is.

It looks at the pond at half its resolution and answers for every fourth pixel, across and down. Its
weights lie beside this file; `eye_training` says how they were trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import convert_conv2d_weight_memory_format

from sims.koi_pond import VARIETIES

CELL = 4
"""Pixels of the pond to a cell of what the network answers."""

WEIGHTS = Path(__file__).with_suffix(".safetensors")

_WIDTHS = 16, 40, 72
_PARTS = {"centre": 1, "cover": 1, "shown": 1, "offset": 2, "heading": 2, "variety": len(VARIETIES)}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Sight:
    """What the network answers for B frames at h x w cells.

    Attributes:
        centre: (B, h, w) logits, whether a fish's centre is here.
        cover: (B, h, w) logits, the share of the cell that is fish.
        shown: (B, h, w) logits, the share of the fish centred here that no pad and no edge hides.
        offset: (B, 2, h, w) cells, x and y, from the cell's middle to the centre of its fish.
        heading: (B, 2, h, w) cosine and sine, clockwise from the right, of its head's direction.
        variety: (B, 10, h, w) logits of `VARIETIES`.
    """

    centre: Tensor
    cover: Tensor
    shown: Tensor
    offset: Tensor
    heading: Tensor
    variety: Tensor


class Eye(nn.Module):
    """Three scales, looked at from fine to coarse and put together from coarse to fine."""

    def __init__(self) -> None:
        super().__init__()
        fine, middle, coarse = _WIDTHS
        self.see_fine = nn.Sequential(_conv(3, fine, 2), nn.ReLU(), _Block(fine))
        self.see_middle = nn.Sequential(_conv(fine, middle, 2), _Block(middle))
        self.see_coarse = nn.Sequential(_conv(middle, coarse, 2), _Block(coarse))
        self.to_middle = nn.Conv2d(coarse, middle, 1)
        self.join_middle = _Block(middle)
        self.to_fine = nn.Conv2d(middle, fine, 1)
        self.join_fine = nn.Sequential(nn.ReLU(), _conv(fine, 32), nn.ReLU())
        self.answer = nn.Conv2d(32, sum(_PARTS.values()), 1)
        rare = torch.zeros(sum(_PARTS.values()))
        rare[0] = -4.0  # of all cells few are a fish's centre
        self.answer.bias = nn.Parameter(rare)

    def forward(self, frames: Tensor) -> Sight:
        """Looks at frames (B, H, W, 3) of 0 to 255, as `halved` makes them.

        Sides must be multiples of 8.
        """
        images = frames.permute(0, 3, 1, 2).float() / 128 - 0.6
        fine = self.see_fine(images.contiguous(memory_format=torch.channels_last))
        middle = self.see_middle(fine)
        coarse = self.see_coarse(middle)
        middle = self.join_middle(middle + F.interpolate(self.to_middle(coarse), scale_factor=2))
        fine = self.join_fine(fine + F.interpolate(self.to_fine(middle), scale_factor=2))
        parts = self.answer(fine).split(tuple(_PARTS.values()), 1)
        named = dict(zip(_PARTS, parts, strict=True))
        single = {name: named.pop(name)[:, 0] for name in ("centre", "cover", "shown")}
        return Sight(**single, **named)


@cache
def packaged_eye() -> Eye:
    """The network with the weights that come with the library."""
    eye = Eye()
    eye.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
    convert_conv2d_weight_memory_format(eye, torch.channels_last)
    return eye.eval().requires_grad_(False)


class _Block(nn.Module):
    """x + f(x), with two convolutions."""

    def __init__(self, width: int):
        super().__init__()
        last = _conv(width, width)
        nn.init.kaiming_normal_(last.weight, a=3)
        self.body = nn.Sequential(nn.ReLU(), _conv(width, width), nn.ReLU(), last)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _conv(channels: int, width: int, stride: int = 1) -> nn.Conv2d:
    conv = nn.Conv2d(channels, width, 3, stride, 1)
    nn.init.kaiming_normal_(conv.weight)
    conv.bias = nn.Parameter(torch.zeros(width))
    return conv
