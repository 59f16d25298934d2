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
class MultiDiscreteActions:
    """Several choices at once, each as a one-hot vector, one behind the other.

    Attributes:
        counts: For each choice, among how many; they are numbered from 0.
        idle: The action that stands in where a history is padded; 0 of each if not given.
    """

    counts: tuple[int, ...]
    idle: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.idle:
            object.__setattr__(self, "idle", (0,) * len(self.counts))
        if len(self.idle) != len(self.counts):
            raise ValueError(
                f"`idle` (={self.idle}) must have one entry for each of `counts` (={self.counts})"
            )

    @property
    def size(self) -> int:
        """Length of an encoded action."""
        return sum(self.counts)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one raw action."""
        return (len(self.counts),)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of raw actions."""
        return torch.int64

    def encode(self, action: Tensor) -> Tensor:
        """Encodes actions (..., len(counts)) int64 as (..., size) float32."""
        known = [torch.arange(count, device=action.device) for count in self.counts]
        hot = [action[..., i, None] == numbers for i, numbers in enumerate(known)]
        return torch.cat(hot, -1).float()

    def idle_code(self) -> Tensor:
        """The encoded idle action, (size,) float32."""
        return self.encode(torch.tensor(self.idle))


@configuration
class VectorActions:
    """A Box or MultiBinary action, as numbers of like size.

    Attributes:
        idle: The action that stands in where a history is padded; as long as any action.
        scale: By what each component is divided, so that a model sees numbers of about 1; none are
            if empty.
    """

    idle: tuple[float, ...]
    scale: tuple[float, ...] = ()

    @property
    def size(self) -> int:
        """Length of an encoded action."""
        return len(self.idle)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one raw action."""
        return (self.size,)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of raw actions."""
        return torch.float32

    def encode(self, action: Tensor) -> Tensor:
        """Returns actions (..., size) as float32, each component divided by its scale."""
        if not self.scale:
            return action.float()
        return action.float() / torch.tensor(self.scale, device=action.device)

    def idle_code(self) -> Tensor:
        """The encoded idle action, (size,) float32."""
        return self.encode(torch.tensor(self.idle))


@configuration
class PointActions(VectorActions):
    """A point (u, v) on the picture and how hard it is touched, as numbers and as planes.

    Attributes:
        idle: No touch. A fourth component makes a touch one of the second kind from 0.5 on.
        threshold: Strength up to which nothing is touched.
        spread: Standard deviation of a touch in the planes, in places of the latent.
    """

    idle: tuple[float, ...] = (0.0, 0.0, 0.0)
    threshold: float = 0.1
    spread: float = 1.0

    def __post_init__(self):
        if len(self.idle) not in (3, 4) or self.idle[2] > self.threshold:
            raise ValueError(
                f"`idle` (={self.idle}) must be u, v, a strength of at most `threshold` "
                f"(={self.threshold}) and, where there are two kinds of touch, the kind"
            )
        if self.spread < 0.5:
            raise ValueError(
                f"`spread` (={self.spread}) must be at least half a place: a touch between places "
                "would not be seen"
            )

    @property
    def kinds(self) -> int:
        """How many kinds of touch there are."""
        return self.size - 2

    @property
    def planes(self) -> int:
        """How many planes `draw` makes."""
        return self.kinds + 1

    def draw(self, codes: Tensor, size: tuple[int, int]) -> Tensor:
        """Draws encoded actions (B, size) on a grid (h, w): (B, planes, h, w).

        A plane for each kind holds a bell around the touch, as high as the touch is strong, and the
        last plane is 1 all over where there is any touch. Bells are made on the grid itself: made
        on the picture and shrunk, a touch all but vanishes.
        """
        height, width = size
        u, v, strength = codes[:, 0], codes[:, 1], codes[:, 2]
        touched = strength > self.threshold
        x = torch.arange(width, device=codes.device) - (u * width - 0.5)[:, None]
        y = torch.arange(height, device=codes.device) - (v * height - 0.5)[:, None]
        across, down = ((-((d / self.spread) ** 2) / 2).exp() for d in (x, y))
        bell = (strength * touched)[:, None, None] * down[:, :, None] * across[:, None]
        second = codes[:, 3] >= 0.5 if self.kinds == 2 else torch.zeros_like(touched)
        kinds = [bell * (second == k)[:, None, None] for k in range(self.kinds)]
        flag = touched.float()[:, None, None].expand_as(bell)
        return torch.stack([*kinds, flag], 1)


ActionEncoding = DiscreteActions | MultiDiscreteActions | VectorActions | PointActions
