"""The sparse editor draws each open future whole, and as often as it happens."""

import dataclasses

import pytest
import torch

from learned_envs.models.actions import DiscreteActions
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig, Truth, Written
from learned_envs.models.world_model import WorldModel, WorldModelConfig, training_noise

LIKELY = 0.9
NOOP = torch.tensor([1.0, 0.0])


def open_world(rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Contexts (rows, 2, 3, 8, 8) with one lit place, and what follows: all places bright or dark.

    Bright follows a place in the upper half with the probability `LIKELY`, else dark does.
    """
    context = torch.zeros(rows, 2, 3, 8, 8)
    y, x = torch.randint(8, (rows,)), torch.randint(8, (rows,))
    context[torch.arange(rows), :, :, y, x] = 1.0
    upper = y < 4
    bright = torch.where(torch.rand(rows) < LIKELY, upper, ~upper)
    following = torch.where(bright, 0.8, -0.8)[:, None, None, None].expand(rows, 3, 8, 8)
    return context, following


def state_of(context: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"latents": context, "actions": NOOP.expand(len(context), 1, 2)}


@pytest.fixture(scope="module")
def model() -> WorldModel:
    """An editor of 8x8 pixels that learned `open_world`."""
    torch.manual_seed(0)
    editor = SparseEditorConfig(
        context=2, patch=2, widths=(16, 16), blocks=(1, 1), head=16, choices=3, evidence=16,
        least_chance=0.01, glimpses=1, glimpse=8, glimpse_widths=(8, 8, 8),
    )  # fmt: skip
    built = WorldModelConfig(
        image_size=(8, 8), actions=DiscreteActions(count=2), codec=IdentityConfig(), dynamics=editor
    ).build()
    optimiser = torch.optim.AdamW(built.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=1000)
    for _ in range(1000):
        context, following = open_world(64)
        noise = training_noise(built.noise_spec, 64, torch.device("cpu"))
        state, action = state_of(context), NOOP.expand(64, 2)
        loss = built.dynamics.loss(state, action, following, noise, context[:, -1])
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        schedule.step()
    return built.eval()


@torch.no_grad()
def dreamed(model: WorldModel, context: torch.Tensor) -> torch.Tensor:
    noise = training_noise(model.noise_spec, len(context), torch.device("cpu"))
    state, _ = model.step(state_of(context), torch.zeros(len(context), dtype=torch.long), noise)
    return state["latents"][:, -1]


def test_an_open_future_is_drawn_whole(model: WorldModel):
    latent = dreamed(model, open_world(500)[0])
    whole = (abs(abs(latent) - 0.8) < 0.3).all(dim=(1, 2, 3)) & (
        latent.flatten(1).sign().sum(1).abs() == 3 * 64
    )
    assert whole.float().mean() > 0.97


def test_an_open_future_is_drawn_as_often_as_it_happens(model: WorldModel):
    context = open_world(2000)[0]
    upper = context[:, 0, 0, :4].amax((1, 2)) > 0.5
    bright = dreamed(model, context).mean((1, 2, 3)) > 0
    assert abs(bright[upper].float().mean() - LIKELY) < 0.07
    assert abs(bright[~upper].float().mean() - (1 - LIKELY)) < 0.07


@torch.no_grad()
def test_what_stands_still_at_one_end_is_told_at_the_other():
    torch.manual_seed(0)
    config = WorldModelConfig(
        image_size=(64, 64), actions=DiscreteActions(count=2), codec=IdentityConfig(),
        dynamics=SparseEditorConfig(
            context=2, patch=2, widths=(8, 8), blocks=(1, 1), head=8, glimpses=1, glimpse=8,
            glimpse_widths=(8, 8, 8),
        ),
    )  # fmt: skip
    model = config.build().eval()
    context = torch.zeros(1, 2, 3, 64, 64)
    context[:, 1, :, 10, 10] = 1.0  # what moves, where the glimpse goes
    other = context.clone()
    other[:, :, :, -4:, -4:] = 1.0
    written = []
    for seen in (context, other):
        noise = {"choice": torch.zeros(1, 1)}
        written.append(model.dynamics.predict(state_of(seen), NOOP[None], noise).latent)
    assert (written[0] != written[1])[0, :, 0, 0].all()


def test_a_future_far_less_likely_than_the_likeliest_is_never_drawn(
    model: WorldModel, monkeypatch: pytest.MonkeyPatch
):
    config = dataclasses.replace(model.dynamics.config, least_chance=0.5)
    monkeypatch.setattr(model.dynamics, "config", config)
    context = open_world(2000)[0]
    upper = context[:, 0, 0, :4].amax((1, 2)) > 0.5
    bright = dreamed(model, context).mean((1, 2, 3)) > 0
    assert bright[upper].float().mean() > 0.98
    assert bright[~upper].float().mean() < 0.02


@pytest.mark.parametrize("comes", [True, False])
def test_a_choice_is_credited_by_its_mask_where_the_values_are_alike(
    model: WorldModel, comes: bool
):
    """As where a thing comes or does not: what it would look like is known either way."""
    shape = (1, 1, 8, 8)
    target = values = torch.full((1, 3, 8, 8), 0.5)
    changed = near = torch.full(shape, float(comes))
    truth = Truth(target, changed, near, missed=None)
    marked, unmarked = (
        model.dynamics._error(Written(values, torch.full(shape, mask), odds=None), truth)
        for mask in (5.0, -5.0)
    )
    assert bool(marked < unmarked) is comes


@pytest.mark.parametrize("chance", [0.0, -0.1, 1.5])
def test_a_least_chance_that_is_none_is_refused(chance: float):
    with pytest.raises(ValueError, match="`least_chance` .*above 0 and at most 1"):
        SparseEditorConfig(least_chance=chance)


DELAY = 5


def blinked(rows: int) -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Dark pictures in which a place changed some time ago, what follows, and how long ago it was.

    All places light up `DELAY` steps after.
    """
    ago = torch.randint(8, (rows,))
    place = torch.zeros(rows, 1, 16)
    place[torch.arange(rows), 0, torch.randint(16, (rows,))] = 8 - ago.float()
    context = torch.full((rows, 2, 3, 8, 8), -0.8)
    following = torch.where(ago == DELAY, 0.8, -0.8)[:, None, None, None].expand(rows, 3, 8, 8)
    return state_of(context) | {"recent": place.view(rows, 1, 4, 4)}, following, ago


def test_what_happens_some_time_after_something_was_seen_is_learned():
    torch.manual_seed(0)
    editor = SparseEditorConfig(
        context=2, patch=2, widths=(16, 16), blocks=(1, 1), head=16, choices=1, evidence=16,
        glimpses=1, glimpse=8, glimpse_widths=(8, 8, 8), memory=8,
    )  # fmt: skip
    built = WorldModelConfig(
        image_size=(8, 8), actions=DiscreteActions(count=2), codec=IdentityConfig(), dynamics=editor
    ).build()
    optimiser = torch.optim.AdamW(built.parameters(), 5e-3)
    for _ in range(400):
        state, following, _ = blinked(64)
        noise = training_noise(built.noise_spec, 64, torch.device("cpu"))
        previous = state["latents"][:, -1]
        loss = built.dynamics.loss(state, NOOP.expand(64, 2), following, noise, previous)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    state, _, ago = blinked(400)
    noise = training_noise(built.noise_spec, 400, torch.device("cpu"))
    following, _ = built.eval().step(state, torch.zeros(400, dtype=torch.long), noise)
    bright = (following["latents"][:, -1] > 0).float().mean((1, 2, 3)) > 0.5
    assert (bright == (ago == DELAY)).float().mean() > 0.98


def test_how_recently_a_place_changed_fades_step_by_step():
    editor = SparseEditorConfig(
        context=2, patch=2, widths=(16, 16), head=16, glimpses=1, glimpse=8,
        glimpse_widths=(8, 8, 8), memory=3,
    )  # fmt: skip
    dynamics = editor.build((3, 8, 8), DiscreteActions(count=2))
    dark = torch.zeros(1, 3, 8, 8)
    lit = dark.clone()
    lit[0, 1, 2, 5] = 0.5
    state, seen = {"recent": torch.zeros(1, 1, 4, 4)}, []
    for before, after in [(dark, dark), (dark, lit), *[(lit, lit)] * 4]:
        state = dynamics.remember(state, before, after)
        seen.append(state["recent"][0, 0, 1, 2].item())
        assert state["recent"].sum() == seen[-1]
    assert seen == [0, 3, 2, 1, 0, 0]
