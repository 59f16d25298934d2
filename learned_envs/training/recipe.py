"""The settings of a training run."""

from learned_envs.models.configuration import configuration


@configuration
class Recipe:
    """How a model's dynamics and heads are trained.

    Training goes in rounds of `round_steps`. A round depends only on the parameters it begins with,
    the seed and its number, and a checkpoint is written at its end, so that a run that was killed
    comes to the same parameters as one that was not.

    Attributes:
        steps: Optimiser steps in all.
        round_steps: Optimiser steps between checkpoints.
        batch: Rows.
        window: Steps in a window; the closed loop is at most this long.
        learning_rate: Of AdamW, after a warm-up of `warmup` steps.
        warmup: Steps of linear warm-up.
        decay: Last share of the steps over which the learning rate falls linearly to zero.
        weight_decay: Of AdamW.
        clip: Largest norm of the gradient.
        average: Decay of the moving average of the parameters, which is what gets packaged.
        teacher_forced: Share of the steps, at the beginning, with contexts from the truth alone.
        closed_by: Share of the steps after which the loop is as closed as it gets.
        resync: Probability, then, that a row goes back to the truth at a step.
        divergence: Distance from the truth, summed over the latent's places and averaged over its
            channels, beyond which a dreamed row goes back to the truth: past it the true next frame
            no longer is what should follow.
        head_noise: Standard deviation of the noise on what the heads see.
        seed: Of everything random.
    """

    steps: int = 20_000
    round_steps: int = 500
    batch: int = 128
    window: int = 64
    learning_rate: float = 5e-4
    warmup: int = 500
    decay: float = 0.3
    weight_decay: float = 1e-4
    clip: float = 1.0
    average: float = 0.999
    teacher_forced: float = 0.1
    closed_by: float = 0.3
    resync: float = 0.03
    divergence: float = 10.0
    head_noise: float = 0.02
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "round_steps", "batch", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must be at least 1")

    def learning_rate_at(self, step: int) -> float:
        """The learning rate of optimiser step `step`."""
        rise = min(1.0, (step + 1) / max(1, self.warmup))
        fall = min(1.0, (self.steps - step) / max(1, round(self.decay * self.steps)))
        return self.learning_rate * rise * fall

    def resync_at(self, step: int) -> float:
        """The probability that a row goes back to the truth at optimiser step `step`."""
        begin, end = self.teacher_forced * self.steps, self.closed_by * self.steps
        closed = min(1.0, max(0.0, (step - begin) / max(1.0, end - begin)))
        return 1 - closed * (1 - self.resync)
