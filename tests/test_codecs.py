"""Codecs and the lattice: exactness, rounding, gradients, equivariance."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from learned_envs.models.codecs.autoencoder import Autoencoder, AutoencoderConfig
from learned_envs.models.codecs.codec import to_frames, to_images
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.codecs.variational import (
    VariationalAutoencoder,
    VariationalAutoencoderConfig,
)
from learned_envs.models.lattice import Lattice
from learned_envs.training.codec import equivariance_loss

LATTICE = Lattice(levels=5)


def autoencoder(lattice: Lattice | None = LATTICE, **changes) -> Autoencoder:
    torch.manual_seed(0)
    sizes = {"channels": 3, "factor": 4, "widths": (8, 12)}
    return AutoencoderConfig(lattice=lattice, **(sizes | changes)).build((16, 24))


def off_lattice(values: torch.Tensor, levels: int) -> float:
    places = (values + 1) * (levels - 1) / 2
    return (places - places.round()).abs().max().item()


def test_every_byte_survives_the_identity_codec():
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 16, 16, 1).expand(1, 16, 16, 3)
    codec = IdentityConfig().build((16, 16))
    latents = codec.encode(to_images(frames))
    assert latents.shape == (1, 3, 16, 16) and latents.min() == -1 and latents.max() == 1
    assert torch.equal(to_frames(codec.decode(latents)), frames)
    assert codec.lattice is not None
    assert torch.equal(to_frames(codec.decode(codec.lattice.round(latents))), frames)


def test_images_beyond_the_range_are_clipped():
    assert to_frames(torch.tensor([-3.0, 0.0, 3.0]).reshape(3, 1, 1)).flatten().tolist() == [
        0, 128, 255,
    ]  # fmt: skip


@settings(deadline=None)
@given(st.integers(2, 256), st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=20))
def test_hard_rounding_goes_to_the_nearest_lattice_value_and_stays_there(levels, values):
    lattice, given_ = Lattice(levels=levels), torch.tensor(values)
    rounded = lattice.round(given_)
    assert off_lattice(rounded, levels) < 1e-4
    assert ((rounded - given_.clamp(-1, 1)).abs() <= lattice.step / 2 + 1e-5).all()
    torch.testing.assert_close(lattice.round(rounded), rounded, atol=1e-6, rtol=0)


def test_stochastic_rounding_is_right_on_average_where_hard_rounding_is_not():
    torch.manual_seed(0)
    lattice = Lattice(levels=5, rounding="stochastic")
    latent = torch.tensor([-1.0, -0.61, 0.1, 0.37, 1.0])
    dither = torch.rand(20_000, len(latent))
    drawn = lattice.round(latent.expand_as(dither), dither)
    torch.testing.assert_close(drawn.mean(0), latent, atol=0.01, rtol=0)
    assert ((drawn - latent).abs() < lattice.step + 1e-6).all()
    assert off_lattice(drawn, 5) < 1e-5
    assert (LATTICE.round(latent) - latent).abs().max() > 0.1


def test_stochastic_rounding_leaves_lattice_values_where_they_are():
    lattice = Lattice(levels=5, rounding="stochastic")
    values = torch.linspace(-1, 1, 5).expand(1000, 5)
    assert torch.equal(lattice.round(values, torch.rand(1000, 5)), values)


def test_stochastic_rounding_without_dither_says_what_it_needs():
    with pytest.raises(ValueError, match="needs `dither`"):
        Lattice(levels=5, rounding="stochastic").round(torch.zeros(1))


@pytest.mark.parametrize("rounding", ["hard", "stochastic"])
def test_gradients_pass_rounding_as_if_it_were_not_there(rounding):
    latent = torch.tensor([-0.7, 0.1, 0.4], requires_grad=True)
    rounded = Lattice(levels=5, rounding=rounding).round(latent, torch.full((3,), 0.3))
    (rounded * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert latent.grad is not None and latent.grad.tolist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("lattice", [None, LATTICE, Lattice(levels=4, rounding="stochastic")])
@torch.no_grad()
def test_an_autoencoder_has_latents_of_its_declared_shape_and_images_of_the_given_one(lattice):
    codec = autoencoder(lattice)
    images = 100 * torch.randn(2, 3, 16, 24)
    latents = codec.encode(images)
    assert codec.latent_shape == (3, 4, 6) and latents.shape == (2, 3, 4, 6)
    assert latents.abs().max() <= 1
    assert codec.decode(latents).shape == images.shape
    assert codec.encode(images[..., :8, :8]).shape == (2, 3, 2, 2)


@pytest.mark.parametrize(
    ("factor", "widths"),
    [(1, (6,)), (2, (6,)), (8, (6,)), (2, (6, 10)), (8, (6, 10)), (6, (6, 10)), (8, (4, 6, 8, 10))],
)
@torch.no_grad()
def test_an_autoencoder_can_be_built_for_any_factor_its_resolutions_divide(factor, widths):
    codec = AutoencoderConfig(channels=5, factor=factor, widths=widths).build((24, 24))
    latents = codec.encode(torch.zeros(1, 3, 24, 24))
    assert latents.shape[1:] == codec.latent_shape == (5, 24 // factor, 24 // factor)
    assert codec.decode(latents).shape == (1, 3, 24, 24)


@pytest.mark.parametrize("rounding", ["hard", "stochastic"])
@torch.no_grad()
def test_a_lattice_autoencoder_encodes_to_the_nearest_values_of_its_lattice(rounding):
    codec = autoencoder(Lattice(levels=4, rounding=rounding))
    images = torch.rand(4, 3, 16, 24) * 2 - 1
    latents, continuous = codec.encode(images), codec.encode_continuous(images)
    assert off_lattice(latents, 4) < 1e-5
    assert off_lattice(continuous, 4) > 0.1
    assert (latents - continuous).abs().max() <= 1 / 3 + 1e-5
    assert torch.equal(codec.encode(images), latents)


class Recorded(torch.nn.Module):
    """Stands in for a decoder and keeps what it is given."""

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        self.seen = latents
        return F.interpolate(latents, scale_factor=4.0)


def bottleneck(codec: Autoencoder) -> tuple[torch.Tensor, torch.Tensor]:
    """What training's bottleneck makes of 200 pictures' latents, and those latents."""
    images = torch.rand(200, 3, 16, 24) * 2 - 1
    codec.decoder = Recorded()  # pyright: ignore[reportAttributeAccessIssue]
    codec.reconstruct(images)
    return codec.decoder.seen, codec.encode_continuous(images)


@torch.no_grad()
def test_in_training_a_share_of_the_pictures_gets_uniform_noise_and_the_rest_is_rounded():
    passed, latents = bottleneck(autoencoder(uniform_share=0.3))
    rounded = torch.tensor([off_lattice(row, 5) < 1e-5 for row in passed])
    assert 0.2 < 1 - rounded.float().mean() < 0.4
    noise = (passed - latents)[~rounded]
    assert noise.abs().max() <= LATTICE.step / 2
    assert noise.mean().abs() < 0.02
    assert noise.std().item() == pytest.approx(LATTICE.step / 12**0.5, rel=0.05)


@torch.no_grad()
def test_in_training_continuous_latents_get_gaussian_noise():
    passed, latents = bottleneck(autoencoder(None, noise=0.2))
    assert (passed - latents).std().item() == pytest.approx(0.2, rel=0.05)


def test_a_reconstruction_moves_every_parameter_of_the_autoencoder():
    codec = autoencoder(Lattice(levels=99), uniform_share=0.0)
    images = torch.rand(4, 3, 16, 24) * 2 - 1
    F.l1_loss(codec.reconstruct(images)[0], images).backward()
    assert [n for n, p in codec.named_parameters() if p.grad is None or not p.grad.any()] == []


def variational(**changes) -> VariationalAutoencoder:
    torch.manual_seed(0)
    sizes = {"channels": 3, "widths": (8, 12, 16), "blocks": 1, "groups": 4}
    return VariationalAutoencoderConfig(**(sizes | changes)).build((16, 24))


@torch.no_grad()
def test_a_variational_autoencoder_halves_the_picture_once_for_each_width_after_the_first():
    codec, images = variational(), torch.randn(2, 3, 16, 24)
    latents = codec.encode(images)
    assert codec.lattice is None and codec.factor == 4
    assert codec.latent_shape == (3, 4, 6) and latents.shape == (2, 3, 4, 6)
    assert codec.decode(latents).shape == images.shape


@torch.no_grad()
def test_a_variational_latent_is_the_mean_of_what_training_draws():
    codec, images = variational(), torch.rand(1, 3, 16, 24) * 2 - 1
    codec.decoder = Recorded()  # pyright: ignore[reportAttributeAccessIssue]
    codec.reconstruct(images.expand(4000, -1, -1, -1))
    assert torch.equal(codec.encode(images), codec.encode_continuous(images))
    drawn, log_variance = codec.decoder.seen, codec._posterior(images)[1][0]
    torch.testing.assert_close(drawn.mean(0), codec.encode(images)[0], atol=0.1, rtol=0)
    torch.testing.assert_close(drawn.var(0).log(), log_variance, atol=0.15, rtol=0)


@torch.no_grad()
def test_the_kl_loss_is_zero_for_the_unit_gaussian_and_grows_away_from_it():
    codec, images = variational(kl_weight=0.5), torch.zeros(1, 3, 16, 24)
    last = codec.encoder[-1][2]
    last.weight.zero_()
    kl = {}
    for name, mean, log_variance in (("unit", 0, 0), ("off", 2, 0), ("narrow", 0, -2)):
        last.bias[:3], last.bias[3:] = mean, log_variance
        kl[name] = codec.reconstruct(images)[1]["kl"].item()
    expected = {"unit": 0.0, "off": 0.5 * 2, "narrow": 0.5 * (math.exp(-2) + 1) / 2}
    assert kl == pytest.approx(expected)


def test_reconstruction_and_kl_move_every_parameter_of_the_variational_autoencoder():
    codec, images = variational(), torch.rand(4, 3, 16, 24) * 2 - 1
    reconstruction, losses = codec.reconstruct(images)
    (F.l1_loss(reconstruction, images) + losses["kl"]).backward()
    assert [n for n, p in codec.named_parameters() if p.grad is None or not p.grad.any()] == []


SHIFTS = [(4, 0), (0, -4), (-4, 8), (1, 0), (-3, 2), (7, -5)]


def ramps(rows: int = 3) -> torch.Tensor:
    """Pictures whose brightness grows linearly in random directions."""
    torch.manual_seed(0)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    slope = torch.randn(rows, 3, 2, 1, 1) / 48
    return slope[:, :, 0] * y + slope[:, :, 1] * x


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_equivariance_loss_is_zero_where_latents_move_as_pictures_do(shift):
    loss = equivariance_loss(lambda x: F.avg_pool2d(x, 4), ramps(), factor=4, shift=shift)
    assert loss.item() < 1e-8


@pytest.mark.parametrize("shift", [(0, 4), (-4, 8), (8, -8)])
def test_whole_cells_are_no_trouble_for_strided_convolutions_whose_borders_are_left_out(shift):
    images, kernel = torch.randn(2, 3, 48, 48), torch.randn(5, 3, 5, 5)

    def encode(images: torch.Tensor) -> torch.Tensor:
        return F.conv2d(F.max_pool2d(images, 4), kernel, padding=2)

    loss = equivariance_loss(encode, images, factor=4, shift=shift, margin=2)
    assert loss.item() < 1e-8
    assert equivariance_loss(encode, images, factor=4, shift=shift, margin=1).item() > 1e-3


@pytest.mark.parametrize("shift", SHIFTS)
def test_the_equivariance_loss_is_positive_where_latents_depend_on_the_place(shift):
    def encode(images: torch.Tensor) -> torch.Tensor:
        latents = F.avg_pool2d(images, 4)
        return (
            latents
            * torch.linspace(0, 1, latents.shape[2])[:, None]
            * torch.linspace(1, 2, latents.shape[3])
        )

    assert equivariance_loss(encode, 1 + ramps(), factor=4, shift=shift).item() > 1e-3


def test_parts_of_a_cell_are_what_an_untrained_codec_gets_wrong():
    codec = autoencoder(None)
    images = F.interpolate(torch.randn(4, 3, 12, 12), size=(48, 48), mode="bilinear")
    losses = [
        equivariance_loss(codec.encode_continuous, images, factor=4, shift=shift).item()
        for shift in ((0, 0), (2, 2))
    ]
    assert losses[0] == pytest.approx(0, abs=1e-6)
    assert losses[1] > 0.01


def test_pictures_too_small_for_the_shift_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="16 pixels are too small for a shift of 4.*lower `shift`"):
        equivariance_loss(lambda x: x, torch.zeros(1, 3, 16, 16), factor=4, shift=(4, 0))
