"""Plants faults in true contexts, so that a model learns to mend what it might break in a dream.

In a dream, things stay behind where something passed, or go missing for a frame. A closed loop
meets such faults only as often as the model makes them; planted ones, whose mending is known
exactly because the context is otherwise true, are met at every step.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

_CRUMBS, _HALF_DONE = 0.6, 0.15  # share of the rows; the others get a gap
_DIFFERENT = 0.012  # three levels of a byte
_MOST_CRUMBS = 0.5  # share of the places that differ: beyond it, which moment is now is open
_FAINTEST = 0.2


def plant_damage(context: Tensor, earlier: Tensor) -> Tensor:
    """Shows something of an earlier moment in contexts.

    Never of a later one: what is half gone may be about to go or have gone too early, and a model
    that learns from both to mend it brings back what it has just taken away.

    Three in five rows get *crumbs*: some of the places that differ between the two moments show the
    earlier one, more or less faintly, as something left behind. Half of the time they are in all
    latents alike, as what a dream leaves uncleaned soon is, else in the newest 1 to K. A quarter
    get a *gap*: around a place where something moves, a square of a quarter of the height and
    width shows the earlier moment in the newest one or two latents (as many as leave two), unless
    the context begins an episode: a thing that has only just come is no thing gone missing. The
    others show changes *half done*: what changed within the context, all of it or some patches, is
    still as before, or more or less so, as where a dream is late or did not decide; the truth that
    follows says that it is done.

    Args:
        context: (B, K, C, h, w) latents, oldest first.
        earlier: (B, C, h, w), latents of an earlier moment of the same episodes.

    Returns:
        Damaged contexts, of the same shape; a row is as it was where the moments do not differ.
    """
    rows, length = context.shape[:2]
    device = context.device
    newest = context[:, -1]
    kind = torch.rand(rows, 1, 1, 1, device=device)
    crumbs, half_done = kind < _CRUMBS, kind >= 1 - _HALF_DONE
    since = torch.randint(1, length, (rows,), device=device)
    before = context[torch.arange(rows, device=device), length - 1 - since]
    before = torch.where(half_done, before, earlier)
    begins = (context[:, 1] == context[:, 0]).flatten(1).all(1)[:, None, None, None]
    where = torch.where(crumbs, _crumbs(newest, before), _gap(context) & ~begins)
    where = torch.where(half_done, _patches(newest, before), where)
    seen_in = torch.where(
        crumbs[:, 0, 0, 0],
        torch.randint(1, 2 * length + 1, (rows,), device=device).clamp(max=length),
        torch.randint(1, max(2, min(3, length - 1)), (rows,), device=device),
    )
    seen_in = torch.where(half_done[:, 0, 0, 0], torch.minimum(seen_in, since), seen_in)
    strength = torch.rand(rows, 1, 1, 1, device=device) * (1 - _FAINTEST) + _FAINTEST
    late = half_done & (torch.rand_like(strength) < 0.5)
    strength = torch.where(late, 1.0, strength)
    shown = torch.where(crumbs | half_done, newest + strength * (before - newest), before)
    faulty = torch.arange(length, device=device) >= length - seen_in[:, None]
    return torch.where(where[:, None] & faulty[:, :, None, None, None], shown[:, None], context)


def _crumbs(newest: Tensor, before: Tensor) -> Tensor:
    """Some of the places (B, 1, h, w) where the latents (B, C, h, w) differ."""
    share = _MOST_CRUMBS * torch.rand(len(newest), 1, 1, 1, device=newest.device)
    return _apart(before, newest) & (torch.rand_like(newest[:, :1]) < share)


def _patches(newest: Tensor, before: Tensor) -> Tensor:
    """Where latents differ (B, 1, h, w); in half of the rows, in half of an 8x8 grid of patches."""
    drawn = torch.rand(len(newest), 1, 8, 8, device=newest.device)
    everywhere = torch.rand(len(newest), 1, 1, 1, device=newest.device) < 0.5
    return _apart(before, newest) & (everywhere | (F.interpolate(drawn, newest.shape[2:]) < 0.5))


def _gap(context: Tensor) -> Tensor:
    """A square of places (B, 1, h, w) around one, picked at random, where the latent last moved."""
    score = (_apart(context[:, -1], context[:, -2]) + 1e-3) * torch.rand_like(context[:, -1, :1])
    height, width = score.shape[2:]
    highest = score.amax((2, 3), keepdim=True)
    columns = F.max_pool2d(
        (score == highest).float(), (2 * (height // 8) + 1, 1), 1, (height // 8, 0)
    )
    return F.max_pool2d(columns, (1, 2 * (width // 8) + 1), 1, (0, width // 8)) > 0


def _apart(one: Tensor, other: Tensor) -> Tensor:
    """Places (B, 1, h, w) where latents (B, C, h, w) differ."""
    return (one - other).abs().amax(1, keepdim=True) > _DIFFERENT
