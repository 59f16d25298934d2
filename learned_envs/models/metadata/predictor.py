"""Predicts a game's variables: the next from the last two, the latent and the action.

g_phi of the metadata-conditioned model: m(t) from m(t - 1), m(t - 2), the latent and the action.
What is predicted is fed on, so that a dream knows its own score.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import convolution
from learned_envs.models.metadata.memories import Family, memory_of
from learned_envs.models.metadata.variables import Variable

_CHANNELS = 24


@configuration
class MetadataConfig:
    """Which variables there are, how they are predicted, and what follows from them.

    Attributes:
        variables: They.
        family: What remembers the steps before: `lstm`, `gru` or `transformer`.
        width: Channels of what it remembers.
        widths: Channels of the convolutions that look at a latent, each at half the resolution of
            the one before; the first is at a quarter of the latent's.
        reward: The variable whose change is the reward, or None where that is not so.
        over: Variables and the values that all of them have when the game is over; empty where the
            variables do not say so.
    """

    variables: tuple[Variable, ...]
    family: Family = "gru"
    width: int = 128
    widths: tuple[int, ...] = (32, 48, 64)
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
        self.write = nn.Sequential(
            nn.Linear(2 * config.width, config.width), nn.ReLU(),
            nn.Linear(config.width, sum(variable.written for variable in config.variables)),
        )  # fmt: skip

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
        written, memory = self._written(values, memory, self.look(self._seen(latent)), action)
        drawn = [
            variable.draw(part, values[:, 1, i], chance[:, i])
            for i, (variable, part) in enumerate(self._parts(written))
        ]
        return torch.stack(drawn, 1), memory

    def read(self, latents: Tensor) -> Tensor:
        """Reads values (B, V) from latents (B, C, h, w)."""
        readings = self._readings(self.look(self._seen(latents)))
        return torch.stack([variable.value_read(part) for variable, part in readings], 1)

    def misread(self, values: Tensor, latents: Tensor) -> Tensor:
        """How far off readings of latents (B, C, h, w) are from true values (B, V): (B, V)."""
        readings = enumerate(self._readings(self.look(self._seen(latents))))
        return torch.stack([v.misread(part, values[:, i]) for i, (v, part) in readings], 1)

    def surprise(self, values: Tensor, latents: Tensor, actions: Tensor, first: Tensor) -> Tensor:
        """How unexpected stretches of true values are: negative log-likelihoods.

        Args:
            values: (B, T + 1, V).
            latents: (B, T, C, h, w), those before each step.
            actions: (B, T, A) encoded.
            first: (B, T + 1), whether a frame begins an episode, before which nothing is known.

        Returns:
            (B, T, V).
        """
        steps = []
        for t, (written, before) in enumerate(self._walk(values, latents, actions, first)):
            after = values[:, t + 1]
            steps.append(
                torch.stack(
                    [
                        variable.surprise(part, before[:, 1, i], after[:, i])
                        for i, (variable, part) in enumerate(self._parts(written))
                    ],
                    1,
                )
            )
        return torch.stack(steps, 1)

    @torch.no_grad()
    def likeliest(
        self, values: Tensor, latents: Tensor, actions: Tensor, first: Tensor, *, fed_on: bool
    ) -> Tensor:
        """The likeliest values (B, T, V) after each step; arguments as for `surprise`.

        With `fed_on` each step goes on from the values predicted before it, not from true ones.
        """
        steps: list[Tensor] = []
        walk = self._walk(values, latents, actions, first, steps if fed_on else None)
        for written, before in walk:
            parts = enumerate(self._parts(written))
            next_values = [v.likeliest(part, before[:, 1, i]) for i, (v, part) in parts]
            steps.append(torch.stack(next_values, 1))
        return torch.stack(steps, 1)

    def _walk(
        self,
        values: Tensor,
        latents: Tensor,
        actions: Tensor,
        first: Tensor,
        predicted: list[Tensor] | None = None,
    ):
        """Yields what is written of each step, and the values (B, 2, V) that it goes on from."""
        memory = values.new_zeros(len(values), *self.memory_shape)
        looks = self.look(self._seen(latents.flatten(0, 1))).unflatten(0, latents.shape[:2])
        older = values[:, 0]
        for t in range(latents.shape[1]):
            newer = predicted[-1] if predicted else values[:, t]
            begins = first[:, t]
            newer = torch.where(begins[:, None], values[:, t], newer)
            older = torch.where(begins[:, None], newer, older)
            memory = torch.where(begins.view(-1, *[1] * (memory.ndim - 1)), 0.0, memory)
            before = torch.stack([older, newer], 1)
            written, memory = self._written(before, memory, looks[:, t], actions[:, t])
            yield written, before
            older = newer

    def _written(
        self, values: Tensor, memory: Tensor, look: Tensor, action: Tensor
    ) -> tuple[Tensor, Tensor]:
        shown = self.config.show(values).flatten(1)
        features = F.relu(self.mix(torch.cat([look.float(), shown, action.float()], 1)))
        output, memory = self.memory.step(features.float(), memory)
        return self.write(torch.cat([output, features], 1)).float(), memory.float()

    def _parts(self, written: Tensor) -> list[tuple[Variable, Tensor]]:
        variables = self.config.variables
        return list(zip(variables, written.split([v.written for v in variables], 1), strict=True))

    def _readings(self, look: Tensor) -> list[tuple[Variable, Tensor]]:
        variables = self.config.variables
        read = self.reading(look).float()
        return list(zip(variables, read.split([v.read for v in variables], 1), strict=True))

    def _seen(self, latent: Tensor) -> Tensor:
        return latent.contiguous(memory_format=torch.channels_last)
