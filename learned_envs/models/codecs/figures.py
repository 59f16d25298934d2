"""Figures: things that swim, walk or fly over a still ground and change their shape as they do.

A figure's *coat* is its picture as it was first seen, cut out along its body and carried along
unchanged, so that its pattern can neither fade nor turn into another's. What changes is its pose,
and a short *code* of its shape: from the codes then and now a small network says how the coat is
bent. Nothing but pictures of the same figure at two moments is needed to learn it (compare
Siarohin et al. 2019, "First Order Motion Model", arXiv:2003.00196).
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.poses import Poses, crop
from learned_envs.models.configuration import configuration

_SHIFT, _TURN = 4.0, 0.5  # pixels and radians that a unit of the reader's correction stands for
_BEND = 0.1  # half sizes of a figure that a unit of bending stands for


@configuration
class FiguresConfig:
    """Sizes of `Figures`.

    Attributes:
        size: Pixels across and along in which a figure fits, whichever way it bends, each divisible
            by 16.
        texels: Texels of a coat for a pixel of the picture.
        code: Numbers that tell a figure's shape.
        bends: Points across and along at which the network says how a coat is bent.
        widths: Channels of the network that reads a figure, finest first.
        hidden: Width of the network that bends a coat.
        matte: Channels of the network that cuts a coat out, finest first.
    """

    size: tuple[int, int] = (48, 64)
    texels: float = 1.5
    code: int = 8
    bends: tuple[int, int] = (10, 16)
    widths: tuple[int, int, int, int] = (24, 48, 64, 64)
    hidden: int = 128
    matte: tuple[int, int] = (24, 40)

    def __post_init__(self):
        if any(side % 16 for side in self.size) or any(side % 4 for side in self.coat_size):
            raise ValueError(
                f"`size` (={self.size}) must be divisible by 16, and by 4 times `texels` "
                f"(={self.texels}): figures are read and cut out by networks that halve it"
            )

    @property
    def coat_size(self) -> tuple[int, int]:
        """Texels of a coat, across and along."""
        across, along = (round(side * self.texels) for side in self.size)
        return across, along


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """N figures in each of B pictures.

    Attributes:
        coat: (B, N, 4, h, w), colours in [0, 1] times cover, and cover.
        worn: (B, N, P), the codes of the shapes in which the coats were seen.
        code: (B, N, P), the codes of the shapes they have now.
        poses: (B, N).
        alive: (B, N) bool; others are not there.
    """

    coat: Tensor
    worn: Tensor
    code: Tensor
    poses: Poses
    alive: Tensor


class Figures(nn.Module):
    """Reads shapes, cuts out coats and draws them bent. See the module's docstring."""

    def __init__(self, config: FiguresConfig):
        super().__init__()
        self.config = config
        across, along = config.size
        (a, b, c, d), (fine, coarse) = config.widths, config.matte
        self.reader = _scaled(
            nn.Sequential(
                nn.Conv2d(3, a, 5, 2, 2), nn.ReLU(),
                nn.Conv2d(a, b, 3, 2, 1), nn.ReLU(),
                nn.Conv2d(b, c, 3, 2, 1), nn.ReLU(),
                nn.Conv2d(c, d, 3, 2, 1), nn.ReLU(), nn.Flatten(),
                nn.Linear(d * (across // 16) * (along // 16), 192), nn.ReLU(),
                nn.Linear(192, config.code + 3),
            ), 0.2,
        )  # fmt: skip
        self.bender = _scaled(
            nn.Sequential(
                nn.Linear(config.code, config.hidden), nn.ReLU(),
                nn.Linear(config.hidden, config.hidden), nn.ReLU(),
                nn.Linear(config.hidden, 2 * config.bends[0] * config.bends[1]),
            ), 0.03,
        )  # fmt: skip
        self.matte_fine = nn.Conv2d(5, fine, 4, 2, 1)
        self.matte_coarse = nn.Conv2d(fine, coarse, 4, 2, 1)
        self.matte_body = nn.Conv2d(coarse, coarse, 3, 1, 1)
        self.matte_up = nn.Conv2d(coarse, 4 * fine, 3, 1, 1)
        self.matte_out = _scaled(nn.Conv2d(fine, 4, 3, 1, 1), 0.1)
        height, width = config.coat_size
        aside = (torch.arange(height) + 0.5) / height * 2 - 1
        ahead = (torch.arange(width) + 0.5) / width * 2 - 1
        place = torch.stack(torch.meshgrid(ahead, aside, indexing="xy"))
        body = 3 - 6 * ((place[0] / 0.75) ** 2 + (place[1] / 0.4) ** 2)
        self.register_buffer("place", place, persistent=False)
        self.register_buffer("body", body.clamp(min=-4), persistent=False)
        self.place: Tensor
        self.body: Tensor

    def read(self, images: Tensor, poses: Poses) -> tuple[Tensor, Poses]:
        """Reads figures at rough poses (B, N) of images (B, 3, H, W) in [-1, 1].

        Returns:
            The codes (B, N, P) of their shapes, in [-1, 1], and their poses, corrected.
        """
        cut = crop(images, poses, self.config.size)
        read = self.reader(cut.flatten(0, 1)).float().unflatten(0, cut.shape[:2])
        code, (ahead, aside, turn) = read[..., :-3].tanh(), read[..., -3:].unbind(-1)
        return code, poses.moved(_SHIFT * ahead, _SHIFT * aside, _TURN * turn)

    def seen(self, images: Tensor, poses: Poses) -> Tensor:
        """What is at poses (B, N) of images (B, 3, H, W), at a coat's size: (B, N, 3, h, w)."""
        return crop(images, poses, self.config.coat_size, self.config.texels, "bicubic")

    def coats(self, seen: Tensor) -> Tensor:
        """Cuts coats (B, N, 4, h, w) out of what is `seen`, in [-1, 1]; see `Figure`."""
        cut = seen.flatten(0, 1)
        told = torch.cat([cut, self.place.expand(len(cut), -1, -1, -1)], 1)
        fine = F.relu(self.matte_fine(told))
        coarse = F.relu(self.matte_coarse(fine))
        coarse = coarse + F.relu(self.matte_body(coarse))
        fine = fine + F.relu(F.pixel_shuffle(self.matte_up(coarse), 2))
        cover = (F.pixel_shuffle(self.matte_out(fine), 2)[:, 0].float() + self.body).sigmoid()
        cover = cover.unflatten(0, seen.shape[:2])[:, :, None]
        return torch.cat([(seen + 1) / 2 * cover, cover], 2)

    def draw(self, figure: Figure, size: tuple[int, int]) -> Tensor:
        """Draws figures on an empty layer: (B, 4, H, W), colours times cover, and cover.

        Covers of figures that lie over each other add up.
        """
        (height, width), (rows, count) = size, figure.alive.shape
        bend = _BEND * (self.bender(figure.code) - self.bender(figure.worn)).float()
        bend = bend.unflatten(-1, (2, *self.config.bends)).flatten(0, 1)
        box = round(sum(side**2 for side in self.config.size) ** 0.5)
        corner = (figure.poses.centre.detach() - box / 2).round()
        pixel = torch.arange(box, device=corner.device)
        x, y = corner[..., :1] + pixel, corner[..., 1:] + pixel  # (B, N, box)
        right, down = x - figure.poses.centre[..., :1], y - figure.poses.centre[..., 1:]
        right, down = right[:, :, None], down[..., None]
        fx, fy = figure.poses.facing[:, :, None, None].unbind(-1)
        ahead, aside = right * fx + down * fy, down * fx - right * fy  # as `Poses.seen` has them
        across, along = self.config.size
        grid = torch.stack([ahead / (along / 2), aside / (across / 2)], -1).flatten(0, 1)
        bent = F.grid_sample(bend, grid, align_corners=False, padding_mode="border")
        coat = figure.coat.flatten(0, 1)
        drawn = F.grid_sample(coat, grid + bent.movedim(1, -1), align_corners=False)
        inside = ((x >= 0) & (x < width))[:, :, None] & ((y >= 0) & (y < height))[..., None]
        inside = inside & figure.alive[..., None, None]
        place = y.clamp(0, height - 1)[..., None] * width + x.clamp(0, width - 1)[:, :, None]
        drawn = drawn.unflatten(0, (rows, count)) * inside[:, :, None]
        layer = drawn.new_zeros(rows, 4, height * width)
        index = place.long().flatten(1)[:, None].expand(-1, 4, -1)
        return layer.scatter_add(2, index, drawn.transpose(1, 2).flatten(2)).unflatten(2, size)


def _scaled(layers: nn.Module, last: float) -> nn.Module:
    """Initial weights that keep the size of activations, `last` times that in the last layer."""
    weighted = [m for m in layers.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    for layer in weighted:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        assert layer.bias is not None
        nn.init.zeros_(layer.bias)
    with torch.no_grad():
        weighted[-1].weight.mul_(last)
    return layers
