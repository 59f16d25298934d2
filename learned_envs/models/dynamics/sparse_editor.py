"""A one-pass editor: rewrites the places that change and leaves every other bit as it is.

A small UNet over patches says, for each place of the latent, whether it changes and to what; a few
*glimpses*, close looks at what keeps moving, correct it there. What is not marked is copied
exactly, so that a world at rest stays at rest however long it is dreamed.

Where the future is open (the direction of a new ball), one pass must still choose. The last block
is told one of a few *choices*. In training the choice is drawn by how well each explains the truth,
and a prior learns to predict it; in a dream it is drawn from that prior. The prior looks at every
place as closely as the writing does: what tells two futures apart may be a hundredth of a pixel,
and a prior that cannot see it draws lots where nothing is open. This is expectation maximisation
for a mixture with Laplace likelihood (Dempster et al. 1977; multiple choice learning,
Guzman-Rivera et al. 2012).

What comes out of nowhere, as stars do at the edge of a sky, is a choice of its own at every place,
and likely at none. Where nothing else is going on, such places are drawn by *lot*, each as often as
it is expected: else the sky would empty.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from learned_envs.models.actions import ActionEncoding
from learned_envs.models.configuration import configuration
from learned_envs.models.dynamics.blocks import ResidualBlock, UpBlock, convolution
from learned_envs.models.dynamics.carried import Carried, likeliest, mixed_error
from learned_envs.models.dynamics.dynamics import (
    Dynamics,
    Noise,
    NoiseSpec,
    Prediction,
    State,
    StepLoss,
)
from learned_envs.models.dynamics.glimpses import Glimpses
from learned_envs.models.dynamics.schedule import Schedule

_QUIET = 0.1  # probability of a change below which a place is not expected to change


@configuration
class SparseEditorConfig:
    """Sizes and training constants of a `SparseEditor`.

    Attributes:
        context: Past latents seen, at least 2.
        patch: Side of the patches of latent that become one place of the network.
        widths: Channels at each resolution, finest first.
        blocks: Residual blocks at each resolution on the way down; one at each finer one on the
            way up.
        head: Width of the hidden layer that writes a patch.
        glimpses: Places looked at closely, those where something keeps moving.
        glimpse: Side of a glimpse in places of the latent, divisible by 4.
        glimpse_widths: Channels at a half and at a quarter of a glimpse's resolution, and features
            of the whole.
        points: Points whose exact position and motion a glimpse is told.
        choices: Number of futures to choose from where the future is open; 1 for none.
        evidence: Channels in which is gathered from all places what speaks for a choice; the prior
            reads them, and every place is told.
        choice_weight: Weight of the prior's loss.
        least_chance: A choice with less than this share of the likeliest one's chance is never
            drawn in a dream. Training does not punish a choice where it explains nothing, since it
            is not drawn there; in a thousand steps even one chance in a hundred comes up.
        temperature: Scale of the likelihood, in summed absolute error of the latent, by which a
            choice is credited with the truth. It should be above what slight errors sum to: else
            credit is noise nearly everywhere, and the prior learns from nothing else.
        as_dreamed: Share of the rows in training whose choice is drawn as in a dream, not by
            credit, so that what is not open is written rightly under any choice. For worlds whose
            future is seldom open: where it is open at every step, it ruins the prior.
        threshold: Probability of change above which a place is rewritten.
        tolerance: Absolute difference below which a place counts as unchanged.
        mask_weight: Weight of the mask's loss.
        context_noise: Largest standard deviation of the noise added to the context in training.
        memory: Steps for which each place is known to have changed last, 0 for none: what happens
            so many steps after something was seen, and long after it left the context.
        shifts: Displacements (down, right), in places of the latent, by which things keep moving: a
            place may take over what lay there, to the bit. Empty where all is drawn anew.
        lots: Side of the squares of places that share a lot, a divisor of `patch`: about the size
            of what comes out of nowhere. 0 where nothing does.
        moments: Kinds of moments by which each place knows what is due there, see `Schedule`. For
            worlds that run by a clock that the network is told; 0 for others.
    """

    context: int = 4
    patch: int = 4
    widths: tuple[int, ...] = (80, 112)
    blocks: tuple[int, ...] = (1, 1)
    head: int = 128
    glimpses: int = 3
    glimpse: int = 20
    glimpse_widths: tuple[int, int, int] = (64, 32, 224)
    points: int = 4
    choices: int = 4
    evidence: int = 64
    choice_weight: float = 0.1
    least_chance: float = 0.2
    temperature: float = 2.0
    as_dreamed: float = 0.0
    threshold: float = 0.3
    tolerance: float = 0.012
    mask_weight: float = 0.2
    context_noise: float = 0.1
    memory: int = 0
    shifts: tuple[tuple[int, int], ...] = ()
    lots: int = 0
    moments: int = 0

    def __post_init__(self):
        if len(self.widths) != len(self.blocks):
            raise ValueError(
                f"`widths` ({len(self.widths)}) and `blocks` ({len(self.blocks)}) must be as many"
            )
        if self.context < 2:
            raise ValueError(f"`context` (={self.context}) must be at least 2: motion is looked at")
        if self.glimpse % 4:
            raise ValueError(f"`glimpse` (={self.glimpse}) must be divisible by 4")
        if self.lots < 0 or (self.lots and self.patch % self.lots):
            raise ValueError(f"`lots` (={self.lots}) must be 0 or divide `patch` (={self.patch})")
        if not 0 < self.least_chance <= 1:
            raise ValueError(f"`least_chance` (={self.least_chance}) must be above 0 and at most 1")

    def build(self, latent_shape: tuple[int, int, int], actions: ActionEncoding) -> "SparseEditor":
        """Builds the editor for latents (C, h, w)."""
        return SparseEditor(self, latent_shape, actions)


class Truth(NamedTuple):
    """What came to pass: the next latent, where it changed, near there, and candidates' errors."""

    target: Tensor
    changed: Tensor
    near: Tensor
    missed: Tensor | None


class Written(NamedTuple):
    """What one choice would write.

    Attributes:
        values: (B, C, h, w), new values.
        mask: (B, 1, h, w), log-odds of change.
        odds: (B, K + 1, h, w), log-odds of the new value and of each `Carried` candidate.
    """

    values: Tensor
    mask: Tensor
    odds: Tensor | None


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
        self.channels = channels
        self.context = config.context
        self.state_spec = {}
        self.noise_spec = {"choice": NoiseSpec((1,), "uniform")}
        if config.lots:
            squares = height // config.lots, width // config.lots
            self.noise_spec["lots"] = NoiseSpec((1, *squares), "uniform")
        finest, coarsest = config.widths[0], config.widths[-1]
        grid = height // config.patch, width // config.patch
        if config.memory:
            self.state_spec["recent"] = (1, *grid)
            self.since = nn.Embedding(config.memory + 1, finest)
            nn.init.normal_(self.since.weight, std=0.3)
        self.stem = nn.Conv2d(config.context * channels, finest, config.patch, config.patch)
        self.condition = nn.Linear(config.context * actions.size + 1, finest)
        self.position = nn.Parameter(0.1 * torch.randn(1, finest, *grid))
        if config.moments:
            told = config.context * actions.size + 1
            self.schedule = Schedule(told, config.moments, finest, grid)
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
        self.decoder = nn.ModuleList(ResidualBlock(w) for w in config.widths[1:-1])
        self.glimpses = Glimpses(
            count=config.glimpses, side=config.glimpse, widths=config.glimpse_widths,
            points=config.points, context=config.context, channels=channels,
            told=config.context * actions.size + 1, choices=config.choices,
        )  # fmt: skip
        self.glimpsed = nn.Linear(config.glimpse_widths[-1], finest)
        self.evidence = nn.Conv2d(finest, config.evidence, 1)
        self.overview = nn.Linear(config.evidence, finest)
        self.prior = nn.Sequential(
            nn.Linear(config.evidence + coarsest + config.glimpse_widths[-1], config.evidence),
            nn.ReLU(),
            nn.Linear(config.evidence, config.choices),
        )
        self.expected_error = nn.Linear(coarsest + config.glimpse_widths[-1], 1)
        self.choice = nn.Linear(config.choices, finest, bias=False)
        self.last = ResidualBlock(finest)
        self.carried = Carried(channels, config.shifts) if config.shifts else None
        options = self.carried.options if self.carried is not None else 0
        written = nn.Conv2d(config.head, (channels + 1 + options) * config.patch**2, 1)
        with torch.no_grad():  # begin by writing mid-grey and marking little as changed
            written.weight.mul_(0.1)
            assert written.bias is not None
            values, mask = channels * config.patch**2, config.patch**2
            written.bias[values : values + mask].fill_(-3.0)
            written.bias[values + mask :].zero_()
        self.write = nn.Sequential(nn.Conv2d(finest, config.head, 1), nn.ReLU(), written)

    def predict(self, state: State, action: Tensor, noise: Noise) -> Prediction:
        """See `Dynamics.predict`; `noise["choice"]` (B, 1) uniform picks among the futures."""
        quiet = action.new_zeros(len(action), 1)
        features, prior, expected = self._features(state["latents"], state, action, quiet)
        cumulative = self._chances(prior).cumsum(1)[:, :-1]
        chosen = (noise["choice"] >= cumulative).sum(1)
        written = self._write(features, self._one_hot(chosen))
        latent, edited = self._drawn(features, written), self._edited(written.mask)
        lots = self._lots(noise) if self.config.lots else None
        if lots is not None:
            born = self._quiet(written.mask) & (written.mask.sigmoid() > lots)
            latent, edited = torch.where(born, written.values, latent), edited | born

        def decisions() -> dict[str, Tensor]:
            found = {
                "choice": noise["choice"] - cumulative,
                "edit": written.mask - self._threshold,
            }
            if written.odds is not None:
                best = written.odds.topk(2, dim=1).values
                found["carried"] = best[:, :1] - best[:, 1:]
            if lots is not None:
                found["born"] = written.mask.sigmoid() - lots
                found["quiet"] = self._bustle(written.mask) - _QUIET
            return found

        return Prediction(latent=latent, edited=edited, surprise=expected, decisions=decisions)

    def remember(self, state: State, before: Tensor, after: Tensor) -> State:
        """See `Dynamics.remember`: for each place of the grid, how recently it changed.

        `memory` is now, one less a step earlier, and 0 longer ago or not known.
        """
        if not self.config.memory:
            return {}
        apart = (after - before).abs().amax(1, keepdim=True)
        changed = F.max_pool2d(apart, self.config.patch) > self.config.tolerance
        fading = (state["recent"] - 1).clamp(min=0)
        return {"recent": torch.where(changed, float(self.config.memory), fading)}

    def loss(
        self, state: State, action: Tensor, target: Tensor, noise: Noise, previous: Tensor
    ) -> StepLoss:
        """See `Dynamics.loss`; most choices are drawn by how well they explain `target`."""
        newest = state["latents"][:, -1]
        latents, level = self._with_noise(state["latents"])
        features, prior, expected = self._features(latents, state, action, level)
        changed = ((target - newest).abs().amax(1, keepdim=True) > self.config.tolerance).float()
        near = F.max_pool2d(changed, 3, 1, 1)
        truth = Truth(target, changed, near, self._missed(features, target))
        with torch.no_grad():
            futures = [self._write(features, self._one_hot(c)) for c in self._every_choice(action)]
            errors = torch.stack([self._error(f, truth) for f in futures], dim=1)
            # Without the prior in it: with it, one choice would take all before they differ.
            credit = (-errors / self.config.temperature).softmax(1)
            as_dreamed = torch.rand_like(noise["choice"]) < self.config.as_dreamed
            cumulative = torch.where(as_dreamed, self._chances(prior), credit).cumsum(1)[:, :-1]
            chosen = (noise["choice"] >= cumulative).sum(1)
        written = self._write(features, self._one_hot(chosen))
        error, mask_error = self._errors(written, truth)
        places = near.sum().clamp(min=1)
        write, marks = error.sum() / places, mask_error.sum() / places
        drawn = [(self._drawn(features, future), future.mask) for future in futures]
        choice = self._choice_error(prior, credit, self._openness(drawn, newest))
        surprise = F.smooth_l1_loss(expected, (error.detach() + 1e-2).log())
        config = self.config
        total = write + config.mask_weight * marks + config.choice_weight * choice + 0.02 * surprise
        parts = {"write": write, "mask": marks, "choice": choice, "surprise": surprise}

        @torch.no_grad()
        def prediction() -> Prediction:
            latent, edited = self._drawn(features, written), self._edited(written.mask)
            if config.lots:  # the lots are drawn as the truth has it
                born = self._quiet(written.mask) & (changed > 0)
                latent, edited = torch.where(born, target, latent), edited | born
            return Prediction(latent=latent.detach(), edited=edited, surprise=expected.detach())

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
    ) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Features, log-odds of the choices (B, n) and log error expected (B,)."""
        told = torch.cat([state["actions"].flatten(1), action, level], 1)
        seen = torch.cat([latents[:, 1:] - latents[:, :-1], latents[:, -1:]], 1).flatten(1, 2)
        glimpses = self.glimpses.read(seen, told)
        x = self.stem(seen.contiguous(memory_format=torch.channels_last))
        x = x + (self.condition(told)[:, :, None, None] + self.position).to(x.dtype)
        if self.config.moments:
            x = x + self.schedule(told)
        if self.config.memory:
            x = x + self.since(state["recent"][:, 0].long()).movedim(-1, 1).to(x.dtype)
        kept = []
        for i, blocks in enumerate(self.encoder):
            x = blocks(self.down[i - 1](F.relu(x)) if i else x)
            kept.append(x)
        pooled = x.amax((2, 3))
        for i in reversed(range(len(self.up))):
            x = self.up[i](x, kept[i])
            x = self.decoder[i - 1](x) if i else x  # the finest is the last, told the choice
        glimpsed = F.relu(glimpses["features"]).amax(1)
        x = x + self.glimpsed(glimpsed)[:, :, None, None]
        evidence = F.relu(self.evidence(F.relu(x))).amax((2, 3))
        x = x + self.overview(evidence)[:, :, None, None]
        pooled = torch.cat([pooled, glimpsed], 1)
        prior = self.prior(torch.cat([evidence, pooled], 1)).float()
        expected = self.expected_error(pooled.detach())[:, 0].float()
        carried = self.carried.read(latents) if self.carried is not None else {}
        return glimpses | carried | {"grid": x}, prior, expected

    def _write(self, features: dict[str, Tensor], choice: Tensor) -> Written:
        x = self.last(features["grid"] + self.choice(choice)[:, :, None, None])
        written = F.pixel_shuffle(self.write(F.relu(x)), self.config.patch).float().contiguous()
        written, odds = written.split([self.channels + 1, written.shape[1] - self.channels - 1], 1)
        written = written + self.glimpses.edit(features, choice, written.shape[2:])
        values, mask = written[:, :-1], written[:, -1:]
        if self.carried is None:
            return Written(values, mask, None)
        return Written(values, mask + features["change"], odds + features["odds"])

    def _drawn(self, features: dict[str, Tensor], written: Written) -> Tensor:
        """The values (B, C, h, w) of the places that are rewritten."""
        if written.odds is None:
            return written.values
        return likeliest(written.values, features["candidates"], written.odds)

    def _missed(self, features: dict[str, Tensor], target: Tensor) -> Tensor | None:
        """The error (B, K, h, w) of every candidate."""
        if self.carried is None:
            return None
        return (features["candidates"] - target[:, None]).abs().mean(2)

    def _error(self, written: Written, truth: Truth) -> Tensor:
        """What a choice is credited by (B,): the error of its values and of its mask.

        Where a thing comes or does not, the values are alike, and the mask tells the futures apart.
        """
        error, mask_error = self._errors(written, truth)
        return error + self.config.mask_weight * mask_error.sum((1, 2, 3))

    def _errors(self, written: Written, truth: Truth) -> tuple[Tensor, Tensor]:
        """Summed error of what is written at or near a change (B,), and the mask's (B, 1, h, w)."""
        region = torch.maximum(truth.near, (written.mask > self._threshold).float())
        error = (written.values - truth.target).abs().mean(1, keepdim=True)
        if written.odds is not None and truth.missed is not None:
            error = mixed_error(torch.cat([error, truth.missed], 1), written.odds)
        mask_error = F.binary_cross_entropy_with_logits(
            written.mask, truth.changed, reduction="none"
        )
        return (error * region).sum((1, 2, 3)), mask_error

    def _openness(self, futures: list[tuple[Tensor, Tensor]], newest: Tensor) -> Tensor:
        """How far apart the futures of all choices are (B,), from 0 (one and the same) to 1."""
        drawn = torch.stack([newest + m.sigmoid() * (v - newest) for v, m in futures], dim=1)
        apart = (drawn.amax(1) - drawn.amin(1)).mean(1).sum((1, 2))
        return 1 - (-apart / self.config.temperature).exp()

    def _choice_error(self, prior: Tensor, credit: Tensor, openness: Tensor) -> Tensor:
        """Cross-entropy of log-odds (B, n) to credits (B, n), of the rows whose future is open.

        A row's weight knows nothing of what came to pass. If it grew with how clearly one choice is
        credited, what two choices explain would count for less than what one does, and be drawn too
        seldom.
        """
        error = F.cross_entropy(prior, credit, reduction="none")
        return (openness * error).sum() / openness.sum().clamp(min=1)

    def _chances(self, prior: Tensor) -> Tensor:
        """Log-odds (B, n) as the chances with which a dream draws each choice."""
        unlikely = prior < prior.amax(1, keepdim=True) + math.log(self.config.least_chance)
        return prior.masked_fill(unlikely, -math.inf).softmax(1)

    @property
    def _threshold(self) -> float:
        return math.log(self.config.threshold / (1 - self.config.threshold))

    def _edited(self, mask: Tensor) -> Tensor:
        return mask > self._threshold

    def _lots(self, noise: Noise) -> Tensor:
        """The lot of every place (B, 1, h, w), uniform."""
        side = self.config.lots
        return noise["lots"].repeat_interleave(side, 2).repeat_interleave(side, 3)

    def _quiet(self, mask: Tensor) -> Tensor:
        """Places (B, 1, h, w) near which nothing is expected to change."""
        return self._bustle(mask) < _QUIET

    def _bustle(self, mask: Tensor) -> Tensor:
        """The largest probability of a change at or near a place."""
        return F.max_pool2d(mask.sigmoid(), 5, 1, 2)

    def _one_hot(self, chosen: Tensor) -> Tensor:
        return F.one_hot(chosen, self.config.choices).float()

    def _every_choice(self, action: Tensor) -> list[Tensor]:
        count = self.config.choices
        return [torch.full((len(action),), c, device=action.device) for c in range(count)]
