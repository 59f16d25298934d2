"""What flies on unchanged is carried as it is, and never mixed with anything else."""

import pytest
import torch

from learned_envs.models.actions import DiscreteActions
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.carried import likeliest, mixed_error, moved
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.world_model import WorldModel, WorldModelConfig, training_noise

SIZE = 24
SPEEDS = (1, 3)
NOOP = torch.tensor([1.0, 0.0])


def test_a_latent_is_moved_by_whole_places_and_its_edge_comes_in():
    latent = torch.arange(12.0).view(1, 1, 3, 4)
    assert moved(latent, (1, -2))[0, 0].tolist() == [[2, 3, 3, 3], [2, 3, 3, 3], [6, 7, 7, 7]]


def test_the_likeliest_option_of_each_place_is_taken_whole():
    values, candidates = torch.tensor([0.0, 0.0, 0.0]), torch.tensor([[1.0, 1.0, 1.0], [2, 2, 2]])
    odds = torch.tensor([[3.0, 0.0, 0.0], [0.0, 0.2, 0.0], [0.0, 0.1, 0.1]])
    drawn = likeliest(values.view(1, 1, 1, 3), candidates.view(1, 2, 1, 1, 3), odds[None, :, None])
    assert drawn.flatten().tolist() == [0.0, 1.0, 2.0]


@pytest.mark.parametrize(("odds", "least", "most"), [(99.0, 0.0, 1e-6), (0.0, 0.03, 0.04)])
def test_an_error_is_none_only_where_what_is_right_is_thought_certain(odds, least, most):
    """One of two options is right: at even odds the error is log 2 of the likelihood's scale."""
    errors = torch.tensor([0.0, 5.0]).view(1, 2, 1, 1)
    error = mixed_error(errors, torch.tensor([odds, 0.0]).view(1, 2, 1, 1)).item()
    assert least <= error <= most


def test_a_new_value_learns_where_no_candidate_is_right_even_if_one_is_nearer():
    new, missed = torch.tensor([1.0, 1.0], requires_grad=True), torch.tensor([0.5, 0.0])
    errors = torch.stack([new, missed]).view(1, 2, 1, 2)
    mixed_error(errors, torch.zeros(1, 2, 1, 2)).sum().backward()
    assert new.grad is not None
    assert new.grad[0] > 0.9
    assert new.grad[1] < 0.01


def flights(rows: int) -> torch.Tensor:
    """Pictures (rows, 6, 3, 24, 24) of a spot of any colour that falls at one of `SPEEDS`."""
    pictures = torch.full((rows, 6, 3, SIZE, SIZE), -1.0)
    row, colour = torch.arange(rows), torch.randint(60, 256, (rows, 3)) / 127.5 - 1
    x, speed = torch.randint(SIZE, (rows,)), torch.tensor(SPEEDS)[torch.randint(2, (rows,))]
    start = torch.randint(SIZE - 5 * max(SPEEDS), (rows,))
    for t in range(6):
        pictures[row, t, :, start + speed * t, x] = colour
    return pictures


def state_of(pictures: torch.Tensor) -> dict[str, torch.Tensor]:
    return {"latents": pictures, "actions": NOOP.expand(len(pictures), pictures.shape[1] - 1, 2)}


@pytest.fixture(scope="module")
def model() -> WorldModel:
    torch.manual_seed(0)
    editor = SparseEditorConfig(
        context=3, patch=4, widths=(16, 16), blocks=(1, 1), head=16, choices=1, evidence=16,
        glimpses=1, glimpse=8, glimpse_widths=(8, 8, 8),
        shifts=(*((speed, 0) for speed in SPEEDS), (0, 2)),
    )  # fmt: skip
    built = WorldModelConfig(
        image_size=(SIZE, SIZE), actions=DiscreteActions(count=2), codec=IdentityConfig(),
        dynamics=editor,
    ).build()  # fmt: skip
    optimiser = torch.optim.AdamW(built.parameters(), 5e-3)
    for step in range(300):
        pictures = flights(32)[:, step % 3 :]
        noise = training_noise(built.noise_spec, 32, torch.device("cpu"))
        state, newest = state_of(pictures[:, :3]), pictures[:, 2]
        loss = built.dynamics.loss(state, NOOP.expand(32, 2), pictures[:, 3], noise, newest)
        optimiser.zero_grad()
        loss.total.backward()
        optimiser.step()
    return built.eval()


@torch.no_grad()
def test_what_flies_keeps_its_colour_however_far_it_flies(model: WorldModel):
    torch.manual_seed(1)
    pictures = flights(100)
    state = state_of(pictures[:, :3])
    for _ in range(3):
        noise = training_noise(model.noise_spec, 100, torch.device("cpu"))
        state, _ = model.step(state, torch.zeros(100, dtype=torch.long), noise)
    same = torch.isclose(state["latents"][:, -1], pictures[:, 5], atol=1e-6)  # of levels 8e-3 apart
    assert same.flatten(1).all(1).float().mean() > 0.95
