"""The pointer editor rewrites what the pointer changes, exactly, and nothing else."""

import pytest
import torch

from learned_envs.models.actions import DiscreteActions, PointActions
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.pointer_editor import (
    _PALETTE_SCALE,
    PointerEditor,
    PointerEditorConfig,
)
from learned_envs.models.dynamics.pointer_situation import seen_from
from learned_envs.models.world_model import WorldModel, WorldModelConfig

SIZE = 32
SMALL = PointerEditorConfig(
    summary=(4, 4, 8), situation=48, width=32, hidden=48, depth=1, position=4, fine=24, values=4,
    mask=16,
)  # fmt: skip
INKS = torch.tensor([[1.0, -1.0, -1.0], [-1.0, -1.0, 1.0]])  # on the left half and on the right


def model_of(config: PointerEditorConfig = SMALL) -> WorldModel:
    torch.manual_seed(0)
    return WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=PointActions(threshold=0.4999),
        codec=IdentityConfig(),
        dynamics=config,
    ).build()


def clicks(rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """White papers with a few marks (rows, 3, 32, 32), actions, and what comes of them.

    A pressed pointer leaves a square of 3x3 pixels around it: red on the left half, blue on the
    right one.
    """
    paper = torch.ones(rows, 3, SIZE, SIZE)
    for x, y in torch.randint(SIZE - 2, (4, 2)).tolist():
        paper[:, :, y, x] = -1.0
    pixel = torch.randint(1, SIZE - 1, (rows, 2))
    pressed = torch.rand(rows) < 0.7
    after = paper.clone()
    for row, (x, y) in enumerate(pixel.tolist()):
        if pressed[row]:
            ink = INKS[int(x >= SIZE // 2)]
            after[row, :, y - 1 : y + 2, x - 1 : x + 2] = ink[:, None, None]
    action = torch.cat([(pixel + 0.5) / SIZE, pressed[:, None].float()], 1)
    return paper, action, after


def state_of(latent: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "latents": latent[:, None].repeat(1, 2, 1, 1, 1),
        "actions": torch.zeros(len(latent), 1, 3),
    }


@pytest.fixture(scope="module")
def taught() -> WorldModel:
    """An editor that learned `clicks`."""
    model = model_of()
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.02, total_iters=600)
    for _ in range(600):
        before, action, after = clicks(24)
        loss = model.dynamics.loss(state_of(before), action, after, {}, before)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        schedule.step()
    return model.eval()


@torch.no_grad()
def test_it_learns_what_a_click_does_to_the_pixel(taught):
    torch.manual_seed(1)
    before, action, after = clicks(200)
    frames = taught.render(taught.step(state_of(before), action, {})[0])
    true = taught.render(state_of(after))
    changed = (before != after).any(1)
    assert (frames == true).all(-1)[changed].float().mean() > 0.97
    assert (frames == true).all(-1)[~changed].float().mean() > 0.9995


@torch.no_grad()
def test_what_it_does_not_edit_stays_bit_by_bit_however_often_it_is_stepped(taught):
    torch.manual_seed(2)
    before = 2 * torch.rand(2, 3, SIZE, SIZE) - 1
    state = state_of(before)
    edited = torch.zeros(2, 1, SIZE, SIZE, dtype=torch.bool)
    for _ in range(20):
        _, action, _ = clicks(2)
        state, prediction = taught.step(state, action, {})
        edited |= prediction.edited
    kept = ~edited.expand_as(before)
    assert kept.float().mean() > 0.3
    assert torch.equal(state["latents"][:, -1][kept], before[kept])


@torch.no_grad()
def test_rows_of_a_batch_do_not_see_each_other(taught):
    torch.manual_seed(3)
    before, action, _ = clicks(5)
    together, _ = taught.step(state_of(before), action, {})
    for row in range(5):
        alone, _ = taught.step(state_of(before[row : row + 1]), action[row : row + 1], {})
        assert torch.equal(alone["latents"][0], together["latents"][row])


@torch.no_grad()
def test_only_patches_of_picked_blocks_are_edited():
    model = model_of()
    model.dynamics.mask.last.bias.fill_(-100.0)
    before, action, _ = clicks(3)
    following, prediction = model.step(state_of(before), action, {})
    assert not prediction.edited.any()
    assert torch.equal(following["latents"][:, -1], before)


def test_where_a_dream_is_off_and_the_truth_rests_nothing_is_taught():
    model = model_of()
    before, action, after = clicks(8)
    off = state_of(before - 0.3)
    rests = model.dynamics.loss(off, action, before, {}, before).parts
    changes = model.dynamics.loss(off, action, after, {}, before).parts
    assert rests["write"] == 0 == rests["changed"]
    assert changes["write"] > 0 and changes["changed"] > 0


def test_the_loss_predicts_what_a_step_predicts_where_both_look(taught):
    before, action, after = clicks(6)
    state = state_of(before)
    predicted = taught.dynamics.loss(state, action, after, {}, before).prediction()
    advanced = taught.advance(state, action, predicted, {})["latents"][:, -1]
    stepped = taught.step(state, action, {})[0]["latents"][:, -1]
    assert (advanced == stepped).float().mean() > 0.999


def test_a_place_is_told_along_and_beside_the_movement():
    pointers = torch.tensor([[6.0, 8.0, 3.0, 4.0]])  # five places towards (0.6, 0.8)
    at = torch.tensor([[[9.0, 12.0], [10.0, 5.0]]])
    seen = seen_from(pointers, at)[0]
    torch.testing.assert_close(seen[0], torch.tensor([3.0, 4.0, 5.0, 0.0, 5.0, 10.0]))
    torch.testing.assert_close(seen[1], torch.tensor([4.0, -3.0, 0.0, 5.0, 5.0, 50**0.5]))


def test_what_is_around_the_pointer_is_seen_and_the_edge_repeated():
    model = model_of()
    latent = torch.arange(3.0 * SIZE * SIZE).reshape(1, 3, SIZE, SIZE)
    around = model.dynamics.situation._around(latent, torch.tensor([[2, 20, 0, 0]]))[0]
    assert around.shape == (11, 11, 3)
    assert torch.equal(around[5, 5], latent[0, :, 20, 2])
    assert torch.equal(around[4, 7], latent[0, :, 19, 4])
    assert torch.equal(around[5, 0], latent[0, :, 20, 0])


def test_a_pointer_at_the_far_edge_is_on_the_last_place():
    model = model_of()
    state = {
        "latents": torch.zeros(1, 2, 3, SIZE, SIZE),
        "actions": torch.tensor([[[0.5, 1, 0.49]]]),
    }
    places, down = model.dynamics._pointers(state, torch.tensor([[1.0, 0.99, 0.5]]))
    assert places.tolist() == [[31, 31, 16, 31]]
    assert down.tolist() == [[1, 0]]


@pytest.mark.parametrize(
    ("shape", "actions", "message"),
    [
        ((3, 32, 32), DiscreteActions(count=3), "expected `PointActions` with one kind"),
        ((3, 32, 32), PointActions(idle=(0.0, 0.0, 0.0, 0.0)), "expected `PointActions`"),
        ((3, 32, 40), PointActions(), "32x40 must be divisible by 32"),
    ],
)
def test_what_it_cannot_be_built_for_is_refused(shape, actions, message):
    with pytest.raises(ValueError, match=message):
        SMALL.build(shape, actions)


def test_learned_values_begin_with_what_places_become_most():
    torch.manual_seed(0)
    dynamics = model_of().dynamics
    before = dynamics.palette.detach().clone()
    dynamics.begin_with(torch.cat([INKS[:1].expand(50, -1), INKS[1:]]))
    values = _PALETTE_SCALE * dynamics.palette.detach()
    torch.testing.assert_close(values[:2], INKS)
    assert torch.equal(dynamics.palette[2:], before[2:])


def test_learned_values_begin_in_the_middle_of_what_is_alike():
    torch.manual_seed(0)
    dynamics = model_of().dynamics
    corners = torch.tensor([[1.0, 1, 1], [1, -1, 0], [-1, 1, 0], [-1, -1, -1]])
    dynamics.begin_with((corners[:, None] + 0.1 * torch.randn(4, 200, 3)).flatten(0, 1))
    apart = torch.cdist(corners, _PALETTE_SCALE * dynamics.palette.detach())
    assert (apart.amin(1) < 0.05).all()


def test_a_row_goes_as_badly_as_its_worst_patch(taught):
    torch.manual_seed(2)
    before, action, after = clicks(12)
    wrong = after.clone()
    wrong[3, :, 8:12, 8:12] = 0.5
    well = taught.dynamics.loss(state_of(before), action, after, {}, before).each
    badly = taught.dynamics.loss(state_of(before), action, wrong, {}, before).each
    assert badly.argmax() == 3 and badly[3] > 10 * well.max()


def test_the_packaged_size_is_small():
    editor = PointerEditorConfig().build((3, 224, 224), PointActions(threshold=0.4999))
    assert isinstance(editor, PointerEditor)
    assert sum(p.numel() for p in editor.parameters()) < 2.5e6
