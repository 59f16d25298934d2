"""Walking through a window of recorded steps, on true contexts or in the model's own footsteps."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from learned_envs.data.window import Window
from learned_envs.models.codecs.codec import Codec, ImageCodec, Kept, to_images
from learned_envs.models.dynamics.dynamics import Noise, State, StepLoss
from learned_envs.models.world_model import WorldModel, training_noise
from learned_envs.training.damage import plant_damage


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopStep:
    """One step of a batch of rows, ready for a backward pass.

    Attributes:
        loss: The dynamics' loss.
        previous: (b, C, h, w), the true latent before the step.
        target: (b, C, h, w), the true latent after it.
        reward: (b,) true reward.
        terminated: (b,) bool.
        age: Mean number of steps since the rows were last set to the truth.
        step: Which of the window's steps it is.
        rows: (b,) which of the window's rows they are.
    """

    loss: StepLoss
    previous: Tensor
    target: Tensor
    reward: Tensor
    terminated: Tensor
    age: float
    step: int
    rows: np.ndarray


def closed_loop(
    model: WorldModel,
    window: Window,
    *,
    resync: float,
    divergence: float,
    device: torch.device,
    rollout: int = 0,
    patience: int = 0,
    on_truth: float = 0.0,
    damaged: float = 0.0,
) -> Iterator[LoopStep]:
    """Yields the loss of each step of a window.

    A row continues from the model's own last prediction, until it is set back to the truth: with
    probability `resync` at each step, after `rollout` steps, when it has been further than
    `divergence` from the truth for more than `patience` steps, and at the seams between episodes.
    With `resync` 1 this is teacher forcing.

    Args:
        model: What is trained; the loop reads its parameters anew at every step.
        window: What really happened.
        resync: Probability, in [0, 1].
        divergence: Largest distance from the truth, as `_distance` measures it.
        patience: Steps that a row may be further away, to learn to come back.
        device: Where the model is.
        rollout: Most steps that a row takes from one true context on; 0 for no bound.
        on_truth: Share of the rows that go back to the truth at every step.
        damaged: Share of the rows, the first of those on the truth, in whose contexts faults are
            planted at every step.
    """
    truth = _Truth(model, window, device)
    state = truth.state(0, np.arange(truth.rows))
    faulty = np.arange(round(damaged * truth.rows))
    age, astray = np.zeros(truth.rows), np.zeros(truth.rows)
    always_back = resync >= 1 or on_truth >= 1
    for t in range(truth.steps):
        previous, target = truth.latent(t), truth.latent(t + 1)
        back = np.full(truth.rows, always_back)
        if not always_back:
            distance = _distance(state["latents"][:, -1], previous).cpu().numpy()
            back = (torch.rand(truth.rows) < resync).numpy()
            back[: round(on_truth * truth.rows)] = True
            astray = np.where(distance < divergence, 0, astray + 1)
            back |= (age + 1 >= rollout) & (rollout > 0)
            back |= ~truth.usable(t - 1) | (astray > patience) | ~np.isfinite(distance)
        if len(rows := np.flatnonzero(back)):
            state = _replace(state, truth.state(t, rows), rows)
            astray[rows] = 0
        if len(faulty):
            state = _replace(state, truth.damaged_state(t, faulty), faulty)
        age = np.where(back, 0, age + 1)
        used = torch.from_numpy(np.flatnonzero(truth.usable(t))).to(device)
        if not len(used):
            continue
        noise = training_noise(model.noise_spec, len(used), device)
        now = {name: _picked(value, used) for name, value in state.items()}
        previous, target = _picked(previous, used), _picked(target, used)
        dreamed = None if always_back else torch.from_numpy(~back).to(device)[used]
        code, told = truth.told(t, used, now, noise, dreamed)
        loss = model.dynamics.loss(now, code, target, noise, previous)
        yield LoopStep(
            loss=loss,
            previous=previous,
            target=target,
            reward=truth.reward[used, t],
            terminated=truth.terminated[used, t],
            age=float(age.mean()),
            step=t,
            rows=used.cpu().numpy(),
        )
        if not always_back:
            following = _advanced(model, now, code, loss, noise) | told
            state = _replace(state, following, used.cpu().numpy())


def _distance(latent: Tensor, truth: Tensor) -> Tensor:
    """How far latents (B, C, h, w) are from the truth where they are furthest from it: (B,).

    Absolute difference, averaged over channels and summed over 8x8 places (all, where there are
    fewer), at its largest. Local, because a thing that is missing or misplaced makes the truth
    unpredictable however right the rest is, and slight errors everywhere do not.
    """
    error = (latent - truth).abs().mean(1, keepdim=True)
    side = min(8, *error.shape[2:])
    return side**2 * F.avg_pool2d(error, side, max(1, side // 2), ceil_mode=True).amax((1, 2, 3))


@torch.no_grad()
def _advanced(model: WorldModel, state: State, code: Tensor, loss: StepLoss, noise: Noise) -> State:
    return model.advance(state, code, loss.prediction(), noise)


def _replace(state: State, other: State, rows: np.ndarray) -> State:
    """Returns `state` with `rows` taken from `other`, which holds just those rows."""
    if len(rows) == len(state["latents"]):
        return other
    index = torch.from_numpy(rows).to(state["latents"].device)
    return {name: value.index_copy(0, index, other[name]) for name, value in state.items()}


def _picked(value: Tensor, rows: Tensor) -> Tensor:
    """Some rows of a tensor, without a copy where they are all."""
    return value if len(rows) == len(value) else value[rows]


class _Truth:
    """A window on the device, and the true states within it."""

    def __init__(self, model: WorldModel, window: Window, device: torch.device):
        self._model, self._device = model, device
        self._frames = torch.from_numpy(window.observation).to(device)
        self._codes = model.actions.encode(torch.from_numpy(window.action).to(device))
        self._values = self._shown = None
        if model.config.metadata is not None:
            self._values = model.config.metadata.collect(window.metadata).to(device)
            self._shown = model.config.metadata.show(self._values)
        self.reward = torch.from_numpy(window.reward).to(device)
        self.terminated = torch.from_numpy(window.terminated).to(device)
        self.rows, self.steps = window.valid.shape
        time = np.arange(self.steps + 1)
        self._begin = np.maximum.accumulate(np.where(window.first, time, 0), axis=1)
        begins_take = np.take_along_axis(window.first, self._begin, 1)
        whole = time - self._begin >= model.dynamics.context - 1
        self._usable = window.valid & (begins_take | whole)[:, :-1]
        keeps = not isinstance(model.codec, ImageCodec)
        self._takes = _Takes(model.codec, self._frames, self._begin) if keeps else None
        if self._takes is not None:
            self._latents, self._encoded = self._takes.latents, self.steps + 1
        else:
            channels, height, width = model.codec.latent_shape
            shape = self.rows, self.steps + 1, height, width, channels
            self._latents = torch.empty(shape, device=device).permute(0, 1, 4, 2, 3)
            self._encoded = 0
        self._memory_until = 0
        self._memory: State = {
            name: torch.zeros(self.rows, *shape, device=device)
            for name, shape in model.dynamics.state_spec.items()
        }

    def usable(self, t: int) -> np.ndarray:
        """Rows (B,) whose step t is real and whose context at t is known."""
        return self._usable[:, t] if t >= 0 else np.zeros(self.rows, bool)

    @torch.no_grad()
    def told(
        self, t: int, rows: Tensor, state: State, noise: Noise, dreamed: Tensor | None
    ) -> tuple[Tensor, State]:
        """What the dynamics are told of step t, and the next state's variables.

        Rows that are on the truth are told the true variables, others those that follow in the
        dream.

        Args:
            t: The step.
            rows: (b,), which.
            state: Of these rows, before the step.
            noise: Likewise.
            dreamed: (b,) bool, those off the truth; None where no row will ever leave it.
        """
        code = self._codes[rows, t]
        if self._values is None or self._shown is None:
            return code, {}
        if dreamed is None:  # nobody goes on from what would be predicted
            return torch.cat([code, self._shown[rows, t + 1]], 1), {}
        given = torch.where(dreamed[:, None], torch.nan, self._values[rows, t + 1])
        return self._model.tell(state, code, noise, given)

    def latent(self, t: int) -> Tensor:
        """The true latent (B, C, h, w) of frame t."""
        return self._until(t)[:, t]

    @torch.no_grad()
    def _until(self, t: int) -> Tensor:
        """The true latents (B, T + 1, C, h, w), known up to frame t: each is encoded once."""
        for time in range(self._encoded, t + 1):
            images = to_images(self._frames[:, time : time + 1])
            self._latents[:, time] = self._model.codec.begin(images)[0][:, 0]
        self._encoded = max(self._encoded, t + 1)
        return self._latents

    @torch.no_grad()
    def state(self, t: int, rows: np.ndarray) -> State:
        """The true state at frame t for `rows`, padded at the beginning of an episode."""
        oldest = t + 1 - self._model.dynamics.context
        time = np.arange(oldest, t + 1)
        index = np.maximum(time, self._begin[rows, t][:, None])
        row = torch.from_numpy(rows).to(self._device)
        if (index == time).all():
            latents = _picked(self._until(t)[:, oldest : t + 1], row)
        else:
            latents = self._until(t)[row[:, None], torch.from_numpy(index).to(self._device)]
        padded = torch.from_numpy(index[:, 1:] == index[:, :-1]).to(self._device)
        codes = self._codes[row[:, None], torch.from_numpy(index[:, :-1]).to(self._device)]
        idle = self._model.actions.idle_code().to(self._device)
        codes = torch.where(padded[..., None], idle, codes)
        kept = self._takes.kept(t, rows) if self._takes is not None else {}
        remembered = {name: _picked(value, row) for name, value in self._remembered(t).items()}
        values = None
        if self._values is not None:
            values = self._values[row[:, None], torch.from_numpy(index).to(self._device)]
        return self._model.start_latents(latents, codes, kept, values) | remembered

    @torch.no_grad()
    def _remembered(self, t: int) -> State:
        """What dynamics remember of the episodes up to frame t, as far as latents decide it."""
        dynamics = self._model.dynamics
        while self._memory_until < t:
            now = self._memory_until + 1
            before, after = self._until(now)[:, now - 1], self._latents[:, now]
            memory = dynamics.remember(self._memory, before, after)
            begins = torch.from_numpy(self._begin[:, now] == now).to(self._device)
            self._memory = {
                name: torch.where(begins.view(-1, *[1] * (value.ndim - 1)), 0.0, value)
                for name, value in memory.items()
            }
            self._memory_until = now
        return self._memory

    @torch.no_grad()
    def damaged_state(self, t: int, rows: np.ndarray) -> State:
        """The true state at frame t for `rows`, with faults from earlier in the episode."""
        state = self.state(t, rows)
        begin = self._begin[rows, t]
        index = begin + (torch.rand(len(rows)).numpy() * (t - begin)).astype(int)
        row, time = (torch.from_numpy(i).to(self._device) for i in (rows, index))
        earlier = self._until(t)[row, time]
        return {**state, "latents": plant_damage(state["latents"], earlier)}


class _Takes:
    """A window's takes as a codec that keeps something sees them, each of them as one history.

    So latents mean the same at every step of a take, and go with what is kept of it.

    Args:
        codec: The codec.
        frames: (B, T + 1, H, W, 3) uint8.
        begin: (B, T + 1), when the take began that a frame is of.

    Attributes:
        latents: (B, T + 1, C, h, w).
    """

    @torch.no_grad()
    def __init__(self, codec: Codec, frames: Tensor, begin: np.ndarray):
        self.latents = torch.empty(*begin.shape, *codec.latent_shape, device=frames.device)
        self._number = np.zeros(begin.shape, int)
        kept: list[Kept] = []
        for row, begins in enumerate(begin):
            for first in np.unique(begins):
                take = slice(first, first + (begins == first).sum())
                latents, whole = codec.begin(to_images(frames[row : row + 1, take]))
                self.latents[row, take] = latents[0]
                self._number[row, take] = len(kept)
                kept.append(whole)
        self._kept = {n: torch.cat([whole[n] for whole in kept]) for n in codec.kept_spec}

    def kept(self, t: int, rows: np.ndarray) -> Kept:
        """What is kept of the takes that `rows` are in at frame t."""
        number = torch.from_numpy(self._number[rows, t])
        return {name: value[number.to(value.device)] for name, value in self._kept.items()}
