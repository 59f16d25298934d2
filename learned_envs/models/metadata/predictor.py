"""Predicts a game's variables: the next from the last two, the latent and the action.

g_phi of the metadata-conditioned model: m(t) from m(t - 1), m(t - 2), the latent and the action.
What is predicted is fed on, so that a dream knows its own score. The variables of a step are
predicted one after another, each told what the ones before it came to: a life that is lost and a
clock that begins anew at the same step do so together in a dream, too.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution
from learned_envs.models.metadata.memories import Family, memory_of
from learned_envs.models.metadata.spotter import Spotter
from learned_envs.models.metadata.variables import Seldom, Variable

_CHANNELS = 24


@configuration
class MetadataConfig:
    """Which variables there are, how they are predicted, and what follows from them.

    Attributes:
        variables: They, in the order in which a step's are predicted.
        family: What remembers the steps before: `lstm`, `gru` or `transformer`.
        width: Channels of what it remembers.
        widths: Channels of the convolutions that look at a latent, each at half the resolution of
            the one before; the first is at a quarter of the latent's.
        spotted: Features that look for what is a few pixels wide and may be anywhere, and tell
            counts and flags; 0 for none.
        reward: The variable whose change is the reward, or None where that is not so.
        over: Variables and the values that all of them have when the game is over; empty where the
            variables do not say so.
    """

    variables: tuple[Variable, ...]
    family: Family = "gru"
    width: int = 128
    widths: tuple[int, ...] = (32, 48, 64)
    spotted: int = 0
    reward: str | None = None
    over: tuple[tuple[str, float], ...] = ()

    def __post_init__(self):
        names = self.names
        if len(set(names)) < len(names) or not names:
            raise ValueError(f"`variables` {names} must be at least one, each with its own name")
        used = {name for name, _ in self.over} | ({self.reward} if self.reward else set())
        if unknown := sorted(used - set(names)):
            raise ValueError(f"`reward` and `over` name {unknown}, which are none of {names}")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the variables."""
        return tuple(variable.name for variable in self.variables)

    @property
    def seen(self) -> int:
        """How many numbers show all variables to a network."""
        return sum(variable.seen for variable in self.variables)

    def show(self, values: Tensor) -> Tensor:
        """Shows values (..., V) to a network: (..., seen)."""
        columns = zip(self.variables, values.unbind(-1), strict=True)
        return torch.cat([variable.show(value) for variable, value in columns], -1)

    def collect(self, named: Mapping[str, np.ndarray]) -> Tensor:
        """Values (..., V) float32 of variables by name, as a window holds them.

        Raises:
            ValueError: If one is missing.
        """
        if missing := [name for name in self.names if name not in named]:
            raise ValueError(
                f"metadata {sorted(named)} were given, and {missing} are missing: a model that is "
                "told variables needs recordings that hold them"
            )
        return torch.stack([torch.from_numpy(named[name]).float() for name in self.names], -1)

    def rewards(self, before: Tensor, after: Tensor) -> Tensor | None:
        """The reward (...) of a step between values (..., V), if the variables say it."""
        if self.reward is None:
            return None
        place = self.names.index(self.reward)
        return after[..., place] - before[..., place]

    def ended(self, values: Tensor) -> Tensor | None:
        """Whether the game is over (...), 0.0 or 1.0, at values (..., V), if they say it."""
        if not self.over:
            return None
        each = [values[..., self.names.index(name)] == value for name, value in self.over]
        return torch.stack(each).all(0).float()

    def build(self, latent_shape: tuple[int, int, int], action_size: int) -> "MetadataPredictor":
        """Builds the network for latents (C, h, w) and encoded actions."""
        return MetadataPredictor(self, latent_shape, action_size)


class MetadataPredictor(nn.Module):
    """See the module's docstring.

    Attributes:
        memory_shape: Of what it remembers, for one row; zeros at the beginning.
    """

    def __init__(
        self, config: MetadataConfig, latent_shape: tuple[int, int, int], action_size: int
    ):
        super().__init__()
        self.config = config
        channels, *size = latent_shape
        first, *others = config.widths
        layers: list[nn.Module] = [nn.Conv2d(channels, first, 8, 4, 2), nn.ReLU()]
        for inputs, outputs in zip(config.widths, others, strict=False):
            layers += [convolution(inputs, outputs, stride=2), nn.ReLU()]
        layers += [nn.Conv2d(config.widths[-1], _CHANNELS, 1), nn.ReLU(), nn.Flatten()]
        self.look = nn.Sequential(*layers)
        with torch.no_grad():
            places = self.look(torch.zeros(1, channels, *size)).shape[1]
        self.reading = nn.Linear(places, sum(variable.read for variable in config.variables))
        self.mix = nn.Linear(places + 2 * config.seen + action_size, config.width)
        self.memory = memory_of(config.family, config.width)
        self.memory_shape = self.memory.shape
        written = sum(variable.written for variable in config.variables)
        self.write = nn.Sequential(
            nn.Linear(2 * config.width, config.width), nn.ReLU(),
            nn.Linear(config.width, written),
        )  # fmt: skip
        outcomes = sum(variable.outcomes for variable in config.variables[:-1])
        self.given = nn.Parameter(torch.zeros(written, outcomes))
        self.spotter = None
        if config.spotted:
            self.spotter = Spotter(channels, config.spotted, written)

    def predict(
        self, values: Tensor, memory: Tensor, latent: Tensor, action: Tensor, chance: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Predicts the next values. Pure, batched and traceable.

        Args:
            values: (B, 2, V), the last two, oldest first.
            memory: (B, *memory_shape).
            latent: (B, C, h, w), the newest.
            action: (B, A) encoded.
            chance: (B, V) uniform in [0, 1), which draws where more than one thing may come.

        Returns:
            The next values (B, V) and memory.
        """
        seen = self._seen(latent)
        written, memory = self._written(values, memory, self.look(seen), action)
        written = written + self._spotted(seen)

        def draw(i: int, variable: Variable, part: Tensor, before: Tensor) -> Tensor:
            return variable.draw(part, before, chance[:, i])

        return self._in_turn(written, values[:, 1], draw)[0], memory

    def read(self, latents: Tensor) -> Tensor:
        """Reads values (B, V) from latents (B, C, h, w)."""
        readings = self._readings(self.look(self._seen(latents)))
        return torch.stack([variable.value_read(part) for variable, part in readings], 1)

    def misread(self, values: Tensor, latents: Tensor) -> Tensor:
        """How far off readings of latents (B, C, h, w) are from true values (B, V): (B, V)."""
        readings = enumerate(self._readings(self.look(self._seen(latents))))
        return torch.stack([v.misread(part, values[:, i]) for i, (v, part) in readings], 1)

    def surprise(
        self,
        values: Tensor,
        latents: Tensor,
        actions: Tensor,
        first: Tensor,
        *,
        looked: Tensor | None = None,
        raised: float = 1.0,
    ) -> Tensor:
        """How unexpected stretches of true values are: negative log-likelihoods.

        Args:
            values: (B, T + 1, V).
            latents: (B, T, C, h, w), those before each step.
            actions: (B, T, A) encoded.
            first: (B, T + 1), whether a frame begins an episode, before which nothing is known.
            looked: (B, T), steps at which something is to be spotted; all if None. Elsewhere the
                figures of counts and flags mean nothing.
            raised: By how much the odds of their changes are raised.

        Returns:
            (B, T, V).
        """
        walk = list(self._walk(values, latents, actions, first, looked))
        written = torch.cat([written for written, _ in walk])
        before = torch.cat([before[:, 1] for _, before in walk])
        after = values[:, 1:].transpose(0, 1).flatten(0, 1)
        parts = self._in_turn(written, before, lambda i, *_: after[:, i])[1]
        unexpected = []
        for i, (variable, part) in enumerate(zip(self.config.variables, parts, strict=True)):
            if isinstance(variable, Seldom):
                part = variable.raised(part, before[:, i], raised)
            unexpected.append(variable.surprise(part, before[:, i], after[:, i]))
        return torch.stack(unexpected, 1).unflatten(0, (len(walk), -1)).transpose(0, 1)

    @torch.no_grad()
    def likeliest(
        self, values: Tensor, latents: Tensor, actions: Tensor, first: Tensor, *, fed_on: bool
    ) -> Tensor:
        """The likeliest values (B, T, V) after each step; arguments as for `surprise`.

        With `fed_on` each step goes on from the values predicted before it, not from true ones.
        """

        def choose(_: int, variable: Variable, part: Tensor, before: Tensor) -> Tensor:
            return variable.likeliest(part, before)

        steps: list[Tensor] = []
        predicted = steps if fed_on else None
        for written, before in self._walk(values, latents, actions, first, None, predicted):
            steps.append(self._in_turn(written, before[:, 1], choose)[0])
        return torch.stack(steps, 1)

    def _walk(
        self,
        values: Tensor,
        latents: Tensor,
        actions: Tensor,
        first: Tensor,
        looked: Tensor | None,
        predicted: list[Tensor] | None = None,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Yields what is written of each step, and the values (B, 2, V) that it goes on from."""
        memory = values.new_zeros(len(values), *self.memory_shape)
        seen = self._seen(latents.flatten(0, 1))
        looks = self.look(seen).unflatten(0, latents.shape[:2])
        spotted = self._spotted(seen, looked).unflatten(0, latents.shape[:2])
        older = values[:, 0]
        for t in range(latents.shape[1]):
            newer = predicted[-1] if predicted else values[:, t]
            begins = first[:, t]
            newer = torch.where(begins[:, None], values[:, t], newer)
            older = torch.where(begins[:, None], newer, older)
            memory = torch.where(begins.view(-1, *[1] * (memory.ndim - 1)), 0.0, memory)
            before = torch.stack([older, newer], 1)
            written, memory = self._written(before, memory, looks[:, t], actions[:, t])
            yield written + spotted[:, t], before
            older = newer

    def _written(
        self, values: Tensor, memory: Tensor, look: Tensor, action: Tensor
    ) -> tuple[Tensor, Tensor]:
        shown = self.config.show(values).flatten(1)
        features = F.relu(self.mix(torch.cat([look.float(), shown, action.float()], 1)))
        output, memory = self.memory.step(features.float(), memory)
        return self.write(torch.cat([output, features], 1)).float(), memory.float()

    def _spotted(self, latents: Tensor, looked: Tensor | None = None) -> Tensor:
        """What is written (N, written) of counts and flags by what is spotted in latents (N, ...).

        With `looked` (B, T) bool, only of these of the N = B x T latents; zeros else.
        """
        variables = self.config.variables
        columns = [isinstance(v, Seldom) for v in variables for _ in range(v.written)]
        told = torch.tensor(columns, device=latents.device, dtype=torch.float32)
        if self.spotter is None:
            return 0 * told.expand(len(latents), -1)
        if looked is None:
            return told * self.spotter(latents)
        spotted = torch.zeros(len(latents), len(columns), device=latents.device)
        spotted[looked.flatten()] = told * self.spotter(latents[looked.flatten()])
        return spotted

    def _in_turn(
        self,
        written: Tensor,
        before: Tensor,
        choose: Callable[[int, Variable, Tensor, Tensor], Tensor],
    ) -> tuple[Tensor, list[Tensor]]:
        """Chooses the variables' values one after another, each told what came of those before it.

        Args:
            written: (B, written).
            before: (B, V), the values before the step.
            choose: From a variable's number, itself, its part of what is written, and its values
                (B,) before the step, makes those after.

        Returns:
            The values (B, V), and the parts.
        """
        values: list[Tensor] = []
        parts: list[Tensor] = []
        come = written[:, :0]
        until = 0
        for i, variable in enumerate(self.config.variables):
            own = slice(until, until := until + variable.written)
            part = written[:, own]
            if i:
                part = part + F.linear(come, self.given[own, : come.shape[1]]).float()
            parts.append(part)
            values.append(choose(i, variable, part, before[:, i]))
            come = torch.cat([come, variable.outcome(before[:, i], values[i])], 1)
        return torch.stack(values, 1), parts

    def _readings(self, look: Tensor) -> list[tuple[Variable, Tensor]]:
        variables = self.config.variables
        read = self.reading(look).float()
        return list(zip(variables, read.split([v.read for v in variables], 1), strict=True))

    def _seen(self, latent: Tensor) -> Tensor:
        return latent.contiguous(memory_format=torch.channels_last)
