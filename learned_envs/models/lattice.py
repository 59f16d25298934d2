"""The lattice that latents live on, and rounding to it.

Rounding keeps small errors from adding up. Hard rounding suits worlds that are discrete; it freezes
whatever moves by less than half a step a frame, which stochastic rounding keeps alive.
"""

from typing import Literal

import torch
from torch import Tensor

from learned_envs.models.configuration import configuration


@configuration
class Lattice:
    """Evenly spaced values in [-1, 1].

    Attributes:
        levels: Number of values, at least 2.
        rounding: `hard` (to the nearest) or `stochastic` (up or down, right on average).
    """

    levels: int
    rounding: Literal["hard", "stochastic"] = "hard"

    def __post_init__(self):
        if self.levels < 2:
            raise ValueError(f"`levels` (={self.levels}) must be at least 2")
        if self.rounding not in ("hard", "stochastic"):
            raise ValueError(f"`rounding` (={self.rounding!r}) must be 'hard' or 'stochastic'")

    @property
    def step(self) -> float:
        """Distance between neighbouring values."""
        return 2 / (self.levels - 1)

    def round(self, latent: Tensor, dither: Tensor | None = None) -> Tensor:
        """Rounds to the lattice, straight-through for gradients.

        Args:
            latent: Any shape, float.
            dither: Uniform in [0, 1), as `latent`; needed by stochastic rounding only.

        Raises:
            ValueError: If rounding is stochastic and `dither` is None.
        """
        position = (latent.clamp(-1, 1) + 1) / self.step
        if self.rounding == "stochastic":
            if dither is None:
                raise ValueError("stochastic rounding needs `dither`, uniform noise of its shape")
            index = torch.floor(position + dither).clamp(max=self.levels - 1)
        else:
            index = torch.floor(position + 0.5)
        return latent + (index * self.step - 1 - latent).detach()
