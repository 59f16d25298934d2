"""How figures move: each sees edges, others and touches from where it is, and draws its next move.

All of them share one recurrent cell (compare Battaglia et al. 2016, "Interaction Networks",
arXiv:1612.00222). A move is how far a figure goes ahead and aside, how far it turns, and how its
shape changes; it is drawn from a Gaussian around a little more or less than its last.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.poses import Poses

_NEAR, _FAR = 0.3, 0.8  # bodies, over which the nearness of things falls off
_REACH = 2.0  # bodies as far as which others are seen
_FASTEST = 10.0  # usual moves that are expected at most
_SURE, _UNSURE = -4.0, 1.0  # the least and greatest logarithms of a standard deviation
_RELATION, _EDGES, _TOUCH = 9, 8, 6


class Shoal(NamedTuple):
    """N figures in each of B pictures.

    Attributes:
        poses: (B, N).
        code: (B, N, P), of their shapes.
        move: (B, N, 3 + P), the last of each: pixels ahead and aside, radians, change of its code.
        alive: (B, N) bool, who is there.
    """

    poses: Poses
    code: Tensor
    move: Tensor
    alive: Tensor


class FigureMotion(nn.Module):
    """See the module's docstring.

    Args:
        size: Height and width of a picture.
        code: Numbers that tell a shape, P.
        body: Pixels along in which a figure fits.
        width: Width of the cell, which is the memory of each figure, too.
        message: Width of what one figure is told of another.
    """

    def __init__(self, size: tuple[int, int], code: int, body: float, width: int, message: int):
        super().__init__()
        self._size, self._body = size, body
        self.usual = nn.Buffer(torch.ones(3 + code))
        self.message = nn.Sequential(
            nn.Linear(_RELATION + 3 + code, message), nn.ReLU(),
            nn.Linear(message, message), nn.ReLU(),
        )  # fmt: skip
        self.told = nn.Linear(2 * code + 3 + _EDGES + _TOUCH + message, width)
        self.cell = nn.GRUCell(width, width)
        last = nn.Linear(width, 2 * (3 + code))
        with torch.no_grad():
            last.weight.mul_(0.1)
            last.bias.zero_()
        self.drawn = nn.Sequential(nn.Linear(2 * width, width), nn.ReLU(), last)

    def forward(self, shoal: Shoal, touch: Tensor, memory: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """How the next moves are distributed, in usual moves, and the memory after them.

        Args:
            shoal: Now.
            touch: (B, 3), as `Waves` takes it.
            memory: (B, N, width).

        Returns:
            Means (B, N, 3 + P), logarithms of standard deviations, memory.
        """
        move = shoal.move / self.usual
        told = [
            shoal.code, move, self._edges(shoal.poses), self._messages(shoal, move),
            self._touched(shoal.poses, touch),
        ]  # fmt: skip
        seen = F.relu(self.told(torch.cat(told, -1)))
        memory = self.cell(seen.flatten(0, 1), memory.flatten(0, 1)).unflatten(0, seen.shape[:2])
        more, spread = self.drawn(torch.cat([memory, seen], -1)).float().chunk(2, -1)
        return (move + more).clamp(-_FASTEST, _FASTEST), spread.clamp(_SURE, _UNSURE), memory

    def moved(self, shoal: Shoal, move: Tensor) -> Shoal:
        """Figures after a move (B, N, 3 + P) in usual moves, which becomes their last."""
        move = move * self.usual
        ahead, aside, turn = move[..., :3].unbind(-1)
        code = (shoal.code + move[..., 3:]).clamp(-1, 1)
        poses = shoal.poses.moved(ahead, aside, turn)
        return Shoal(poses=poses, code=code, move=move, alive=shoal.alive)

    def _messages(self, shoal: Shoal, move: Tensor) -> Tensor:
        """What figures are told of the others, summed up: (B, N, message)."""
        centre, facing = shoal.poses.centre, shoal.poses.facing
        each = Poses(centre=centre[:, :, None], facing=facing[:, :, None])
        ahead, aside = each.seen(centre[:, None]).unbind(-1)
        along, across = each.along(facing[:, None]).unbind(-1)
        body = self._body
        far = torch.sqrt(ahead**2 + aside**2 + 1e-6)
        relation = [
            ahead / body, aside / body, far / body, (-far / (_NEAR * body)).exp(),
            (-far / (_FAR * body)).exp(), ahead / (far + 5), aside / (far + 5), along, across,
        ]  # fmt: skip
        others = torch.cat([move[..., :3], shoal.code], -1)[:, None]
        others = others.expand(-1, centre.shape[1], -1, -1)
        told = self.message(torch.cat([torch.stack(relation, -1), others], -1))
        itself = torch.eye(centre.shape[1], dtype=torch.bool, device=centre.device)
        seen = shoal.alive[:, None] & ~itself & (far < _REACH * body)
        return (told * seen[..., None]).sum(2)

    def _edges(self, poses: Poses) -> Tensor:
        """Where the picture ends, as seen by each figure: (B, N, 8)."""
        height, width = self._size
        extent = poses.centre.new_tensor([width, height]) - 1
        near = (-poses.centre / self._body / _FAR).exp()
        near = near - ((poses.centre - extent) / self._body / _FAR).exp()
        closest = torch.minimum(poses.centre, extent - poses.centre).amin(-1) / self._body
        pushed, middle = poses.along(near), poses.along(2 * poses.centre / extent - 1)
        felt = [*pushed.unbind(-1), *middle.unbind(-1), near.abs().amax(-1), near.abs().amin(-1)]
        return torch.stack([*felt, (-closest / _NEAR).exp(), (-closest / _FAR).exp()], -1)

    def _touched(self, poses: Poses, touch: Tensor) -> Tensor:
        """Where a touch is as seen by each figure: (B, N, 6); 0 where there is none."""
        height, width = self._size
        point = touch[:, None, :2] * touch.new_tensor([width, height]) - 0.5
        ahead, aside = poses.seen(point).unbind(-1)
        far = torch.sqrt(ahead**2 + aside**2 + 1e-6)
        near = far / (_FAR * self._body)
        felt = [
            (-near).exp(), (-(near**2)).exp(), (-(near**2) / 2).exp(), ahead / (far + 5),
            aside / (far + 5), torch.ones_like(far),
        ]  # fmt: skip
        return torch.stack(felt, -1) * touch[:, None, 2:]
