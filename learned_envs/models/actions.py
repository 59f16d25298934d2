"""How actions reach a model: as vectors, and as planes at the model's own resolution."""

import torch
from torch import Tensor

from learned_envs.models.configuration import configuration


@configuration
class DiscreteActions:
    """One of `count` actions, as a one-hot vector.

    Attributes:
        count: Number of actions.
        idle: The action that stands in where a history is padded.
    """

    count: int
    idle: int = 0

    @property
    def size(self) -> int:
        """Length of an encoded action."""
        return self.count

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one raw action."""
        return ()

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of raw actions."""
        return torch.int64

    def encode(self, action: Tensor) -> Tensor:
        """Encodes actions (...,) int64 as (..., count) float32."""
        return (action[..., None] == torch.arange(self.count, device=action.device)).float()

    def idle_code(self) -> Tensor:
        """The encoded idle action, (count,) float32."""
        return self.encode(torch.tensor(self.idle))


@configuration
class VectorActions:
    """A Box or MultiBinary action, passed as it is.

    Attributes:
        size: Number of components.
        idle: The action that stands in where a history is padded.
    """

    size: int
    idle: tuple[float, ...]

    def __post_init__(self):
        if len(self.idle) != self.size:
            raise ValueError(f"`idle` has {len(self.idle)} components, `size` is {self.size}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one raw action."""
        return (self.size,)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of raw actions."""
        return torch.float32

    def encode(self, action: Tensor) -> Tensor:
        """Returns actions (..., size) as float32."""
        return action.float()

    def idle_code(self) -> Tensor:
        """The encoded idle action, (size,) float32."""
        return torch.tensor(self.idle)


ActionEncoding = DiscreteActions | VectorActions
