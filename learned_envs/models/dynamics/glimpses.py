"""Glimpses: close looks at the places where something keeps moving, each computed from its centre.

A network on a coarse grid has to learn what a ball does at a brick once for every place a ball can
have within a grid cell. A glimpse is cut out around the moving thing itself, so that it meets every
such event in the same position and learns it once; and it is one vector before it is written, so
that what it writes is one decision and not one for each cell. (Mnih et al. 2014, "Recurrent Models
of Visual Attention", with the glance directed by motion instead of learned.)

Whether a ball meets a brick in this step or the next may turn on a hundredth of a pixel: a glimpse
is told besides what its `Points` are.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.dynamics.blocks import ResidualBlock, convolution
from learned_envs.models.dynamics.points import Points

_LEVELS = 127.5  # of a latent from -1 to 1: motion is counted in bytes
_SUPPRESSED = 6  # places around a centre: no other centre, and what counts for its points


class Glimpses(nn.Module):
    """Cuts glimpses out of what the editor sees, reads each, and writes what it would change.

    Args:
        count: Glimpses, G.
        side: Height and width of a glimpse in places of the latent, divisible by 4.
        widths: Channels at a half and at a quarter of its resolution, and features of the whole.
        points: Points followed in a glimpse.
        context: Latents seen, K.
        channels: Of a latent, C.
        told: Numbers that the network is told besides.
        choices: Futures to choose from.
    """

    def __init__(
        self,
        *,
        count: int,
        side: int,
        widths: tuple[int, int, int],
        points: int,
        context: int,
        channels: int,
        told: int,
        choices: int,
    ):
        super().__init__()
        (fine, coarse, width), grid = widths, side // 4
        self.count, self.side, self.channels = count, side, channels
        self.fine = nn.Conv2d(context * channels, fine, 4, 2, 1)
        self.told = nn.Linear(told + 2, fine)
        self.coarse = nn.Sequential(convolution(fine, coarse, stride=2), ResidualBlock(coarse))
        self.gather = nn.Linear(coarse * grid**2, width)
        self.points = Points(points, channels, side, width, reach=_SUPPRESSED)
        self.think = _Perceptron(width)
        self.choice = nn.Linear(choices, width, bias=False)
        self.decide = _Perceptron(width)
        self.spread = nn.Linear(width, coarse * grid**2)
        self.expand = nn.Conv2d(coarse, 4 * fine, 1)
        self.write = nn.Conv2d(fine, 4 * (channels + 1), 3, 1, 1)
        with torch.no_grad():  # begin by changing little
            self.write.weight.mul_(0.1)
        ramp = 1 - (torch.arange(side) - (side - 1) / 2).abs() * 2 / (side + 1)
        self.register_buffer("hat", ramp[:, None] * ramp, persistent=False)
        self.hat: Tensor

    def read(self, seen: Tensor, told: Tensor) -> dict[str, Tensor]:
        """Looks at what moves, before a choice is made.

        Args:
            seen: (B, K C, h, w), by how much each latent but the first differs from the one before,
                oldest first, and the newest latent.
            told: (B, T).

        Returns:
            What `edit` needs; `features` (B, G, width) among it.
        """
        size = seen.shape[2:]
        changes = seen[:, : -self.channels].unflatten(1, (-1, self.channels))
        y, x = _centres(changes, self.count)
        index, inside = self._places(y, x, size)
        cut = seen.flatten(2).gather(2, index.expand(-1, seen.shape[1], -1)) * inside
        cut = cut.unflatten(2, (self.count, self.side, self.side)).transpose(1, 2)
        cut = cut.flatten(0, 1)
        where = torch.stack([2 * y / size[0] - 1, 2 * x / size[1] - 1], -1)
        told = torch.cat([told[:, None].expand(-1, self.count, -1), where], -1).flatten(0, 1)
        fine = self.fine(cut) + self.told(told)[:, :, None, None]
        coarse = self.coarse(F.relu(fine))
        gathered = self.gather(F.relu(coarse).flatten(1))
        features = self.think(gathered + self.points(cut, y.flatten(), x.flatten()))
        hat = self.hat.flatten().repeat(self.count) * inside
        total = hat.new_zeros(len(y), 1, size[0] * size[1]).scatter_add(2, index, hat)
        return {
            "fine": fine, "coarse": coarse, "index": index,
            "share": hat / total.gather(2, index).clamp(min=1e-3),
            "features": features.unflatten(0, (-1, self.count)),
        }  # fmt: skip

    def edit(self, glimpses: dict[str, Tensor], choice: Tensor, size: torch.Size) -> Tensor:
        """What a choice (B, n) adds to what is written on the places of a picture: (B, W, h, w).

        Where glimpses overlap, each has a share that falls with the distance from its centre.
        """
        x = self.decide(glimpses["features"] + self.choice(choice)[:, None]).flatten(0, 1)
        coarse = glimpses["coarse"]
        x = coarse + self.spread(F.relu(x)).view_as(coarse)
        x = glimpses["fine"] + F.pixel_shuffle(self.expand(F.relu(x)), 2)
        written = F.pixel_shuffle(self.write(F.relu(x)), 2).float().unflatten(0, (-1, self.count))
        written = written.transpose(1, 2).flatten(2) * glimpses["share"]
        index = glimpses["index"].expand_as(written)
        canvas = written.new_zeros(*written.shape[:2], size[0] * size[1])
        return canvas.scatter_add(2, index, written).unflatten(2, size)

    def _places(self, y: Tensor, x: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
        """For centres (B, G), the flat places (B, 1, G side side) of glimpses and which are inside.

        Places outside of the picture are given as the nearest inside.
        """
        offset = torch.arange(self.side, device=y.device) - self.side // 2
        y, x = y[:, :, None] + offset, x[:, :, None] + offset
        row, column = y.clamp(0, size[0] - 1), x.clamp(0, size[1] - 1)
        inside = (row == y)[..., None] & (column == x)[:, :, None]
        index = row[..., None] * size[1] + column[:, :, None]
        return index.flatten(1)[:, None], inside.flatten(1)[:, None].float()


class _Perceptron(nn.Module):
    """Adds two dense layers of its input to it; begins as the identity."""

    def __init__(self, width: int):
        super().__init__()
        self.first, self.second = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.normal_(self.second.weight, std=0.2 * width**-0.5)
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


@torch.no_grad()
def _centres(changes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Where things kept moving, by changes (B, K - 1, C, h, w): rows and columns (B, count).

    All that moved at least twice counts for more than the largest single change, such as a thing
    that is gone. In whole numbers throughout, so that every runtime finds the same places.
    """
    moved = _smooth((changes.abs().amax(2) * _LEVELS).round())
    score = 9 * moved.sum(1) - 8 * moved.amax(1)
    height, width = score.shape[1:]
    rows = torch.arange(height, device=score.device)[:, None]
    columns = torch.arange(width, device=score.device)
    ys, xs = [], []
    for _ in range(count):
        best = score.flatten(1).argmax(1)
        y, x = best // width, best % width
        far = (
            torch.maximum((rows - y[:, None, None]).abs(), (columns - x[:, None, None]).abs())
            > _SUPPRESSED
        )
        score = score * far
        ys.append(y)
        xs.append(x)
    return torch.stack(ys, 1), torch.stack(xs, 1)


def _smooth(counts: Tensor) -> Tensor:
    """Sums whole numbers (B, C, h, w) over boxes of 5x5 around every place, and those once more."""
    sums = F.pad(counts, (4, 4, 4, 4))
    for dim in (2, 2, 3, 3):
        last = sums.shape[dim] - 4
        two = sums.narrow(dim, 0, last + 3) + sums.narrow(dim, 1, last + 3)
        four = two.narrow(dim, 0, last) + two.narrow(dim, 2, last)
        sums = four + sums.narrow(dim, 4, last)
    return sums
