"""A one-pass editor for worlds that a pointer changes: it rewrites the few places that change.

A summary of the whole picture, a look at what is under the pointer and its last two places make a
*situation*. A coarse mask picks
blocks of places that may change in it; a residual network with shared weights looks at each patch
of the picked blocks, told where it lies relative to the pointers, and a network for single places
says of each whether it changes and to what. What is not picked is not even computed, and what does
not change is copied exactly: a picture at rest stays at rest however long it is dreamed.

A place is told where it lies in the pointer's own terms, too: along and beside its last movement,
and how far from either end. What a movement does is then the same in every direction.

A place stays what it is, or takes one of a few learned values, or becomes a glaze: any blend of the
old value and the learned ones. So a flat colour is exact, and a soft stroke can be written, too.
The three are components of one mixture of Laplace distributions: where two of them come to the
same, as where black is painted black, it does not matter which, and nothing is taught about it.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding, PointActions
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.dynamics import Dynamics, Noise, Prediction, State, StepLoss
from learned_envs.models.dynamics.pointer_networks import Fine, Mask, PatchBlock, outcome_size
from learned_envs.models.dynamics.pointer_situation import (
    PERIODS,
    SUMMARISED,
    Situation,
    Summary,
    describe,
    described,
    tiles_of,
)

_SURE = 10.0  # log-odds where there is nothing to decide
_PALETTE_SCALE = 3.0  # learned values move as much faster than weights do
_KMEANS_ROUNDS = 8


class Patches(NamedTuple):
    """Which patches are looked at: their rows of the batch, and places in the grid, (N,) each."""

    row: Tensor
    down: Tensor
    across: Tensor


@configuration
class PointerEditorConfig:
    """Sizes and training constants of a `PointerEditor`.

    Attributes:
        patch: Side of a patch in places of the latent.
        block: Side of a block in patches.
        summary: Channels for patches of 8x8 and of 32x32 places, and of the summary.
        situation: Width of the situation.
        width: Width of the residual network for patches.
        hidden: Width inside its residual blocks.
        depth: Number of its residual blocks.
        position: Numbers that are learned for each patch of the picture.
        fine: Width of the network for single places.
        values: Number of learned values, V.
        mask: Width of the network that picks blocks.
        threshold: Log-odds above which a block is picked.
        most: Patches that a row may have looked at in training, on average over the batch, besides
            those that change or lie next to one that does.
        spread: Scale of the Laplace distributions.
        tolerance: Absolute difference below which a place counts as unchanged.
        mask_weight: Weight of the mask's loss.
    """

    patch: int = 4
    block: int = 2
    summary: tuple[int, int, int] = (24, 24, 64)
    situation: int = 192
    width: int = 176
    hidden: int = 288
    depth: int = 4
    position: int = 32
    fine: int = 80
    values: int = 16
    mask: int = 48
    threshold: float = -2.0
    most: int = 12
    spread: float = 0.15
    tolerance: float = 0.004
    mask_weight: float = 0.2

    def build(self, latent_shape: tuple[int, int, int], actions: ActionEncoding) -> "PointerEditor":
        """Builds the editor for latents (C, h, w).

        Raises:
            ValueError: If actions are no points, or the latents are not divisible into blocks.
        """
        if not isinstance(actions, PointActions) or actions.kinds != 1:
            raise ValueError(
                f"actions {actions} were given, expected `PointActions` with one kind of touch: a "
                "pointer's place and whether it is down"
            )
        side = max(self.patch * self.block, SUMMARISED)
        if latent_shape[1] % side or latent_shape[2] % side:
            raise ValueError(
                f"latents of {latent_shape[1]}x{latent_shape[2]} must be divisible by {side}"
            )
        return PointerEditor(self, latent_shape, actions)


class PointerEditor(Dynamics):
    """See the module's docstring. Of the state's two latents it reads the newest only."""

    context = 2

    def __init__(
        self,
        config: PointerEditorConfig,
        latent_shape: tuple[int, int, int],
        actions: PointActions,
    ):
        super().__init__()
        self.config, self.latent_shape = config, latent_shape
        self.touched_above = actions.threshold
        self.state_spec, self.noise_spec = {}, {}
        channels, height, width = latent_shape
        places = config.patch**2
        self.grid = height // config.patch, width // config.patch
        self.summary = Summary(latent_shape, config.summary)
        self.situation = Situation(latent_shape, config.summary[-1], config.situation)
        self.mask = Mask(self.grid, config)
        self.place = nn.Embedding(math.prod(self.grid), config.position)
        self.from_place = nn.Linear(config.position, config.width)
        self.from_pointers = nn.Linear(4 * described(PERIODS), config.width)
        self.value = nn.Linear(channels, 24)
        self.from_values = nn.Linear((24 + channels) * places, config.width)
        self.told = nn.Linear(config.situation, config.width * (config.depth + 1))
        self.scaled = nn.Linear(config.situation, config.width * config.depth)
        nn.init.zeros_(self.scaled.weight)
        nn.init.ones_(self.scaled.bias)
        self.blocks = nn.ModuleList(PatchBlock(config) for _ in range(config.depth))
        self.rough = nn.Linear(config.width, places * outcome_size(config))
        self.fine = Fine(config, channels)
        self.palette = nn.Parameter((2 * torch.rand(config.values, channels) - 1) / _PALETTE_SCALE)
        self.expected_error = nn.Linear(config.situation, 1)

    @torch.no_grad()
    def begin_with(self, values: Tensor) -> None:
        """Sets the learned values to those that places most often become, before any training.

        Begun at random, two of them may settle between three that are needed, and stay there.

        Args:
            values: (N, C) of places that changed. Centres are found among them by k-means++; where
                fewer differ than are learned, the other learned values are left as they are.
        """
        colours, count = values.unique(dim=0, return_counts=True)
        centres = colours[count.argmax()][None]
        while len(centres) < self.config.values:
            far = torch.cdist(colours, centres).amin(1).square() * count
            if not far.any():
                break
            centres = torch.cat([centres, colours[torch.multinomial(far, 1)]])
        for _ in range(_KMEANS_ROUNDS if len(colours) > len(centres) else 0):
            nearest = F.one_hot(torch.cdist(colours, centres).argmin(1), len(centres))
            weights = (count[:, None] * nearest).T.float()
            total = weights.sum(1, keepdim=True)
            centres = torch.where(total > 0, weights @ colours / total.clamp(min=1), centres)
        self.palette[: len(centres)] = centres / _PALETTE_SCALE

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        """See `Dynamics.predict`."""
        newest = state["latents"][:, -1]
        situation, pointers, mask = self._look(state, action)
        picked = mask > self.config.threshold
        patches = Patches(*_enlarged(picked, self.config.block).nonzero(as_tuple=True))
        chances, values = self._outcomes(situation, pointers, newest, patches)
        edited, written = _likeliest(chances, values)
        untouched = torch.zeros_like(newest[:, :1], dtype=torch.bool)

        def decisions() -> dict[str, Tensor]:
            best = chances.topk(2, 1).values
            margin = torch.full_like(newest[:, :1], _SURE)
            pick = _enlarged(mask - self.config.threshold, self.config.patch * self.config.block)
            return {
                "outcome": self._pasted(margin, best[:, :1] - best[:, 1:], patches),
                "pick": pick[:, None],
            }

        return Prediction(
            latent=self._pasted(newest, written, patches),
            edited=self._pasted(untouched, edited, patches),
            surprise=self.expected_error(situation)[:, 0],
            decisions=decisions,
        )

    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        """See `Dynamics.loss`.

        What changed is what the truth changed. Where a state is not the truth and the truth stays
        as it is, nothing can tell whether it should: such places count neither way.
        """
        config = self.config
        newest = state["latents"][:, -1]
        situation, pointers, mask = self._look(state, action)
        moved = ((target - previous).abs_().amax(1) > config.tolerance).float()
        changed = _any_of(moved, config.patch)
        near = F.max_pool2d(changed[:, None], 3, 1, 1)[:, 0]
        to_pick = _any_of(changed, config.block)
        patches, weight = self._taught(mask, near > 0)
        chances, values = self._outcomes(situation, pointers, newest, patches)
        old, before, true = (self._cut(latent, patches) for latent in (newest, previous, target))
        astray = (old - before).abs().amax(1) > config.tolerance
        stays = (true - before).abs().amax(1) <= config.tolerance
        error = self._mixture_error(chances, values, true) * ~(astray & stays)
        changes = changed.sum().clamp(min=1)
        write = (error.mean((1, 2)) * weight).sum() / changes
        marks = F.binary_cross_entropy_with_logits(mask, to_pick, reduction="none")
        picked, left = to_pick.sum().clamp(min=1), (1 - to_pick).sum().clamp(min=1)
        marks = (marks * to_pick).sum() / picked + 2 * (marks * (1 - to_pick)).sum() / left
        edited, written = _likeliest(chances.detach(), values.detach())
        drawn = torch.where(edited, written, old)
        wrong = (drawn - true).abs().mean(1) * ~(astray & stays)
        expected = self.expected_error(situation.detach())[:, 0].float()
        nothing = expected.new_zeros(len(newest))
        seen = nothing.index_add(0, patches.row, weight * wrong.mean((1, 2)))
        surprise = F.smooth_l1_loss(expected, (seen + 1e-2).log())
        total = write + config.mask_weight * marks + 0.02 * surprise
        missed = (to_pick * (mask <= config.threshold)).sum() / picked
        figures = {
            "write": write,
            "mask": marks,
            "surprise": surprise,
            "missed": missed,
            "wrong": (weight[:, None, None] * (wrong > 0.04)).sum() / len(newest),
            "patches": weight.new_tensor(len(weight) / len(newest)),
            "changed": changed.sum() / len(newest),
        }

        def prediction() -> Prediction:
            picked = _enlarged(mask > config.threshold, config.block)[patches]
            rewritten = edited & picked[:, None, None, None]
            untouched = torch.zeros_like(newest[:, :1], dtype=torch.bool)
            return Prediction(
                latent=self._pasted(newest, written, patches),
                edited=self._pasted(untouched, rewritten, patches),
                surprise=expected.detach(),
            )

        worst = nothing.scatter_reduce(0, patches.row, error.detach().mean((1, 2)), "amax")
        figures = {name: value.detach() for name, value in figures.items()}
        return StepLoss(total=total, parts=figures, prediction=prediction, each=worst)

    def _look(self, state: State, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The situation (B, width), the pointers (B, 4), the mask's log-odds for blocks."""
        newest = state["latents"][:, -1]
        pointers, down = self._pointers(state, action)
        tiles = tiles_of(newest)
        situation = self.situation(self.summary(tiles), newest, tiles, pointers, down)
        return situation, pointers, self.mask(situation, pointers).float()

    def _pointers(self, state: State, action: Tensor) -> tuple[Tensor, Tensor]:
        """Places of pointer and last pointer (B, 4): x, y, x, y; which are down (B, 2)."""
        both = torch.cat([action, state["actions"][:, -1]], 1).float()
        _, height, width = self.latent_shape
        size = both.new_tensor([width, height, width, height])
        places = (both[:, [0, 1, 3, 4]] * size).floor()
        return torch.minimum(places, size - 1), (both[:, [2, 5]] > self.touched_above).float()

    def _taught(self, mask: Tensor, teaching: Tensor) -> tuple[Patches, Tensor]:
        """Patches to learn from, and their weights (N,).

        All of `teaching` (B, h, w), those that change or lie next to one that does, and of those
        that the mask picks, or nearly, and of a few others as many as `most` allows. These stand
        for all of them, with as much weight: where they had less, things would come to change that
        might as well not.
        """
        others = _enlarged(mask.detach() > self.config.threshold - 1, self.config.block)
        draws = torch.rand(teaching.shape, device=teaching.device)
        others = (others | (draws < 2 / teaching[0].numel())) & ~teaching
        share = min(1.0, self.config.most * len(mask) / max(1, int(others.sum())))
        others = others & (torch.rand(teaching.shape, device=teaching.device) < share)
        patches = Patches(*(teaching | others).nonzero(as_tuple=True))
        return patches, torch.where(others[patches], 1 / share, 1.0)

    def _grid_of(self, latents: Tensor) -> Tensor:
        """Latents (B, C, h, w) as patches: (B, rows, columns, C, patch, patch), a view."""
        side = self.config.patch
        return latents.unflatten(3, (-1, side)).unflatten(2, (-1, side)).permute(0, 2, 4, 1, 3, 5)

    def _cut(self, latents: Tensor, patches: Patches) -> Tensor:
        """Patches (N, C, patch, patch) of latents (B, C, h, w)."""
        return self._grid_of(latents)[patches]

    def _pasted(self, latents: Tensor, written: Tensor, patches: Patches) -> Tensor:
        """Latents (B, C, h, w) with `written` (N, C, patch, patch) in some patches."""
        grid = self._grid_of(latents).index_put(patches, written.to(latents.dtype))
        return grid.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)

    def _outcomes(
        self, situation: Tensor, pointers: Tensor, latents: Tensor, patches: Patches
    ) -> tuple[Tensor, Tensor]:
        """What may become of every place of some patches of latents (B, C, h, w).

        Returns:
            Log-chances (N, V + 2, patch, patch), and the values (N, V + 2, C, patch, patch) that
            they are of: the old one, the learned ones, and the glaze.
        """
        side, (row, down, across) = self.config.patch, patches
        corner = torch.stack([across, down], 1) * float(side)
        apart = pointers[row].unflatten(1, (2, 2)) - (corner + (side - 1) / 2)[:, None]
        # (N places, C): ONNX Runtime's product of stacks of matrices takes no empty stack.
        values = self._cut(latents, patches).flatten(2).transpose(1, 2).flatten(0, 1)
        seen = torch.cat([F.relu(self.value(values)), values], 1).unflatten(0, (-1, side**2))
        told = self.told(situation).unflatten(1, (self.config.depth + 1, -1))
        scale = self.scaled(situation).unflatten(1, (self.config.depth, -1))
        x = self.from_values(seen.flatten(1)) + self.from_pointers(
            describe(apart, PERIODS).flatten(1)
        )
        x = x + self.from_place(self.place(down * self.grid[1] + across)) + told[row, 0]
        for i, block in enumerate(self.blocks):
            x = block(x, scale[row, i], told[row, i + 1])
        written = self.rough(x).unflatten(1, (side**2, -1))
        written = (written + self.fine(x, values, pointers[row], corner)).float()
        values = values.unflatten(0, (-1, side**2))
        count = self.config.values + 2
        palette = (_PALETTE_SCALE * self.palette).float()
        blend = written[..., count:].softmax(2)
        glaze = blend[..., :1] * values + blend[..., 1:] @ palette
        learned = palette.expand(*values.shape[:2], -1, -1)
        all_values = torch.cat([values[:, :, None], learned, glaze[:, :, None]], 2)
        chances = written[..., :count].log_softmax(2).transpose(1, 2)
        all_values = all_values.permute(0, 2, 3, 1)
        return chances.unflatten(2, (side, side)), all_values.unflatten(3, (side, side))

    def _mixture_error(self, chances: Tensor, values: Tensor, true: Tensor) -> Tensor:
        """How badly outcomes explain true patches (N, C, patch, patch): (N, patch, patch).

        Negative log-likelihood of the chances alone, and the error of the values, weighted by how
        likely it is that they were meant. One sum for both would be the mixture's likelihood; but
        then a wrong colour would outweigh a wrong shape by far, and shapes be learned last.
        """
        error = (true[:, None] - values).abs().sum(2)
        joint = chances - error.detach() / self.config.spread
        meant = joint.detach().softmax(1)
        return (meant * error).sum(1) - joint.logsumexp(1)


def _likeliest(chances: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """Whether places change (N, 1, patch, patch), and the likeliest value (N, C, patch, patch)."""
    best = chances.argmax(1, keepdim=True)
    index = best[:, :, None].expand(-1, -1, values.shape[2], -1, -1)
    return best > 0, values.gather(1, index)[:, 0]


def _enlarged(places: Tensor, side: int) -> Tensor:
    """Every place of (B, h, w) as a square of places with that side."""
    return places.repeat_interleave(side, 1).repeat_interleave(side, 2)


def _any_of(places: Tensor, side: int) -> Tensor:
    """The largest of every square of places (B, h, w) with that side."""
    return places.unflatten(2, (-1, side)).unflatten(1, (-1, side)).amax((2, 4))
