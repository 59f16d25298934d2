"""Waves on a surface: a learned linear rule for every place and its neighbours, and touches."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_SUBSTEPS = 4  # applications of the rule a step: a wave crosses as many places at most
_SPEED, _KEPT = 0.2, 0.97  # of the wave equation that the rule begins as
_CAUTION = 0.3  # a rule that is applied a hundred times must change slowly
_DENT, _DEPTH = 7, 4.0  # places around a touch that it dents, and how deep at first
_COAST = 8  # places of the surface along one of the map that says how waves run out
_FLAT = 1e-2  # heights below which a surface is flat, and is made so
_HIGHEST = 60.0  # no learned rule may run away


class Waves(nn.Module):
    """Moves surfaces (B, 2, h, w), heights now and a moment ago, on by one step.

    The rule is the same everywhere but for how waves run out, which is learned for every region.

    Args:
        size: Height and width of the surface.
    """

    def __init__(self, size: tuple[int, int]):
        super().__init__()
        self.size = size
        pull = torch.tensor([[1.0, 4.0, 1.0], [4.0, -20.0, 4.0], [1.0, 4.0, 1.0]]) / 6
        rule = torch.zeros(2, 2, 3, 3)
        rule[0, 0] = _SPEED * pull
        rule[0, 0, 1, 1] += 1 + _KEPT
        rule[0, 1, 1, 1] = -_KEPT
        rule[1, 0, 1, 1] = 1
        self.change = nn.Parameter(torch.zeros_like(rule))
        self.register_buffer("begun", rule, persistent=False)
        self.begun: Tensor
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
        surface = surface + self._dented(touch)
        kept = 1 - F.interpolate(self.loss, self.size, mode="bilinear").sigmoid()
        rule = self.begun + _CAUTION * self.change
        for _ in range(_SUBSTEPS):
            after = F.conv2d(F.pad(surface, (1, 1, 1, 1), mode="replicate"), rule)
            surface = torch.cat([after[:, :1] * kept, after[:, 1:]], 1)
        surface = surface.clamp(-_HIGHEST, _HIGHEST)
        return surface * (surface.detach().abs().amax((1, 2, 3), keepdim=True) > _FLAT)

    def _dented(self, touch: Tensor) -> Tensor:
        """What touches do to surfaces, (B, 2, h, w); a touch may lie between places."""
        height, width = self.size
        x = torch.arange(width, device=touch.device) - (touch[:, :1] * width - 0.5)
        y = torch.arange(height, device=touch.device) - (touch[:, 1:2] * height - 0.5)
        across, down = ((1 - away.abs()).clamp(min=0) for away in (x, y))
        point = (touch[:, 2:, None] * down[:, :, None] * across[:, None])[:, None]
        return F.conv2d(point, self.dent, padding=_DENT)
