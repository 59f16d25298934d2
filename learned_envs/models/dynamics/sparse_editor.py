"""A one-pass editor: rewrites the places that change and leaves every other bit as it is.

A small UNet over patches says, for each place of the latent, whether it changes and to what. What
is not marked is copied exactly, so that a world at rest stays at rest however long it is dreamed.

Where the future is open (the direction of a new ball), one pass must still choose. The last block
is told one of a few *choices*. In training the choice is drawn by how well each explains the truth,
and a prior learns to predict it; in a dream it is drawn from that prior. The prior looks at every
place as closely as the writing does: what tells two futures apart may be a hundredth of a pixel,
and a prior that cannot see it draws lots where nothing is open. This is expectation maximisation
for a mixture with Laplace likelihood (Dempster et al. 1977; multiple choice learning,
Guzman-Rivera et al. 2012).
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import ResidualBlock, UpBlock, convolution
from learned_envs.models.dynamics.dynamics import (
    Dynamics,
    Noise,
    NoiseSpec,
    Prediction,
    State,
    StepLoss,
)


@configuration
class SparseEditorConfig:
    """Sizes and training constants of a `SparseEditor`.

    Attributes:
        context: Past latents seen.
        patch: Side of the patches of latent that become one place of the network.
        widths: Channels at each resolution, finest first.
        blocks: Residual blocks at each resolution on the way down; one more each on the way up.
        head: Width of the hidden layer that writes a patch.
        choices: Number of futures to choose from where the future is open; 1 for none.
        evidence: Channels in which the prior gathers from all places what speaks for a choice.
        choice_weight: Weight of the prior's loss.
        least_chance: A choice with less than this share of the likeliest one's chance is never
            drawn in a dream. Training does not punish a choice where it explains nothing, since it
            is not drawn there; in a thousand steps even one chance in a hundred comes up.
        temperature: Scale of the likelihood, in summed absolute error of the latent, by which a
            choice is credited with the truth.
        threshold: Probability of change above which a place is rewritten.
        tolerance: Absolute difference below which a place counts as unchanged.
        mask_weight: Weight of the mask's loss.
        context_noise: Largest standard deviation of the noise added to the context in training.
    """

    context: int = 4
    patch: int = 4
    widths: tuple[int, ...] = (80, 112, 128)
    blocks: tuple[int, ...] = (1, 1, 1)
    head: int = 128
    choices: int = 4
    evidence: int = 64
    choice_weight: float = 0.1
    least_chance: float = 0.2
    temperature: float = 0.5
    threshold: float = 0.3
    tolerance: float = 0.012
    mask_weight: float = 0.2
    context_noise: float = 0.1

    def __post_init__(self):
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"`widths` ({len(self.widths)}) and `blocks` ({len(self.blocks)}) must be as many"
            )
        if not 0 < self.least_chance <= 1:
            raise ValueError(f"`least_chance` (={self.least_chance}) must be above 0 and at most 1")

    def build(self, latent_shape: tuple[int, int, int], actions: ActionEncoding) -> "SparseEditor":
        """Builds the editor for latents (C, h, w)."""
        return SparseEditor(self, latent_shape, actions)


class SparseEditor(Dynamics):
    """See the module's docstring."""

    def __init__(
        self,
        config: SparseEditorConfig,
        latent_shape: tuple[int, int, int],
        actions: ActionEncoding,
    ):
        super().__init__()
        channels, height, width = latent_shape
        factor = config.patch * 2 ** (len(config.widths) - 1)
        if height % factor or width % factor:
            raise ValueError(
                f"latents of {height}x{width} must be divisible by {factor}: "
                "patch times 2 for each resolution after the first"
            )
        self.config = config
        self.context = config.context
        self.state_spec = {}
        self.noise_spec = {"choice": NoiseSpec((1,), "uniform")}
        finest, coarsest = config.widths[0], config.widths[-1]
        grid = height // config.patch, width // config.patch
        self.stem = nn.Conv2d(config.context * channels, finest, config.patch, config.patch)
        self.condition = nn.Linear(config.context * actions.size + 1, finest)
        self.position = nn.Parameter(0.1 * torch.randn(1, finest, *grid))
        self.down = nn.ModuleList(
            convolution(a, b, stride=2)
            for a, b in zip(config.widths, config.widths[1:], strict=False)
        )
        self.encoder = nn.ModuleList(
            nn.Sequential(*(ResidualBlock(w) for _ in range(n)))
            for w, n in zip(config.widths, config.blocks, strict=True)
        )
        self.up = nn.ModuleList(
            UpBlock(b, a) for a, b in zip(config.widths, config.widths[1:], strict=False)
        )
        self.decoder = nn.ModuleList(ResidualBlock(w) for w in config.widths[:-1])
        self.evidence = nn.Conv2d(finest, config.evidence, 1)
        self.prior = nn.Sequential(
            nn.Linear(config.evidence + coarsest, config.evidence),
            nn.ReLU(),
            nn.Linear(config.evidence, config.choices),
        )
        self.expected_error = nn.Linear(coarsest, 1)
        self.choice = nn.Linear(config.choices, finest, bias=False)
        self.last = ResidualBlock(finest)
        written = nn.Conv2d(config.head, (channels + 1) * config.patch**2, 1)
        with torch.no_grad():  # begin by writing mid-grey and marking little as changed
            written.weight.mul_(0.1)
            assert written.bias is not None
            written.bias[channels * config.patch**2 :].fill_(-3.0)
        self.write = nn.Sequential(nn.Conv2d(finest, config.head, 1), nn.ReLU(), written)

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        """See `Dynamics.predict`; `noise["choice"]` (B, 1) uniform picks among the futures."""
        quiet = action.new_zeros(len(action), 1)
        features, prior, expected = self._features(state["latents"], state, action, quiet)
        likeliest = prior.amax(1, keepdim=True)
        unlikely = prior < likeliest + math.log(self.config.least_chance)
        cumulative = prior.masked_fill(unlikely, -math.inf).softmax(1).cumsum(1)[:, :-1]
        chosen = (noise["choice"] >= cumulative).sum(1)
        values, mask = self._write(features, self._one_hot(chosen))
        decisions = {"choice": noise["choice"] - cumulative, "edit": mask - self._threshold}
        return Prediction(
            latent=values, edited=self._edited(mask), surprise=expected, decisions=decisions
        )

    def loss(self, state: State, action: Tensor, target: Tensor, noise: Noise) -> StepLoss:
        """See `Dynamics.loss`; the choice is drawn by how well each explains `target`."""
        previous = state["latents"][:, -1]
        latents, level = self._with_noise(state["latents"])
        features, prior, expected = self._features(latents, state, action, level)
        changed = ((target - previous).abs().amax(1, keepdim=True) > self.config.tolerance).float()
        near = F.max_pool2d(changed, 3, 1, 1)
        with torch.no_grad():
            errors = torch.stack(
                [
                    self._errors(*self._write(features, self._one_hot(c)), target, changed, near)[0]
                    for c in self._every_choice(action)
                ],
                dim=1,
            )
            # Without the prior in it: with it, one choice would take all before they differ.
            credit = (-errors / self.config.temperature).softmax(1)
            cumulative = credit.cumsum(1)[:, :-1]
            chosen = (noise["choice"] >= cumulative).sum(1)
        values, mask = self._write(features, self._one_hot(chosen))
        error, mask_error = self._errors(values, mask, target, changed, near)
        places = near.sum().clamp(min=1)
        write, marks = error.sum() / places, mask_error.sum() / places
        choice = self._choice_error(prior, credit)
        surprise = F.smooth_l1_loss(expected, (error.detach() + 1e-2).log())
        config = self.config
        total = write + config.mask_weight * marks + config.choice_weight * choice + 0.02 * surprise
        parts = {"write": write, "mask": marks, "choice": choice, "surprise": surprise}
        prediction = Prediction(
            latent=values.detach(), edited=self._edited(mask), surprise=expected.detach()
        )
        figures = {name: value.detach() for name, value in parts.items()}
        return StepLoss(total=total, parts=figures, prediction=prediction)

    def _with_noise(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Adds noise to the context of one row in eight; returns latents and levels (B, 1).

        The last rows: the first are those that a closed loop may keep on true contexts.
        """
        quiet = len(latents) - len(latents) // 8
        level = self.config.context_noise * torch.rand(len(latents), 1, device=latents.device)
        level[:quiet] = 0
        noise = torch.randn_like(latents[quiet:]) * level[quiet:, :, None, None, None]
        return torch.cat([latents[:quiet], latents[quiet:] + noise]), level

    def _features(
        self, latents: Tensor, state: State, action: Tensor, level: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Features (B, F, gh, gw), log-odds of the choices (B, n) and log error expected (B,)."""
        told = torch.cat([state["actions"].flatten(1), action, level], 1)
        seen = torch.cat([latents[:, 1:] - latents[:, :-1], latents[:, -1:]], 1).flatten(1, 2)
        x = self.stem(seen.contiguous(memory_format=torch.channels_last))
        x = x + (self.condition(told)[:, :, None, None] + self.position).to(x.dtype)
        kept = []
        for i, blocks in enumerate(self.encoder):
            x = blocks(self.down[i - 1](F.relu(x)) if i else x)
            kept.append(x)
        pooled = x.amax((2, 3))
        for i in reversed(range(len(self.up))):
            x = self.decoder[i](self.up[i](x, kept[i]))
        evidence = F.relu(self.evidence(F.relu(x))).amax((2, 3))
        prior = self.prior(torch.cat([evidence, pooled], 1)).float()
        return x, prior, self.expected_error(pooled.detach())[:, 0].float()

    def _write(self, features: Tensor, choice: Tensor) -> tuple[Tensor, Tensor]:
        """Values (B, C, h, w) and log-odds of change (B, 1, h, w)."""
        x = self.last(features + self.choice(choice)[:, :, None, None])
        written = F.pixel_shuffle(self.write(F.relu(x)), self.config.patch).float()
        return written[:, :-1], written[:, -1:]

    def _errors(
        self, values: Tensor, mask: Tensor, target: Tensor, changed: Tensor, near: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Summed error of what is written at or near a change (B,), and the mask's (B, 1, h, w)."""
        region = torch.maximum(near, (mask > self._threshold).float())
        error = ((values - target).abs().mean(1, keepdim=True) * region).sum((1, 2, 3))
        mask_error = F.binary_cross_entropy_with_logits(mask, changed, reduction="none")
        return error, mask_error

    def _choice_error(self, prior: Tensor, credit: Tensor) -> Tensor:
        """Cross-entropy of log-odds (B, n) to credits (B, n); even credits teach nothing."""
        if self.config.choices == 1:
            return prior.new_zeros(())
        evenness = -torch.xlogy(credit, credit).sum(1) / math.log(self.config.choices)
        weight = 1 - evenness
        error = F.cross_entropy(prior, credit, reduction="none")
        return (weight * error).sum() / weight.sum().clamp(min=1)

    @property
    def _threshold(self) -> float:
        return math.log(self.config.threshold / (1 - self.config.threshold))

    def _edited(self, mask: Tensor) -> Tensor:
        return mask > self._threshold

    def _one_hot(self, chosen: Tensor) -> Tensor:
        return F.one_hot(chosen, self.config.choices).float()

    def _every_choice(self, action: Tensor) -> list[Tensor]:
        count = self.config.choices
        return [torch.full((len(action),), c, device=action.device) for c in range(count)]
