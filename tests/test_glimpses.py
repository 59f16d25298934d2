"""Glimpses find what keeps moving, see it alike wherever it is, and write each place once."""

import pytest
import torch

from learned_envs.models.dynamics.glimpses import Glimpses
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig

SIZE = 32
TOLD = torch.zeros(1, 4)


def latents_of(*corners: tuple[int, int], step: tuple[int, int] = (1, 1)) -> torch.Tensor:
    """(1, 4, 3, 32, 32): 2x2 squares that begin at `corners` (y, x) and move by `step` a frame."""
    latents = torch.full((1, 4, 3, SIZE, SIZE), -1.0)
    for y, x in corners:
        for t in range(4):
            top, left = y + t * step[0], x + t * step[1]
            latents[:, t, :, top : top + 2, left : left + 2] = 1.0
    return latents


def glimpses_of(count: int = 1, side: int = 8) -> Glimpses:
    torch.manual_seed(0)
    return Glimpses(
        count=count,
        side=side,
        widths=(4, 4, 16),
        points=3,
        context=4,
        channels=3,
        told=4,
        choices=2,
    ).eval()


def written(glimpses: Glimpses, latents: torch.Tensor) -> torch.Tensor:
    seen = torch.cat([latents[:, 1:] - latents[:, :-1], latents[:, -1:]], 1).flatten(1, 2)
    with torch.no_grad():
        read = glimpses.read(seen, TOLD)
        return glimpses.edit(read, torch.tensor([[1.0, 0.0]]), latents.shape[3:])


def covered(glimpses: Glimpses, latents: torch.Tensor) -> torch.Tensor:
    """The places (32, 32) on which the glimpses write, found by having them write ones."""
    with torch.no_grad():
        glimpses.write.weight.zero_()
        glimpses.write.bias.fill_(1.0)
    return written(glimpses, latents)[0, 0]


def centre(places: torch.Tensor) -> tuple[float, float]:
    y, x = places.nonzero().float().mean(0).tolist()
    return y, x


def test_a_glimpse_is_where_something_moves():
    y, x = centre(covered(glimpses_of(), latents_of((8, 14))))
    assert abs(y - 10.5) <= 2 and abs(x - 16.5) <= 2


def test_what_keeps_moving_counts_for_more_than_a_larger_thing_that_went_at_once():
    latents = latents_of((8, 8))
    latents[:, :3, :, 20:24, 20:26] = 1.0
    y, x = centre(covered(glimpses_of(), latents))
    assert y < 16 and x < 16


def test_each_glimpse_is_somewhere_else():
    y, x = (covered(glimpses_of(2), latents_of((6, 6), (20, 22))) > 0).nonzero().T
    assert y.min() < 8 and x.min() < 8 and y.max() > 22 and x.max() > 24


@pytest.mark.parametrize("corner", [(0, 0), (27, 27), (0, 27), (12, 0)])
@pytest.mark.parametrize("count", [1, 3])
def test_every_place_within_the_picture_is_written_with_weights_that_sum_to_one(corner, count):
    places = covered(glimpses_of(count), latents_of(corner))
    inside = places > 0
    torch.testing.assert_close(places[inside], torch.ones_like(places[inside]))
    assert 16 <= inside.sum() <= 64 * count


def test_what_moves_is_seen_alike_wherever_it_is():
    glimpses = glimpses_of()
    with torch.no_grad():
        glimpses.write.weight.normal_()
        glimpses.told.weight[:, -2:] = 0  # it is told its position besides
        glimpses.points.tell.weight.zero_()
    here = written(glimpses, latents_of((8, 8)))
    there = written(glimpses, latents_of((13, 11)))
    assert here.abs().amax() > 0.01
    torch.testing.assert_close(torch.roll(here, (5, 3), (2, 3)), there)


def square(top: float, left: float, size: int = 20) -> torch.Tensor:
    """(1, 3, size, size): a bright 2x2 square on black whose edges cover their places in part."""

    def cover(begin: float) -> torch.Tensor:
        place = torch.arange(float(size))
        return ((place + 1).clamp(max=begin + 2) - place.clamp(min=begin)).clamp(min=0)

    return (2 * cover(top)[:, None] * cover(left) - 1).expand(1, 3, size, size)


def points_of_brightness(side: int = 20):
    points = glimpses_of(side=side).points
    with torch.no_grad():
        points.feature[0].weight.zero_()
        points.feature[0].weight[0, 0] = points.feature[2].weight[0, 0] = 1.0
    return points


@pytest.mark.parametrize("standing", [None, (2, 2), (14, 3)])
def test_a_point_is_told_to_a_hundredth_of_a_place_whatever_stands_around(standing):
    points, found = points_of_brightness(), []
    for moved in (0.0, 0.01, 0.37, 0.99):
        newest, before = square(9 + moved, 8.5), square(8 + moved, 7.5)
        if standing:
            newest, before = (torch.maximum(p, square(*standing)) for p in (newest, before))
        change = newest - before
        bright, dark = newest + 1, 1 - newest
        centroids, _ = points._centroids(bright, dark, change, points._moving(change))
        y, x = centroids[0, 0].tolist()
        found.append((y + 10.5 - (10 + moved), x + 10.5 - 9.5))
    assert abs(torch.tensor(found)).max() < 0.01


def test_the_picture_is_seen_from_a_point_between_places():
    points, standing = points_of_brightness(), square(6.0, 8.0)
    ahead = points._seen_from(standing, torch.tensor([[[-2.25, -2.0]]]))
    assert ahead.shape == (1, 1, 3, 7, 7)
    around = torch.tensor([-1.0, 0.5, 1.0, -0.5, -1.0, -1.0, -1.0])  # from 4.75 down, at column 8
    torch.testing.assert_close(ahead[0, 0, 0, :, 3], around)


def test_a_network_is_told_what_its_points_would_meet():
    """Two worlds that differ only by something two steps of the thing's motion away."""
    points = points_of_brightness()
    empty = torch.cat([square(9, 9) - square(8, 9), square(9, 9)], 1)
    full = empty.clone()
    full[:, 3:, 12, 9:11] = 1.0
    with torch.no_grad():
        points.tell.weight[:, : -3 * 3 * 49] = 0  # but not where it is itself
        here = torch.tensor([10]), torch.tensor([10])
        assert (points(empty, *here) - points(full, *here)).abs().amax() > 0.01


def test_a_picture_at_rest_is_looked_at_without_harm():
    places = covered(glimpses_of(3), torch.zeros(1, 4, 3, SIZE, SIZE))
    assert places.isfinite().all()


def test_motion_and_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="`context` .*at least 2"):
        SparseEditorConfig(context=1)
    with pytest.raises(ValueError, match="`glimpse` .*divisible by 4"):
        SparseEditorConfig(glimpse=10)
