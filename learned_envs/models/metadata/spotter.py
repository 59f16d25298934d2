"""Looks for what is a few pixels wide and may be anywhere, as a shot that is about to hit."""

from torch import Tensor, nn

from learned_envs.models.dynamics.blocks import convolution


class Spotter(nn.Module):
    """Features of which only the largest of all places counts.

    Begins at half of the latent's resolution: at a quarter, two dots that meet anywhere were never
    learned. Each channel is normalised over the picture, without which it is learned far less well.

    Args:
        channels: Of a latent.
        features: How many.
        outputs: Numbers that they write.
    """

    def __init__(self, channels: int, features: int, outputs: int):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(channels, features, 4, 2, 1), _normalised(features),
            convolution(features, features), _normalised(features),
            convolution(features, 2 * features, stride=2), _normalised(2 * features),
            convolution(2 * features, 2 * features), _normalised(2 * features),
            convolution(2 * features, 2 * features), _normalised(2 * features),
        )  # fmt: skip
        self.write = nn.Sequential(
            nn.Linear(2 * features, 2 * features), nn.ReLU(), nn.Linear(2 * features, outputs)
        )

    def forward(self, latents: Tensor) -> Tensor:
        """Maps latents (B, C, h, w) to numbers (B, outputs) float32."""
        return self.write(self.look(latents).amax((2, 3))).float()


def _normalised(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.InstanceNorm2d(channels, affine=True), nn.ReLU())
