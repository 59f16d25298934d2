"""Estimating how many frames late a recording's actions show, without knowing the world.

What moves is read from pairs of frames as normal flow: the change of brightness times its
gradient, which has the sign of the motion wherever the thing that moves happens to be (Lucas and
Kanade, 1981). Pooled over cells of the picture, it is a few dozen numbers a step. For each lag, the
share of their variance that lies between steps with different actions, so many frames before, says
how well those actions explain what moved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from learned_envs.data.episode import Episode

MAX_LAG = 8
_WIDTH = 64  # larger pictures are shrunk to about this
_CELLS = (1, 2, 4)  # a side; pooled at each
_BINS = 4  # of each component of a continuous action
_MOST_KINDS = 64  # of actions that are told apart as wholes
_VISIBLE = 0.02  # actions that explain less are not seen to matter
_DEVIATIONS = 6.0  # of what chance explains; less is not seen either


@dataclass(frozen=True, kw_only=True, slots=True)
class LagEstimate:
    """How well actions of the past explain what moves.

    Attributes:
        lag: Frames between an action and the first step that shows it, or None if no lag does.
        explained: (MAX_LAG + 1,), share of the variance of the best explained motion, by lag.
    """

    lag: int | None
    explained: np.ndarray


def input_lag(episodes: Iterable[Episode], max_steps: int = 20_000) -> LagEstimate:
    """Estimates the input lag from the first `max_steps` steps of `episodes`."""
    motions, actions, steps = [], [], 0
    for episode in episodes:
        if episode.steps > MAX_LAG:
            motions.append(_motion(episode.observation[:])[MAX_LAG:])
            actions.append(np.reshape(episode.action, (episode.steps, -1)))
            steps += len(motions[-1])
        if steps >= max_steps:
            break
    if not motions:
        return LagEstimate(lag=None, explained=np.zeros(MAX_LAG + 1))
    motion = np.concatenate(motions)
    ends = np.cumsum([len(action) for action in actions])[:-1]
    estimates = [
        _estimate(motion, np.split(kinds, ends)) for kinds in _classes(np.concatenate(actions))
    ]
    return max(estimates, key=lambda one: (one.lag is not None, one.explained.max()))


def _estimate(motion: np.ndarray, classes: Sequence[np.ndarray]) -> LagEstimate:
    """The lag at which classes of actions, of some episodes, explain the motion in them best."""
    steps, count = sum(map(len, classes)), max(kinds.max() for kinds in classes)
    chance = np.sqrt(2 * count) / steps  # deviation of the share, for unrelated classes
    explained = np.zeros(MAX_LAG + 1)
    for lag in range(MAX_LAG + 1):
        before = [kinds[MAX_LAG - lag : len(kinds) - lag] for kinds in classes]
        explained[lag] = _explained(motion, np.concatenate(before))
    best = int(explained.argmax())
    visible = explained[best] >= max(_VISIBLE, _DEVIATIONS * chance)
    return LagEstimate(lag=best if visible else None, explained=explained)


def _motion(frames: np.ndarray) -> np.ndarray:
    """Flow to the right, flow downwards and absolute change, pooled: (T, 63) float32."""
    light = frames.mean(3, dtype=np.float32)
    stride = max(1, light.shape[2] // _WIDTH)
    light = _pooled(light, light.shape[1] // stride, light.shape[2] // stride) / stride**2
    change = np.diff(light, axis=0)
    middle = (light[1:] + light[:-1]) / 2
    right = -change * np.gradient(middle, axis=2)
    down = -change * np.gradient(middle, axis=1)
    features = [
        _pooled(field, cells, cells).reshape(len(change), -1)
        for field in (right, down, abs(change))
        for cells in _CELLS
    ]
    return np.concatenate(features, axis=1)


def _pooled(field: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Sums (n, H, W) over a grid of cells: (n, rows, columns)."""
    _, height, width = field.shape
    top = np.arange(rows) * height // rows
    left = np.arange(columns) * width // columns
    return np.add.reduceat(np.add.reduceat(field, top, axis=1), left, axis=2)


def _classes(actions: np.ndarray) -> list[np.ndarray]:
    """Numbers the different actions (n, k); of too many, each component's values for themselves.

    Continuous components are cut into quantiles first, but for a value that they mostly have: that
    of a mouse at rest, say.
    """
    columns = []
    for column in actions.T:
        values, kinds, counts = np.unique(column, return_inverse=True, return_counts=True)
        if len(values) > 2 * _BINS:
            often = counts.max() > len(column) / (2 * _BINS)
            other = kinds != counts.argmax() if often else np.ones(len(column), bool)
            edges = np.quantile(column[other], np.arange(1, _BINS) / _BINS)
            kinds = np.where(other, 1 + np.searchsorted(edges, column, side="right"), 0)
        columns.append(kinds)
    joint = np.unique(np.stack(columns, 1), axis=0, return_inverse=True)[1].reshape(-1)
    return [joint] if joint.max() < _MOST_KINDS else columns


def _explained(motion: np.ndarray, kinds: np.ndarray) -> float:
    """Largest share of a feature's variance between classes, less what chance would give."""
    count = np.bincount(kinds)
    onehot = np.eye(len(count), dtype=np.float32)[:, count > 0][kinds]
    groups, steps = onehot.shape[1], len(motion)
    if groups < 2 or steps <= groups:
        return 0.0
    centred = motion - motion.mean(0)
    total = (centred**2).sum(0)
    means = onehot.T @ centred / onehot.sum(0)[:, None]
    between = (onehot.sum(0)[:, None] * means**2).sum(0)
    share = np.divide(between, total, out=np.zeros_like(total), where=total > 0)
    return float(max(0.0, (1 - (1 - share) * (steps - 1) / (steps - groups)).max()))
