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


def test_a_point_is_told_to_a_hundredth_of_a_place():
    """A bar whose edges cover their places in part, moved by less than they can be told apart."""
    points = glimpses_of(side=8).points
    with torch.no_grad():
        points.feature[0].weight.zero_()
        points.feature[0].bias.zero_()
        points.feature[0].weight[0, 0] = points.feature[2].weight[0, 0] = 1.0
        points.feature[2].bias.zero_()
    found = []
    for left in (2.0, 2.01, 2.37, 3.5):
        place = torch.arange(8.0)
        cover = (torch.minimum(place + 1, torch.tensor(left + 2)) - place.clamp(min=left)).clamp(0)
        image = cover.expand(1, 3, 8, 8)
        centroids, _ = points._centroids(image, torch.zeros_like(image))
        found.append(centroids[0, 0, 1].item() + 4 - left)
    assert max(found) - min(found) < 0.005


def test_a_picture_at_rest_is_looked_at_without_harm():
    places = covered(glimpses_of(3), torch.zeros(1, 4, 3, SIZE, SIZE))
    assert places.isfinite().all()


def test_motion_and_sizes_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="`context` .*at least 2"):
        SparseEditorConfig(context=1)
    with pytest.raises(ValueError, match="`glimpse` .*divisible by 4"):
        SparseEditorConfig(glimpse=10)
