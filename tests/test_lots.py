"""What comes out of nowhere keeps coming in a dream, about as often as it did."""

import pytest
import torch

from learned_envs.models.actions import DiscreteActions
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.world_model import WorldModel, WorldModelConfig, training_noise

SIZE, ROWS, OFTEN = 16, 64, 0.3
NOOP = torch.tensor([1.0, 0.0])
DARK, LIT = -1.0, 0.5


def snow(rows: int, steps: int) -> torch.Tensor:
    """Pictures (rows, steps, 3, 16, 16) of flakes of 2x2 that come in at the top and fall by 2."""
    long = steps + SIZE // 2
    sky = torch.full((rows, long, 1, SIZE, SIZE), DARK)
    for t in range(long):
        comes = torch.rand(rows) < OFTEN
        x = 2 * torch.randint(SIZE // 2, (rows,))
        for later in range(t, min(long, t + SIZE // 2)):
            y = 2 * (later - t)
            for k in range(4):
                sky[comes, later, 0, y + k // 2, x[comes] + k % 2] = LIT
    return sky[:, -steps:].expand(-1, -1, 3, -1, -1)


def state_of(pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"latents": pictures, "actions": NOOP.expand(len(pictures), pictures.shape[1] - 1, 2)}


@pytest.fixture(scope="module")
def model() -> WorldModel:
    torch.manual_seed(0)
    editor = SparseEditorConfig(
        context=2, patch=4, widths=(16, 16), blocks=(1, 1), head=16, choices=1, evidence=16,
        glimpses=1, glimpse=8, glimpse_widths=(8, 8, 8), shifts=((2, 0),), lots=2,
    )  # fmt: skip
    built = WorldModelConfig(
        image_size=(SIZE, SIZE), actions=DiscreteActions(count=2), codec=IdentityConfig(),
        dynamics=editor,
    ).build()  # fmt: skip
    optimiser = torch.optim.AdamW(built.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=600)
    for _ in range(600):
        pictures = snow(32, 3)
        noise = training_noise(built.noise_spec, 32, torch.device("cpu"))
        state, newest = state_of(pictures[:, :2]), pictures[:, 1]
        loss = built.dynamics.loss(state, NOOP.expand(32, 2), pictures[:, 2], noise, newest)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
        schedule.step()
    return built.eval()


@torch.no_grad()
def test_a_sky_does_not_empty(model: WorldModel):
    torch.manual_seed(1)
    real = snow(ROWS, 40)
    state, lit = state_of(real[:, :2]), []
    for _ in range(38):
        noise = training_noise(model.noise_spec, ROWS, torch.device("cpu"))
        state, _ = model.step(state, torch.zeros(ROWS, dtype=torch.long), noise)
        lit.append((state["latents"][:, -1, 0] > -0.25).float().mean().item())
    late = sum(lit[-10:]) / 10
    assert late == pytest.approx((real[:, -10:, 0] > -0.25).float().mean().item(), rel=0.3)


@torch.no_grad()
def test_in_its_own_footsteps_a_model_in_training_has_the_luck_of_the_truth(model: WorldModel):
    torch.manual_seed(2)
    pictures = snow(ROWS, 3)
    noise = training_noise(model.noise_spec, ROWS, torch.device("cpu"))
    state, truth = state_of(pictures[:, :2]), pictures[:, 2]
    loss = model.dynamics.loss(state, NOOP.expand(ROWS, 2), truth, noise, pictures[:, 1])
    prediction = loss.prediction()
    assert prediction.edited is not None
    following = torch.where(prediction.edited, prediction.latent, pictures[:, 1])
    came = (truth[:, 0, 0] > 0).any(1)
    seen = torch.isclose(following[:, 0, :2], truth[:, 0, :2], atol=0.05).flatten(1).all(1)
    assert came.sum() > 10
    assert seen[came].float().mean() > 0.9


@pytest.mark.parametrize("lots", [-1, 3])
def test_lots_that_do_not_divide_a_patch_are_refused(lots: int):
    with pytest.raises(ValueError, match="`lots` .*must be 0 or divide `patch`"):
        SparseEditorConfig(patch=4, lots=lots)
