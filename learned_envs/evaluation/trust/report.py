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
from learned_envs.evaluation.trust.branching import Branching, measure_branching
from learned_envs.evaluation.trust.clip_net import ClipNet, balanced_accuracy, classify, fit
from learned_envs.evaluation.trust.clips import FAULTS, LENGTH, Clips, collect
from learned_envs.models.dreaming import look_back
from learned_envs.models.world_model import WorldModel, draw_noise
from learned_envs.recording.live import LiveWindows, affordable_rows
from learned_envs.worlds import World

AGES = (15, 150, 900)
IDLE_STEPS = 1000
_FAULT_AGE = 150
_WORST = 0.05
_SPAN = 4  # frames that show an action: one before it, three after


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Figures of the trust report.

    Attributes:
        told_apart: Balanced accuracy of a clip classifier on held-out clips, real against dreamed,
            by age in steps; 0.5 means that it cannot tell.
        control: The same, real against other real games.
        faults: The same, real against real with a planted fault, by fault.
        actions_real: Balanced accuracy, above chance and as a share of what is left above it, of
            the actions that an inverse-dynamics net, trained on real play, reads in real play.
        actions_dream: The same in dreamed play.
        branching: Whether dreamed branches part as real ones.
        doubt: Area under the ROC curve of doubt for the steps in the worst 5% of squared error.
        idle: By stretch of 200 idle steps, the change a step in dreamed pixels and in real ones.
    """

    told_apart: Mapping[int, float]
    control: Mapping[int, float]
    faults: Mapping[str, float]
    actions_real: float
    actions_dream: float
    branching: Branching
    doubt: float
    idle: Mapping[str, tuple[float, float]]

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return asdict(self)


def measure_trust(
    world: World,
    weights: str | None,
    model: WorldModel,
    *,
    seed: int,
    rows: int = 256,
    steps: int = 600,
    progress: Callable[[str], None] = lambda line: None,
) -> Trust:
    """Measures a dream against the real world, without knowing what the world is about.

    Args:
        world: With a real env to hold it against.
        weights: As `gym.make("Dream-v0", weights=...)` takes them; the packaged ones if None.
        model: The same weights, loaded.
        seed: First seed; four times `rows` seeds are used from it.
        rows: Games in each set of clips.
        steps: Optimiser steps of each classifier.
        progress: Told of each part when it is done.
    """

    def dreams(count: int) -> gym.vector.VectorEnv[Any, Any, Any]:
        return gym.make_vec(
            f"learned_envs:Dream-{world.id_suffix}-v0",
            count,
            weights=weights,
            max_episode_steps=None,
        )

    def played(env: gym.vector.VectorEnv[Any, Any, Any], first: int) -> dict[int, Clips]:
        names = [next(iter(world.behaviours))] * rows
        return collect(env, world.make_behaviour(names, range(first, first + rows)), AGES, first)

    real = played(world.make_real_vec(rows, max_episode_steps=None), seed)
    other = played(world.make_real_vec(rows, max_episode_steps=None), seed + rows)
    dreamed = played(dreams(rows), seed + 2 * rows)
    progress("clips played")
    judge = _Judge(world, steps)
    random = np.random.default_rng(seed)
    trust = Trust(
        told_apart={age: judge.tell(real[age], dreamed[age]) for age in AGES},
        control={age: judge.tell(real[age], other[age]) for age in AGES},
        faults={
            name: judge.tell(real[_FAULT_AGE], plant(other[_FAULT_AGE], random))
            for name, plant in FAULTS.items()
        },
        **_action_figures(world, real, other, dreamed, steps),
        branching=measure_branching(world, dreams(64), seed=seed + 3 * rows),
        doubt=doubt_auroc(world, model, seed),
        idle=idle_motion(world, dreams(32), seed),
    )
    progress("measured")
    return trust


class _Judge:
    """Trains a fresh classifier for every question."""

    def __init__(self, world: World, steps: int):
        self._world, self._steps = world, steps

    def tell(self, one: Clips, other: Clips) -> float:
        """Balanced accuracy with which a net tells clips of held-out games apart."""
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
    """What kind each action (N, ...) is: (N,) int64; idle or not where they are continuous."""
    space = world.action_space
    if isinstance(space, gym.spaces.Discrete):
        return actions.astype(np.int64) - int(space.start)
    idle = np.broadcast_to(world.idle_action, actions.shape)
    acting = (abs(actions - idle) > 1e-3).reshape(len(actions), -1).any(1)
    return np.asarray(acting, np.int64)


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

    frames, labels = moments(real)
    nothing = np.zeros((len(frames), _SPAN - 1, 0), np.float32)
    torch.manual_seed(0)
    net = ClipNet(frames.shape[2:4], int(labels.max()) + 1)
    fit(net, frames, nothing, labels, steps=2 * steps, batch=256)
    chance = 1 / len(np.unique(labels))

    def skill(clips: Mapping[int, Clips]) -> float:
        frames, labels = moments(clips)
        nothing = np.zeros((len(frames), _SPAN - 1, 0), np.float32)
        return (balanced_accuracy(classify(net, frames, nothing), labels) - chance) / (1 - chance)

    return {"actions_real": skill(other), "actions_dream": skill(dreamed)}


@torch.no_grad()
def doubt_auroc(
    world: World, model: WorldModel, seed: int, rows: int = 64, windows: int = 4
) -> float:
    """How well doubt finds the steps whose squared error is among the worst 5%: 0.5 to 1."""
    steps = model.span + 31
    rows = affordable_rows(world, rows, steps)
    live = LiveWindows(world, rows, steps, seed, warm_up=world.max_episode_steps // 2)
    generators = [np.random.default_rng(seed + row) for row in range(rows)]
    doubts, errors = [], []
    for window in islice(live, windows):
        for t in range(model.span - 1, window.valid.shape[1]):
            begin = t - model.span + 1
            kept = window.valid[:, begin : t + 1].all(1)
            past = window.observation[kept, begin : t + 1], window.action[kept, begin:t]
            state = look_back(model, *past)
            draws = draw_noise(model.noise_spec, generators[: int(kept.sum())])
            noise = {name: torch.from_numpy(value) for name, value in draws.items()}
            action = torch.from_numpy(window.action[kept, t])
            following, prediction = model.step(state, action, noise)
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
    world: World, dream: gym.vector.VectorEnv[Any, Any, Any], seed: int
) -> dict[str, tuple[float, float]]:
    """Mean change of a pixel in a step while nobody acts, dreamed and real, by 200 steps."""
    rows = dream.num_envs

    def motion(env: gym.vector.VectorEnv[Any, Any, Any]) -> np.ndarray:
        idle = np.broadcast_to(world.idle_action, (rows, *(world.action_space.shape or ())))
        changes = []
        for piece in pieces(env, lambda observation, first: idle, IDLE_STEPS, seed, piece=1):
            kept = ~piece.first[1]
            step = abs(piece.frames[1].astype(np.int16) - piece.frames[0])[kept]
            changes.append(step.mean() if kept.any() else np.nan)
        return np.nanmean(np.reshape(changes, (-1, 200)), 1)

    pair = motion(dream), motion(world.make_real_vec(rows, max_episode_steps=None))
    return {
        f"{200 * i} to {200 * i + 200}": (float(a), float(b))
        for i, (a, b) in enumerate(zip(*pair, strict=True))
    }


def trust_table(world: World, trust: Trust, command: str) -> Table:
    """The report as one table."""

    def share(value: float) -> str:
        return f"{100 * value:.1f}%"

    rows = [
        *(
            (
                f"clips told from real ones at {age} steps",
                share(value),
                f"{share(trust.control[age])} for real against real",
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
        (
            "branches recognised by their action",
            share(trust.branching.recognised),
            f"chance {share(trust.branching.chance)}",
        ),
        ("spread of branches, dreamed over real", f"{trust.branching.spread:.3f}", "1"),
        ("doubt finds the worst 5% of steps, AUROC", f"{trust.doubt:.3f}", "1"),
        *(
            (f"change a step in idle steps {steps}", f"{dreamed:.4f}", f"{real:.4f}")
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
