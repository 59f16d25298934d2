"""Figures over a still ground, under what covers them: a picture taken apart, and put together.

The picture's still parts (a bed, what lies on the water) are kept as they are, pixel by pixel; so
are the figures' coats. Only where the figures are, which way they face and how they are bent is
latent. None of it is told: what moves is a figure, what stands still is ground, and what hides a
figure as it passes covers it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.codec import Codec, Kept
from learned_envs.models.codecs.figures import Figure, Figures, FiguresConfig
from learned_envs.models.codecs.finder import CELL, Finder, FinderConfig
from learned_envs.models.codecs.poses import Poses, apart
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution

_SAME = 14.0  # pixels that a figure may move from one frame to the next
_BESIDE = 5  # pixels around a figure that are not taken for ground


@configuration
class SpritesConfig:
    """Sizes of `Sprites`.

    Attributes:
        count: Most figures in a picture, N.
        finder: The network that finds them.
        figures: The networks that read and draw them.
        shade: Pixels across the kernel, at half of the resolution, by which they darken the ground.
        cover: Channels of the network that says what covers them.
        context: Frames of a history in which the ground is looked for.
    """

    count: int = 12
    finder: FinderConfig = FinderConfig()
    figures: FiguresConfig = FiguresConfig()
    shade: int = 11
    cover: int = 24
    context: int = 8

    def __post_init__(self):
        if self.context < 1:
            raise ValueError(f"`context` (={self.context}) must be at least 1")

    def build(self, image_size: tuple[int, int]) -> "Sprites":
        """Builds the codec for images (H, W)."""
        return Sprites(self, image_size)


class Sprites(Codec):
    """See the module's docstring.

    A latent is one plane of an eighth of the picture's resolution; in reading order it begins with
    the `count` figures, each as 1 if there is one, its centre's x and y (-1 and 1 at the picture's
    edges), the direction it faces as x and y, and the code of its shape. Kept are `still` (3, H, W)
    in [-1, 1], the picture without figures, `cover` (1, H, W) in [0, 1], `coats` and `worn`; see
    `Figure`.
    """

    def __init__(self, config: SpritesConfig, image_size: tuple[int, int]):
        super().__init__()
        height, width = image_size
        if height % CELL or width % CELL:
            raise ValueError(f"images of {height}x{width} must be divisible by {CELL}")
        self.config, self.image_size = config, image_size
        self.latent_shape, self.lattice = (1, height // CELL, width // CELL), None
        self.context = config.context
        code, size = config.figures.code, config.figures.coat_size
        if config.count * (5 + code) > self.latent_shape[1] * self.latent_shape[2]:
            raise ValueError(
                f"`count` (={config.count}) figures of {5 + code} numbers do not fit in a latent "
                f"of {self.latent_shape[1]}x{self.latent_shape[2]}: give larger images"
            )
        self.kept_spec = {
            "still": (3, height, width),
            "cover": (1, height, width),
            "coats": (config.count, 4, *size),
            "worn": (config.count, code),
        }
        self.finder = Finder(config.finder)
        self.figures = Figures(config.figures)
        self.shade = nn.Conv2d(1, 1, config.shade, padding=config.shade // 2, bias=False)
        nn.init.constant_(self.shade.weight, 1e-3)
        last = convolution(config.cover, 4)
        with torch.no_grad():  # begin by covering little
            last.weight.mul_(0.1)
            assert last.bias is not None
            last.bias.fill_(-3.0)
        self.covering = nn.Sequential(
            nn.PixelUnshuffle(2), convolution(12, config.cover), nn.ReLU(),
            convolution(config.cover, config.cover), nn.ReLU(), last, nn.PixelShuffle(2),
        )  # fmt: skip

    def begin(self, images: Tensor) -> tuple[Tensor, Kept]:
        """See `Codec.begin`; figures are those of the newest image, followed back to the oldest."""
        rough, alive = self.finder.find(images[:, -1], self.config.count)
        code, poses = self.figures.read(images[:, -1], rough)
        coats = self.figures.coats(self.figures.seen(images[:, -1], poses))
        newest = Figure(coat=coats, worn=code, code=code, poses=poses, alive=alive)
        seen = [newest]
        for t in reversed(range(images.shape[1] - 1)):
            near, _ = self.followed(images[:, t], seen[-1].poses)
            code, poses = self.figures.read(images[:, t], near)
            seen.append(Figure(coat=coats, worn=newest.code, code=code, poses=poses, alive=alive))
        seen.reverse()
        still = _ground(images, torch.stack([self._around(figure) for figure in seen], 1))
        kept = {"still": still, "cover": self.cover(still), "coats": coats, "worn": newest.code}
        return torch.stack([self.latent_of(figure) for figure in seen], 1), kept

    def decode(self, latents: Tensor, kept: Kept) -> Tensor:
        """See `Codec.decode`."""
        layer = self.figures.draw(self.figure_of(latents, kept), self.image_size)
        return self.compose(layer, kept["still"], kept["cover"])

    def cover(self, still: Tensor) -> Tensor:
        """How much of a figure below it each place of still pictures (B, 3, H, W) would hide.

        Returns:
            (B, 1, H, W), 0 to 1.
        """
        return self.covering(still.contiguous(memory_format=torch.channels_last)).float().sigmoid()

    def compose(self, layer: Tensor, still: Tensor, cover: Tensor) -> Tensor:
        """Lays figures (B, 4, H, W), as `Figures.draw` gives them, between ground and cover."""
        ground = (still + 1) / 2 * (1 - self._shadow(layer))
        below = ground * (1 - layer[:, 3:].clamp(max=1)) + layer[:, :3]
        return still + (1 - cover) * (2 * below - 1 - still)

    def figure_of(self, latents: Tensor, kept: Kept) -> Figure:
        """The figures that latents (B, 1, h, w) speak of, in the coats that are kept."""
        count, code = self.config.count, self.config.figures.code
        table = latents.flatten(1)[:, : count * (5 + code)].unflatten(1, (count, 5 + code))
        poses = Poses(
            centre=(table[..., 1:3] + 1) / 2 * self._extent(table) - 0.5,
            facing=F.normalize(table[..., 3:5], dim=-1),
        )
        return Figure(
            coat=kept["coats"], worn=kept["worn"], code=table[..., 5:], poses=poses,
            alive=table[..., 0] > 0.5,
        )  # fmt: skip

    def latent_of(self, figure: Figure) -> Tensor:
        """Writes figures down as latents (B, 1, h, w)."""
        alive = figure.alive[..., None].float()
        centre = (figure.poses.centre + 0.5) / self._extent(alive) * 2 - 1
        table = torch.cat([alive, centre, figure.poses.facing, figure.code], -1).flatten(1)
        _, height, width = self.latent_shape
        return F.pad(table, (0, height * width - table.shape[1])).view(-1, 1, height, width)

    def _extent(self, like: Tensor) -> Tensor:
        return like.new_tensor([self.image_size[1], self.image_size[0]])

    def followed(self, images: Tensor, poses: Poses) -> tuple[Poses, Tensor]:
        """Where figures at poses (B, N) are in another moment's images (B, 3, H, W).

        Returns:
            For each the nearest that is found there, or where it was if none is near, and which are
            found, (B, N) bool.
        """
        found, there = self.finder.find(images, self.config.count)
        distance = apart(poses.centre, found.centre)
        nearest, index = distance.masked_fill(~there[:, None], torch.inf).min(2)
        same = nearest < _SAME
        index = index[..., None].expand(-1, -1, 2)
        followed = Poses(
            centre=torch.where(same[..., None], found.centre.gather(1, index), poses.centre),
            facing=torch.where(same[..., None], found.facing.gather(1, index), poses.facing),
        )
        return followed, same

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
