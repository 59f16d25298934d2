"""Codec training: it learns, resumes to the same parameters, and stops when it diverges."""

from collections.abc import Iterator
from itertools import count, islice
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_envs.data.window import Window
from learned_envs.models.codecs.autoencoder import AutoencoderConfig
from learned_envs.models.codecs.codec import TrainableCodec, to_images
from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
from learned_envs.models.lattice import Lattice
from learned_envs.training import rounds
from learned_envs.training.codec import CodecRecipe, codec_loss, train_codec
from learned_envs.training.rounds import DivergedError

SIZE = 32
CONFIG = AutoencoderConfig(channels=6, factor=4, widths=(12, 16), lattice=Lattice(levels=7))
VARIATIONAL = VariationalAutoencoderConfig(
    channels=6, widths=(8, 12, 16), blocks=1, groups=4, kl_weight=0.01
)
SHORT = CodecRecipe(steps=8, round_steps=3, batch=4, warmup=2, equivariance=0.1)


def squares(seed: int, rows: int = 8, steps: int = 3) -> Iterator[Window]:
    """Endless windows of a bright square somewhere on a dark ground."""
    random = np.random.default_rng(seed)
    while True:
        frames = np.full((rows, steps + 1, SIZE, SIZE, 3), 30, np.uint8)
        for row, frame in np.ndindex(rows, steps + 1):
            y, x = random.integers(0, SIZE - 12, 2)
            frames[row, frame, y : y + 12, x : x + 12] = random.integers(100, 256, 3)
        yield Window(
            observation=frames,
            action=np.zeros((rows, steps), np.int64),
            reward=np.zeros((rows, steps), np.float32),
            terminated=np.zeros((rows, steps), bool),
            first=np.zeros((rows, steps + 1), bool),
            valid=np.ones((rows, steps), bool),
            metadata={},
        )


def codec(config: AutoencoderConfig | VariationalAutoencoderConfig = CONFIG) -> TrainableCodec:
    torch.manual_seed(0)
    return config.build((SIZE, SIZE))


def parameters(codec: TrainableCodec | None) -> torch.Tensor:
    assert codec is not None
    return torch.cat([p.flatten() for p in codec.parameters()])


@pytest.mark.parametrize("config", [CONFIG, VARIATIONAL], ids=["lattice", "variational"])
def test_a_tiny_codec_beats_the_constant_picture_within_eighty_steps(config, tmp_path):
    recipe = CodecRecipe(
        steps=80, round_steps=40, batch=8, learning_rate=6e-3, warmup=5, average=0.8
    )
    trained = train_codec(codec(config), recipe, squares, tmp_path, progress=False)
    assert trained is not None
    images = to_images(torch.from_numpy(next(squares(999)).observation).flatten(0, 1))
    constant = images.mean((0, 2, 3), keepdim=True)
    with torch.no_grad():
        error = (trained.decode(trained.encode(images)) - images).square().mean()
    assert error < 0.5 * (constant - images).square().mean()


def test_a_run_killed_within_a_round_and_resumed_equals_an_unbroken_one(tmp_path):
    def dying(number: int) -> Iterator[Window]:
        yield from islice(squares(number, rows=1), 1)  # of four frames: one batch
        if number == 1:
            raise KeyboardInterrupt
        yield from islice(squares(number, rows=1), 1, None)

    def thin(number: int) -> Iterator[Window]:
        return squares(number, rows=1)

    unbroken = train_codec(codec(), SHORT, thin, tmp_path / "unbroken", progress=False)
    with pytest.raises(KeyboardInterrupt):
        train_codec(codec(), SHORT, dying, tmp_path / "broken", progress=False)
    resumed = train_codec(codec(), SHORT, thin, tmp_path / "broken", progress=False)
    assert torch.equal(parameters(resumed), parameters(unbroken))


def test_minutes_bound_a_call_at_the_end_of_a_round_and_calling_again_goes_on(
    tmp_path, monkeypatch
):
    minutes = count(step=60).__next__  # one passes at every look
    clock = SimpleNamespace(monotonic=minutes, process_time=float)
    monkeypatch.setattr(rounds, "time", clock)
    ends, results = [], []
    for _ in range(3):
        results.append(
            train_codec(
                codec(), SHORT, squares, tmp_path, minutes=1.5, progress=False,
                round_end=lambda step, _: ends.append(step),
            )
        )  # fmt: skip
    assert ends == [3, 6, 8]
    assert [result is not None for result in results] == [False, False, True]


def test_a_window_of_fewer_frames_than_a_batch_makes_a_smaller_batch(tmp_path):
    recipe = CodecRecipe(steps=2, round_steps=2, batch=1000)
    assert train_codec(codec(), recipe, squares, tmp_path, progress=False) is not None


def test_the_parts_of_the_loss_are_logged(tmp_path):
    logged = []
    recipe = CodecRecipe(steps=20, round_steps=20, batch=4, equivariance=0.1)
    train_codec(
        codec(), recipe, squares, tmp_path, progress=False,
        log=lambda step, figures: logged.append((step, set(figures))),
    )  # fmt: skip
    assert logged == [(20, {"l1", "equivariance", "norm"})]


def test_equivariance_is_asked_for_only_where_it_has_a_weight():
    images = to_images(torch.from_numpy(next(squares(0)).observation).flatten(0, 1))
    total, parts = codec_loss(codec(), images, CodecRecipe())
    assert set(parts) == {"l1"} and total.item() == parts["l1"].item()
    total, parts = codec_loss(codec(), images, CodecRecipe(equivariance=0.5))
    assert total.item() == pytest.approx((parts["l1"] + 0.5 * parts["equivariance"]).item())


def test_what_the_bottleneck_costs_is_part_of_the_loss():
    images = to_images(torch.from_numpy(next(squares(0)).observation).flatten(0, 1))
    total, parts = codec_loss(codec(VARIATIONAL), images, CodecRecipe())
    assert set(parts) == {"l1", "kl"} and parts["kl"] > 0
    assert total.item() == pytest.approx((parts["l1"] + parts["kl"]).item())


def test_the_averaged_codec_holds_no_graph_of_the_steps_that_made_it(tmp_path):
    trained = train_codec(codec(), SHORT, squares, tmp_path, progress=False)
    assert trained is not None
    assert all(p.grad_fn is None and not p.requires_grad for p in trained.parameters())


def test_a_loss_that_is_not_finite_stops_training_and_names_the_folder(tmp_path):
    broken = codec()
    with torch.no_grad():
        next(broken.parameters()).fill_(float("nan"))
    with pytest.raises(DivergedError, match=rf"nan.*diverged.*{tmp_path}"):
        train_codec(broken, SHORT, squares, tmp_path, progress=False)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"round_steps": 0}, {"batch": 0}, {"shift": 0}, {"equivariance": -1.0}],
)
def test_a_recipe_that_cannot_be_followed_names_the_setting(wrong):
    (name,) = wrong
    with pytest.raises(ValueError, match=f"`{name}`"):
        CodecRecipe(**wrong)
