"""A codec of figures learns to find fish by their motion, and to draw them in earlier coats."""

from itertools import count
from types import SimpleNamespace

import pytest
import torch
from tiny_pond import SIZE, config, leaf, take, windows

from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.poses import Poses
from learned_envs.models.codecs.sprites import Sprites
from learned_envs.training import rounds
from learned_envs.training.motion_labels import label
from learned_envs.training.scenes import Scene
from learned_envs.training.sprites import SpritesRecipe, drawing_loss, train_sprites

RECIPE = SpritesRecipe(
    steps=800, round_steps=200, batch=8, learning_rate=5e-3, warmup=10, average=0.95, crowded=0.3,
    share=0.6,
)  # fmt: skip


def codec() -> Sprites:
    torch.manual_seed(0)
    return config().build((SIZE, SIZE))


def image(*fish: tuple[float, float, float]) -> torch.Tensor:
    return to_images(torch.from_numpy(take(list(fish), 0)))


@pytest.mark.full
def test_it_finds_fish_that_it_was_never_told_of_and_draws_them_in_coats_of_another_frame(tmp_path):
    trained = train_sprites(codec(), RECIPE, windows, tmp_path, progress=False)
    assert trained is not None
    fish = torch.tensor([(16.0, 12.0, 0.3), (44.0, 20.0, 2.0), (10.0, 50.0, -1.0)])
    at, found = trained.finder.find(image(*map(tuple, fish.tolist())), 3)
    assert found.all()
    apart, order = torch.cdist(fish[:, :2], at.centre[0]).min(1)
    assert apart.max() < 3.5 and order.unique().numel() == 3
    facing = torch.stack([fish[:, 2].cos(), fish[:, 2].sin()], 1)
    assert (at.facing[0, order] * facing).sum(1).min() > 0.7

    frames = to_images(torch.from_numpy(take([(20.0, 12.0, 0.2), (48.0, 26.0, 2.6)], 6, speed=1.3)))
    _, kept = trained.begin(frames[:1, None])
    latents, _ = trained.begin(frames[None])
    drawn = trained.decode(latents[:, -1], kept)
    undrawn = (kept["still"] - frames[-1]).pow(2).mean()
    assert (drawn - frames[-1]).pow(2).mean() < 0.15 * undrawn


def test_the_finder_learns_from_motion_alone(tmp_path):
    recipe = SpritesRecipe(
        steps=120, round_steps=60, batch=4, warmup=5, learning_rate=3e-3, finding=0.9, share=0.4
    )
    found: list[float] = []

    def log(step: int, parts: dict[str, float]) -> None:
        found.append(parts.get("found", 0.0))

    train_sprites(codec(), recipe, windows, tmp_path, log=log, progress=False)
    assert 0 < found[4] < 0.5 * found[0]


def test_what_hides_a_fish_learns_to_cover(monkeypatch):
    model = codec()
    now, other, still = (32.0, 47.0, 0.0), (32.0, 20.0, 0.0), take([], 0)[0]
    scene = Scene(
        now=take([now], 0)[0], other=take([other], 0)[0], ground=still,
        labels=label(still, still, still, model.config.figures.size),
    )  # fmt: skip
    alive = torch.tensor([[True, False, False]])
    poses = [
        Poses(
            centre=torch.tensor([[[x, y]]]).expand(1, 3, 2), facing=torch.tensor([[[1.0, 0.0]] * 3])
        )
        for x, y, _ in (now, other)
    ]
    monkeypatch.setattr(model.finder, "find", lambda images, count: (poses[0], alive))
    monkeypatch.setattr(model, "followed", lambda images, rough: (poses[1], alive))
    optimiser = torch.optim.Adam(model.covering.parameters(), 5e-3)
    for _ in range(80):
        optimiser.zero_grad()
        drawing_loss(model, [scene], RECIPE)[0].backward()
        optimiser.step()
    cover = model.cover(image())[0, 0].detach()
    under = torch.from_numpy(leaf())[44:50, 26:38]
    assert under.any() and cover[44:50, 26:38][under].mean() > 0.5
    assert cover[:24].mean() < 0.1


def test_a_run_in_two_parts_comes_to_the_same_parameters(tmp_path, monkeypatch):
    recipe = SpritesRecipe(
        steps=6, round_steps=3, batch=2, warmup=1, finding=0.5, crowded=0.5, share=0.2
    )
    whole = train_sprites(codec(), recipe, windows, tmp_path / "whole", progress=False)
    ticks = count(0.0, 40.0)  # seconds: a minute is over after one round
    clock = SimpleNamespace(monotonic=lambda: next(ticks), process_time=float)
    monkeypatch.setattr(rounds, "time", clock)
    folder = tmp_path / "parts"
    assert train_sprites(codec(), recipe, windows, folder, minutes=1.0, progress=False) is None
    parts = train_sprites(codec(), recipe, windows, folder, progress=False)
    assert whole is not None and parts is not None
    for one, other in zip(whole.parameters(), parts.parameters(), strict=True):
        assert torch.equal(one, other)


def test_settings_out_of_their_range_are_refused():
    with pytest.raises(ValueError, match="`finding` \\(=1.0\\) must lie between 0 and 1"):
        SpritesRecipe(finding=1.0)
    with pytest.raises(ValueError, match="`apart` \\(=0\\) must be at least 1"):
        SpritesRecipe(apart=0)
