"""Carrying what is seen along: the newest latent, moved to where an action takes it.

Where a view moves as a whole, most of the next picture is the last one, elsewhere. By how much is
easy to learn, and what to put there is not: a network that only writes takes far longer to get both
from one loss. So a small network says by how much each place moves, and what that makes of the
newest latent is shown to the one that writes (spatial transformers, Jaderberg et al. 2015,
arXiv:1506.02025; flow for prediction, Finn et al. 2016, arXiv:1605.07157).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding
from learned_envs.models.dynamics.blocks import ResidualBlock, UpBlock, convolution


class Carry(nn.Module):
    """Predicts a flow and moves the newest latent along it.

    Args:
        latent_shape: (C, h, w), h and w even.
        context: Past latents seen, K.
        actions: How actions are told.
        width: Channels.
    """

    def __init__(
        self,
        latent_shape: tuple[int, int, int],
        context: int,
        actions: ActionEncoding,
        width: int,
    ):
        super().__init__()
        channels, *size = latent_shape
        if any(side % 2 for side in size):
            raise ValueError(f"latents of {size[0]}x{size[1]} must be even to be carried")
        self.see = convolution(context * channels, width)
        self.told = nn.Linear(context * actions.size, 2 * width)
        self.down = convolution(width, width, stride=2)
        self.coarse = nn.Sequential(*(ResidualBlock(width) for _ in range(3)))
        self.up = UpBlock(width, width)
        self.fine = ResidualBlock(width)
        self.flow = convolution(width, 2)
        nn.init.normal_(self.flow.weight, std=0.01)  # begin by leaving all about where it is
        assert self.flow.bias is not None
        nn.init.zeros_(self.flow.bias)
        places = [(2 * torch.arange(n) + 1) / n - 1 for n in size]
        y, x = torch.meshgrid(*places, indexing="ij")
        self.places = nn.Buffer(torch.stack([x, y], -1), persistent=False)

    def forward(self, context: Tensor, actions: Tensor) -> Tensor:
        """Maps past latents (B, K, C, h, w) and actions after each (B, K, A) to (B, C, h, w)."""
        here, there = self.told(actions.flatten(1))[:, :, None, None].chunk(2, 1)
        seen = context.flatten(1, 2).contiguous(memory_format=torch.channels_last)
        fine = self.see(seen) + here
        coarse = self.coarse(self.down(F.relu(fine)) + there)
        x = self.fine(self.up(coarse, fine))
        height, width = x.shape[2:]
        flow = self.flow(F.relu(x)).float().movedim(1, -1)
        way = flow * flow.new_tensor([2 / width, 2 / height])
        newest = context[:, -1].float()
        return F.grid_sample(newest, self.places + way, padding_mode="border", align_corners=False)
