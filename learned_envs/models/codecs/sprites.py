"""Figures over a still ground, under what covers them: a picture taken apart, and put together.

The picture's still parts (a bed, what lies on the water) are kept as they are, pixel by pixel; so
are the figures' coats. Only where the figures are, which way they face, how they are bent and how
the surface above them moves is latent. None of it is told: what moves is a figure, what stands
still is ground, and what hides a figure as it passes covers it.
"""

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.codec import Codec, Kept
from learned_envs.models.codecs.figures import Figure, Figures, FiguresConfig
from learned_envs.models.codecs.finder import CELL, Finder, FinderConfig
from learned_envs.models.codecs.poses import Poses, apart
from learned_envs.models.codecs.surface import Surface
from learned_envs.models.codecs.table import FigureTable
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution

REACH = 14.0
"""Pixels that a figure may move from one frame to the next."""

_SHADES = 4  # rank of the kernel by which figures darken the ground
_BESIDE = 8  # pixels around a figure that are not taken for ground


@configuration
class SpritesConfig:
    """Sizes of `Sprites`.

    Attributes:
        count: Most figures in a picture, N.
        finder: The network that finds them.
        figures: The networks that read and draw them.
        shade: Pixels across the kernel, at half of the resolution, by which they darken the ground.
        cover: Channels of the network that says what covers them.
        tints: Width of the network that says how the surface looks.
        ages: How many steps ago the frames were, oldest first, that a dream had best begin with:
            the last two tell how figures move, all of them what is behind them.
    """

    count: int = 12
    finder: FinderConfig = FinderConfig()
    figures: FiguresConfig = FiguresConfig()
    shade: int = 11
    cover: int = 24
    tints: int = 12
    ages: tuple[int, ...] = (120, 60, 1, 0)

    def __post_init__(self):
        if not self.ages or self.ages[-1] or list(self.ages) != sorted(set(self.ages))[::-1]:
            raise ValueError(f"`ages` (={self.ages}) must fall to 0: the oldest comes first")

    def build(self, image_size: tuple[int, int]) -> "Sprites":
        """Builds the codec for images (H, W)."""
        return Sprites(self, image_size)


class Sprites(Codec):
    """See the module's docstring.

    A latent has three planes of half of the picture's resolution: the heights of the surface, the
    heights a moment before, and a table of the figures; see `FigureTable`. What is begun with is
    taken to have a flat surface. Kept are `still` (3, H, W) in [-1, 1], the picture without
    figures, `cover` (1, H, W) in [0, 1], `coats` and `worn`; see `Figure`.
    """

    def __init__(self, config: SpritesConfig, image_size: tuple[int, int]):
        super().__init__()
        height, width = image_size
        if height % CELL or width % CELL:
            raise ValueError(f"images of {height}x{width} must be divisible by {CELL}")
        self.config, self.image_size = config, image_size
        self.table = FigureTable(config.count, config.figures.code, (height // 2, width // 2))
        self.latent_shape, self.lattice = (3, *self.table.plane), None
        self.ages = config.ages
        code, size = config.figures.code, config.figures.coat_size
        self.kept_spec = {
            "still": (3, height, width),
            "cover": (1, height, width),
            "coats": (config.count, 4, *size),
            "worn": (config.count, code),
        }
        self.finder = Finder(config.finder)
        self.figures = Figures(config.figures)
        across, half = config.shade, config.shade // 2
        factors = (  # few channels of few weights: fast where one of many is slow
            nn.Conv2d(1, _SHADES, (across, 1), padding=(half, 0), bias=False),
            nn.Conv2d(_SHADES, 1, (1, across), padding=(0, half), bias=False),
        )
        for factor in factors:
            nn.init.uniform_(factor.weight, 0, 0.04)
        self.shade = nn.Sequential(*factors)
        last = convolution(config.cover, 4)
        with torch.no_grad():  # begin by covering little
            last.weight.mul_(0.1)
            assert last.bias is not None
            last.bias.fill_(-3.0)
        self.surface = Surface(config.tints)
        self.covering = nn.Sequential(
            nn.PixelUnshuffle(2), convolution(12, config.cover), nn.ReLU(),
            convolution(config.cover, config.cover), nn.ReLU(), last, nn.PixelShuffle(2),
        )  # fmt: skip

    def begin(self, images: Tensor) -> tuple[Tensor, Kept]:
        """See `Codec.begin`; figures are those of the newest image, followed back to the oldest.

        A figure that is not found near where it was later is taken to have been there. The ground
        is looked for in every image, however far apart they are.
        """
        newest = self.figures_in(images[:, -1])
        seen, hidden = [newest], [self._around(newest)]
        for t in reversed(range(images.shape[1] - 1)):
            there, later = self.figures_in(images[:, t]), seen[-1]
            hidden.append(self._around(there))
            same = _Same.nearest(later.poses, there.poses, there.alive)
            code, poses = same.rows(there.code, later.code), same.poses(there.poses, later.poses)
            seen.append(dataclasses.replace(newest, code=code, poses=poses))
        still = _ground(images, torch.stack(hidden[::-1], 1))
        kept = {
            "still": still, "cover": self.cover(still), "coats": newest.coat, "worn": newest.worn,
        }  # fmt: skip
        return torch.stack([self.latent_of(figure) for figure in seen[::-1]], 1), kept

    def decode(self, latents: Tensor, kept: Kept) -> Tensor:
        """See `Codec.decode`."""
        layer = self.figures.draw(self.figure_of(latents, kept), self.image_size)
        return self.compose(layer, kept["still"], kept["cover"], latents[:, :1])

    def obscured(self, images: Tensor) -> Tensor:
        """The share of the most hidden figure that others, the cover and the picture's edge hide.

        1 where an older image shows more figures than the newest.
        """
        latents, kept = self.begin(images)
        figure = self.figure_of(latents[:, -1], kept)
        body = self.figures.body.sigmoid()
        whole = dataclasses.replace(figure, coat=body.expand_as(figure.coat), worn=figure.code)
        bodies = self.figures.draw(whole, self.image_size)[:, 3:]
        margin = max(self.config.figures.size)
        poses = Poses(centre=figure.poses.centre + margin, facing=figure.poses.facing)
        open_, crowd = (
            self.figures.seen(F.pad(layer, (margin,) * 4), poses)[:, :, 0]
            for layer in (1 - kept["cover"], bodies)
        )
        shown = open_ * (1 - (crowd - body).clamp(0, 1)) * body
        hidden = (1 - shown.sum((2, 3)) / body.sum()) * figure.alive
        found = self.finder.find(images.flatten(0, 1), self.config.count)[1].sum(1)
        fewer = figure.alive.sum(1) < found.unflatten(0, images.shape[:2]).amax(1)
        return torch.maximum(hidden.amax(1).clamp(0, 1), fewer.float())

    def cover(self, still: Tensor) -> Tensor:
        """How much of a figure below it each place of still pictures (B, 3, H, W) would hide.

        Returns:
            (B, 1, H, W), 0 to 1.
        """
        return self.covering(still.contiguous(memory_format=torch.channels_last)).float().sigmoid()

    def compose(
        self, layer: Tensor, still: Tensor, cover: Tensor, height: Tensor | None = None
    ) -> Tensor:
        """Lays figures between ground and cover, and looks at them through the surface.

        Args:
            layer: (B, 4, H, W), figures as `Figures.draw` gives them.
            still: (B, 3, H, W) in [-1, 1].
            cover: (B, 1, H, W).
            height: (B, 1, H / 2, W / 2), of the surface, or None for a flat one.
        """
        ground = (still + 1) / 2 * (1 - self._shadow(layer))
        below = ground * (1 - layer[:, 3:].clamp(max=1)) + layer[:, :3]
        if height is not None:
            below = self.surface(below, height)
        return still + (1 - cover) * (2 * below - 1 - still)

    def figure_of(self, latents: Tensor, kept: Kept) -> Figure:
        """The figures that latents (B, 3, h, w) speak of, in the coats that are kept."""
        alive, poses, code = self.table.read(latents)
        return Figure(coat=kept["coats"], worn=kept["worn"], code=code, poses=poses, alive=alive)

    def latent_of(self, figure: Figure) -> Tensor:
        """Writes figures down as latents (B, 3, h, w), under a flat surface."""
        plane = self.table.written(figure.alive, figure.poses, figure.code)
        return torch.cat([torch.zeros_like(plane).expand(-1, 2, -1, -1), plane], 1)

    def figures_in(self, images: Tensor) -> Figure:
        """The figures in images (B, 3, H, W), as they are seen there."""
        rough, alive = self.finder.find(images, self.config.count)
        code, poses = self.figures.read(images, rough)
        coats = self.figures.coats(self.figures.seen(images, poses))
        return Figure(coat=coats, worn=code, code=code, poses=poses, alive=alive)

    def hidden(self, images: Tensor) -> Tensor:
        """Where figures or their shadows may be seen in images (B, 3, H, W): (B, 1, H, W) bool."""
        return self._around(self.figures_in(images))

    def followed(self, images: Tensor, poses: Poses) -> tuple[Poses, Tensor]:
        """Where figures at poses (B, N) are in another moment's images (B, 3, H, W).

        Returns:
            For each the nearest that is found there, or where it was if none is near, and which are
            found, (B, N) bool.
        """
        found, there = self.finder.find(images, self.config.count)
        same = _Same.nearest(poses, found, there)
        return same.poses(found, poses), same.near

    def _shadow(self, layer: Tensor) -> Tensor:
        """By how much figures (B, 4, H, W) darken the ground, (B, 1, H, W)."""
        dark = self.shade(F.avg_pool2d(layer[:, 3:], 2))
        size = layer.shape[2:]
        return F.interpolate(dark, size, mode="bilinear", align_corners=False).clamp(0.0, 0.9)

    def _around(self, figure: Figure) -> Tensor:
        """Where figures or their shadows may be seen, (B, 1, H, W) bool."""
        layer = self.figures.draw(figure, self.image_size)
        touched = ((layer[:, 3:] > 0.1) | (self._shadow(layer) > 0.03)).float()
        return F.max_pool2d(touched, 2 * _BESIDE + 1, 1, _BESIDE) > 0


class _Same(NamedTuple):
    """Which figure (B, N) of another moment is the same, and if there is one, bool."""

    index: Tensor
    near: Tensor

    @classmethod
    def nearest(cls, poses: Poses, found: Poses, there: Tensor) -> "_Same":
        """Of figures at `poses` (B, N), the same in those `found` (B, M), if they are `there`."""
        distance = apart(poses.centre, found.centre)
        nearest, index = distance.masked_fill(~there[:, None], torch.inf).min(2)
        return cls(index=index, near=nearest < REACH)

    def rows(self, found: Tensor, otherwise: Tensor) -> Tensor:
        """What is `found` (B, M, n) of the same, `otherwise` (B, N, n) where there is none."""
        rows = found.gather(1, self.index[..., None].expand(-1, -1, found.shape[2]))
        return torch.where(self.near[..., None], rows, otherwise)

    def poses(self, found: Poses, otherwise: Poses) -> Poses:
        """As `rows`."""
        return Poses(
            centre=self.rows(found.centre, otherwise.centre),
            facing=self.rows(found.facing, otherwise.facing),
        )


def _ground(images: Tensor, hidden: Tensor) -> Tensor:
    """The still picture (B, 3, H, W) behind images (B, k, 3, H, W) where it is not `hidden`.

    Where no image shows it, it is filled in from around, the coarser the farther.
    """
    known = (~hidden).float()
    weight = known.sum(1)
    colour = (images * known).sum(1)
    levels = [(colour, weight)]
    while min(levels[-1][1].shape[2:]) > 1:
        colour, weight = levels[-1]
        levels.append(
            (F.avg_pool2d(colour, 2, ceil_mode=True), F.avg_pool2d(weight, 2, ceil_mode=True))
        )
    filled = levels[-1][0] / levels[-1][1].clamp(min=1e-6)
    for colour, weight in reversed(levels[:-1]):
        around = F.interpolate(filled, weight.shape[2:], mode="bilinear", align_corners=False)
        share = weight.clamp(max=1)
        filled = around + share * (colour / weight.clamp(min=1e-6) - around)
    return filled
