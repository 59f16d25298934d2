"""Windows of a world as small as can be, and a model that shows what training showed it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from learned_envs.data.window import Window
from learned_envs.models.actions import DiscreteActions
from learned_envs.models.codecs.codec import to_images
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.dynamics import Dynamics, Noise, Prediction, State, StepLoss
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.heads import HeadsConfig
from learned_envs.models.world_model import WorldModel, WorldModelConfig
from learned_envs.training.closed_loop import LoopStep, closed_loop
from learned_envs.training.recipe import Recipe
from learned_envs.training.rounds import Rounds
from learned_envs.training.trainer import dynamics_trainer

CPU = torch.device("cpu")
CONTEXT, SIZE = 4, 16
IDLE = 2


def tiny_config(size: int = SIZE) -> WorldModelConfig:
    return WorldModelConfig(
        image_size=(size, size),
        actions=DiscreteActions(count=3, idle=IDLE),
        codec=IdentityConfig(),
        dynamics=SparseEditorConfig(
            widths=(8, 8), blocks=(1, 1), head=8, glimpses=1, glimpse=8, glimpse_widths=(8, 8, 8)
        ),
        heads=HeadsConfig(rewards=(0.0, 1.0), width=8),
    )


def tiny_model(dynamics: Dynamics | None = None) -> WorldModel:
    torch.manual_seed(0)
    model = tiny_config().build()
    if dynamics is not None:
        model.dynamics = dynamics
    return model


def play(
    rows: int, steps: int, *, first: np.ndarray | None = None, valid: np.ndarray | None = None,
    seed: int = 0,
) -> Window:  # fmt: skip
    """A bar in the middle of every frame, which moves as the action says; frames are all unlike."""
    random = np.random.default_rng(seed)
    action = random.integers(3, size=(rows, steps))
    place = (np.cumsum(action - 1, 1) + random.integers(SIZE, size=(rows, 1))) % SIZE
    frames = np.full((rows, steps + 1, SIZE, SIZE, 3), 100, np.uint8)
    for row, t in np.ndindex(rows, steps):
        frames[row, t + 1, 4:12, place[row, t]] = 160
    frames[:, 0, 4:12, 0] = 130
    frames[:, :, 0, 0, 0] = np.arange(steps + 1)  # a clock, so that no two frames are equal
    begins = np.zeros((rows, steps + 1), bool)
    begins[:, 0] = True
    begins = begins if first is None else first
    return Window(
        observation=frames,
        action=action,
        reward=(action == 1).astype(np.float32),
        terminated=np.zeros((rows, steps), bool),
        first=begins,
        valid=~begins[:, 1:] if valid is None else valid,
        metadata={},
    )


def endless(number: int, *, rows: int = 8, steps: int = 3) -> Iterator[Window]:
    seed = 1000 * number
    while True:
        seed += 1
        yield play(rows, steps, seed=seed)


class Spy(Dynamics):
    """Keeps what it is shown, and predicts the truth plus an error for each row."""

    context = CONTEXT
    state_spec = {}
    noise_spec = {}

    def __init__(self, error: Tensor | float = 0.0):
        super().__init__()
        self.error = torch.as_tensor(error)
        self.shown: list[tuple[State, Tensor]] = []

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        raise NotImplementedError

    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        self.shown.append((state, action))
        latent = target + self.error.view(-1, 1, 1, 1)
        prediction = Prediction(latent=latent, surprise=target.new_zeros(len(target)))
        return StepLoss(
            total=latent.sum() * 0,
            parts={},
            prediction=lambda: prediction,
            each=target.flatten(1).abs().mean(1),
        )


def walk(spy: Spy, window: Window, **how: Any) -> list[tuple[State, Tensor, LoopStep]]:
    """State, action and loop step of each step that the spy was shown."""
    settings = {"divergence": np.inf, "device": CPU, **how}
    loop = list(closed_loop(tiny_model(spy), window, **settings))
    return [(*shown, step) for shown, step in zip(spy.shown, loop, strict=True)]


def latents_of(window: Window, t: int) -> Tensor:
    return to_images(torch.from_numpy(window.observation[:, t]))


def true_context(window: Window, row: int, t: int) -> tuple[Tensor, Tensor] | None:
    """Latents and encoded actions before step t of a row, frame by frame, or None if unknown."""
    if not window.valid[row, t]:
        return None
    frames, actions = [t], []
    while len(frames) < CONTEXT:
        if window.first[row, frames[0]]:
            frames, actions = [frames[0], *frames], [IDLE, *actions]
        elif frames[0] == 0:
            return None
        else:
            actions = [window.action[row, frames[0] - 1], *actions]
            frames = [frames[0] - 1, *frames]
    codes = torch.eye(3)[actions]
    return to_images(torch.from_numpy(window.observation[row, frames])), codes


def seams() -> Window:
    """An ordinary start, a seam, two seams in a row, a cut-off start, and padding at the end."""
    first, valid = np.zeros((5, 11), bool), np.ones((5, 10), bool)
    first[:4, 0] = True
    first[1, 5] = first[2, 3] = first[2, 4] = True
    first[3, 0] = False
    valid &= ~first[:, 1:]
    valid[4, 7:] = False
    return play(5, 10, first=first, valid=valid)


def assert_equal(ours: dict[str, Tensor], theirs: dict[str, Tensor]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name


def recipe(**changes: Any) -> Recipe:
    few: dict[str, Any] = dict(
        steps=12, round_steps=4, warmup=2, learning_rate=3e-3, batch=8, window=4
    )
    return Recipe(**few | changes)


def parameters(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}


def trained(folder: Path, **changes: Any) -> Rounds[WorldModel]:
    """A run from where the folder stands to the recipe's end."""
    run = dynamics_trainer(tiny_model(), recipe(**changes), endless, folder)
    assert run.run(progress=False)
    return run
