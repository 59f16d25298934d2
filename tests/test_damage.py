"""Faults planted in contexts: what they show, where, and what they leave alone."""

import torch
from torch import Tensor

from learned_envs.training.damage import plant_damage

CONTEXT = 4


def two_moments() -> tuple[Tensor, Tensor]:
    """Contexts in which a dot moves right over black, and an earlier moment with a bar below."""
    context = torch.zeros(64, CONTEXT, 3, 32, 32)
    for t in range(CONTEXT):
        context[:, t, :, 5, 10 + t] = 1
    earlier = torch.zeros(64, 3, 32, 32)
    earlier[:, :, 25, :] = 1
    return context, earlier


def test_what_damage_shows_comes_from_the_earlier_moment():
    context, earlier = two_moments()
    torch.manual_seed(0)
    damaged = plant_damage(context, earlier)
    changed = (damaged != context).any(2).flatten(1)
    assert changed.any(1).sum() > 48
    where = (damaged != context).any(2).any(0).any(0)
    assert not where[12:25].any()
    assert not where[26:].any()


def test_a_gap_leaves_two_true_latents_and_crumbs_stay_in_place():
    context, earlier = two_moments()
    torch.manual_seed(0)
    damaged = plant_damage(context, earlier)
    crumbs = (damaged - context)[:, :, :, 25].amax((2, 3)) > 0  # by row and age
    gone = (context - damaged)[:, :, :, 5].amax((2, 3)) > 0.99
    gaps = gone.any(1) & ~crumbs.any(1)
    assert gaps.any()
    assert crumbs.any()
    assert not gone[gaps, :2].any()
    for row in crumbs.any(1).nonzero()[:, 0]:
        shown = damaged[row, crumbs[row], 0, 25]
        assert torch.equal(shown, shown[:1].expand_as(shown))


def test_most_crumbs_are_in_all_latents():
    context, earlier = two_moments()
    torch.manual_seed(0)
    damaged = torch.cat([plant_damage(context, earlier) for _ in range(8)])
    crumbs = damaged[:, :, :, 25].amax((2, 3)) > 0
    crumbs = crumbs[crumbs.any(1)]
    assert len(crumbs) > 200
    assert 0.5 < crumbs.all(1).float().mean() < 0.75


def test_where_two_moments_are_alike_nothing_is_damaged():
    context, _ = two_moments()
    still = context[:, :1].expand_as(context)
    assert torch.equal(plant_damage(still, still[:, 0]), still)


def test_half_done_changes_show_what_was_there_before_in_the_newest_latents():
    context = torch.zeros(1000, CONTEXT, 3, 16, 16)
    context[:, :3, :, :, 4:6] = 1  # a bar that stood until the last step
    torch.manual_seed(0)
    damaged = plant_damage(context, context[:, -1])  # no crumbs: the moments do not differ
    assert torch.equal(damaged[:, :2], context[:, :2])
    shown = damaged[:, -1, 0, :, 4:6]
    half_done = shown[shown.amax((1, 2)) > 0].flatten(1)
    assert 0.1 < len(half_done) / len(context) < 0.2
    strength = half_done.amax(1, keepdim=True)
    assert ((half_done == 0) | (half_done == strength)).all()
    assert 0.2 <= strength.min() < 0.4
    assert 0.4 < (strength == 1).float().mean() < 0.6
    whole = (half_done > 0).all(1)
    assert 0.4 < whole.float().mean() < 0.65
    assert 0.3 < (half_done[~whole] > 0).float().mean() < 0.7
