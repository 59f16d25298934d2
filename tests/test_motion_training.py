"""Figures' motion is learned from tracks, and a surface's waves from what is seen through it."""

import dataclasses

import numpy as np
import pytest
import torch
from tiny_pond import SIZE, config, ground, windows

from learned_envs.data.window import Window
from learned_envs.models.actions import PointActions
from learned_envs.models.codecs.codec import to_frames
from learned_envs.models.dynamics.sprite_dynamics import SpriteDynamicsConfig
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.training.motion import MotionRecipe, motion_loss, motion_trainer, stretches
from learned_envs.training.ripples import RipplesRecipe, ripples_trainer
from learned_envs.training.tracks import Tracks

RECIPE = MotionRecipe(
    steps=4, round_steps=2, warmup=1, batch=2, window=20, episode_steps=20, ponds=4, span=8,
    settling=1, windows=2,
)  # fmt: skip


def model() -> WorldModel:
    torch.manual_seed(0)
    dynamics = SpriteDynamicsConfig(count=3, code=2, body=20.0, width=16, message=8)
    return WorldModelConfig(
        image_size=(SIZE, SIZE), actions=PointActions(), codec=config(3), dynamics=dynamics
    ).build()


def circling(steps: int = 12, rows: int = 6) -> Tracks:
    """Figures that swim in circles of their own, as fast as each other, and wag."""
    random = np.random.default_rng(0)
    time = np.arange(steps + 1)[None, :, None]
    angle = random.uniform(-3, 3, (rows, 1, 3)) + 0.15 * time
    middle = random.uniform(20, 44, (rows, 1, 3, 2))
    centre = middle + 10 * np.stack([np.sin(angle), -np.cos(angle)], -1)
    facing = np.stack([np.cos(angle), np.sin(angle)], -1)
    code = np.stack([np.sin(angle), np.cos(angle)], -1) / 2
    values = (torch.from_numpy(value).float() for value in (centre, facing, code))
    return Tracks(
        **dict(zip(("centre", "facing", "code"), values, strict=True)),
        there=torch.ones(rows, steps + 1, 3, dtype=torch.bool),
        action=torch.zeros(rows, steps, 3),
    )


def test_what_figures_do_becomes_likelier_and_their_own_way_stays_near_it():
    dynamics, tracks, seen = model().dynamics, circling(), []
    dynamics.motion.usual.copy_(torch.tensor([1.5, 0.1, 0.15, 0.07, 0.07]))
    optimiser = torch.optim.Adam(dynamics.motion.parameters(), 4e-3)
    for _ in range(100):
        optimiser.zero_grad()
        total, parts = motion_loss(dynamics, tracks, RECIPE)
        total.backward()
        optimiser.step()
        seen.append((total.item(), parts["shape"].item()))
    likelihood, shape = np.transpose(seen)
    assert likelihood[-20:].mean() < likelihood[:5].mean() - 5
    assert shape[-20:].mean() < 0.7 * shape[:5].mean()


def test_where_a_figure_was_not_found_nothing_is_learned_and_none_is_led_by_it():
    dynamics, tracks = model().dynamics, circling()
    there = tracks.there.clone()
    there[:, :, 2] = False
    elsewhere = tracks.centre.clone()
    elsewhere[:, :, 2] += 30
    losses = []
    for centre in (tracks.centre, elsewhere):
        torch.manual_seed(3)
        gone = dataclasses.replace(tracks, centre=centre, there=there)
        losses.append(motion_loss(dynamics, gone, RECIPE)[0])
    torch.testing.assert_close(*losses)
    assert motion_loss(dynamics, tracks, RECIPE)[0] != losses[0]


def test_a_move_that_was_read_wrongly_is_not_learned():
    dynamics, tracks = model().dynamics, circling()
    dynamics.motion.usual.fill_(0.5)
    leaping = tracks.code.clone()
    leaping[0, 6, 1] += 100
    total = motion_loss(dynamics, dataclasses.replace(tracks, code=leaping), RECIPE)[0]
    assert total < 100


def test_half_of_the_stretches_are_touched_soon_after_they_have_settled():
    touched = np.zeros((4, 100), bool)
    touched[1, 50] = touched[3, 70] = True
    recipe = dataclasses.replace(RECIPE, window=100, ponds=2000, span=20, settling=3)
    row, start = stretches(touched, recipe, np.random.default_rng(0))
    after = {1: 50 - start[row == 1], 3: 70 - start[row == 3]}
    for steps in after.values():
        assert (steps > 3).float().mean() > 0.6
    soon = sum(int(((steps > 3) & (steps < 10)).sum()) for steps in after.values())
    assert 0.45 < soon / 2000 < 0.6
    assert start.min() >= 0 and start.max() <= 80


def test_where_nothing_is_touched_stretches_lie_anywhere():
    row, start = stretches(np.zeros((4, 20), bool), RECIPE, np.random.default_rng(0))
    assert len(row) == len(start) == RECIPE.ponds


def found_everywhere() -> WorldModel:
    made = model()
    made.codec.finder._chance = 0.0  # random weights find something in every frame
    return made


def test_a_training_of_motion_that_is_killed_comes_to_the_same_parameters(tmp_path):
    whole = motion_trainer(found_everywhere(), RECIPE, _windows, tmp_path / "whole")
    assert whole.run(progress=False)

    def killed(step, model):
        raise KeyboardInterrupt

    begun = motion_trainer(
        found_everywhere(), RECIPE, _windows, tmp_path / "parts", round_end=killed
    )
    with pytest.raises(KeyboardInterrupt):
        begun.run(progress=False)
    again = motion_trainer(found_everywhere(), RECIPE, _windows, tmp_path / "parts")
    assert 0 < again.step < RECIPE.steps
    assert again.run(progress=False)
    before = dict(found_everywhere().dynamics.named_parameters())
    through = dict(again.module.dynamics.named_parameters())
    for name, value in whole.module.dynamics.named_parameters():
        assert torch.equal(value, through[name]), name
        assert torch.equal(value, before[name]) != name.startswith("motion."), name


def _windows(number: int):
    """Windows that last from the beginning of a take to its end."""
    for window in windows(number, rows=2, steps=20):
        window.first[:, 0] = True
        yield window


def rippled(number: int):
    """Windows of a still pond that is touched, and looks as the model's own waves would have it."""
    maker = model().requires_grad_(False)
    maker.codec.surface.bend.fill_(6.0)
    random = np.random.default_rng(number)
    while True:
        action = np.zeros((2, 44, 3), np.float32)
        action[:, 2] = random.uniform(0.3, 0.7, (2, 3)) + (0, 0, 0.3)
        frames, surface = [], torch.zeros(2, 2, 32, 32)
        still = torch.from_numpy(np.stack([ground(i) for i in random.integers(99, size=2)]))
        still = still.movedim(-1, 1).float() / 255
        for t in range(45):
            frames.append(to_frames(2 * maker.codec.surface(still, surface[:, :1]) - 1).numpy())
            if t < 44:
                surface = maker.dynamics.waves(surface, torch.from_numpy(action[:, t]))
        first = np.zeros((2, 45), bool)
        first[:, 0] = True
        yield Window(
            observation=np.stack(frames, 1), action=action, reward=np.zeros((2, 44), np.float32),
            terminated=np.zeros((2, 44), bool), first=first, valid=np.ones((2, 44), bool),
            metadata={},
        )  # fmt: skip


def test_what_is_seen_through_waves_is_learned_from_the_first_touch_on(tmp_path):
    recipe = RipplesRecipe(
        steps=40,
        round_steps=20,
        learning_rate=0.01,
        warmup=1,
        takes=2,
        span=8,
        average=0.5,
        clip=1.0,
    )
    learner, shares = model(), []
    learner.codec.covering[-2].bias.data.fill_(-9.0)
    trainer = ripples_trainer(
        learner, recipe, rippled, tmp_path, log=lambda _, parts: shares.append(parts["ripples"])
    )
    assert trainer.run(progress=False)
    assert shares[-1] < 0.6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"settling": 7}, "`settling` \\(=7\\) must be less than `span` \\(=8\\) - 1"),
        ({"span": 30}, "less than `window` \\(=20\\)"),
        ({"ponds": 0}, "`ponds` \\(=0\\) must be at least 1"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(RECIPE, **settings)


def test_stretches_grow_to_their_full_length():
    recipe = RipplesRecipe(steps=100, span=26, growth=0.5)
    assert [recipe.span_at(step) for step in (0, 25, 50, 99)] == [6, 16, 26, 26]
    assert RipplesRecipe(span=3).span_at(0) == 3
