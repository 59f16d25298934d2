"""Noise schedules, preconditioning, the sampler, and the published network's size."""

import dataclasses
import math
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from learned_envs.models.actions import DiscreteActions
from learned_envs.models.diffusion import (
    Conditioning,
    DiffusionConfig,
    LogNormalSigma,
    LogUniformSigma,
    loss_weight,
    preconditioning,
    sample,
    sampling_sigmas,
    sampling_start,
    warm_start,
)
from learned_envs.models.dynamics.diffusion_dynamics import tiny_denoiser
from learned_envs.models.dynamics.dilated_cnn import DilatedCnnConfig, planes

SCHEDULES = ("karras", "geometric")


@settings(deadline=None)
@given(st.sampled_from(SCHEDULES), st.integers(2, 40), st.floats(1.5, 10))
def test_a_schedule_falls_from_the_largest_level_to_the_smallest_and_then_to_zero(
    schedule, steps, rho
):
    config = DiffusionConfig(schedule=schedule, steps=steps, rho=rho)
    sigmas = sampling_sigmas(config)
    assert len(sigmas) == steps + 1
    assert sigmas[0] == pytest.approx(config.sigma_max)
    assert sigmas[-2] == pytest.approx(config.sigma_min)
    assert sigmas[-1] == 0
    assert all(a > b for a, b in pairwise(sigmas))


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_schedule_of_one_step_is_the_largest_level(schedule):
    config = DiffusionConfig(schedule=schedule, steps=1)
    assert sampling_sigmas(config) == pytest.approx((config.sigma_max, 0.0))


def test_the_karras_schedule_is_the_published_formula():
    config = DiffusionConfig(steps=3, sigma_max=5.0, sigma_min=2e-3, rho=7.0)
    middle = ((5 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert sampling_sigmas(config)[1] == pytest.approx(middle)


def test_the_geometric_schedule_has_equal_ratios():
    a, b, c, d, _ = sampling_sigmas(warm_start(steps=4))
    assert b / a == pytest.approx(c / b) == pytest.approx(d / c)


def test_the_published_sampler_goes_from_1_to_a_fiftieth_in_two_steps():
    assert sampling_sigmas(tiny_denoiser().diffusion) == pytest.approx((1.0, 0.02, 0.0))
    assert len(sampling_sigmas(tiny_denoiser().with_steps(4).diffusion)) == 5


@pytest.mark.parametrize("distribution", [LogNormalSigma(), LogUniformSigma()])
def test_training_levels_lie_within_their_limits(distribution):
    torch.manual_seed(0)
    sigma = distribution.draw(10_000, torch.device("cpu"))
    assert sigma.shape == (10_000,)
    assert sigma.min() >= distribution.low * (1 - 1e-6)
    assert sigma.max() <= distribution.high * (1 + 1e-6)


def test_training_levels_follow_their_distributions():
    torch.manual_seed(0)
    normal = LogNormalSigma(mean=-1.0, std=0.5).draw(20_000, torch.device("cpu")).log()
    uniform = LogUniformSigma(low=0.01, high=1.0).draw(20_000, torch.device("cpu")).log()
    assert normal.mean().item() == pytest.approx(-1.0, abs=0.02)
    assert normal.std().item() == pytest.approx(0.5, abs=0.02)
    assert uniform.mean().item() == pytest.approx(math.log(0.1), abs=0.05)


def test_edm_copies_its_input_at_low_levels_and_ignores_it_at_high_ones():
    around = preconditioning(DiffusionConfig(sigma_data=0.5), torch.tensor([1e-4, 1e4]))
    assert around.skip.flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert around.output.flatten().tolist() == pytest.approx([0.0, 0.5], abs=1e-3)
    assert around.told.tolist() == pytest.approx([math.log(1e-4) / 4, math.log(1e4) / 4])


@settings(deadline=None)
@given(st.floats(1e-3, 50), st.floats(0.05, 2))
def test_edm_keeps_the_networks_input_and_target_at_unit_variance(sigma, sigma_data):
    around = preconditioning(DiffusionConfig(sigma_data=sigma_data), torch.tensor([sigma]))
    skip, output, scale = (v.item() for v in (around.skip, around.output, around.input))
    assert scale**2 * (sigma**2 + sigma_data**2) == pytest.approx(1, rel=1e-4)
    target = (1 - skip) ** 2 * sigma_data**2 + skip**2 * sigma**2
    assert target == pytest.approx(output**2, rel=1e-3)


def test_the_loss_weight_makes_an_error_of_the_network_count_the_same_at_every_level():
    sigma, config = torch.tensor([0.01, 0.5, 20.0]), DiffusionConfig()
    output = preconditioning(config, sigma).output[:, 0, 0, 0]
    torch.testing.assert_close(loss_weight(config, sigma) * output**2, torch.ones(3))
    assert loss_weight(warm_start(), sigma).tolist() == [1.0, 1.0, 1.0]


def test_without_preconditioning_the_network_is_the_denoiser_and_is_told_the_level_itself():
    around = preconditioning(warm_start(), torch.tensor([0.3]))
    assert around.skip.item() == 0 and around.output.item() == 1 and around.input.item() == 1
    assert around.told.item() == pytest.approx(0.3) and around.context == 1


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 5])
@pytest.mark.parametrize("start", ["noise", "last"])
def test_a_perfect_denoiser_is_sampled_exactly(schedule, steps, start):
    config = DiffusionConfig(schedule=schedule, steps=steps, start=start)
    clean, previous, noise = torch.randn(3, 2, 3, 4, 4)
    begin = sampling_start(config, previous, noise)
    estimates = sample(lambda noisy, sigma: clean, begin, sampling_sigmas(config))
    assert len(estimates) == steps
    assert torch.equal(estimates[-1], clean)


def test_the_sampler_turns_noise_into_the_distribution_that_the_denoiser_knows():
    # The best denoiser of normal latents with standard deviation s shrinks by s² / (s² + sigma²).
    config = DiffusionConfig(steps=200, sigma_max=50.0)
    noise = torch.randn(1, 1, 1, 1)
    estimates = sample(
        lambda noisy, sigma: noisy * 0.25 / (0.25 + sigma[:, None, None, None] ** 2),
        sampling_start(config, torch.zeros_like(noise), noise),
        sampling_sigmas(config),
    )
    torch.testing.assert_close(estimates[-1], 0.5 * noise, rtol=0.05, atol=0)


def test_the_sampler_tells_every_row_the_level_and_visits_each_once():
    told = []

    def denoise(noisy, sigma):
        told.append(sigma.tolist())
        return noisy

    sample(denoise, torch.zeros(2, 1, 1, 1), (3.0, 1.0, 0.0))
    assert told == [[3.0, 3.0], [1.0, 1.0]]


def test_the_sampler_starts_from_noise_alone_or_from_the_last_latent_under_noise():
    previous, noise = torch.full((1, 1, 1, 1), 7.0), torch.full((1, 1, 1, 1), 0.5)
    config = DiffusionConfig(sigma_max=2.0)
    warm = dataclasses.replace(config, start="last")
    assert sampling_start(config, previous, noise).item() == 1.0
    assert sampling_start(warm, previous, noise).item() == 8.0


def test_the_dilated_cnn_has_its_published_number_of_parameters_and_input_channels():
    dynamics = tiny_denoiser().build((3, 64, 64), DiscreteActions(count=3))
    assert sum(p.numel() for p in dynamics.parameters()) == 2_424_963
    assert dynamics.network.stem.in_channels == 19


def test_the_dilated_cnn_maps_19_planes_to_a_frame_within_the_range_of_pixels():
    config = DilatedCnnConfig(width=8, blocks=5)
    network = config.build((3, 64, 64), 4, DiscreteActions(count=3))
    frame = network.from_planes(10 * torch.randn(1, 19, 64, 64))
    assert frame.shape == (1, 3, 64, 64)
    assert frame.abs().max() <= 1
    assert [block.first.dilation[0] for block in network.blocks] == [1, 2, 4, 8, 1]


def test_the_planes_are_the_noisy_frame_the_context_the_current_action_and_the_level():
    context = torch.arange(12.0).reshape(1, 4, 3, 1, 1).expand(1, 4, 3, 2, 2)
    actions = torch.eye(3)[None, [0, 0, 1, 2]]
    conditioning = Conditioning(context=context, actions=actions, level=torch.zeros(1, 1))
    laid = planes(torch.full((1, 3, 2, 2), -1.0), torch.tensor([0.25]), conditioning)
    assert laid[0, :, 1, 0].tolist() == [-1.0] * 3 + list(range(12)) + [0.0, 0.0, 1.0] + [0.25]
