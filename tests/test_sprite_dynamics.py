"""A surface with waves and figures that draw their moves."""

import math

import pytest
import torch
from tiny_pond import SIZE, config
from torch import Tensor

from learned_envs.models.actions import DiscreteActions, PointActions
from learned_envs.models.codecs.poses import Poses
from learned_envs.models.codecs.surface import Surface
from learned_envs.models.dynamics.figure_motion import FigureMotion, Shoal
from learned_envs.models.dynamics.sprite_dynamics import SpriteDynamicsConfig
from learned_envs.models.dynamics.waves import Waves
from learned_envs.models.world_model import WorldModel, WorldModelConfig, training_noise

CODE, COUNT = 2, 3


def motion() -> FigureMotion:
    torch.manual_seed(0)
    return FigureMotion((SIZE, SIZE), CODE, 20.0, 16, 8).requires_grad_(False)


def shoal(*placed: tuple[float, float, float]) -> Shoal:
    x, y, angle = torch.tensor([placed]).unbind(-1)
    poses = Poses(
        centre=torch.stack([x, y], -1), facing=torch.stack([angle.cos(), angle.sin()], -1)
    )
    torch.manual_seed(1)
    return Shoal(
        poses=poses, code=torch.rand(1, len(placed), CODE), move=torch.rand(1, len(placed), 5),
        alive=torch.ones(1, len(placed), dtype=torch.bool),
    )  # fmt: skip


def means(of: Shoal, touch: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Tensor:
    memory = torch.zeros(*of.alive.shape, 16)
    return motion()(of, torch.tensor([touch]), memory)[0]


def world(count: int = COUNT) -> WorldModel:
    torch.manual_seed(0)
    dynamics = SpriteDynamicsConfig(count=count, code=CODE, body=20.0, width=16, message=8)
    model = WorldModelConfig(
        image_size=(SIZE, SIZE), actions=PointActions(), codec=config(count), dynamics=dynamics
    ).build()
    return model.eval().requires_grad_(False)


def test_through_a_flat_surface_everything_is_seen_as_it_is():
    picture = torch.rand(2, 3, SIZE, SIZE)
    seen = Surface(4)(picture, torch.zeros(2, 1, SIZE // 2, SIZE // 2))
    torch.testing.assert_close(seen, picture, atol=1e-5, rtol=0)


def test_a_slope_shifts_what_is_seen_through_it():
    surface = Surface(4).requires_grad_(False)
    surface.tint[2].weight.zero_()
    surface.softness.fill_(-30.0)
    picture = torch.arange(float(SIZE)).expand(1, 1, SIZE, SIZE)
    tinted = picture.expand(1, 3, SIZE, SIZE)
    height = 0.5 * torch.arange(SIZE // 2).float().expand(1, 1, SIZE // 2, SIZE // 2)
    moved = (surface(tinted, height) - tinted)[..., 4:-8]
    torch.testing.assert_close(moved, torch.full_like(moved, 4.0 * 0.5), atol=1e-2, rtol=0)


def test_waves_begin_where_the_surface_is_touched_run_outwards_and_run_out():
    waves = Waves((32, 32)).requires_grad_(False)
    still, none = torch.zeros(1, 2, 32, 32), torch.zeros(1, 3)
    assert torch.equal(waves(still, none), still)
    surface = waves(still, torch.tensor([[0.25, 0.5, 1.0]]))
    weight = surface[0, 0].abs()
    row = (weight.sum(1) * torch.arange(32)).sum() / weight.sum()
    column = (weight.sum(0) * torch.arange(32)).sum() / weight.sum()
    assert abs(row - 15.5) < 0.5 and abs(column - 7.5) < 0.7
    assert surface[0, 0, 16, 26].abs() < 1e-4
    for _ in range(6):
        surface = waves(surface, none)
    assert surface[0, 0, 16, 26].abs() > 3e-3
    for _ in range(200):
        surface = waves(surface, none)
    assert torch.equal(surface, still)


def test_a_touch_may_lie_between_places():
    waves = Waves((32, 32)).requires_grad_(False)
    still = torch.zeros(1, 2, 32, 32)
    left, middle, right = (
        waves(still, torch.tensor([[x / 32, 0.5, 0.8]])) for x in (10.5, 10.75, 11.5)
    )
    torch.testing.assert_close(middle, 0.75 * left + 0.25 * right, atol=1e-5, rtol=0)


def test_moves_are_what_takes_one_pose_to_the_other():
    before = shoal((20.0, 30.0, 0.4), (50.0, 10.0, 3.0)).poses
    ahead, aside, turn = torch.tensor([[[3.0, 1.0]], [[-1.0, 2.0]], [[0.5, -0.7]]]).unbind(0)
    after = before.moved(ahead, aside, turn)
    torch.testing.assert_close(before.moves(after), torch.stack([ahead, aside, turn], -1))


def test_figures_do_the_same_whichever_way_the_picture_is_turned():
    placed = [(12.0, 20.0, 0.3), (30.0, 26.0, 2.0), (50.0, 55.0, -1.0)]
    turned = [(SIZE - 1 - y, x, angle + math.pi / 2) for x, y, angle in placed]
    u, v = 0.3, 0.4
    torch.testing.assert_close(
        means(shoal(*placed), (u, v, 0.7)), means(shoal(*turned), (1 - v, u, 0.7)),
        atol=1e-5, rtol=1e-4,
    )  # fmt: skip


def test_a_figure_heeds_others_that_are_near_and_there_and_touches():
    near, far = (30.0, 20.0, 1.0), (20.0, 62.5, 1.0)
    alone = means(shoal((20.0, 20.0, 0.0)))[0, 0]
    assert not torch.allclose(means(shoal((20.0, 20.0, 0.0), near))[0, 0], alone)
    one, both = shoal((20.0, 20.0, 0.0), far), shoal((20.0, 20.0, 0.0), far, near)
    torch.testing.assert_close(
        means(one._replace(code=both.code[:, :2], move=both.move[:, :2]))[0, 0],
        means(both._replace(alive=torch.tensor([[True, True, False]])))[0, 0],
    )
    touched = shoal((20.0, 20.0, 0.0))
    assert not torch.allclose(means(touched, (0.4, 0.3, 1.0)), means(touched))
    torch.testing.assert_close(means(touched, (0.4, 0.3, 0.0)), means(touched))


def begun(model: WorldModel, length: int = 2) -> dict[str, Tensor]:
    """A state in which figures go right by 2 pixels and down by 1 a step."""
    of = shoal((20.0, 20.0, 0.0), (40.0, 30.0, 2.0), (10.0, 50.0, 1.0))
    at = torch.arange(float(length))[:, None, None] * torch.tensor([2.0, 1.0])
    planes = [
        model.dynamics.table.written(
            of.alive, Poses(centre=of.poses.centre + moved, facing=of.poses.facing), of.code
        )
        for moved in at
    ]
    latents = torch.stack([torch.cat([torch.zeros(1, 2, 32, 32), plane], 1) for plane in planes], 1)
    kept = {name: torch.zeros(1, *shape) for name, shape in model.codec.kept_spec.items()}
    return model.start_latents(latents, torch.zeros(1, length - 1, 3), kept)


def test_figures_go_on_as_they_went_as_long_as_nothing_is_learned():
    model = world()
    for layer in (model.dynamics.motion.drawn[2],):
        layer.weight.zero_()
        layer.bias.zero_()
        layer.bias[5:] = -30.0
    noise = training_noise(model.noise_spec, 1, torch.device("cpu"))
    noise["move"].zero_()
    state, _ = model.step(begun(model), torch.zeros(1, 3), noise)
    _, poses, _ = model.dynamics.table.read(state["latents"][:, -1])
    torch.testing.assert_close(poses.centre[0, 0], torch.tensor([24.0, 22.0]), atol=1e-3, rtol=0)
    torch.testing.assert_close(poses.centre[0, 2], torch.tensor([14.0, 52.0]), atol=1e-3, rtol=0)
    state, _ = model.step(begun(model, 1), torch.zeros(1, 3), noise)
    _, poses, _ = model.dynamics.table.read(state["latents"][:, -1])
    torch.testing.assert_close(poses.centre[0, 0], torch.tensor([20.0, 20.0]), atol=1e-3, rtol=0)


def test_the_noise_draws_the_moves_and_strange_draws_are_bounded():
    model, draws = world(), {}
    for level in (0.0, 1.0, 4.0, 50.0):
        noise = {"move": torch.full((1, COUNT, 3 + CODE), level)}
        draws[level] = model.step(begun(model), torch.zeros(1, 3), noise)[0]["latents"]
    assert not torch.allclose(draws[0.0], draws[1.0])
    assert torch.equal(draws[4.0], draws[50.0])


def test_a_touch_above_its_threshold_makes_waves_and_leaves_a_memory():
    model = world()
    noise = {"move": torch.zeros(1, COUNT, 3 + CODE)}
    after = {
        strength: model.step(begun(model), torch.tensor([[0.5, 0.5, strength]]), noise)[0]
        for strength in (0.0, 0.1, 0.9)
    }
    assert torch.equal(after[0.1]["latents"], after[0.0]["latents"])
    assert after[0.9]["latents"][:, -1, 0].abs().max() > 0.1
    assert not torch.allclose(after[0.9]["memory"], after[0.0]["memory"])
    flat, rippled = model.decode(after[0.0]), model.decode(after[0.9])
    assert flat.shape == rippled.shape == (1, 3, SIZE, SIZE)


def test_what_it_cannot_be_built_for_is_refused():
    config = SpriteDynamicsConfig(count=3, code=2)
    with pytest.raises(ValueError, match="expected `PointActions` with one kind of touch"):
        config.build((3, 32, 32), DiscreteActions(count=3))
    with pytest.raises(ValueError, match="use the codec `Sprites`"):
        config.build((1, 32, 32), PointActions())
    with pytest.raises(ValueError, match="`count` \\(=40\\) figures of 7 numbers do not fit"):
        SpriteDynamicsConfig(count=40, code=2).build((3, 32, 32), PointActions())
    model = world()
    state = begun(model)
    newest = state["latents"][:, -1]
    with pytest.raises(TypeError, match="train them with a `MotionRecipe`"):
        model.dynamics.loss(state, torch.zeros(1, 3), newest, {}, newest)
