"""Kinds of variables that a game tells of itself: how each is shown to a network, and predicted.

A score rises by few amounts, a flag has few values, a position moves, a clock goes on or begins
anew: each kind has a likelihood of its own. They are shown as noise levels are to a denoiser, as
cosines and sines; flags as one-hot vectors. Where nobody tells their values, they are read from the
picture. Counts and flags change seldom: they may be taught on all changes and few other steps, if
the odds of a change are raised as much.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from learned_envs.models.configuration import configuration

_WAVES = 8
_LEAST_CHANCE = 0.2  # of the likeliest one's: what is less likely than that is never drawn
_SHARPEST = 0.05  # least width of a position's likelihood, in tenths of its range


@configuration
class Count:
    """A number that changes by few amounts, as scores and lives do.

    Attributes:
        name: As the game calls it.
        changes: The amounts.
        scale: A usual change, which becomes 1.
    """

    name: str
    changes: tuple[float, ...]
    scale: float = 1.0

    def __post_init__(self):
        if 0 not in self.changes or self.scale <= 0:
            raise ValueError(
                f"`changes` (={self.changes}) of {self.name!r} must hold 0, and `scale` "
                f"(={self.scale}) be more than 0"
            )

    @property
    def seen(self) -> int:
        """How many numbers show it."""
        return 2 * _WAVES

    @property
    def written(self) -> int:
        """How many numbers predict it."""
        return len(self.changes)

    @property
    def outcomes(self) -> int:
        """How many numbers tell what a step came to."""
        return len(self.changes)

    @property
    def read(self) -> int:
        """How many numbers it is read from a picture as."""
        return 1

    def show(self, values: Tensor) -> Tensor:
        """Values (...) as (..., seen)."""
        return _waves(values / self.scale, slowest=-6.0)

    def surprise(self, written: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Negative log-likelihood (n,) of `after` (n,), of predictions (n, written)."""
        return F.cross_entropy(written, self._change(before, after), reduction="none")

    def raised(self, written: Tensor, before: Tensor, times: float) -> Tensor:
        """Predictions (n, written) in which the odds of a change are so many `times` as high."""
        changed = [change != 0 for change in self.changes]
        return written + math.log(times) * torch.tensor(changed, device=written.device)

    def outcome(self, before: Tensor, after: Tensor) -> Tensor:
        """What a step came to, (n, outcomes), as other variables' predictions are told it."""
        return F.one_hot(self._change(before, after), self.outcomes).float()

    def draw(self, written: Tensor, before: Tensor, chance: Tensor) -> Tensor:
        """A next value (n,), drawn by `chance` (n,) uniform in [0, 1)."""
        changes = torch.tensor(self.changes, device=before.device)
        return before + changes[_drawn(written, chance)]

    def likeliest(self, written: Tensor, before: Tensor) -> Tensor:
        """The likeliest next value (n,)."""
        return before + torch.tensor(self.changes, device=before.device)[written.argmax(1)]

    def misread(self, read: Tensor, values: Tensor) -> Tensor:
        """How far off (n,) a reading (n, read) of true values (n,) is."""
        return F.smooth_l1_loss(read[:, 0], values / self.scale, reduction="none")

    def value_read(self, read: Tensor) -> Tensor:
        """The value (n,) that was read, of whole usual changes."""
        return torch.round(read[:, 0]) * self.scale

    def _change(self, before: Tensor, after: Tensor) -> Tensor:
        apart = (after - before)[:, None] - torch.tensor(self.changes, device=after.device)
        return apart.abs().argmin(1)


@configuration
class Flag:
    """A number that has few values.

    Attributes:
        name: As the game calls it.
        values: They.
    """

    name: str
    values: tuple[float, ...]

    def __post_init__(self):
        if len(set(self.values)) < max(2, len(self.values)):
            raise ValueError(
                f"`values` (={self.values}) of {self.name!r} must be at least two, all different"
            )

    @property
    def seen(self) -> int:
        """How many numbers show it."""
        return len(self.values)

    @property
    def written(self) -> int:
        """How many numbers predict it."""
        return len(self.values)

    @property
    def outcomes(self) -> int:
        """How many numbers tell what a step came to."""
        return len(self.values)

    @property
    def read(self) -> int:
        """How many numbers it is read from a picture as."""
        return len(self.values)

    def show(self, values: Tensor) -> Tensor:
        """Values (...) as (..., seen)."""
        return F.one_hot(self._place(values), len(self.values)).float()

    def surprise(self, written: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Negative log-likelihood (n,) of `after` (n,), of predictions (n, written)."""
        return F.cross_entropy(written, self._place(after), reduction="none")

    def raised(self, written: Tensor, before: Tensor, times: float) -> Tensor:
        """Predictions (n, written) in which the odds of a change are so many `times` as high."""
        return written + math.log(times) * (1 - self.show(before))

    def outcome(self, before: Tensor, after: Tensor) -> Tensor:
        """What a step came to, (n, outcomes), as other variables' predictions are told it."""
        return self.show(after)

    def draw(self, written: Tensor, before: Tensor, chance: Tensor) -> Tensor:
        """A next value (n,), drawn by `chance` (n,) uniform in [0, 1)."""
        return torch.tensor(self.values, device=before.device)[_drawn(written, chance)]

    def likeliest(self, written: Tensor, before: Tensor) -> Tensor:
        """The likeliest next value (n,)."""
        return torch.tensor(self.values, device=before.device)[written.argmax(1)]

    def misread(self, read: Tensor, values: Tensor) -> Tensor:
        """How far off (n,) a reading (n, read) of true values (n,) is."""
        return F.cross_entropy(read, self._place(values), reduction="none")

    def value_read(self, read: Tensor) -> Tensor:
        """The value (n,) that was read."""
        return torch.tensor(self.values, device=read.device)[read.argmax(1)]

    def _place(self, values: Tensor) -> Tensor:
        known = torch.tensor(self.values, device=values.device)
        return (values[..., None] - known).abs().argmin(-1)


@configuration
class Position:
    """A number that moves within a range, and may jump: a mixture of Laplace distributions.

    Attributes:
        name: As the game calls it.
        low: The least value.
        high: The greatest.
        ways: Distributions in the mixture.
    """

    name: str
    low: float
    high: float
    ways: int = 3

    def __post_init__(self):
        if not self.low < self.high or self.ways < 1:
            raise ValueError(
                f"`low` (={self.low}) of {self.name!r} must be below `high` (={self.high}), and "
                f"`ways` (={self.ways}) at least 1"
            )

    @property
    def seen(self) -> int:
        """How many numbers show it."""
        return 2 * _WAVES

    @property
    def written(self) -> int:
        """How many numbers predict it."""
        return 3 * self.ways

    @property
    def outcomes(self) -> int:
        """How many numbers tell what a step came to."""
        return 1

    @property
    def read(self) -> int:
        """How many numbers it is read from a picture as."""
        return 1

    @property
    def _range(self) -> float:
        return self.high - self.low

    def show(self, values: Tensor) -> Tensor:
        """Values (...) as (..., seen)."""
        return _waves((values - self.low) / self._range, slowest=-2.0)

    def surprise(self, written: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Negative log-likelihood (n,) of `after` (n,), of predictions (n, written)."""
        chance, change, width = self._ways(written)
        apart = self.outcome(before, after) - change
        each = chance - apart.abs() / width - (2 * width).log()
        return -each.logsumexp(1)

    def outcome(self, before: Tensor, after: Tensor) -> Tensor:
        """What a step came to, (n, outcomes), as other variables' predictions are told it."""
        return 10 * (after - before)[:, None] / self._range

    def draw(self, written: Tensor, before: Tensor, chance: Tensor) -> Tensor:
        """A next value (n,): where one of the ways, drawn by `chance` (n,), is centred."""
        return self._centre(written, before, _drawn(self._ways(written)[0], chance))

    def likeliest(self, written: Tensor, before: Tensor) -> Tensor:
        """The next value (n,) at the centre of the likeliest way."""
        return self._centre(written, before, self._ways(written)[0].argmax(1))

    def misread(self, read: Tensor, values: Tensor) -> Tensor:
        """How far off (n,) a reading (n, read) of true values (n,) is."""
        return 10 * (read[:, 0] - (values - self.low) / self._range).abs()

    def value_read(self, read: Tensor) -> Tensor:
        """The value (n,) that was read."""
        return self.low + read[:, 0].clamp(0, 1) * self._range

    def _ways(self, written: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log-chances, changes in tenths of the range, and widths of the ways: (n, ways) each."""
        chance, change, width = written.chunk(3, 1)
        return chance.log_softmax(1), change, F.softplus(width) + _SHARPEST

    def _centre(self, written: Tensor, before: Tensor, way: Tensor) -> Tensor:
        change = self._ways(written)[1].gather(1, way[:, None])[:, 0]
        return (before + change * self._range / 10).clamp(self.low, self.high)


@configuration
class Clock:
    """A number that rises by the same amount in every step, and now and then begins anew at 0.

    Attributes:
        name: As the game calls it.
        tick: The amount.
        span: About how far it comes.
    """

    name: str
    tick: float
    span: float

    def __post_init__(self):
        if not 0 < self.tick < self.span:
            raise ValueError(
                f"`tick` (={self.tick}) of {self.name!r} must be more than 0 and below `span` "
                f"(={self.span})"
            )

    @property
    def seen(self) -> int:
        """How many numbers show it."""
        return 2 * _WAVES

    @property
    def written(self) -> int:
        """How many numbers predict it: the log-odds of going on and of beginning anew."""
        return 2

    @property
    def outcomes(self) -> int:
        """How many numbers tell what a step came to."""
        return 1

    @property
    def read(self) -> int:
        """How many numbers it is read from a picture as."""
        return 1

    def show(self, values: Tensor) -> Tensor:
        """Values (...) as (..., seen)."""
        return _waves(values / self.span, slowest=-1.0, fastest=5.0)

    def surprise(self, written: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Negative log-likelihood (n,) of `after` (n,), of predictions (n, written)."""
        return F.cross_entropy(written, (after < before).long(), reduction="none")

    def outcome(self, before: Tensor, after: Tensor) -> Tensor:
        """What a step came to, (n, outcomes), as other variables' predictions are told it."""
        return (after < before)[:, None].float()

    def draw(self, written: Tensor, before: Tensor, chance: Tensor) -> Tensor:
        """A next value (n,), drawn by `chance` (n,) uniform in [0, 1)."""
        return torch.where(_drawn(written, chance) == 1, 0.0, before + self.tick)

    def likeliest(self, written: Tensor, before: Tensor) -> Tensor:
        """The likeliest next value (n,)."""
        return torch.where(written.argmax(1) == 1, 0.0, before + self.tick)

    def misread(self, read: Tensor, values: Tensor) -> Tensor:
        """How far off (n,) a reading (n, read) of true values (n,) is."""
        return 10 * (read[:, 0] - values / self.span).abs()

    def value_read(self, read: Tensor) -> Tensor:
        """The value (n,) that was read."""
        return torch.round(read[:, 0].clamp(min=0) * self.span / self.tick) * self.tick


Seldom = Count | Flag
"""What changes in few steps."""

Variable = Seldom | Position | Clock


def _waves(values: Tensor, slowest: float, fastest: float = 1.0) -> Tensor:
    """Cosines and sines of values (...), of 2^slowest to 2^fastest cycles a unit: (..., 16)."""
    powers = torch.linspace(slowest, fastest, _WAVES, device=values.device)
    angles = 2 * math.pi * values.float()[..., None] * 2**powers
    return torch.cat([angles.cos(), angles.sin()], -1)


def _drawn(log_odds: Tensor, chance: Tensor) -> Tensor:
    """One of n by its log-odds (B, n) and `chance` (B,); never one far less likely than another."""
    unlikely = log_odds < log_odds.amax(1, keepdim=True) + math.log(_LEAST_CHANCE)
    shares = log_odds.masked_fill(unlikely, -math.inf).softmax(1)
    return (chance[:, None] >= shares.cumsum(1)[:, :-1]).sum(1)
