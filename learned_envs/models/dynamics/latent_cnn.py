"""The dynamics of Infinipaint: a flat network writes what one action changes in the latent.

Two consecutive actions, drawn as planes, are told to every block by spatially adaptive group
normalisation (Park et al. 2019, arXiv:1903.07291; once a block, as Dhariwal and Nichol 2021,
arXiv:2105.05233, do it). An action changes so little that a plain mean error is least where nothing
ever changes: the error is averaged apart over places that change and places that do not.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding, PointActions
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution, near_zero
from learned_envs.models.dynamics.dynamics import Dynamics, Noise, Prediction, State, StepLoss


@configuration
class LatentCNNConfig:
    """Sizes and training constants of a `LatentCNN`; the published sizes are the defaults.

    Attributes:
        width: Channels.
        blocks: Residual blocks.
        groups: Of every group normalisation; divides `width`.
        context_noise: Largest standard deviation of the noise on the latent in training, drawn for
            each row, in standard deviations of the latents.
        tolerance: Absolute difference, averaged over channels, up to which a place counts as
            unchanged, in standard deviations of the latents: a codec that normalises moves every
            place a little when one changes.
    """

    width: int = 256
    blocks: int = 4
    groups: int = 32
    context_noise: float = 0.1
    tolerance: float = 0.1

    def __post_init__(self):
        if self.width % self.groups:
            raise ValueError(
                f"`width` (={self.width}) must be divisible by `groups` (={self.groups})"
            )
        for name in ("context_noise", "tolerance"):
            if getattr(self, name) < 0:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must not be negative")

    def build(self, latent_shape: tuple[int, int, int], actions: ActionEncoding) -> "LatentCNN":
        """Builds the dynamics for latents (C, h, w)."""
        return LatentCNN(self, latent_shape, actions)


class LatentCNN(Dynamics):
    """See the module's docstring.

    Of the two latents in the state only the newest is looked at: the other is there for the action
    between them. Surprise is the logarithm of how much changes, the only thing to go by in a
    network of one pass that was never asked how sure it is.
    """

    def __init__(
        self,
        config: LatentCNNConfig,
        latent_shape: tuple[int, int, int],
        actions: ActionEncoding,
    ):
        super().__init__()
        if not isinstance(actions, PointActions):
            raise ValueError(f"a LatentCNN needs actions that can be drawn, not {actions}")
        self.config, self.actions = config, actions
        self.context = 2
        self.state_spec, self.noise_spec = {}, {}
        channels, width = latent_shape[0], config.width
        self.read = convolution(channels, width)
        self.read_actions = convolution(2 * actions.planes, width)
        self.blocks = nn.ModuleList(
            ModulatedBlock(width, config.groups) for _ in range(config.blocks)
        )
        self.norm = nn.GroupNorm(config.groups, width)
        self.write = near_zero(convolution(width, channels))

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        """See `Dynamics.predict`; there is no noise."""
        newest = state["latents"][:, -1]
        change = self._change(newest, state, action)
        surprise = (change.abs().mean((1, 2, 3)) + 1e-6).log()
        return Prediction(latent=newest + change, surprise=surprise)

    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        """See `Dynamics.loss`; the noise on the latent comes from torch's global generator."""
        config, spread = self.config, target.std()
        newest = state["latents"][:, -1]
        level = config.context_noise * spread * torch.rand_like(newest[:, :1, :1, :1])
        noisy = newest + level * torch.randn_like(newest)
        predicted = noisy + self._change(noisy, state, action)
        error = (predicted - target).abs().mean(1)
        changed = (target - previous).abs().mean(1) > config.tolerance * spread
        parts = {"changed": _mean_where(changed, error), "unchanged": _mean_where(~changed, error)}

        @torch.no_grad()
        def prediction() -> Prediction:
            return self.predict(state, action, noise)

        return StepLoss(
            total=(parts["changed"] + parts["unchanged"]) / 2,
            parts={name: part.detach() for name, part in parts.items()},
            prediction=prediction,
        )

    def _change(self, latent: Tensor, state: State, action: Tensor) -> Tensor:
        """What the action adds to a latent (B, C, h, w), after the action before it."""
        height, width = latent.shape[2:]
        planes = [
            self.actions.draw(code, (height, width)) for code in (state["actions"][:, -1], action)
        ]
        told = self.read_actions(torch.cat(planes, 1))
        x = self.read(latent.contiguous(memory_format=torch.channels_last)) + told
        for block in self.blocks:
            x = block(x, told)
        return self.write(F.silu(self.norm(x))).float()


class ModulatedBlock(nn.Module):
    """A residual block whose second normalisation is scaled and shifted place by place."""

    def __init__(self, width: int, groups: int):
        super().__init__()
        self.first_norm = nn.GroupNorm(groups, width)
        self.first = convolution(width, width)
        self.second_norm = nn.GroupNorm(groups, width, affine=False)
        self.scale_shift = nn.Conv2d(width, 2 * width, 1)
        self.second = near_zero(convolution(width, width))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Maps features and what modulates them, both (B, width, h, w), to the same shape."""
        hidden = self.first(F.silu(self.first_norm(x)))
        scale, shift = self.scale_shift(F.silu(told)).chunk(2, 1)
        hidden = self.second_norm(hidden) * (1 + scale) + shift
        return x + self.second(F.silu(hidden))


def _mean_where(chosen: Tensor, values: Tensor) -> Tensor:
    """The mean of values (B, h, w) at the places that a mask picks; 0 where it picks none."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)
