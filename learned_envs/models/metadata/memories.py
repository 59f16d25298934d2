"""What a network of metadata remembers of the steps before: three families behind one interface."""

from abc import ABC, abstractmethod
from typing import Literal, get_args

import torch
from torch import Tensor, nn

Family = Literal["lstm", "gru", "transformer"]
FAMILIES: tuple[Family, ...] = get_args(Family)

_SPAN = 16  # steps that a transformer looks back on
_HEADS = 4


class Memory(nn.Module, ABC):
    """Reads a step's features and what it remembers; says what it makes of both.

    Attributes:
        shape: Of what it remembers, for one row; zeros at the beginning.
    """

    shape: tuple[int, ...]

    @abstractmethod
    def step(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        """Maps features (B, W) and a memory (B, *shape) to an output (B, W) and the next memory."""


class LSTM(Memory):
    """Hochreiter and Schmidhuber 1997."""

    def __init__(self, width: int):
        super().__init__()
        self.shape = (2, width)
        self.cell = nn.LSTMCell(width, width)

    def step(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        hidden, cell = self.cell(features, (memory[:, 0], memory[:, 1]))
        return hidden, torch.stack([hidden, cell], 1)


class GRU(Memory):
    """Cho et al. 2014, arXiv:1406.1078."""

    def __init__(self, width: int):
        super().__init__()
        self.shape = (width,)
        self.cell = nn.GRUCell(width, width)

    def step(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.cell(features, memory)
        return hidden, hidden


class Transformer(Memory):
    """Vaswani et al. 2017, arXiv:1706.03762: the newest of 16 steps attends to all of them.

    The last number remembered of each step says whether it was one.
    """

    def __init__(self, width: int):
        super().__init__()
        self.shape = (_SPAN, width + 1)
        self.age = nn.Parameter(0.1 * torch.randn(_SPAN, width))
        self.blocks = nn.ModuleList(_Block(width) for _ in range(2))

    def step(self, features: Tensor, memory: Tensor) -> tuple[Tensor, Tensor]:
        newest = torch.cat([features, torch.ones_like(features[:, :1])], 1)
        memory = torch.cat([memory[:, 1:], newest[:, None].to(memory.dtype)], 1)
        x, unknown = memory[..., :-1] + self.age, memory[..., -1] == 0
        for block in self.blocks:
            x = block(x, unknown)
        return x[:, -1], memory


class _Block(nn.Module):
    """Attention and a feed-forward layer, each added to its normalised input."""

    def __init__(self, width: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attend = nn.MultiheadAttention(width, _HEADS, batch_first=True)
        self.feed = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor, unknown: Tensor) -> Tensor:
        seen = self.norms[0](x)
        x = x + self.attend(seen, seen, seen, key_padding_mask=unknown, need_weights=False)[0]
        return x + self.feed(self.norms[1](x))


def memory_of(family: Family, width: int) -> Memory:
    """Builds a memory.

    Raises:
        ValueError: If there is no such family.
    """
    kinds = {"lstm": LSTM, "gru": GRU, "transformer": Transformer}
    if family not in kinds:
        raise ValueError(f"`family` (={family!r}) must be one of {', '.join(FAMILIES)}")
    return kinds[family](width)
