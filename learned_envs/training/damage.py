"""Plants faults in true contexts, so that a model learns to mend what it might break in a dream.

In a dream, things stay behind where something passed, or go missing for a frame. A closed loop
meets such faults only as often as the model makes them; planted ones, whose mending is known
exactly because the context is otherwise true, are met at every step.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_DIFFERENT = 0.012  # three levels of a byte
_MOST_CRUMBS = 0.5  # share of the places that differ: beyond it, which moment is now is open
_FAINTEST = 0.2


def plant_damage(context: Tensor, other: Tensor) -> Tensor:
    """Shows something of another moment in contexts.

    Half of the rows get *crumbs*: some of the places that differ between the two moments show the
    other moment, more or less faintly, as something left behind or gone. Half of the time they are
    in all latents alike, as what a dream leaves uncleaned soon is, else in the newest 1 to K. The
    others get a *gap*: around a place where something moves, a square of a quarter of the height
    and width shows the other moment in the newest one or two latents (as many as leave two).

    Args:
        context: (B, K, C, h, w) latents, oldest first.
        other: (B, C, h, w), latents of another moment of the same episodes.

    Returns:
        Damaged contexts, of the same shape; a row is as it was where the moments do not differ.
    """
    rows, length = context.shape[:2]
    newest = context[:, -1]
    crumbs = torch.rand(rows, 1, 1, 1, device=context.device) < 0.5
    seen_in = torch.where(
        crumbs[:, 0, 0, 0],
        torch.randint(1, 2 * length + 1, (rows,), device=context.device).clamp(max=length),
        torch.randint(1, max(2, min(3, length - 1)), (rows,), device=context.device),
    )
    where = torch.where(crumbs, _crumbs(newest, other), _gap(context))
    strength = torch.rand(rows, 1, 1, 1, device=context.device) * (1 - _FAINTEST) + _FAINTEST
    shown = torch.where(crumbs, newest + strength * (other - newest), other)
    late = torch.arange(length, device=context.device) >= length - seen_in[:, None]
    return torch.where(where[:, None] & late[:, :, None, None, None], shown[:, None], context)


def _crumbs(newest: Tensor, other: Tensor) -> Tensor:
    """Some of the places (B, 1, h, w) where the latents (B, C, h, w) differ."""
    different = (other - newest).abs().amax(1, keepdim=True) > _DIFFERENT
    share = _MOST_CRUMBS * torch.rand(len(newest), 1, 1, 1, device=newest.device)
    return different & (torch.rand_like(newest[:, :1]) < share)


def _gap(context: Tensor) -> Tensor:
    """A square of places (B, 1, h, w) around one, picked at random, where the latent last moved."""
    moved = (context[:, -1] - context[:, -2]).abs().amax(1, keepdim=True) > _DIFFERENT
    score = (moved + 1e-3) * torch.rand_like(context[:, -1, :1])
    height, width = score.shape[2:]
    highest = score.amax((2, 3), keepdim=True)
    side = (2 * (height // 8) + 1, 2 * (width // 8) + 1)
    return F.max_pool2d((score == highest).float(), side, 1, (height // 8, width // 8)) > 0
