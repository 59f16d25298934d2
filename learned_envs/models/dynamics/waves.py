"""Waves on a surface: a wave equation with a learned speed, damping and coast, and touches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SUBSTEPS = 4  # of the equation in a step: a wave crosses as many places at most
_EAGER = 5.0  # the few numbers of the equation move as much faster than weights do
_DENT, _DEPTH = 7, 4.0  # places around a touch that it dents, and how deep at first
_COAST = 8  # places of the surface along one of the map that says how waves run out
_FLAT = 1e-2  # heights below which a surface is flat, and is made so


class Waves(nn.Module):
    """Moves surfaces (B, 2, h, w), heights now and a moment ago, on by one step.

    The pull of the four neighbours and of the corners, and what is kept of a height and of its
    change, are learned within the bounds in which no wave grows. So is where waves run out, for
    every region, and what a touch does.

    Args:
        size: Height and width of the surface.
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = size
        self.equation = nn.Parameter(torch.zeros(4))
        edge, corner = torch.zeros(2, 3, 3)
        edge[0, 1] = edge[2, 1] = edge[1, 0] = edge[1, 2] = 1
        edge[1, 1] = -4
        corner[0, 0] = corner[0, 2] = corner[2, 0] = corner[2, 2] = 1
        corner[1, 1] = -4
        self.register_buffer("pulls", torch.stack([edge, corner])[:, None], persistent=False)
        self.pulls: Tensor
        bell = torch.exp(-(torch.arange(-_DENT, _DENT + 1.0) ** 2) / 8)
        self.dent = nn.Parameter((-_DEPTH * bell[:, None] * bell).expand(2, 1, -1, -1).clone())
        coast = tuple(max(2, side // _COAST) for side in size)
        self.loss = nn.Parameter(torch.full((1, 1, *coast), -6.0))

    def forward(self, surface: Tensor, touch: Tensor) -> Tensor:
        """See the class.

        Args:
            surface: (B, 2, h, w).
            touch: (B, 3), where the surface is touched as u and v in [0, 1], and how strongly; 0
                where it is not.
        """
        height, before = (surface + self._dented(touch)).split(1, 1)
        share = (_EAGER * self.equation).sigmoid()
        pull = ((share[:2] * share.new_tensor([0.3, 0.1]))[:, None, None, None] * self.pulls).sum(0)
        swing, settled = 1 - 0.1 * share[2], 1 - 0.04 * share[3]
        kept = settled * (1 - F.interpolate(self.loss, self.size, mode="bilinear").sigmoid())
        for _ in range(_SUBSTEPS):
            pulled = F.conv2d(F.pad(height, (1, 1, 1, 1), mode="replicate"), pull[None])
            height, before = kept * (height + swing * (height - before) + pulled), height
        surface = torch.cat([height, before], 1)
        return surface * (surface.detach().abs().amax((1, 2, 3), keepdim=True) > _FLAT)

    def _dented(self, touch: Tensor) -> Tensor:
        """What touches do to surfaces, (B, 2, h, w); a touch may lie between places."""
        height, width = self.size
        x = touch[:, :1] * width - 0.5 - torch.arange(width, device=touch.device)
        y = touch[:, 1:2] * height - 0.5 - torch.arange(height, device=touch.device)
        away = torch.stack(torch.broadcast_tensors(x[:, None], y[:, :, None]), -1)  # (B, h, w, 2)
        dent = self.dent.transpose(0, 1).expand(len(touch), -1, -1, -1)
        return touch[:, 2:, None, None] * F.grid_sample(dent, away / _DENT, align_corners=True)
