"""Dynamics of figures under a surface: what the codec `Sprites` has as latents, one step on."""

import torch
from torch import Tensor

from learned_envs.models.actions import ActionEncoding, PointActions
from learned_envs.models.codecs.table import FigureTable
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.dynamics import (
    Dynamics,
    Noise,
    NoiseSpec,
    Prediction,
    State,
    StepLoss,
)
from learned_envs.models.dynamics.figure_motion import FigureMotion, Shoal
from learned_envs.models.dynamics.waves import Waves


@configuration
class SpriteDynamicsConfig:
    """Sizes of `SpriteDynamics`.

    Attributes:
        count: Most figures, as the codec has it.
        code: Numbers that tell a figure's shape, as the codec has it.
        body: Pixels along in which a figure fits.
        width: Width of a figure's memory.
        message: Width of what one figure is told of another.
        strangest: Standard deviations by which a drawn move may differ from its mean.
    """

    count: int = 12
    code: int = 8
    body: float = 64.0
    width: int = 128
    message: int = 64
    strangest: float = 4.0

    def build(
        self, latent_shape: tuple[int, int, int], actions: ActionEncoding
    ) -> "SpriteDynamics":
        """Builds the dynamics for latents (3, h, w).

        Raises:
            ValueError: If actions are no points with one kind of touch, or the latents are none of
                `Sprites`.
        """
        if not isinstance(actions, PointActions) or actions.kinds != 1:
            raise ValueError(
                f"actions {actions} were given, expected `PointActions` with one kind of touch"
            )
        if latent_shape[0] != 3:
            raise ValueError(
                f"latents of shape {latent_shape} were given, expected (3, h, w): use the codec "
                "`Sprites`"
            )
        return SpriteDynamics(self, latent_shape, actions)


class SpriteDynamics(Dynamics):
    """A wave equation that is learned, and figures that draw their moves; see `FigureMotion`."""

    context = 2

    def __init__(
        self, config: SpriteDynamicsConfig, latent_shape: tuple[int, int, int],
        actions: PointActions,
    ):  # fmt: skip
        super().__init__()
        _, height, width = latent_shape
        self.config, self.touched_above = config, actions.threshold
        self.table = FigureTable(config.count, config.code, (height, width))
        self.waves = Waves((height, width))
        self.motion = FigureMotion(
            (2 * height, 2 * width), config.code, config.body, config.width, config.message
        )
        self.state_spec = {"memory": (config.count, config.width)}
        self.noise_spec = {"move": NoiseSpec((config.count, 3 + config.code), "normal")}

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        """See `Dynamics.predict`; `noise["move"]` (B, N, 3 + P) normal draws the moves."""
        newest, touch = state["latents"][:, -1], self.touch(action)
        shoal = self.shoal(state["latents"])
        mean, spread, memory = self.motion(shoal, touch, state["memory"])
        strange = noise["move"].clamp(-self.config.strangest, self.config.strangest)
        after = self.motion.moved(shoal, mean + spread.exp() * strange)
        surface = self.waves(newest[:, :2], touch)
        plane = self.table.written(after.alive, after.poses, after.code)
        there = shoal.alive.float()
        surprise = (spread.mean(-1) * there).sum(1) / there.sum(1).clamp(min=1)
        return Prediction(
            latent=torch.cat([surface, plane], 1), surprise=surprise, state={"memory": memory}
        )

    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        """Not to be had: motion and waves are learned through many steps, not from one.

        Raises:
            TypeError: Always.
        """
        raise TypeError(
            "`SpriteDynamics` learn through many steps at once, what one step is does not tell: "
            "train them with a `MotionRecipe`"
        )

    def touch(self, action: Tensor) -> Tensor:
        """Encoded actions (B, 3) with strengths of 0 where nothing is touched."""
        strength = action[:, 2:] * (action[:, 2:] > self.touched_above)
        return torch.cat([action[:, :2], strength], 1)

    def shoal(self, latents: Tensor) -> Shoal:
        """The figures of the newest of latents (B, K, 3, h, w), with their last moves."""
        _, before, code_before = self.table.read(latents[:, -2])
        alive, poses, code = self.table.read(latents[:, -1])
        move = torch.cat([before.moves(poses), code - code_before], -1)
        return Shoal(poses=poses, code=code, move=move, alive=alive)
