"""Dynamics by diffusion: the next latent is denoised step by step, given the past and the action.

After DIAMOND (Alonso et al. 2024, arXiv:2405.12399). The noise on the context, its level told to
the network, is from GameNGen (Valevski et al. 2024, arXiv:2408.14837): a model that was trained to
look past errors in its context does not add to them.
"""

import dataclasses

import torch
from torch import Tensor, nn

from learned_envs.models.actions import ActionEncoding
from learned_envs.models.configuration import configuration
from learned_envs.models.diffusion import (
    Conditioning,
    DiffusionConfig,
    loss_weight,
    preconditioning,
    sample,
    sampling_sigmas,
    sampling_start,
    warm_start,
)
from learned_envs.models.dynamics.carry import Carry
from learned_envs.models.dynamics.cross_attention import CrossAttentionConfig
from learned_envs.models.dynamics.dilated_cnn import DilatedCnnConfig
from learned_envs.models.dynamics.dynamics import (
    Dynamics,
    Noise,
    NoiseSpec,
    Prediction,
    State,
    StepLoss,
)
from learned_envs.models.dynamics.edm_unet import EdmUNetConfig
from learned_envs.models.dynamics.pretrained_unet import PretrainedUNet, PretrainedUNetConfig

Denoiser = EdmUNetConfig | DilatedCnnConfig | CrossAttentionConfig | PretrainedUNetConfig


@configuration
class DiffusionDynamicsConfig:
    """A network and how it is used as a denoiser.

    Attributes:
        context: Past latents seen.
        denoiser: The network.
        diffusion: Preconditioning, levels of noise, sampler.
        delta_weight: Weight of the error of the change since the latent before, beside that of the
            latent itself; they differ where a closed loop has left the truth.
        context_noise: Largest standard deviation of the noise added to the context in training: the
            same for all latents or, where the denoiser is told it in planes, drawn for each.
        action_dropout: Share of the rows in training that are told no actions but a learned vector
            in their place, so that the network also learns what it would predict without them.
        carry: Channels of a network that carries the newest latent along to where the last action
            takes what it shows (`Carry`), for the denoiser to see; 0 for none. For views that move
            as a whole.
        guidance: By how much a dream goes on from what would be predicted without actions to what
            is with them (classifier-free guidance, Ho and Salimans 2022, arXiv:2207.12598): 1 for
            just that, more to follow them more closely, at twice the cost.
    """

    context: int = 4
    denoiser: Denoiser = EdmUNetConfig()
    diffusion: DiffusionConfig = DiffusionConfig()
    delta_weight: float = 0.0
    context_noise: float = 0.0
    action_dropout: float = 0.0
    carry: int = 0
    guidance: float = 1.0

    def __post_init__(self):
        if self.context < 1:
            raise ValueError(f"`context` (={self.context}) must be at least 1")
        if not 0 <= self.action_dropout < 1:
            raise ValueError(f"`action_dropout` (={self.action_dropout}) must lie in [0, 1)")
        if self.guidance != 1 and not self.action_dropout:
            raise ValueError(
                f"`guidance` (={self.guidance}) must be 1 without `action_dropout`: the network "
                "was never trained without actions"
            )
        if self.carry and not isinstance(self.denoiser, EdmUNetConfig):
            raise ValueError(
                f"`carry` (={self.carry}) must be 0 with {type(self.denoiser).__name__}: only an "
                "EDM UNet sees what was carried"
            )
        for name in ("delta_weight", "context_noise"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must not be negative")
        predicts_noise = self.diffusion.preconditioning == "epsilon"
        if isinstance(self.denoiser, PretrainedUNetConfig) != predicts_noise:
            raise ValueError(
                f"`preconditioning` (={self.diffusion.preconditioning!r}) must be 'epsilon' with a "
                f"pretrained UNet, and only with one, not with {type(self.denoiser).__name__}"
            )
        if isinstance(self.denoiser, DilatedCnnConfig):
            if self.diffusion.preconditioning != "none":
                raise ValueError(
                    f"`preconditioning` (={self.diffusion.preconditioning!r}) must be 'none' with "
                    "the dilated CNN: its output lies in (-1, 1), it writes the clean latent itself"
                )
            if self.context_noise:
                raise ValueError(
                    f"`context_noise` (={self.context_noise}) must be 0 with the dilated CNN: it "
                    "has no input that tells it the level"
                )

    def build(
        self, latent_shape: tuple[int, int, int], actions: ActionEncoding
    ) -> "DiffusionDynamics":
        """Builds the dynamics for latents (C, h, w)."""
        return DiffusionDynamics(self, latent_shape, actions)

    def with_steps(self, steps: int) -> "DiffusionDynamicsConfig":
        """The same with another number of sampler steps; the same weights fit it."""
        return dataclasses.replace(self, diffusion=dataclasses.replace(self.diffusion, steps=steps))


def diamond() -> DiffusionDynamicsConfig:
    """Preset: DIAMOND's denoiser and sampler for 64x64 pixels, and context noise."""
    return DiffusionDynamicsConfig(context_noise=0.1)


def tiny_denoiser(steps: int = 2) -> DiffusionDynamicsConfig:
    """Preset: the dilated pixel CNN of 2,424,963 parameters, with its warm start."""
    return DiffusionDynamicsConfig(denoiser=DilatedCnnConfig(), diffusion=warm_start(steps))


class DiffusionDynamics(Dynamics):
    """See the module's docstring.

    Surprise is the logarithm of the mean absolute change between the sampler's first estimate of
    the next latent and its last: where the context determines what comes next, a denoiser knows it
    from the highest level of noise on, and where it does not, the estimate moves as noise falls. A
    sampler of one step has no second estimate; the last latent stands in for the first then, and
    surprise is the logarithm of how much changes.
    """

    def __init__(
        self,
        config: DiffusionDynamicsConfig,
        latent_shape: tuple[int, int, int],
        actions: ActionEncoding,
    ):
        super().__init__()
        self.config = config
        self.context = config.context
        self.state_spec = {}
        self.noise_spec = {"start": NoiseSpec(latent_shape, "normal")}
        if isinstance(config.denoiser, EdmUNetConfig):
            self.network = config.denoiser.build(
                latent_shape, config.context, actions, carried=config.carry > 0
            )
        else:
            self.network = config.denoiser.build(latent_shape, config.context, actions)
        if config.carry:
            self.carry = Carry(latent_shape, config.context, actions, config.carry)
        if config.action_dropout:  # zeros would say that nothing is done
            self.untold = nn.Parameter(torch.randn(actions.size))

    def denoise(self, noisy: Tensor, sigma: Tensor, conditioning: Conditioning | None) -> Tensor:
        """Estimates the clean latents.

        Args:
            noisy: (B, C, h, w).
            sigma: (B,), the standard deviation of the noise on them.
            conditioning: What else there is to go by; None for a pretrained UNet's frames alone.

        Returns:
            (B, C, h, w) float32.
        """
        around = preconditioning(self.config.diffusion, sigma)
        if conditioning is not None:
            conditioning = _scaled(conditioning, around.context)
        output = self.network(around.input * noisy, around.told, conditioning).float()
        return around.skip * noisy + around.output * output

    def frame_loss(self, target: Tensor) -> Tensor:
        """The loss of drawing latents (B, C, h, w) from noise, each alone: a scalar.

        Raises:
            TypeError: If the network always needs a past.
        """
        if not isinstance(self.network, PretrainedUNet):
            raise TypeError(
                f"{type(self.network).__name__} always needs a past: only a pretrained UNet draws "
                "frames alone"
            )
        noisy, sigma = self._with_noise(target)
        error = ((self.denoise(noisy, sigma, None) - target) ** 2).mean((1, 2, 3))
        return (loss_weight(self.config.diffusion, sigma) * error).mean()

    def _with_noise(self, target: Tensor) -> tuple[Tensor, Tensor]:
        """Latents (B, C, h, w) under noise to be removed in training, and its levels (B,)."""
        sigma = self.config.diffusion.training_sigma.draw(len(target), target.device)
        return target + sigma[:, None, None, None] * torch.randn_like(target), sigma

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        """See `Dynamics.predict`; `noise["start"]` (B, C, h, w) normal starts the sampler."""
        config, previous = self.config.diffusion, state["latents"][:, -1]
        quiet = action.new_zeros(action.shape[0], 1)
        conditioning = self._with_carried(_conditioning(state, action, quiet))
        estimates = sample(
            lambda noisy, sigma: self._guided(noisy, sigma, conditioning),
            sampling_start(config, previous, noise["start"]),
            sampling_sigmas(config),
        )
        reference = estimates[0] if config.steps > 1 else previous
        change = (estimates[-1] - reference).abs().mean((1, 2, 3))
        return Prediction(latent=estimates[-1], surprise=(change + 1e-6).log())

    def _with_carried(self, conditioning: Conditioning) -> Conditioning:
        if not self.config.carry:
            return conditioning
        carried = self.carry(conditioning.context, conditioning.actions)
        return dataclasses.replace(conditioning, carried=carried)

    def _guided(self, noisy: Tensor, sigma: Tensor, conditioning: Conditioning) -> Tensor:
        """As `denoise`, led away from what would be without actions."""
        with_actions = self.denoise(noisy, sigma, conditioning)
        if self.config.guidance == 1:
            return with_actions
        untold = self.untold.expand_as(conditioning.actions)
        blind = self._with_carried(dataclasses.replace(conditioning, actions=untold))
        without = self.denoise(noisy, sigma, blind)
        return without + self.config.guidance * (with_actions - without)

    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        """See `Dynamics.loss`; the noise to be removed comes from torch's global generator."""
        config, rows = self.config.diffusion, len(target)
        noisy, sigma = self._with_noise(target)
        levels = self.context if _told_in_planes(self.config.denoiser) else 1
        level = self.config.context_noise * torch.rand(rows, levels, device=target.device)
        conditioning = _noisy_conditioning(state, action, level)
        if self.config.action_dropout:
            told = torch.rand(rows, 1, 1, device=target.device) >= self.config.action_dropout
            actions = torch.where(told, conditioning.actions, self.untold)
            conditioning = dataclasses.replace(conditioning, actions=actions)
        conditioning = self._with_carried(conditioning)
        denoised = self.denoise(noisy, sigma, conditioning)
        off = denoised - target
        error = (off**2).mean((1, 2, 3))
        off_in_change = off - (state["latents"][:, -1] - previous)
        change_error = (off_in_change**2).mean((1, 2, 3))
        total = error + self.config.delta_weight * change_error
        total = (loss_weight(config, sigma) * total).mean()

        @torch.no_grad()
        def prediction() -> Prediction:
            return self.predict(state, action, noise)

        parts = {
            "denoise": total.detach(),
            "squared_error": error.mean().detach(),
            "squared_error_of_change": change_error.mean().detach(),
        }
        if conditioning.carried is not None:
            missed = (conditioning.carried - target).abs().mean()
            total, parts["carry"] = total + missed, missed.detach()
        return StepLoss(total=total, parts=parts, prediction=prediction)


def _scaled(conditioning: Conditioning, factor: float) -> Conditioning:
    """The same, all latents in it multiplied by `factor`."""
    carried = conditioning.carried
    return dataclasses.replace(
        conditioning,
        context=factor * conditioning.context,
        carried=None if carried is None else factor * carried,
    )


def _told_in_planes(denoiser: Denoiser) -> bool:
    return isinstance(denoiser, EdmUNetConfig) and denoiser.planes


def _conditioning(state: State, action: Tensor, level: Tensor) -> Conditioning:
    actions = torch.cat([state["actions"], action[:, None]], 1)
    return Conditioning(context=state["latents"], actions=actions, level=level)


def _noisy_conditioning(state: State, action: Tensor, level: Tensor) -> Conditioning:
    """Conditioning with noise of standard deviation `level` (B, 1 or K) on the context."""
    latents = state["latents"]
    noisy = latents + level[:, :, None, None, None] * torch.randn_like(latents)
    return _conditioning({**state, "latents": noisy}, action, level)
