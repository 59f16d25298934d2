"""The table of figures in a latent: who is there, where, which way it faces, in which shape."""

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_envs.models.codecs.poses import Poses

_BEFORE_CODE = 5  # numbers of a figure before its code


class FigureTable:
    """Reads and writes figures in the last plane of latents (B, C, h, w).

    Row i of the plane begins with figure i: 1 if there is one and 0 if not, its centre's x and y
    (-1 and 1 at the picture's edges), the direction it faces as x and y, and the code of its shape.
    The rest is 0.

    Args:
        count: Most figures, N.
        code: Numbers of a code, P.
        plane: Height and width of a latent, each half of the picture's.

    Raises:
        ValueError: If the figures do not fit in a plane.
    """

    def __init__(self, count: int, code: int, plane: tuple[int, int]):
        height, width = plane
        if count > height or _BEFORE_CODE + code > width:
            raise ValueError(
                f"`count` (={count}) figures of {_BEFORE_CODE + code} numbers do not fit in a "
                f"latent of {height}x{width}: give larger images"
            )
        self.plane = plane
        self._count, self._columns = count, _BEFORE_CODE + code

    def read(self, latents: Tensor) -> tuple[Tensor, Poses, Tensor]:
        """Who is there, (B, N) bool, in which poses (B, N), and the codes (B, N, P)."""
        table = latents[:, -1, : self._count, : self._columns]
        centre = (table[..., 1:3] + 1) / 2 * self._extent(table) - 0.5
        poses = Poses(centre=centre, facing=F.normalize(table[..., 3:5], dim=-1))
        return table[..., 0] > 0.5, poses, table[..., _BEFORE_CODE:]

    def written(self, alive: Tensor, poses: Poses, code: Tensor) -> Tensor:
        """A plane (B, 1, h, w) from which `read` reads these figures."""
        centre = (poses.centre + 0.5) / self._extent(code) * 2 - 1
        there = alive[..., None].to(code.dtype)
        table = torch.cat([there, centre, poses.facing, code], -1)
        right, down = self.plane[1] - self._columns, self.plane[0] - self._count
        return F.pad(table, (0, right, 0, down))[:, None]

    def _extent(self, like: Tensor) -> Tensor:
        return like.new_tensor([2 * self.plane[1], 2 * self.plane[0]])
