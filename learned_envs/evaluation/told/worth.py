"""How near dreams stay to the true game when they are told its variables, or wrong ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from learned_envs.data.window import Window
from learned_envs.evaluation.metrics import psnr, ssim
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.told.feeding import FEEDS, Feed, fed
from learned_envs.models.world_model import WorldModel
from learned_envs.worlds import World

HORIZONS = (1, 4, 16, 64)
_RESAMPLED = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """A mean over stretches of play, and 95% of the means of resampled ones."""

    mean: float
    low: float
    high: float

    @classmethod
    def of(cls, values: np.ndarray) -> Interval:
        """Bootstraps values (n,)."""
        random = np.random.default_rng(0)
        means = random.choice(values, (_RESAMPLED, len(values))).mean(1)
        low, high = np.quantile(means, (0.025, 0.975))
        return cls(mean=float(values.mean()), low=float(low), high=float(high))


@dataclass(frozen=True, kw_only=True, slots=True)
class Likeness:
    """How like the truth dreams are at one horizon.

    Attributes:
        mse: Mean squared error of pixels from 0 to 255.
        psnr: dB, of each frame.
        ssim: Of each frame.
    """

    mse: Interval
    psnr: Interval
    ssim: Interval


def measure_worth(
    model: WorldModel, windows: Sequence[Window], seed: int
) -> dict[Feed, dict[int, Likeness]]:
    """Likeness at horizons 1, 4, 16 and 64, or as far as windows go, for each way to feed a model.

    Args:
        model: One that is told variables, or any other, which is fed nothing.
        windows: Of held-out play, all of one episode in each row.
        seed: Of the dreams' noise; the same for all feeds.
    """
    feeds = FEEDS if model.config.metadata is not None else FEEDS[:1]
    found: dict[Feed, dict[int, Likeness]] = {}
    for feed in feeds:
        found[feed] = {
            horizon: Likeness(**{name: Interval.of(each) for name, each in measured.items()})
            for horizon, measured in by_stretch(model, windows, feed, seed).items()
        }
    return found


def by_stretch(
    model: WorldModel, windows: Sequence[Window], feed: Feed, seed: int
) -> dict[int, dict[str, np.ndarray]]:
    """The measures of a `Likeness` by horizon and name, for each stretch of play (n,)."""
    dreams = [fed(model, window, feed, seed) for window in windows]
    steps = min(dream.frames.shape[1] for dream in dreams)
    return {
        horizon: _measured(
            np.concatenate([dream.frames[:, horizon - 1] for dream in dreams]),
            np.concatenate([dream.true_frames[:, horizon - 1] for dream in dreams]),
        )
        for horizon in HORIZONS
        if horizon <= steps
    }


def worth_table(
    world: World,
    found: Mapping[Feed, Mapping[int, Likeness]],
    windows: Sequence[Window],
    command: str,
) -> Table:
    """One row for each way to feed a model: PSNR and SSIM by horizon, with their intervals."""
    horizons = list(next(iter(found.values())))
    return Table(
        name=f"{world.name}-6-told",
        title=f"{world.id_suffix}: told the true variables, its own, or another game's",
        columns=("told", *(f"{h} steps: PSNR dB / SSIM / squared error" for h in horizons)),
        rows=[
            (
                feed,
                *(
                    f"{one.psnr.mean:.2f} ({one.psnr.low:.2f} to {one.psnr.high:.2f}) / "
                    f"{one.ssim.mean:.4f} / {one.mse.mean:.1f}"
                    for one in (by_horizon[h] for h in horizons)
                ),
            )
            for feed, by_horizon in found.items()
        ],
        note=(
            f"{sum(len(w.action) for w in windows)} stretches of held-out play under their own "
            "actions, with equal noise. In brackets 95% intervals by bootstrap over stretches."
        ),
        command=command,
    )


def worth_figures(found: Mapping[Feed, Mapping[int, Likeness]]) -> dict[str, Any]:
    """The same as JSON types."""
    return {feed: {str(h): asdict(one) for h, one in by.items()} for feed, by in found.items()}


def _measured(frames: np.ndarray, truth: np.ndarray) -> dict[str, np.ndarray]:
    off = (frames.astype(np.float64) - truth) ** 2
    return {"mse": off.mean((1, 2, 3)), "psnr": psnr(frames, truth), "ssim": ssim(frames, truth)}
