"""The settings of a training of dynamics and heads."""

from learned_envs.models.configuration import configuration
from learned_envs.training.codec import CodecRecipe
from learned_envs.training.rounds import Schedule, check_positive


@configuration
class Recipe(Schedule):
    """How a model's dynamics and heads are trained, besides how long and how fast.

    Attributes:
        batch: Rows.
        window: Steps in a window; the closed loop is at most this long.
        episode_steps: When the simulator plays while training, its episodes are cut after so many
            steps, so that starts, and the odd ones among them, come often.
        teacher_forced: Share of the steps, at the beginning, with contexts from the truth alone.
        closed_by: Share of the steps after which the loop is as closed as it gets.
        resync: Probability, then, that a row goes back to the truth at a step.
        on_truth: Share of the rows that stay on true contexts all along. The truth is no exact
            function of a dreamed context, so it takes true ones to learn exact motion.
        damaged: Share of the rows in whose true contexts faults are planted, so that the model
            learns to mend what it may break; at most `on_truth`.
        divergence: Distance from the truth, summed over 8x8 places of the latent and averaged over
            its channels, beyond which a dreamed row goes back to the truth: past it the true next
            frame no longer is what should follow, and learning from it teaches to hedge.
        patience: Steps that a dreamed row may be beyond that distance before it goes back. What
            went missing for good is then found again, but a brick broken early is put back, too.
        head_noise: Standard deviation of the noise on what the heads see.
        codec: How the codec is trained before, where it has parameters.
    """

    batch: int = 64
    window: int = 64
    episode_steps: int = 200
    teacher_forced: float = 0.6
    closed_by: float = 0.7
    resync: float = 0.05
    on_truth: float = 0.5
    damaged: float = 0.125
    divergence: float = 6.0
    patience: int = 0
    head_noise: float = 0.02
    codec: CodecRecipe = CodecRecipe()

    def __post_init__(self):
        check_positive(self, "steps", "round_steps", "batch", "window", "episode_steps")
        if self.damaged > self.on_truth:
            raise ValueError(
                f"`damaged` (={self.damaged}) must be at most `on_truth` (={self.on_truth}): "
                "faults are planted in true contexts"
            )

    def resync_at(self, step: int) -> float:
        """The probability that a row goes back to the truth at optimiser step `step`."""
        begin, end = self.teacher_forced * self.steps, self.closed_by * self.steps
        closed = min(1.0, max(0.0, (step - begin) / max(1.0, end - begin)))
        return 1 - closed * (1 - self.resync)
