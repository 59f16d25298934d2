"""Reward and termination, read from how the latent changed in a step.

The head sees the latent before and after and nothing else, so that what it reports is what happened
in the dream (the brick that vanished there), not what would have happened in the real world.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.codecs.codec import Kept
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution


@configuration
class HeadsConfig:
    """Sizes of `Heads`.

    Attributes:
        rewards: The values a reward can take, if few (classified, so that the reward is exact);
            empty for a reward that is regressed.
        patch: Side of the patches of latent that become one place.
        width: Channels.
    """

    rewards: tuple[float, ...] = ()
    patch: int = 4
    width: int = 32

    def build(self, latent_shape: tuple[int, int, int]) -> "Heads":
        """Builds the heads for latents (C, h, w)."""
        return Heads(self, latent_shape)


class Heads(nn.Module):
    """Maps two consecutive latents to a reward and a probability of termination."""

    def __init__(self, config: HeadsConfig, latent_shape: tuple[int, int, int]):
        super().__init__()
        self.config = config
        channels, height, width = latent_shape
        grid = height // config.patch, width // config.patch
        self.stem = nn.Conv2d(2 * channels, config.width, config.patch, config.patch)
        self.position = nn.Parameter(0.1 * torch.randn(1, config.width, *grid))
        self.mix = convolution(config.width, config.width)
        self.hidden = nn.Linear(2 * config.width, 2 * config.width)
        self.reward = nn.Linear(2 * config.width, max(len(config.rewards), 1))
        self.termination = nn.Linear(2 * config.width, 1)
        self.rewards = nn.Buffer(torch.tensor(config.rewards), persistent=False)

    def forward(self, previous: Tensor, latent: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        """Maps latents (B, C, h, w) to reward and termination probability, both (B,)."""
        reward, termination = self._logits(previous, latent)
        if self.config.rewards:
            reward = self.rewards[reward.argmax(1)]
        else:
            reward = reward[:, 0]
        return reward, termination.sigmoid()

    def loss(
        self, previous: Tensor, latent: Tensor, reward: Tensor, terminated: Tensor
    ) -> dict[str, Tensor]:
        """Losses `reward` and `termination` of true steps; `reward`, `terminated` are (B,)."""
        predicted, logit = self._logits(previous, latent)
        if self.config.rewards:
            target = (reward[:, None] - self.rewards).abs().argmin(1)
            reward_loss = F.cross_entropy(predicted, target)
        else:
            reward_loss = F.mse_loss(predicted[:, 0], reward)
        termination = F.binary_cross_entropy_with_logits(logit, terminated.float())
        return {"reward": reward_loss, "termination": termination}

    def _logits(self, previous: Tensor, latent: Tensor) -> tuple[Tensor, Tensor]:
        both = torch.cat([previous, latent], 1).contiguous(memory_format=torch.channels_last)
        x = self.stem(both) + self.position
        x = F.relu(self.mix(F.relu(x)))
        pooled = torch.cat([x.amax((2, 3)), x.mean((2, 3))], 1)
        hidden = F.relu(self.hidden(pooled))
        return self.reward(hidden).float(), self.termination(hidden)[:, 0].float()
