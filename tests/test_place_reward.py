"""A reward by place: what is paid, and how it is learned which places pay."""

import numpy as np
import pytest
import torch
from tiny_pond import SIZE, config, ground, leaf

from learned_envs.data.window import Window
from learned_envs.models.actions import PointActions
from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.poses import Poses
from learned_envs.models.dynamics.sprite_dynamics import SpriteDynamicsConfig
from learned_envs.models.place_reward import PlaceReward, PlaceRewardConfig
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.training.places import Moments, PlacesRecipe, places_trainer, turned

SMALL = PlaceRewardConfig(count=3, code=2, width=8, dilations=(1, 2))


def head() -> PlaceReward:
    torch.manual_seed(0)
    return SMALL.build((3, SIZE // 2, SIZE // 2))


def latent(reward: PlaceReward, *placed: tuple[float, float], alive: int = 3) -> torch.Tensor:
    centre = torch.tensor([placed])
    facing = torch.tensor([1.0, 0.0]).expand_as(centre)
    there = torch.arange(3)[None] < alive
    table = reward.table.written(there, Poses(centre=centre, facing=facing), torch.zeros(1, 3, 2))
    return torch.cat([torch.zeros(1, 2, *table.shape[2:]), table], 1)


def left_half(reward: PlaceReward, monkeypatch) -> None:
    """The left half of the picture pays, the right half does not."""
    odds = torch.ones(1, 1, SIZE // 8, SIZE // 8)
    odds[..., SIZE // 16 :] = -1
    monkeypatch.setattr(reward, "paying", lambda still: odds)


@pytest.mark.parametrize(
    ("xs", "alive", "share"),
    [((5, 10, 60), 3, 2 / 3), ((5, 10, 60), 2, 1.0), ((33, 50, 60), 3, 0.0), ((5, 5, 5), 0, 0.0)],
)
def test_the_reward_is_the_share_of_those_there_who_are_where_it_pays(
    monkeypatch, xs, alive, share
):
    reward = head()
    left_half(reward, monkeypatch)
    placed = [(float(x), 20.0) for x in xs]
    kept = {"still": torch.zeros(1, 3, SIZE, SIZE)}
    paid, ended = reward(torch.zeros(1), latent(reward, *placed, alive=alive), kept)
    assert paid.item() == pytest.approx(share)
    assert ended.item() == 0


def test_mirrored_and_turned_moments_hold_the_same_figures_at_the_same_places():
    y, x = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    still = torch.stack([x, y, 0 * x])[None]
    centre = torch.tensor([[[[1.0, 5.0], [3.0, 3.0]]]])
    there, reward = torch.ones(1, 1, 2, dtype=torch.bool), torch.ones(1, 1)
    seen, random = set(), np.random.default_rng(0)
    for _ in range(100):
        after = turned(Moments(still, centre, there, reward), random)
        places = after.centre[0, 0].long().tolist()
        for (a, b), place in zip(centre[0, 0].tolist(), places, strict=True):
            assert after.still[0, :2, place[1], place[0]].tolist() == [a, b]
        seen.add(tuple(places[0]))
    assert len(seen) == 8


def earning(number: int):
    """Windows of still ponds in which the leaf pays; where fish are is told by three pixels."""
    random = np.random.default_rng(number)
    while True:
        picture, steps = ground(int(random.integers(1000))), 80
        frames = np.repeat(picture[None, None], steps + 1, 1)
        frames[0, :, 0, :3, :2] = random.integers(0, SIZE, (steps + 1, 3, 2))
        x, y = frames[0, 1:, 0, :3, 0], frames[0, 1:, 0, :3, 1]
        yield Window(
            observation=frames, action=np.zeros((1, steps, 3), np.float32),
            reward=leaf()[y, x].mean(1, dtype=np.float32)[None],
            terminated=np.zeros((1, steps), bool), first=np.zeros((1, steps + 1), bool),
            valid=np.ones((1, steps), bool), metadata={},
        )  # fmt: skip


def told(images: torch.Tensor, count: int) -> tuple[Poses, torch.Tensor]:
    """The fish of `earning`."""
    centre = ((images[:, :2, 0, :3] + 1) * 127.5).round().transpose(1, 2)
    return Poses(centre=centre, facing=torch.ones_like(centre)), centre[..., 0] >= 0


def pond() -> WorldModel:
    torch.manual_seed(0)
    dynamics = SpriteDynamicsConfig(count=3, code=2, body=20.0, width=16, message=8)
    return WorldModelConfig(
        image_size=(SIZE, SIZE), actions=PointActions(), codec=config(3), dynamics=dynamics,
        heads=SMALL,
    ).build()  # fmt: skip


def test_which_places_pay_is_learned_from_what_was_earned(tmp_path, monkeypatch):
    model = pond()
    monkeypatch.setattr(model.codec.finder, "find", told)
    recipe = PlacesRecipe(
        steps=200, round_steps=100, warmup=5, windows=6, moments=60, learning_rate=1e-2,
        average=0.5,
    )  # fmt: skip
    trainer = places_trainer(model, recipe, earning, tmp_path)
    assert trainer.run(progress=False)
    still = to_images(torch.from_numpy(ground(5000))[None])
    y, x = np.mgrid[:SIZE, :SIZE]
    places = torch.from_numpy(np.stack([x.ravel(), y.ravel()], -1)[None]).float()
    reward = trainer.average.heads
    pays = (reward.at(reward.paying(still), places) > 0).view(SIZE, SIZE).numpy()
    assert (pays == leaf()).mean() > 0.95
    assert pays[leaf()].mean() > 0.7
    before, after = dict(pond().named_parameters()), dict(trainer.module.named_parameters())
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"heads"}
