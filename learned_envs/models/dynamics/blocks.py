"""Layers that networks share, and residual blocks without normalisation for small fast ones."""

from torch import Tensor, nn
from torch.nn import functional as F


def convolution(inputs: int, outputs: int, *, stride: int = 1) -> nn.Conv2d:
    """A 3x3 convolution that keeps the size, or divides it by `stride`."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def doubling(channels: int) -> nn.Sequential:
    """Doubles the resolution."""
    return nn.Sequential(nn.Upsample(scale_factor=2.0), convolution(channels, channels))


def near_zero(layer: nn.Conv2d) -> nn.Conv2d:
    """Makes a layer that adds to a skip start small, but not so that no gradient passes."""
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.2 * layer.weight[0].numel() ** -0.5)
    return layer


class ResidualBlock(nn.Module):
    """Adds two 3x3 convolutions of its input to it; begins close to the identity."""

    def __init__(self, width: int):
        super().__init__()
        self.first = convolution(width, width)
        self.second = convolution(width, width)
        nn.init.normal_(self.second.weight, std=0.2 * (9 * width) ** -0.5)
        assert self.second.bias is not None
        nn.init.zeros_(self.second.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, width, h, w) to the same shape."""
        return x + self.second(F.relu(self.first(F.relu(x))))


class UpBlock(nn.Module):
    """Doubles the resolution and adds the features that were kept at that resolution."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.expand = nn.Conv2d(inputs, 4 * outputs, 1)

    def forward(self, x: Tensor, kept: Tensor) -> Tensor:
        """Maps (B, inputs, h, w) and (B, outputs, 2h, 2w) to (B, outputs, 2h, 2w)."""
        return F.pixel_shuffle(self.expand(F.relu(x)), 2) + kept
