"""The ladder of a UNet, for networks that differ in what its rungs do."""

from collections.abc import Callable, Sequence
from itertools import islice

import torch
from torch import Tensor, nn

from learned_envs.models.dynamics.blocks import convolution, doubling


def check_levels(widths: Sequence[int], blocks: Sequence[int]) -> None:
    """Raises a ValueError unless there are as many `widths` as `blocks`, and at least one."""
    if not widths or len(widths) != len(blocks):
        raise ValueError(
            f"`widths` ({len(widths)}) and `blocks` ({len(blocks)}) must be as many, "
            "and at least one"
        )


class Ladder(nn.Module):
    """Resolutions on the way down, each half the one before, and on the way up again.

    What every block on the way down makes is kept, and given to one on the way up beside what comes
    from below.

    Args:
        widths: Channels at each resolution, finest first.
        blocks: Blocks at each resolution on the way down; one more each on the way up.
    """

    def __init__(self, widths: Sequence[int], blocks: Sequence[int]):
        super().__init__()
        self.widths, self.counts = tuple(widths), tuple(blocks)

    def add_down(self, block: Callable[[int, int, int], nn.Module]) -> list[int]:
        """Adds the way down, of `block(inputs, outputs, level)`; returns the channels kept."""
        self.shrink, self.down = nn.ModuleList(), nn.ModuleList()
        current, kept = self.widths[0], []
        for i, (outputs, count) in enumerate(zip(self.widths, self.counts, strict=True)):
            self.shrink.append(convolution(current, current, stride=2) if i else nn.Identity())
            kept.append(current)
            for _ in range(count):
                self.down.append(block(current, outputs, i))
                kept.append(outputs)
                current = outputs
        return kept

    def add_up(self, kept: list[int], block: Callable[[int, int], nn.Module]) -> int:
        """Adds the way up, of `block(inputs, outputs)`; returns the channels at its end."""
        self.up, self.grow = nn.ModuleList(), nn.ModuleList()
        current = self.widths[-1]
        for i in reversed(range(len(self.widths))):
            finer = self.widths[max(i - 1, 0)]
            for outputs in [self.widths[i]] * self.counts[i] + [finer]:
                self.up.append(block(current + kept.pop(), outputs))
                current = outputs
            self.grow.append(doubling(current) if i else nn.Identity())
        return current

    def descend(self, x: Tensor, *told: Tensor) -> list[Tensor]:
        """Goes down from features (B, C, h, w); returns all that is kept, the coarsest last.

        Args:
            x: At the finest resolution.
            told: What blocks are given besides.
        """
        kept, down = [], iter(self.down)
        for shrink, count in zip(self.shrink, self.counts, strict=True):
            x = shrink(x)
            kept.append(x)
            for block in islice(down, count):
                x = block(x, *told)
                kept.append(x)
        return kept

    def ascend(self, x: Tensor, kept: list[Tensor], *told: Tensor) -> Tensor:
        """Goes up from features at the coarsest resolution; arguments as for `descend`."""
        up = iter(self.up)
        for grow, count in zip(self.grow, reversed(self.counts), strict=True):
            for block in islice(up, count + 1):
                x = block(torch.cat([x, kept.pop()], 1), *told)
            x = grow(x)
        return x
