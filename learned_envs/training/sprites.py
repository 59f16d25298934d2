"""Training of a codec of figures: to find them, then to draw them as they are from how they were.

Motion gives the finder its first, rough labels. What to draw needs none: a figure's coat, cut out
of one frame, is to be seen in another, bent as it is there, over the ground and under its cover.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_envs.data.window import Window
from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.figures import Figure
from learned_envs.models.codecs.finder import CELL
from learned_envs.models.codecs.sprites import Sprites
from learned_envs.models.configuration import configuration
from learned_envs.training.motion_labels import Labels
from learned_envs.training.rounds import Log, Rounds, Schedule, check_positive
from learned_envs.training.scenes import Scene, crowded, scenes

_SEEN = 0.08  # difference from the ground, of a latent from -1 to 1, at which something is drawn
_UNHIDDEN = 0.2  # share of the drawing steps in which nothing covers: at first all is drawn wrongly


@configuration
class SpritesRecipe(Schedule):
    """How a codec of figures is trained.

    Attributes:
        batch: Scenes of an optimiser step.
        finding: First share of the steps, in which the finder learns; the rest learns after it.
        crowded: Share of the scenes that get a figure of another scene, twice at most.
        apart: Most frames between the moment that is drawn and the one whose coats it is drawn in.
        own: Share of the scenes that are drawn in the coats of the same moment, which tells best
            where a coat ends.
        share: Of a window's frames that are used.
        cover_weight: What it costs to cover, so that what hides nothing is left open.
        stillness: Weight of places where nothing is to be seen but the ground.
    """

    batch: int = 8
    finding: float = 0.4
    crowded: float = 0.6
    apart: int = 6
    own: float = 0.25
    share: float = 0.5
    cover_weight: float = 0.01
    stillness: float = 2.0

    def __post_init__(self):
        Schedule.__post_init__(self)
        check_positive(self, "batch", "apart")
        if not 0 < self.finding < 1:
            raise ValueError(f"`finding` (={self.finding}) must lie between 0 and 1")


def train_sprites(
    codec: Sprites,
    recipe: SpritesRecipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    minutes: float | None = None,
    device: torch.device | str = "cpu",
    log: Log | None = None,
    progress: bool = True,
) -> Sprites | None:
    """Trains a codec of figures, going on from what `folder` holds.

    Args:
        codec: What is trained, in place.
        recipe: How.
        windows: Gives the endless windows of round r, of at least 40 steps; called anew for every
            round.
        folder: Where progress is kept.
        minutes: Stop at the end of a round after so long.
        device: Where to train.
        log: Receives figures every 20 steps.
        progress: Show a progress bar.

    Returns:
        The averaged codec, or None when `minutes` ran out first.

    Raises:
        DivergedError: When the loss or its gradient is no longer finite, or the loss explodes.
        ValueError: If the windows are too short to tell the ground from what moves.
    """
    finding = round(recipe.finding * recipe.steps)
    covering = finding + round(_UNHIDDEN * (recipe.steps - finding))

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        step, random = number * recipe.round_steps, np.random.default_rng((recipe.seed, number))
        size = codec.config.figures.size
        drawn = scenes(windows(number), size, recipe.apart, recipe.own, recipe.share, random)
        while batch := list(islice(drawn, recipe.batch)):
            if step < finding:
                varied = [_varied(scene, batch, recipe.crowded, random) for scene in batch]
                yield finder_loss(codec, varied)
            else:
                yield drawing_loss(codec, batch, recipe, covered=step >= covering)
            step += 1

    rounds = Rounds(codec, recipe, losses, folder, device=device, log=log)
    return rounds.average if rounds.run(minutes, progress=progress) else None


def finder_loss(codec: Sprites, batch: list[Scene]) -> tuple[Tensor, dict[str, Tensor]]:
    """How far the finder is from the labels of a batch, a scalar, and its parts by name."""
    device = next(codec.parameters()).device
    images = to_images(torch.from_numpy(np.stack([scene.now for scene in batch])).to(device))
    cells = codec.finder(images)
    size = tuple(cells.shape[2:])
    target = torch.from_numpy(np.stack([_on_grid(s.labels, size) for s in batch])).to(device)
    present, directed, counted = target[:, 0], target[:, 5], target[:, 6]
    figures = present.sum().clamp(min=1)
    odds = F.binary_cross_entropy_with_logits(cells[:, 0], present, reduction="none")
    found = (odds * counted * (1 + 2 * present)).sum() / figures
    off = (cells[:, 1:3] - target[:, 1:3]).abs().sum(1)
    place = (off * present).sum() / figures
    turned = (cells[:, 3:] - target[:, 3:5]).abs().sum(1) * directed
    facing = turned.sum() / directed.sum().clamp(min=1)
    parts = {"found": found.detach(), "place": place.detach(), "facing": facing.detach()}
    return found + place + facing, parts


def drawing_loss(
    codec: Sprites, batch: list[Scene], recipe: SpritesRecipe, *, covered: bool = True
) -> tuple[Tensor, dict[str, Tensor]]:
    """How far a batch's frames are from being drawn in coats of other moments, and its parts.

    Without `covered`, nothing is taken to cover the figures.
    """
    device = next(codec.parameters()).device
    pictures = np.stack([[scene.now, scene.other, scene.ground] for scene in batch])
    now, other, still = to_images(torch.from_numpy(pictures).to(device)).unbind(1)
    with torch.no_grad():
        rough, alive = codec.finder.find(now, codec.config.count)
        then, same = codec.followed(other, rough)
    code, poses = codec.figures.read(now, rough)
    worn, then = codec.figures.read(other, then)
    seen_now, seen_then = codec.figures.seen(now, poses), codec.figures.seen(other, then)
    coats = codec.figures.coats(torch.where(same[..., None, None, None], seen_then, seen_now))
    worn = torch.where(same[..., None], worn, code)
    figure = Figure(coat=coats, worn=worn, code=code, poses=poses, alive=alive)
    cover = codec.cover(still) if covered else torch.zeros_like(still[:, :1])
    drawn = codec.compose(codec.figures.draw(figure, codec.image_size), still, cover)
    figures = ((now - still).abs().amax(1, keepdim=True) > _SEEN).float()
    figures = F.max_pool2d(figures, 3, 1, 1)
    error = (drawn - now).abs().mean(1, keepdim=True) / 2
    moved = (error * figures).sum() / figures.sum().clamp(min=1)
    stood = (error * (1 - figures)).mean()
    corrected = (poses.centre - rough.centre).pow(2).sum(-1).mean() / 16
    total = moved + recipe.stillness * stood + recipe.cover_weight * cover.mean()
    total = total + 1e-2 * corrected + 1e-3 * code.pow(2).mean()
    parts = {"figures": moved, "ground": stood, "cover": cover.mean()}
    return total, {name: value.detach() for name, value in parts.items()}


def _varied(scene: Scene, others: list[Scene], share: float, random: np.random.Generator) -> Scene:
    """A scene with up to two figures more, turned and mirrored at random."""
    for _ in range(2):
        if random.random() < share:
            scene = crowded(scene, others[random.integers(len(others))], random)
    labels, now, unsure = scene.labels, scene.now, scene.labels.unsure
    centre, facing = labels.centre, labels.facing
    if random.random() < 0.5:
        now, unsure = now[:, ::-1], unsure[:, ::-1]
        centre, facing = (now.shape[1] - 1, 0) + centre * (-1, 1), facing * (-1, 1)
    if now.shape[0] == now.shape[1]:
        for _ in range(random.integers(4)):
            now, unsure = np.rot90(now), np.rot90(unsure)
            centre = (0, now.shape[0] - 1) + centre[:, ::-1] * (1, -1)
            facing = facing[:, ::-1] * (1, -1)
    varied = Labels(
        centre=centre.astype(np.float32), facing=facing.astype(np.float32),
        directed=labels.directed, extent=labels.extent, unsure=unsure,
    )  # fmt: skip
    return Scene(now=now, other=scene.other, ground=scene.ground, labels=varied)


def _on_grid(labels: Labels, size: tuple[int, int]) -> np.ndarray:
    """What a finder should say on a grid (h, w), and where it counts.

    Returns:
        (7, h, w) float32: presence, offset to the right and down, facing, whether that is told, and
        whether presence counts: not where it is unsure, nor right beside a figure's cell.
    """
    height, width = size
    grid = np.zeros((7, height, width), np.float32)
    moved = labels.unsure.reshape(height, CELL, width, CELL).mean((1, 3))
    grid[6] = moved < 0.1
    at = (labels.centre + 0.5) / CELL
    columns = np.clip(at[:, 0].astype(int), 0, width - 1)
    rows = np.clip(at[:, 1].astype(int), 0, height - 1)
    for row, column in zip(rows, columns, strict=True):
        grid[6, max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = 0
    grid[0, rows, columns] = grid[6, rows, columns] = 1
    grid[1, rows, columns] = at[:, 0] - columns - 0.5
    grid[2, rows, columns] = at[:, 1] - rows - 0.5
    grid[3, rows, columns], grid[4, rows, columns] = labels.facing.T
    grid[5, rows, columns] = labels.directed
    return grid
