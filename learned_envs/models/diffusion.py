"""Diffusion as pure functions: noise levels, preconditioning, and the sampler.

The notation is that of EDM (Karras et al. 2022, "Elucidating the Design Space of Diffusion-Based
Generative Models", arXiv:2206.00364): `sigma` is the standard deviation of the noise on a latent,
and a denoiser estimates the clean latent from a noisy one. Its use for the next frame of a world
follows DIAMOND (Alonso et al. 2024, "Diffusion for World Modeling", arXiv:2405.12399).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from learned_envs.models.configuration import configuration


@dataclass(frozen=True, kw_only=True, slots=True)
class Conditioning:
    """What a denoiser sees besides the noisy latent.

    Attributes:
        context: (B, K, C, h, w), the past latents, oldest first.
        actions: (B, K, A) encoded; the last takes the newest latent to the next.
        level: (B, 1) or (B, K), standard deviation of the noise that was added to `context`, to all
            latents alike or to each its own.
        carried: (B, C, h, w), the newest latent carried along by the last action, or None.
    """

    context: Tensor
    actions: Tensor
    level: Tensor
    carried: Tensor | None = None


def _check_range(low_name: str, low: float, high_name: str, high: float) -> None:
    if not 0 < low <= high:
        raise ValueError(
            f"`{low_name}` (={low}) and `{high_name}` (={high}) must be above 0, the first no "
            "larger than the second"
        )


@configuration
class LogNormalSigma:
    """Noise levels in training whose logarithm is normal, clamped (EDM, table 1; DIAMOND, app. C).

    Attributes:
        mean: Of the logarithm.
        std: Of the logarithm.
        low: Smallest level.
        high: Largest level.
    """

    mean: float = -0.4
    std: float = 1.2
    low: float = 2e-3
    high: float = 20.0

    def __post_init__(self):
        _check_range("low", self.low, "high", self.high)
        if self.std < 0:
            raise ValueError(f"`std` (={self.std}) must not be negative")

    def draw(self, rows: int, device: torch.device) -> Tensor:
        """Draws levels (rows,) from torch's global generator."""
        normal = torch.randn(rows, device=device)
        return (self.mean + self.std * normal).exp().clamp(self.low, self.high)


@configuration
class LogUniformSigma:
    """Noise levels in training whose logarithm is uniform.

    Attributes:
        low: Smallest level.
        high: Largest level.
    """

    low: float = 0.02
    high: float = 1.0

    def __post_init__(self):
        _check_range("low", self.low, "high", self.high)

    def draw(self, rows: int, device: torch.device) -> Tensor:
        """Draws levels (rows,) from torch's global generator."""
        return self.low * (self.high / self.low) ** torch.rand(rows, device=device)


@configuration
class DiffusionConfig:
    """How a network is made a denoiser, trained as one, and sampled from. Defaults: DIAMOND's.

    Attributes:
        preconditioning: `edm` scales the network's input and output so that both keep unit variance
            at every level; with `none`, the network is told the level and writes the clean latent;
            with `epsilon`, it writes the noise on latents of unit variance, as Stable Diffusion's
            does.
        training_sigma: Distribution of the noise levels in training.
        schedule: How the sampler's levels fall: `karras` or `geometric`.
        rho: Of the Karras schedule; the larger, the more of the steps are at low levels.
        steps: Network passes per prediction.
        sigma_max: The sampler's first level.
        sigma_min: Its last level above zero (of two steps or more).
        sigma_data: Standard deviation of the latents; used by `edm` only.
        start: What the sampler starts from: `noise`, or the `last` latent plus noise, which leaves
            a small network little to do where frames change little.
    """

    preconditioning: Literal["edm", "none", "epsilon"] = "edm"
    training_sigma: LogNormalSigma | LogUniformSigma = LogNormalSigma()
    schedule: Literal["karras", "geometric"] = "karras"
    rho: float = 7.0
    steps: int = 3
    sigma_max: float = 5.0
    sigma_min: float = 2e-3
    sigma_data: float = 0.5
    start: Literal["noise", "last"] = "noise"

    def __post_init__(self):
        _check_range("sigma_min", self.sigma_min, "sigma_max", self.sigma_max)
        if self.steps < 1:
            raise ValueError(f"`steps` (={self.steps}) must be at least 1")
        for name in ("rho", "sigma_data"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be above 0")
        for name, allowed in (
            ("preconditioning", ("edm", "none", "epsilon")),
            ("schedule", ("karras", "geometric")),
            ("start", ("noise", "last")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(
                    f"`{name}` (={getattr(self, name)!r}) must be one of {', '.join(allowed)}"
                )


def warm_start(steps: int = 2) -> DiffusionConfig:
    """Preset: starts at the last frame under noise and predicts the next frame itself."""
    return DiffusionConfig(
        preconditioning="none",
        training_sigma=LogUniformSigma(low=0.02, high=1.0),
        schedule="geometric",
        steps=steps,
        sigma_max=1.0,
        sigma_min=0.02,
        start="last",
    )


def predicting_noise(steps: int = 4) -> DiffusionConfig:
    """Preset: Stable Diffusion's levels of noise, for a network that predicts it."""
    return DiffusionConfig(
        preconditioning="epsilon",
        training_sigma=LogUniformSigma(low=0.03, high=14.6),
        steps=steps,
        sigma_max=14.6,
        sigma_min=0.1,
        sigma_data=1.0,
    )


def sampling_sigmas(config: DiffusionConfig) -> tuple[float, ...]:
    """The sampler's noise levels: `steps` of them, falling from `sigma_max` to `sigma_min`, then 0.

    Karras: equation 5 of EDM. Geometric: each level is the same share of the one before, which is
    the limit of the other for a large rho.
    """
    shares = [i / (config.steps - 1) for i in range(config.steps)] if config.steps > 1 else [0.0]
    high, low = config.sigma_max, config.sigma_min
    if config.schedule == "geometric":
        return *(high * (low / high) ** share for share in shares), 0.0
    high, low = high ** (1 / config.rho), low ** (1 / config.rho)
    return *((high + share * (low - high)) ** config.rho for share in shares), 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Preconditioning:
    """Coefficients around a network F that make it a denoiser D of noisy latents x.

    D(x) = skip * x + output * F(input * x, told, context * past latents)

    Attributes:
        skip: (B, 1, 1, 1).
        output: (B, 1, 1, 1).
        input: (B, 1, 1, 1).
        told: (B,), what the network is told of the level.
        context: Factor on the context.
    """

    skip: Tensor
    output: Tensor
    input: Tensor
    told: Tensor
    context: float


def preconditioning(config: DiffusionConfig, sigma: Tensor) -> Preconditioning:
    """Coefficients for levels `sigma` (B,).

    EDM: table 1. At low levels D copies its input, at high ones it ignores it; the network is told
    log(sigma) / 4. The context is divided by sigma_data, as in DIAMOND. None: D is F. Epsilon: F is
    the noise over its level, read from an input of unit variance (DDIM, Song et al. 2020,
    arXiv:2010.02502).
    """
    level = sigma[:, None, None, None]
    if config.preconditioning == "none":
        one = torch.ones_like(level)
        return Preconditioning(skip=0 * one, output=one, input=one, told=sigma, context=1.0)
    if config.preconditioning == "epsilon":
        one = torch.ones_like(level)
        scaled = 1 / (level**2 + 1).sqrt()
        return Preconditioning(skip=one, output=-level, input=scaled, told=sigma, context=1.0)
    total = level**2 + config.sigma_data**2
    return Preconditioning(
        skip=config.sigma_data**2 / total,
        output=level * config.sigma_data / total.sqrt(),
        input=1 / total.sqrt(),
        told=sigma.log() / 4,
        context=1 / config.sigma_data,
    )


def loss_weight(config: DiffusionConfig, sigma: Tensor) -> Tensor:
    """Weight (B,) of the squared error of the clean latent, at levels `sigma` (B,).

    1 / output², so that the error of the network's own output counts the same at every level (EDM,
    table 1). None: 1.
    """
    return 1 / preconditioning(config, sigma).output[:, 0, 0, 0] ** 2


def sampling_start(config: DiffusionConfig, previous: Tensor, noise: Tensor) -> Tensor:
    """The noisy latent that the sampler starts from.

    Args:
        config: Says whether to start from noise alone.
        previous: (B, C, h, w), the newest latent.
        noise: As `previous`, standard normal.
    """
    start = config.sigma_max * noise
    return previous + start if config.start == "last" else start


def sample(
    denoise: Callable[[Tensor, Tensor], Tensor], start: Tensor, sigmas: tuple[float, ...]
) -> list[Tensor]:
    """Follows the probability flow from noise to a clean latent, by Euler's method.

    EDM, algorithm 1 without its second-order correction, as in DIAMOND. The loop has a fixed length
    and unrolls in an exported graph.

    Args:
        denoise: Maps noisy latents (B, C, h, w) and their levels (B,) to clean latents.
        start: (B, C, h, w), noisy to the level `sigmas[0]`.
        sigmas: Falling, the last of them 0.

    Returns:
        The estimates of the clean latent at each level but 0; the last of them is the sample.
    """
    estimates, latent = [], start
    for sigma, following in pairwise(sigmas):
        clean = denoise(latent, latent.new_full((latent.shape[0],), sigma))
        estimates.append(clean)
        latent = clean + following / sigma * (latent - clean)
    return estimates
