"""The settings of a training of dynamics and heads."""

import numpy as np

from learned_envs.models.configuration import configuration
from learned_envs.training.codec import CodecRecipe
from learned_envs.training.frames import FramesRecipe
from learned_envs.training.metadata import MetadataRecipe
from learned_envs.training.motion import MotionRecipe
from learned_envs.training.rounds import Schedule, check_positive


@configuration
class Recipe(Schedule):
    """How a model's dynamics and heads are trained, besides how long and how fast.

    Attributes:
        batch: Rows.
        window: Steps in a window; the closed loop is at most this long.
        episode_steps: When the simulator plays while training, its episodes are cut after so many
            steps, so that starts, and the odd ones among them, come often.
        closing: Points (share of the steps, probability that a row goes on from the model's own
            prediction instead of the truth) of a schedule that is straight between them.
        rollout: Most steps that a row takes from one true context on; 0 for as many as there are.
        on_truth: Share of the rows that stay on true contexts all along. The truth is no exact
            function of a dreamed context, so it takes true ones to learn exact motion.
        damaged: Share of the rows in whose true contexts faults are planted, so that the model
            learns to mend what it may break; at most `on_truth`.
        divergence: Distance from the truth, summed over 8x8 places of the latent and averaged over
            its channels, beyond which a dreamed row goes back to the truth: past it the true next
            frame no longer is what should follow, and learning from it teaches to hedge.
        patience: Steps that a dreamed row may be beyond that distance before it goes back. What
            went missing for good is then found again, but a brick broken early is put back, too.
        replayed: Rows besides those of play in which the steps that went worst in the round are
            shown again; 0 for none.
        head_noise: Standard deviation of the noise on what the heads see.
        codec: How the codec is trained before, where it has parameters.
        metadata: How what predicts the world's variables is trained before, where there is such.
        frames: How a pretrained UNet learns the world's frames before, where there is such.
    """

    batch: int = 64
    window: int = 64
    episode_steps: int = 200
    behaviours: tuple[tuple[str, float], ...] = ()
    closing: tuple[tuple[float, float], ...] = ((0.6, 0.0), (0.7, 0.95))
    rollout: int = 0
    on_truth: float = 0.5
    damaged: float = 0.125
    divergence: float = 6.0
    patience: int = 0
    replayed: int = 0
    head_noise: float = 0.02
    codec: CodecRecipe = CodecRecipe()
    metadata: MetadataRecipe = MetadataRecipe()
    frames: FramesRecipe = FramesRecipe()

    def __post_init__(self):
        check_positive(self, "steps", "round_steps", "batch", "window", "episode_steps")
        if self.damaged > self.on_truth:
            raise ValueError(
                f"`damaged` (={self.damaged}) must be at most `on_truth` (={self.on_truth}): "
                "faults are planted in true contexts"
            )

        shares, own = zip(*self.closing, strict=True) if self.closing else ((), ())
        if not own or list(shares) != sorted(shares) or not 0 <= min(own) <= max(own) <= 1:
            raise ValueError(
                f"`closing` (={self.closing}) must be points (share of the steps, probability), at "
                "least one, their shares rising"
            )
        if self.replayed < 0:
            raise ValueError(f"`replayed` (={self.replayed}) must be at least 1, or 0 for none")
        if self.rollout < 0:
            raise ValueError(f"`rollout` (={self.rollout}) must be at least 1, or 0 for no bound")

    def resync_at(self, step: int) -> float:
        """The probability that a row goes back to the truth at optimiser step `step`."""
        shares, own = zip(*self.closing, strict=True)
        return 1 - float(np.interp(step / self.steps, shares, own))


AnyRecipe = Recipe | MotionRecipe
