"""The interface of a family of dynamics, and what passes through it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

State = dict[str, Tensor]
Noise = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class NoiseSpec:
    """One tensor of noise that a step consumes: `shape` for one row, and its distribution."""

    shape: tuple[int, ...]
    kind: Literal["normal", "uniform"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """What one step predicts.

    Attributes:
        latent: (B, C, h, w), the next latent.
        edited: (B, 1, h, w) bool, the places that were rewritten, or None for all.
        surprise: (B,), larger where the model expects to be further from the truth.
        doubt: (B,) in [0, 1], the quantile of `surprise` among real one-step predictions.
        reward: (B,).
        termination: (B,) probability that the episode ends with this step.
        metadata: The game's own variables, by name.
        state: What the family carries on besides latents and actions.
        decisions: Gives what was compared with 0 to decide, by name: (B, n), or (B, 1, h, w) for
            places. Where one lies nearer to 0 than two runtimes agree, they may rightly decide
            differently; asked for only where runtimes are compared.
    """

    latent: Tensor
    surprise: Tensor
    edited: Tensor | None = None
    doubt: Tensor | None = None
    reward: Tensor | None = None
    termination: Tensor | None = None
    metadata: dict[str, Tensor] = field(default_factory=dict)
    state: State = field(default_factory=dict)
    decisions: Callable[[], dict[str, Tensor]] = dict


@dataclass(frozen=True, kw_only=True, slots=True)
class StepLoss:
    """The loss of one step from one state, and the prediction that a closed loop goes on from.

    Attributes:
        total: Scalar to minimise.
        parts: Its parts and other figures worth logging, by name.
        prediction: Gives the family's own prediction from that state, without gradients; asked for
            only where a loop is closed.
        each: How badly each row went, (b,) from 0, without gradients, where the family can tell.
    """

    total: Tensor
    parts: dict[str, Tensor]
    prediction: Callable[[], Prediction]
    each: Tensor | None = None


class Dynamics(nn.Module, ABC):
    """Predicts the next latent.

    The state holds `latents` (B, K, C, h, w), oldest first, `actions` (B, K - 1, A) encoded, and
    what `state_spec` declares.

    Attributes:
        context: K, the number of past latents in the state.
        state_spec: Shapes, for one row, of what the family keeps in the state besides.
        noise_spec: The noise one step consumes, by name.
    """

    context: int
    state_spec: dict[str, tuple[int, ...]]
    noise_spec: dict[str, NoiseSpec]

    @abstractmethod
    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        """Predicts the next latent, not yet rounded. Pure, batched and traceable.

        Args:
            state: As the class says.
            action: (B, A) encoded; takes the newest latent to the next.
            noise: As `noise_spec` says, with a leading batch axis.
        """

    def remember(self, state: State, before: Tensor, after: Tensor) -> State:
        """What `state_spec` declares, one step on, where latents alone decide it.

        A family that predicts it returns it with its `Prediction` instead.

        Args:
            state: What is remembered, under the names of `state_spec`.
            before: (B, C, h, w), the latent before the step.
            after: (B, C, h, w), the latent after it.
        """
        return {}

    @abstractmethod
    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        """The training loss for one step.

        It depends on the state only through its values, so that the same call serves teacher
        forcing (a true state) and the closed loop (a state of the model's own making).

        Args:
            state: As the class says.
            action: (B, A) encoded.
            target: (B, C, h, w), the true next latent.
            noise: As for `predict`.
            previous: (B, C, h, w), the true latent before `target`; the state's own newest one,
                unless a closed loop has left the truth.
        """
