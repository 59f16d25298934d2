"""A picture taken apart into figures, ground and cover, and put together again."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from tiny_pond import SIZE, config, ground, take
from torch.nn import functional as F

from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.figures import Figure, FiguresConfig
from learned_envs.models.codecs.poses import Poses, crop
from learned_envs.models.codecs.sprites import Sprites

TURNED = (0.6, 0.8)


def codec(count: int = 3) -> Sprites:
    torch.manual_seed(0)
    return config(count).build((SIZE, SIZE)).requires_grad_(False)


def poses(*placed: tuple[float, float, float]) -> Poses:
    x, y, angle = torch.tensor([placed]).unbind(-1)
    return Poses(centre=torch.stack([x, y], -1), facing=torch.stack([angle.cos(), angle.sin()], -1))


def figure(codec: Sprites, at: Poses, coat: torch.Tensor | None = None) -> Figure:
    count, code = at.centre.shape[1], torch.zeros(*at.centre.shape[:2], 2)
    if coat is None:
        coat = torch.ones(1, count, 4, *codec.config.figures.coat_size)
    alive = torch.ones(1, count, dtype=torch.bool)
    return Figure(coat=coat, worn=code, code=code, poses=at, alive=alive)


def test_a_point_seen_from_a_pose_is_where_it_was():
    pose = poses((10.0, 20.0, 0.7))
    points = torch.rand(1, 1, 2) * 60
    torch.testing.assert_close(pose.points(pose.seen(points)), points)
    ahead = pose.moved(torch.tensor([[3.0]]), torch.zeros(1, 1), torch.zeros(1, 1))
    torch.testing.assert_close(pose.seen(ahead.centre), torch.tensor([[[3.0, 0.0]]]))
    turned = pose.moved(*torch.tensor([[[0.0]], [[0.0]], [[math.pi / 2]]]))
    torch.testing.assert_close(pose.seen(pose.centre + turned.facing), torch.tensor([[[0.0, 1.0]]]))


def test_a_crop_shows_what_lies_along_its_direction():
    picture = torch.zeros(1, 1, SIZE, SIZE)
    picture[0, 0, 38:43, 38] = 1  # below (30, 30), seen from there straight ahead
    cut = crop(picture, poses((38.0, 30.0, math.pi / 2)), (8, 32))
    lit = cut[0, 0, 0].nonzero().float().mean(0)
    torch.testing.assert_close(lit, torch.tensor([3.5, 15.5 + 10]), atol=0.6, rtol=0)


def test_a_coat_is_drawn_where_and_as_its_figure_lies():
    model = codec(1)
    coat = torch.zeros(1, 1, 4, 24, 48)
    coat[..., 9:15, 18:46] = 1  # mostly ahead of the middle
    at = poses((30.0, 30.0, math.atan2(0.8, 0.6)))
    layer = model.figures.draw(figure(model, at, coat), (SIZE, SIZE))
    lit = layer[0, 3].nonzero().float().mean(0).flip(0)
    ahead = (32 - 24) / 1.5
    torch.testing.assert_close(
        lit, torch.tensor([30 + ahead * 0.6, 30 + ahead * 0.8]), atol=0.5, rtol=0
    )
    back = crop(layer, at, (24, 48), 1.5)
    torch.testing.assert_close(back[..., 11:13, 21:43], coat[..., 11:13, 21:43], atol=1e-4, rtol=0)


def test_figures_beyond_the_edge_and_those_that_are_not_there_are_not_drawn():
    model = codec(2)
    at = figure(model, poses((-60.0, 30.0, 0.0), (30.0, 30.0, 0.0)))
    there = model.figures.draw(at, (SIZE, SIZE))
    gone = dataclasses.replace(at, alive=torch.tensor([[True, False]]))
    assert there.sum() > 0 and model.figures.draw(gone, (SIZE, SIZE)).sum() == 0


def test_another_shape_bends_the_coat_and_the_same_shape_leaves_it():
    model = codec(1)
    model.figures.bender[-1].weight.mul_(40)
    straight = figure(model, poses((30.0, 30.0, 0.0)))
    straight.coat[..., :8, :] = 0
    same = dataclasses.replace(straight, code=straight.code + 0.5, worn=straight.worn + 0.5)
    bent = dataclasses.replace(straight, code=straight.code + 0.9)
    drawn = [model.figures.draw(f, (SIZE, SIZE)) for f in (straight, same, bent)]
    torch.testing.assert_close(drawn[0], drawn[1])
    assert (drawn[0] - drawn[2]).abs().max() > 0.2


def test_figures_are_written_down_and_read_again():
    model = codec(2)
    before = figure(model, poses((11.0, 40.5, 2.0), (63.0, 0.0, -1.0)))
    before = dataclasses.replace(before, code=torch.rand(1, 2, 2), alive=torch.tensor([[1, 0]]) > 0)
    kept = {"coats": before.coat, "worn": before.worn}
    latent = model.latent_of(before)
    assert latent.shape == (1, *model.latent_shape)
    after = model.figure_of(latent, kept)
    torch.testing.assert_close(after.poses.centre, before.poses.centre, atol=1e-4, rtol=0)
    torch.testing.assert_close(after.poses.facing, before.poses.facing)
    assert torch.equal(after.alive, before.alive) and torch.equal(after.code, before.code)


def test_cover_hides_figures_and_nothing_else():
    model, still = codec(1), to_images(torch.from_numpy(ground())[None])
    layer = model.figures.draw(figure(model, poses((30.0, 30.0, 0.0))), (SIZE, SIZE))
    open_, closed = torch.zeros(1, 1, SIZE, SIZE), torch.ones(1, 1, SIZE, SIZE)
    assert torch.equal(model.compose(layer, still, closed), still)
    seen = model.compose(layer, still, open_)
    inside = layer[0, 3] == 1
    torch.testing.assert_close(seen[0][:, inside], torch.ones(3, int(inside.sum())))
    away = F.max_pool2d(layer[0, 3:], 9, 1, 4)[0] == 0
    assert torch.equal(seen[0][:, away], still[0][:, away])


def test_what_the_cover_the_edge_or_another_figure_hides_is_obscured(monkeypatch):
    model, images = codec(2), torch.zeros(1, 1, 3, SIZE, SIZE)

    def hidden(*placed, covered=False, there=(True, True)):
        found = poses(*placed), torch.tensor([there])
        monkeypatch.setattr(model.finder, "find", lambda images, count: found)
        monkeypatch.setattr(
            model, "cover", lambda still: torch.full((1, 1, SIZE, SIZE), float(covered))
        )
        monkeypatch.setattr(
            model.figures, "read", lambda images, poses: (torch.zeros(1, 2, 2), poses)
        )
        return model.obscured(images).item()

    apart = (16.0, 20.0, 0.0), (46.0, 44.0, 0.0)
    assert hidden(*apart) < 0.05
    assert hidden(*apart, covered=True) > 0.95
    assert 0.3 < hidden(apart[0], (63.0, 44.0, 0.0)) < 0.7
    assert hidden((20.0, 20.0, 0.0), (26.0, 20.0, 0.0)) > 0.3
    assert hidden((20.0, 20.0, 0.0), (26.0, 20.0, 0.0), there=(True, False)) < 0.05


def test_a_figure_that_is_seen_no_more_is_obscured(monkeypatch):
    model = codec(1)
    found = torch.tensor([[True], [False]])

    def find(images, count):
        return poses((30.0, 30.0, 0.0)), found if len(images) == 2 else found[1:]

    monkeypatch.setattr(model.finder, "find", find)
    assert model.obscured(torch.zeros(1, 2, 3, SIZE, SIZE)).item() == 1.0


def test_figures_darken_the_ground_beside_them():
    model, still = codec(1), torch.ones(1, 3, SIZE, SIZE)
    for factor in model.shade:
        factor.weight.fill_(0.11)
    layer = model.figures.draw(figure(model, poses((30.0, 30.0, 0.0))), (SIZE, SIZE))
    seen = model.compose(layer, still, torch.zeros(1, 1, SIZE, SIZE))
    beside = (layer[0, 3] == 0) & (F.max_pool2d(layer[0, 3:], 3, 1, 1)[0] > 0)
    assert (seen[0, 0][beside] < 0.99).float().mean() > 0.9


def begun(model: Sprites, frames: torch.Tensor, found: list[Poses], monkeypatch):
    """`begin` with a finder that finds what it is told to, newest first."""
    answers = iter(found)

    def find(images: torch.Tensor, count: int) -> tuple[Poses, torch.Tensor]:
        at = next(answers)
        return at, torch.ones(at.centre.shape[:2], dtype=torch.bool)

    monkeypatch.setattr(model.finder, "find", find)
    return model.begin(to_images(frames)[None])


def test_a_history_follows_the_newest_figures_back_whatever_their_order(monkeypatch):
    model = codec(2)
    model.figures.reader[-1].weight.zero_()
    frames = torch.from_numpy(take([(20.0, 20.0, 0.0), (40.0, 40.0, 0.0)], 1, speed=3.0))
    newest = poses((23.0, 20.0, 0.0), (43.0, 40.0, 0.0))
    oldest = poses((40.0, 40.0, 0.0), (20.0, 20.0, 0.0))
    latents, kept = begun(model, frames, [newest, oldest], monkeypatch)
    figures = [model.figure_of(latents[:, t], kept).poses.centre[0] for t in (0, 1)]
    torch.testing.assert_close(figures[0], torch.tensor([[20.0, 20.0], [40.0, 40.0]]))
    torch.testing.assert_close(figures[1], torch.tensor([[23.0, 20.0], [43.0, 40.0]]))
    assert {name: tuple(value.shape[1:]) for name, value in kept.items()} == model.kept_spec


def test_the_ground_is_seen_in_whichever_frame_shows_it_and_filled_in_where_none_does(monkeypatch):
    model, bed = codec(1), torch.from_numpy(ground())
    model.figures.reader[-1].weight.zero_()
    model.figures.matte_out.bias.fill_(9.0)  # the whole rectangle counts as the fish
    places = [(44.0, y, 0.0) for y in (12.0, 25.0, 38.0, 51.0)]
    frames = torch.from_numpy(np.concatenate([take([place], 0) for place in places]))
    found = [poses(place) for place in reversed(places)]
    _, kept = begun(model, frames, found, monkeypatch)
    assert (kept["still"][0] - to_images(bed)).abs().max() < 1e-5
    _, alone = begun(model, frames[1:2], found[2:3], monkeypatch)
    wrong = (alone["still"][0] - to_images(bed)).abs()
    assert 0 < wrong[:, 22:29, 36:52].mean() < 0.08 and wrong[:, :, :18].max() < 1e-5


def test_equal_finds_are_one_figure():
    model = codec(3)
    cells = torch.full((1, 5, 8, 8), -9.0)
    for row, column, odds, shift in ((2, 2, 5.0, 0.4), (2, 4, 4.0, -0.5), (6, 6, 3.0, 0.0)):
        cells[0, :, row, column] = torch.tensor([odds, shift, 0.0, 0.0, 1.0])
    model.finder.forward = lambda images: cells
    at, found = model.finder.find(torch.zeros(1, 3, SIZE, SIZE), 3)
    assert found.tolist() == [[True, False, True]]
    torch.testing.assert_close(at.centre[0, 0], torch.tensor([2.9 * 8 - 0.5, 2.5 * 8 - 0.5]))
    torch.testing.assert_close(at.facing[0, 2], torch.tensor([0.0, 1.0]))


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="30x64 must be divisible by 8"):
        config().build((30, 64))
    with pytest.raises(ValueError, match="`count` \\(=40\\) figures of 7 numbers do not fit"):
        config(40).build((SIZE, SIZE))
    with pytest.raises(ValueError, match="must be divisible by 16"):
        FiguresConfig(size=(40, 64))
