"""How well a model foretells a game's variables: a step ahead, many steps ahead, in its dreams."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from learned_envs.data.window import Window
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.told.feeding import fed
from learned_envs.models.metadata.variables import Count
from learned_envs.models.world_model import WorldModel
from learned_envs.training.metadata import Told
from learned_envs.worlds import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Error:
    """How far values are from true ones.

    Attributes:
        mean: Of the absolute difference.
        median: Of it.
    """

    mean: float
    median: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Foretold:
    """How well one variable is foretold.

    Attributes:
        name: Its name.
        next: A step ahead, from true frames and values.
        next_copied: If the last true value were said instead.
        far: At the last step, from true frames, each value fed on to the next step.
        far_copied: If the first true value were said instead.
        dreamed: At the last step of a dream, on its own frames and values.
        dreamed_unbroken: The same where no count fell meanwhile: a life lost in one and not in the
            other leads to different games.
        events: Steps at which a count changed; 0 for other variables.
        f1: Of foretelling these steps one step ahead; nan where there are none.
    """

    name: str
    next: Error
    next_copied: Error
    far: Error
    far_copied: Error
    dreamed: Error
    dreamed_unbroken: Error
    events: int
    f1: float


@torch.no_grad()
def measure_foretold(model: WorldModel, windows: Sequence[Window], seed: int) -> list[Foretold]:
    """Measures every variable that a model is told.

    Args:
        model: It.
        windows: Of held-out play, all of one episode in each row.
        seed: Of the dreams' noise.

    Raises:
        ValueError: If the model is told none, or there are no windows.
    """
    config, predictor = model.config.metadata, model.metadata
    if config is None or predictor is None or not windows:
        raise ValueError("foretelling is measured of a model that is told variables, on windows")
    place = torch.device("cpu")
    near, far, true, dreamed, true_dreamed = [], [], [], [], []
    for window in windows:
        told = Told.of(window, config, model.codec, model.actions, place)
        walk = told.values, told.latents, told.codes, told.first
        near.append(predictor.likeliest(*walk, fed_on=False).numpy())
        far.append(predictor.likeliest(*walk, fed_on=True).numpy())
        true.append(told.values.numpy())
        dream = fed(model, window, "predicted", seed)
        dreamed.append(dream.values)
        true_dreamed.append(dream.true_values)
    ahead, fed_on, values, dreams, lived = (
        np.concatenate(parts) for parts in (near, far, true, dreamed, true_dreamed)
    )
    counts = [i for i, variable in enumerate(config.variables) if isinstance(variable, Count)]
    fell = (np.diff(values[..., counts], axis=1) < 0).any((1, 2))
    fell |= (np.diff(dreams[..., counts], axis=1) < 0).any((1, 2))
    found = []
    for i, variable in enumerate(config.variables):
        before, after = values[:, :-1, i], values[:, 1:, i]
        changed, said = after != before, ahead[..., i] != before
        both = (changed & said).sum()
        counted = isinstance(variable, Count) and changed.any()
        found.append(
            Foretold(
                name=variable.name,
                next=_error(ahead[..., i], after),
                next_copied=_error(before, after),
                far=_error(fed_on[:, -1, i], values[:, -1, i]),
                far_copied=_error(values[:, 0, i], values[:, -1, i]),
                dreamed=_error(dreams[:, -1, i], lived[:, -1, i]),
                dreamed_unbroken=_error(dreams[~fell, -1, i], lived[~fell, -1, i]),
                events=int(changed.sum()) if counted else 0,
                f1=float(2 * both / (changed.sum() + said.sum())) if counted else np.nan,
            )
        )
    return found


def foretold_table(
    world: World, found: Sequence[Foretold], windows: Sequence[Window], command: str
) -> Table:
    """How well each variable is foretold, beside saying what it was."""
    steps = windows[0].action.shape[1]
    return Table(
        name=f"{world.name}-5-variables",
        title=f"{world.id_suffix}: the game's own variables, foretold",
        columns=(
            "variable", "a step ahead (copied)", f"{steps} steps ahead (copied)",
            "as many steps of a dream", "dreams without a fall of a count, median",
            "steps at which a count changes, F1",
        ),
        rows=[
            (
                one.name,
                f"{one.next.mean:.3g} ({one.next_copied.mean:.3g})",
                f"{one.far.mean:.3g} ({one.far_copied.mean:.3g})",
                f"{one.dreamed.mean:.3g}",
                f"{one.dreamed_unbroken.median:.3g}",
                f"{one.f1:.2f} of {one.events}" if one.events else "–",
            )
            for one in found
        ],
        note=(
            f"Mean absolute errors, in the game's units, on {sum(len(w.action) for w in windows)} "
            "stretches of held-out play. Ahead: from true frames; dreams see and feed on their own."
        ),
        command=command,
    )  # fmt: skip


def foretold_figures(found: Sequence[Foretold]) -> dict[str, Any]:
    """The same as JSON types."""
    return {one.name: asdict(one) for one in found}


def _error(said: np.ndarray, true: np.ndarray) -> Error:
    if not said.size:
        return Error(mean=np.nan, median=np.nan)
    off = abs(said - true)
    return Error(mean=float(off.mean()), median=float(np.median(off)))
