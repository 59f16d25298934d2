"""Training of figures' motion: through long stretches, in the footsteps of its own draws.

A figure that goes on from its own moves is soon elsewhere than it really was. As long as it is not
too far away, what it should do is what it really did, and a little of the way back. Its shape
swings to and fro, and one that is half a swing behind should not do what was really done: shapes
are put back often.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from learned_envs.data.window import Window
from learned_envs.disk import replace_file
from learned_envs.models.codecs.poses import Poses
from learned_envs.models.codecs.sprites import Sprites
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.figure_motion import FigureMotion, Shoal
from learned_envs.models.dynamics.sprite_dynamics import SpriteDynamics
from learned_envs.models.world_model import WorldModel
from learned_envs.training.places import PlacesRecipe
from learned_envs.training.ripples import RipplesRecipe
from learned_envs.training.rounds import Log, Rounds, Schedule, check_positive
from learned_envs.training.sprites import SpritesRecipe
from learned_envs.training.tracks import Tracks, joined, read_tracks

_SHIFTED, _TURNED = 0.5, 0.04  # pixels and radians by which true poses are disturbed
_ALIKE = 0.6  # cosine of the angle between two directions
_HURRIED = 0.1  # usual moves by which true moves are
_STRANGEST = 12.0, 5.0  # usual moves and changes of shape: what is more was read wrongly


@configuration
class MotionRecipe(Schedule):
    """How a world of figures is trained: its codec, its surface, and how the figures move.

    Attributes:
        batch: Takes that play at once.
        window: Steps of a take.
        episode_steps: Steps after which an episode is over.
        behaviours: As in `Recipe`.
        ponds: Stretches of an optimiser step.
        span: Steps of a stretch.
        settling: Its first steps, from which nothing is learned: there is no memory yet.
        own: Probability that a figure goes on from its own move at each step.
        own_shape: Probability that its shape does, too.
        astray: Pixels from the truth from which on it is put back; it is, too, where it faces
            another way.
        homing: Share of the way back to the truth in what it should do.
        touched: Share of the stretches that are chosen because something is touched in them early.
        windows: Windows of which tracks are kept, one more with every round.
        codec: How the codec is trained before.
        ripples: How the surface is.
        places: How the reward is, where it is one by place.
    """

    batch: int = 6
    window: int = 240
    episode_steps: int = 240
    behaviours: tuple[tuple[str, float], ...] = ()
    ponds: int = 24
    span: int = 40
    settling: int = 4
    own: float = 0.97
    own_shape: float = 0.6
    astray: float = 24.0
    homing: float = 0.12
    touched: float = 0.5
    windows: int = 12
    codec: SpritesRecipe = SpritesRecipe()
    ripples: RipplesRecipe = RipplesRecipe()
    places: PlacesRecipe = PlacesRecipe()

    def __post_init__(self):
        Schedule.__post_init__(self)
        check_positive(self, "batch", "window", "episode_steps", "ponds", "windows")
        if not 0 <= self.settling < self.span - 1 < self.window:
            raise ValueError(
                f"`settling` (={self.settling}) must be less than `span` (={self.span}) - 1, and "
                f"that less than `window` (={self.window})"
            )


def motion_trainer(
    model: WorldModel,
    recipe: MotionRecipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    log: Log | None = None,
    round_end: Callable[[int, WorldModel], None] | None = None,
) -> Rounds[WorldModel]:
    """Prepares the training of how figures move.

    Args:
        model: Of `Sprites` and `SpriteDynamics`, its codec trained; only its motion is trained.
        recipe: How.
        windows: Gives the endless windows of round r.
        folder: Where progress is kept, and the tracks that were read.
        device: Where to train.
        log: Receives figures every 20 steps.
        round_end: Called after each round with the step and the averaged model.

    Raises:
        ValueError: If no take lasts through a whole window, or no figure is found in it.
    """
    codec, dynamics = model.codec, model.dynamics
    assert isinstance(codec, Sprites) and isinstance(dynamics, SpriteDynamics)
    model.requires_grad_(False)
    dynamics.motion.requires_grad_(True)
    dynamics.motion.usual.copy_(_usual(_tracks(codec, windows, folder, 0)))

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        pool = joined(
            [_tracks(codec, windows, folder, i) for i in range(min(number + 1, recipe.windows))]
        )
        touches = dynamics.touch(pool.action.flatten(0, 1))[:, 2].unflatten(
            0, pool.action.shape[:2]
        )
        random = np.random.default_rng((recipe.seed, number))
        while True:
            row, start = stretches((touches > 0).numpy(), recipe, random)
            yield motion_loss(dynamics, pool.part(row, start, recipe.span), recipe)

    return Rounds(model, recipe, losses, folder, device=device, log=log, round_end=round_end)


def motion_loss(
    dynamics: SpriteDynamics, tracks: Tracks, recipe: MotionRecipe
) -> tuple[Tensor, dict[str, Tensor]]:
    """The negative log-likelihood of what figures did, a number a figure and step, and its parts.

    All but its first two frames and `settling` steps count. `place` and `shape` are how far what
    they did is from what was expected, in usual moves.
    """
    device = dynamics.motion.usual.device
    tracks = Tracks(**{name: value.to(device) for name, value in tracks.tensors().items()})
    motion, steps, strangest = dynamics.motion, tracks.action.shape[1], dynamics.config.strangest
    moved = _moves(tracks)
    now = _true(tracks, moved, 1)
    most = torch.full_like(motion.usual, _STRANGEST[1])
    most[:3] = _STRANGEST[0]
    memory = torch.zeros(*tracks.there[:, 0].shape, motion.cell.hidden_size, device=device)
    total, off, counted = torch.zeros((), device=device), torch.zeros(2, device=device), 0.0
    for t in range(1, steps):
        both = tracks.there[:, t - 1] & tracks.there[:, t]
        true = _true(tracks, moved, t)
        if t > 1:
            away = (now.poses.centre - true.poses.centre).norm(dim=-1)
            turned = (now.poses.facing * true.poses.facing).sum(-1) < _ALIKE
            back = (torch.rand_like(away) > recipe.own) | (away > recipe.astray) | turned | ~both
            again = back | (torch.rand_like(away) > recipe.own_shape)
            now = _put_back(now, _disturbed(true, motion), back, again)
        now = now._replace(alive=tracks.there[:, t])
        mean, spread, memory = motion(
            now, dynamics.touch(tracks.action[:, t]), memory * both[..., None]
        )
        after = _true(tracks, moved, t + 1)
        home = torch.cat([now.poses.moves(after.poses), after.code - now.code], -1)
        should = (1 - recipe.homing) * after.move + recipe.homing * home
        should = (should / motion.usual).clamp(-most - 1, most + 1)
        sure = both & tracks.there[:, t + 1] & ((after.move / motion.usual).abs() < most).all(-1)
        if t > recipe.settling:
            error = (((should - mean) / spread.exp()) ** 2 / 2 + spread).sum(-1)
            total = total + (error * sure).sum()
            apart = ((should - mean) ** 2 * sure[..., None]).detach()
            off = off + torch.stack(
                [part.mean(-1).sum() for part in apart.tensor_split([3], dim=-1)]
            )
            counted = counted + sure.sum()
        with torch.no_grad():
            strange = torch.randn_like(mean).clamp(-strangest, strangest)
            now = motion.moved(now, mean + spread.exp() * strange)
    counted = torch.as_tensor(counted).clamp(min=1)
    place, shape = (off / counted).sqrt()
    parts = {"likelihood": total.detach() / counted, "place": place, "shape": shape}
    return total / counted, parts


def _tracks(
    codec: Sprites, windows: Callable[[int], Iterator[Window]], folder: Path, number: int
) -> Tracks:
    """The tracks of the first window of round `number`, read once and kept in `folder`."""
    path = folder / "tracks" / f"{number:03d}.safetensors"
    if path.exists():
        return Tracks(**load_file(path))
    read = read_tracks(codec, next(windows(number)))
    if read is None:
        raise ValueError(
            "no take lasts through a whole window: give shorter windows or longer episodes"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, save(read.tensors()))
    return read


def stretches(
    touched: np.ndarray, recipe: MotionRecipe, random: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Takes and first steps of a batch of stretches, drawn where takes (B, T) are `touched`.

    In the first half of a stretch that was chosen for it something is touched, but not at once.
    """
    last = touched.shape[1] - recipe.span
    row = random.integers(len(touched), size=recipe.ponds)
    start = random.integers(last + 1, size=recipe.ponds)
    where, when = np.nonzero(touched)
    if len(where):
        chosen = random.integers(len(where), size=recipe.ponds)
        before = random.integers(recipe.settling + 1, max(recipe.span // 2, recipe.settling + 2))
        for_touch = random.random(recipe.ponds) < recipe.touched
        row = np.where(for_touch, where[chosen], row)
        start = np.where(for_touch, np.clip(when[chosen] - before, 0, last), start)
    return torch.from_numpy(row), torch.from_numpy(start)


def _moves(tracks: Tracks) -> Tensor:
    """How figures moved to every frame but the first: (B, T, N, 3 + P)."""
    poses = Poses(centre=tracks.centre, facing=tracks.facing)
    before, after = (
        Poses(centre=poses.centre[:, part], facing=poses.facing[:, part])
        for part in (slice(None, -1), slice(1, None))
    )
    return torch.cat([before.moves(after), tracks.code[:, 1:] - tracks.code[:, :-1]], -1)


def _usual(tracks: Tracks) -> Tensor:
    """The root mean square of moves, (3 + P,)."""
    both = tracks.there[:, 1:] & tracks.there[:, :-1]
    if not both.any():
        raise ValueError(
            "the codec found no figure in two frames in a row: train it for longer, or on frames "
            "in which figures move"
        )
    moved = _moves(tracks)[both]
    low, high = (moved.quantile(share, 0) for share in (0.01, 0.99))
    return moved.clamp(low, high).square().mean(0).sqrt().clamp(min=1e-4)


def _true(tracks: Tracks, moved: Tensor, t: int) -> Shoal:
    poses = Poses(centre=tracks.centre[:, t], facing=tracks.facing[:, t])
    return Shoal(
        poses=poses, code=tracks.code[:, t], move=moved[:, t - 1], alive=tracks.there[:, t]
    )


def _disturbed(true: Shoal, motion: FigureMotion) -> Shoal:
    """Half of the figures a little beside where they truly are, all with moves a little off."""
    some = (torch.rand_like(true.code[..., 0]) < 0.5).float()
    ahead, aside, turn = (
        torch.randn_like(some) * some * by for by in (_SHIFTED, _SHIFTED, _TURNED)
    )
    move = true.move + _HURRIED * motion.usual * torch.randn_like(true.move)
    return true._replace(poses=true.poses.moved(ahead, aside, turn), move=move)


def _put_back(now: Shoal, true: Shoal, back: Tensor, again: Tensor) -> Shoal:
    """Figures with poses that are put `back`, and shapes that are taken up `again`, (B, N) bool."""
    where, shapes = back[..., None], again[..., None]
    return Shoal(
        poses=Poses(
            centre=torch.where(where, true.poses.centre, now.poses.centre),
            facing=torch.where(where, true.poses.facing, now.poses.facing),
        ),
        code=torch.where(shapes, true.code, now.code),
        move=torch.cat(
            [
                torch.where(where, true.move[..., :3], now.move[..., :3]),
                torch.where(shapes, true.move[..., 3:], now.move[..., 3:]),
            ],
            -1,
        ),
        alive=now.alive,
    )
