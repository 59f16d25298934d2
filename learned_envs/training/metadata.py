"""Training of what predicts a game's variables: on true latents, through whole windows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor

from learned_envs.data.window import Window
from learned_envs.models.actions import ActionEncoding
from learned_envs.models.codecs.codec import Codec, to_images
from learned_envs.models.configuration import configuration
from learned_envs.models.metadata.predictor import MetadataConfig, MetadataPredictor
from learned_envs.models.metadata.variables import Seldom
from learned_envs.training.rounds import Log, Rounds, Schedule


@configuration
class MetadataRecipe(Schedule):
    """How a `MetadataPredictor` is trained.

    Attributes:
        noise: Standard deviation of the noise on the latents of one row in eight.
        uneventful: Share of the steps in which a count or flag does not change of which it is
            taught, besides all in which it does. What it predicts is corrected for that (King and
            Zeng 2001, Logistic Regression in Rare Events Data).
        read_every: Steps between the frames of a window from which values are read.
    """

    steps: int = 3_000
    learning_rate: float = 1e-3
    warmup: int = 100
    decay: float = 0.5
    noise: float = 0.02
    uneventful: float = 0.1
    read_every: int = 4

    def __post_init__(self):
        Schedule.__post_init__(self)
        if not 0 < self.uneventful <= 1:
            raise ValueError(f"`uneventful` (={self.uneventful}) must be in (0, 1]")
        if self.noise < 0:
            raise ValueError(f"`noise` (={self.noise}) must not be negative")


def metadata_trainer(
    predictor: MetadataPredictor,
    codec: Codec,
    actions: ActionEncoding,
    recipe: MetadataRecipe,
    windows: Callable[[int], Iterator[Window]],
    folder: Path,
    *,
    device: torch.device | str = "cpu",
    log: Log | None = None,
) -> Rounds[MetadataPredictor]:
    """Prepares the training of a predictor; its gradients go through all steps of a window.

    Args:
        predictor: What is trained, in place.
        codec: Makes its latents; left as it is.
        actions: How actions are told.
        recipe: How.
        windows: Gives the endless windows of round r; called anew for every round.
        folder: Where progress is kept; a run found there is gone on with.
        device: Where to train.
        log: Receives figures every 20 steps.

    Raises:
        ValueError: If windows lack one of the variables.
    """
    place, names = torch.device(device), predictor.config.names
    kinds = [isinstance(variable, Seldom) for variable in predictor.config.variables]
    seldom = torch.tensor(kinds, device=place)

    def losses(number: int) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        for window in windows(number):
            told = Told.of(window, predictor.config, codec, actions, place)
            noise = recipe.noise * torch.randn_like(told.latents[: len(told.latents) // 8])
            told.latents[: len(noise)] += noise
            shown = _shown(told, recipe.uneventful) & seldom
            surprise = predictor.surprise(
                told.values, told.latents, told.codes, told.first,
                looked=shown.any(2), raised=1 / recipe.uneventful,
            )  # fmt: skip
            taught = torch.where(seldom, shown, told.valid[..., None])
            each = (surprise * taught).sum((0, 1)) / taught.sum((0, 1)).clamp(min=1)
            seen = told.latents[:, :: recipe.read_every].flatten(0, 1)
            true = told.values[:, : -1 : recipe.read_every].flatten(0, 1)
            read = predictor.misread(true, seen).mean(0)
            figures = dict(zip(names, each.detach(), strict=True))
            figures |= {f"{n}_read": one for n, one in zip(names, read.detach(), strict=True)}
            yield each.sum() + read.sum(), figures

    codec.to(place)
    return Rounds(predictor, recipe, losses, folder, device=place, log=log)


def _shown(told: "Told", uneventful: float) -> Tensor:
    """Valid steps (B, T, V) in which a variable changes, and few of the others."""
    changed = told.values[:, 1:] != told.values[:, :-1]
    drawn = torch.rand(told.valid.shape, device=told.valid.device) < uneventful
    return told.valid[..., None] & (changed | drawn[..., None])


class Told:
    """A window as a predictor reads it.

    Attributes:
        values: (B, T + 1, V) float32.
        latents: (B, T, C, h, w), before each step.
        codes: (B, T, A).
        first: (B, T + 1) bool.
        valid: (B, T) bool.
    """

    def __init__(
        self, values: Tensor, latents: Tensor, codes: Tensor, first: Tensor, valid: Tensor
    ):
        self.values, self.latents, self.codes = values, latents, codes
        self.first, self.valid = first, valid

    @classmethod
    @torch.no_grad()
    def of(
        cls,
        window: Window,
        config: MetadataConfig,
        codec: Codec,
        actions: ActionEncoding,
        device: torch.device,
    ) -> "Told":
        """Encodes a window; each frame is a take of its own for the codec."""
        frames = torch.from_numpy(window.observation[:, :-1]).flatten(0, 1)
        latents = codec.begin(to_images(frames[:, None].to(device)))[0][:, 0]
        return cls(
            values=config.collect(window.metadata).to(device),
            latents=latents.unflatten(0, window.action.shape[:2]),
            codes=actions.encode(torch.from_numpy(window.action).to(device)),
            first=torch.from_numpy(window.first).to(device),
            valid=torch.from_numpy(window.valid).to(device),
        )
