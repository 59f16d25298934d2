"""The trust report: what a dream can be told by, and whether it knows when it is wrong."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from learned_envs.evaluation.metrics import psnr
from learned_envs.evaluation.policies import ranks
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.rollouts import pieces
from learned_envs.evaluation.trust.branching import Branching
from learned_envs.evaluation.trust.clip_net import ClipNet, balanced_accuracy, classify, fit
from learned_envs.evaluation.trust.clips import FAULTS, LENGTH, Clips
from learned_envs.evaluation.trust.sources import Env, Source
from learned_envs.models.dreaming import settled_steps
from learned_envs.models.world_model import WorldModel
from learned_envs.worlds import World

IDLE_STEPS = 1000
_WORST = 0.05
_TOLD = 3  # components of an action that are told apart
_SEEN = 10  # times at least, of a kind of action that is told apart
_SPAN = 4  # frames that show an action: one before it, three after


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Figures of the trust report.

    Attributes:
        told_apart: Balanced accuracy of a clip classifier on held-out clips, real against dreamed,
            by age in steps; 0.5 means that it cannot tell.
        control: The same, real against other real games, at the age at which faults are planted.
        faults: The same, real against real with a planted fault, by fault.
        actions_real: Balanced accuracy, above chance and as a share of what is left above it, of
            the actions that an inverse-dynamics net, trained on real play, reads in real play;
            nan where fewer than two kinds of action were seen often enough.
        actions_dream: The same in dreamed play.
        branching: Whether dreamed branches part as real ones; None where the real world cannot
            branch.
        doubt: Area under the ROC curve of doubt for the steps in the worst 5% of squared error.
        idle: By stretch of 200 idle steps, the change a step in dreamed pixels and in real ones;
            nan where there is no real env.
    """

    told_apart: Mapping[int, float]
    control: float
    faults: Mapping[str, float]
    actions_real: float
    actions_dream: float
    branching: Branching | None
    doubt: float
    idle: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self)


def measure_trust(
    world: World,
    model: WorldModel,
    source: Source,
    *,
    seed: int,
    rows: int = 256,
    steps: int = 400,
    progress: Callable[[str], None] = lambda line: None,
) -> Trust:
    """Measures a dream against the real world, without knowing what the world is about.

    Args:
        world: What is dreamed.
        model: What dreams it.
        source: Of clips, real and dreamed.
        seed: First seed; four times `rows` seeds are used from it.
        rows: Games in each set of clips.
        steps: Optimiser steps of each classifier.
        progress: Told of each part when it is done.
    """
    real, other = source.real(seed), source.real(seed + rows)
    dreamed = source.dreamed(seed + 2 * rows)
    progress("clips played")
    judge = _Judge(world, steps)
    random = np.random.default_rng(seed)
    young = source.fault_age
    trust = Trust(
        told_apart={age: judge.tell(real[age], dreamed[age]) for age in source.ages},
        control=judge.tell(real[young], other[young]),
        faults={
            name: judge.tell(real[young], plant(other[young], random))
            for name, plant in FAULTS.items()
        },
        **_action_figures(world, real, other, dreamed, steps),
        branching=source.branching(seed + 3 * rows),
        doubt=doubt_auroc(model, source, seed, rows=min(rows, 64)),
        idle=idle_motion(world, *source.idlers(), seed),
    )
    progress("measured")
    return trust


class _Judge:
    """Trains a fresh classifier for every question."""

    def __init__(self, world: World, steps: int):
        self._world, self._steps = world, steps

    def tell(self, one: Clips, other: Clips) -> float:
        """Balanced accuracy with which a net tells clips of held-out games apart.

        Of the longer clips as many frames are shown as the others have.
        """
        length = min(part.frames.shape[1] for part in (one, other))
        one, other = one.first(length), other.first(length)
        parts = [a + b for a, b in zip(one.halves(), other.halves(), strict=True)]
        labels = [
            np.repeat([0, 1], [len(a), len(b)])
            for a, b in zip(one.halves(), other.halves(), strict=True)
        ]
        told = [encoded(self._world, part.actions) for part in parts]
        torch.manual_seed(0)
        net = ClipNet(one.frames.shape[2:4], 2, told[0].shape[2])
        fit(net, parts[0].frames, told[0], labels[0], steps=self._steps)
        return balanced_accuracy(classify(net, parts[1].frames, told[1]), labels[1])


def encoded(world: World, actions: np.ndarray) -> np.ndarray:
    """Actions (N, T, ...) as vectors (N, T, A) float32: one-hot where they are discrete."""
    space = world.action_space
    if isinstance(space, gym.spaces.Discrete):
        return np.eye(int(space.n), dtype=np.float32)[actions - int(space.start)]
    return actions.reshape(*actions.shape[:2], -1).astype(np.float32)


def kinds(world: World, actions: np.ndarray) -> np.ndarray:
    """What kind each action (N, ...) is: (N,) int64.

    Of discrete actions, which one. Of a pointer's, whether there is any. Of other vectors, on which
    side of idle each of the first components is, or whether it is.
    """
    space = world.action_space
    if isinstance(space, gym.spaces.Discrete):
        return actions.astype(np.int64) - int(space.start)
    apart = (actions - np.broadcast_to(world.idle_action, actions.shape)).reshape(len(actions), -1)
    sides = np.sign(apart) * (abs(apart) > 1e-3)
    if world.pointer is not None:
        return np.asarray(sides.any(1), np.int64)
    told = sides[:, :_TOLD].astype(np.int64) + 1
    return told @ 3 ** np.arange(told.shape[1])


def _action_figures(
    world: World,
    real: Mapping[int, Clips],
    other: Mapping[int, Clips],
    dreamed: Mapping[int, Clips],
    steps: int,
) -> dict[str, float]:
    def moments(clips: Mapping[int, Clips]) -> tuple[np.ndarray, np.ndarray]:
        frames, actions = [], []
        for part in clips.values():
            for t in range(0, LENGTH - _SPAN + 1, 3):
                frames.append(part.frames[:, t : t + _SPAN])
                actions.append(part.actions[:, t])
        return np.concatenate(frames), kinds(world, np.concatenate(actions))

    frames, labels = moments({age: clips.halves()[0] for age, clips in real.items()})
    seen, counts = np.unique(labels, return_counts=True)
    seen = seen[counts >= _SEEN]
    if len(seen) < 2:  # nothing to tell apart
        return {"actions_real": np.nan, "actions_dream": np.nan}
    chance = 1 / len(seen)

    def known(frames: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        chosen = np.isin(labels, seen)
        nothing = np.zeros((chosen.sum(), _SPAN - 1, 0), np.float32)
        return frames[chosen], nothing, np.searchsorted(seen, labels[chosen])

    torch.manual_seed(0)
    net = ClipNet(frames.shape[2:4], len(seen))
    fit(net, *known(frames, labels), steps=2 * steps, batch=128)

    def skill(clips: Mapping[int, Clips]) -> float:
        held = {age: part.halves()[1] for age, part in clips.items()}
        frames, nothing, labels = known(*moments(held))
        return (balanced_accuracy(classify(net, frames, nothing), labels) - chance) / (1 - chance)

    return {"actions_real": skill(other), "actions_dream": skill(dreamed)}


@torch.no_grad()
def doubt_auroc(
    model: WorldModel, source: Source, seed: int, rows: int = 64, windows: int = 4
) -> float:
    """How well doubt finds the steps whose squared error is among the worst 5%: 0.5 to 1."""
    generators = [np.random.default_rng(seed + row) for row in range(rows)]
    doubts, errors = [], []
    for window in islice(source.windows(rows, model.span + 31, seed), windows):
        played = window.observation, window.action, window.valid
        for t, kept, following, prediction in settled_steps(model, *played, generators, every=4):
            assert prediction.doubt is not None
            doubts.append(prediction.doubt.numpy())
            errors.append(-psnr(model.render(following).numpy(), window.observation[kept, t + 1]))
    return auroc(np.concatenate(doubts), np.concatenate(errors))


def auroc(score: np.ndarray, error: np.ndarray, worst: float = _WORST) -> float:
    """Area under the ROC curve of scores (N,) for the largest `worst` share of errors (N,)."""
    bad = error > np.quantile(error, 1 - worst)
    count, others = bad.sum(), (~bad).sum()
    if not count:
        return float("nan")
    return float((ranks(score)[bad].sum() - count * (count + 1) / 2) / (count * others))


def idle_motion(
    world: World, dream: Env, real: Env | None, seed: int
) -> dict[str, tuple[float, float]]:
    """Mean change of a pixel in a step while nobody acts, dreamed and real, by 200 steps.

    Real ones are nan where there is no real env.
    """
    rows = dream.num_envs

    def motion(env: Env | None) -> np.ndarray:
        if env is None:
            return np.full(IDLE_STEPS // 200, np.nan)
        idle = np.stack([world.idle_action] * rows)
        changes = []
        for piece in pieces(env, lambda observation, first: idle, IDLE_STEPS, seed, piece=1):
            kept = ~piece.first[1]
            step = abs(piece.frames[1].astype(np.int16) - piece.frames[0])[kept]
            changes.append(step.mean() if kept.any() else np.nan)
        return np.nanmean(np.reshape(changes, (-1, 200)), 1)

    return {
        f"{200 * i} to {200 * i + 200}": (float(a), float(b))
        for i, (a, b) in enumerate(zip(motion(dream), motion(real), strict=True))
    }


def trust_table(world: World, trust: Trust, command: str) -> Table:
    """The report as one table."""
    share = "{:.1%}".format
    rows = [
        *(
            (
                f"clips told from real ones at {age} steps",
                share(value),
                f"{share(trust.control)} for real against real",
            )
            for age, value in trust.told_apart.items()
        ),
        *(
            (f"planted fault found: {name}", share(value), "100%")
            for name, value in trust.faults.items()
        ),
        (
            "actions read from dreamed frames, above chance",
            share(trust.actions_dream),
            f"{share(trust.actions_real)} from real frames",
        ),
        *_branch_rows(trust.branching),
        ("doubt finds the worst 5% of steps, AUROC", f"{trust.doubt:.3f}", "1"),
        *(
            (
                f"change a step in idle steps {steps}",
                f"{dreamed:.4f}",
                "–" if np.isnan(real) else f"{real:.4f}",
            )
            for steps, (dreamed, real) in trust.idle.items()
        ),
    ]
    return Table(
        name=f"{world.name}-4-trust",
        title=f"{world.id_suffix}: trust report",
        columns=("", "dream", "reference"),
        rows=rows,
        note="Balanced accuracies on held-out games: 50% means that a classifier cannot tell.",
        command=command,
    )


def trust_standing(world: World, trust: Trust, trained: Mapping[str, Any], command: str) -> Table:
    """One row: how far a dream can be trusted, at a glance, among those of other worlds.

    Args:
        world: What is dreamed.
        trust: What was measured.
        trained: What the checkpoint's settings say of its training, as `pack` writes them.
        command: That measured it.
    """
    share = "{:.1%}".format
    minutes = trained.get("frames", 0) / world.fps / 60
    cost = trained.get("cpu_hours", 0)
    preset = trained.get("preset") or "own"
    cells = [
        f"{world.name}, {minutes:.0f} minutes" if minutes else world.name,
        preset,
        f"{cost:.1f}" if cost else "–",
        " / ".join(f"{age}" for age in trust.told_apart),
        " / ".join(share(value) for value in trust.told_apart.values()),
        share(trust.control),
        f"{share(trust.actions_dream)} / {share(trust.actions_real)}",
        f"{trust.doubt:.2f}",
        f"`{command}`",
    ]
    return Table(
        name="trust",
        title="All worlds: how far dreams can be trusted",
        columns=(
            "world, recorded", "preset", "CPU hours", "steps", "clips told from real ones",
            "real from real", "actions read, dream / real", "doubt, AUROC", "measured by",
        ),
        rows=[cells],
        note="Balanced accuracy of a classifier of clips that end after so many steps: at 50% it "
        "cannot tell. Actions: those that a net trained on real play reads from frames, above "
        "chance. Minutes are those of the training split; without any, the simulator was played.",
    )  # fmt: skip


def _branch_rows(branching: Branching | None) -> list[tuple[str, str, str]]:
    if branching is None:
        return []
    return [
        (
            "branches recognised by their action",
            f"{branching.recognised:.1%}",
            f"chance {branching.chance:.1%}",
        ),
        ("spread of branches, dreamed over real", f"{branching.spread:.3f}", "1"),
    ]
