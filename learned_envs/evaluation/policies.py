"""Do policies rank in the dream as they rank in the real world?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from learned_envs.evaluation.text_table import text_table
from learned_envs.worlds import Behaviour, World

MakeEnv = Callable[[int], VectorEnv[Any, Any, Any]]
"""Builds a batch of n games."""

MakeBehaviour = Callable[[Sequence[str], Sequence[int]], Behaviour]
"""As `World.make_behaviour`."""

COLUMNS = ("policy", "real", "±", "dreamed", "±", "difference")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PolicyScores:
    """Returns of P policies in E episodes of each of two worlds.

    Attributes:
        names: P names; the last policy acts at random.
        real: (P, E) float64, returns in the real world.
        dreamed: (P, E) float64, returns in the dream.
    """

    names: tuple[str, ...]
    real: np.ndarray
    dreamed: np.ndarray

    @property
    def rank_correlation(self) -> float:
        """Spearman's correlation of the policies' mean returns, dreamed against real."""
        return spearman(self.real.mean(1), self.dreamed.mean(1))

    @property
    def span(self) -> float:
        """Mean real return of the best policy, less that of the random one."""
        mean = self.real.mean(1)
        return float(mean.max() - mean[-1])

    @property
    def error(self) -> float:
        """Mean over policies of |mean return dreamed - real|, as a share of `span`; nan if 0."""
        difference = abs(self.dreamed.mean(1) - self.real.mean(1)).mean()
        return float(difference / self.span) if self.span > 0 else float("nan")

    @property
    def summary(self) -> str:
        """The two figures in words."""
        return (
            f"Spearman {self.rank_correlation:.3f}, mean error {100 * self.error:.1f}% of the span "
            f"{self.span:.2f} between the best policy and the random one"
        )

    def rows(self) -> list[list[str]]:
        """Cells under `COLUMNS` for each policy, best real return first."""
        real, dreamed = self.real.mean(1), self.dreamed.mean(1)
        return [
            [
                self.names[i],
                f"{real[i]:.2f}",
                f"{standard_error(self.real[i]):.2f}",
                f"{dreamed[i]:.2f}",
                f"{standard_error(self.dreamed[i]):.2f}",
                f"{dreamed[i] - real[i]:+.2f}",
            ]
            for i in np.argsort(-real, kind="stable")
        ]

    def table(self) -> str:
        """A text table of the policies, and the two figures."""
        head = f"mean return of {self.real.shape[1]} episodes each, ± its standard error"
        return "\n".join([head, text_table([COLUMNS, *self.rows()]), self.summary])

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {
            "spearman": self.rank_correlation,
            "error_of_span": self.error,
            "span": self.span,
            "episodes": self.real.shape[1],
            "policies": {
                name: {"real": float(real.mean()), "dreamed": float(dreamed.mean())}
                for name, real, dreamed in zip(self.names, self.real, self.dreamed, strict=True)
            },
        }


def compare_policies(
    world: World,
    weights: str | None = None,
    *,
    seed: int = 0,
    episodes: int = 100,
    progress: Callable[[str], None] = lambda line: None,
) -> PolicyScores:
    """Plays the world's ladder of policies for real and in its dream; see `score_policies`.

    Args:
        world: Which world; its time limit bounds the episodes.
        weights: As `gym.make("Dream-v0", weights=...)` takes them; the packaged ones if None.
        seed: Of the first episode.
        episodes: Episodes of each policy in each world.
        progress: Told of each policy when it is done.

    Raises:
        ValueError: If the world has no real env or no ladder.
    """
    steps = world.max_episode_steps
    return score_policies(
        lambda rows: world.make_real_vec(rows, max_episode_steps=steps),
        lambda rows: gym.make_vec(
            world.dream_id,
            rows,
            weights=weights,
            max_episode_steps=steps,
        ),
        world.make_behaviour,
        world.ladder,
        episodes=episodes,
        steps=steps,
        seed=seed,
        progress=progress,
    )


def score_policies(
    make_real: MakeEnv,
    make_dream: MakeEnv,
    make_behaviour: MakeBehaviour,
    names: Sequence[str],
    *,
    episodes: int = 100,
    steps: int = 1000,
    seed: int = 0,
    progress: Callable[[str], None] = lambda line: None,
) -> PolicyScores:
    """Plays every policy in both worlds, all episodes of a policy in one batch.

    Args:
        make_real: Builds n real games.
        make_dream: Builds n dreamed games.
        make_behaviour: Builds the policies.
        names: Policies, the one that acts at random last, e.g. `World.ladder`.
        episodes: Episodes of each policy in each world.
        steps: Most steps in an episode.
        seed: Episode e of either world is seeded with seed + e, and so is its player.
        progress: Told of each policy when it is done.

    Raises:
        ValueError: If there are fewer than two policies.
    """
    if len(names) < 2:
        raise ValueError(f"{len(names)} policies were given: ranks need at least 2")
    seeds = range(seed, seed + episodes)
    scores: dict[str, list[np.ndarray]] = {"real": [], "dreamed": []}
    envs = {"real": make_real(episodes), "dreamed": make_dream(episodes)}
    for name in names:
        for kind, env in envs.items():
            player = make_behaviour([name] * episodes, seeds)
            scores[kind].append(episode_returns(env, player, steps=steps, seed=seed))
        real, dreamed = (scores[kind][-1].mean() for kind in envs)
        progress(f"{name}: real {real:.2f}, dreamed {dreamed:.2f}")
    return PolicyScores(
        names=tuple(names),
        real=np.stack(scores["real"]),
        dreamed=np.stack(scores["dreamed"]),
    )


def episode_returns(
    env: VectorEnv[Any, Any, Any], behaviour: Behaviour, *, steps: int, seed: int
) -> np.ndarray:
    """The sum of rewards of each row's first episode, up to `steps` steps: (n,) float64."""
    frame, _ = env.reset(seed=seed)
    total, playing = np.zeros(env.num_envs), np.ones(env.num_envs, bool)
    first = np.ones(env.num_envs, bool)
    for _ in range(steps):
        frame, reward, terminated, truncated, _ = env.step(behaviour(frame, first))
        total += np.where(playing, reward, 0)
        playing &= ~(terminated | truncated)
        first = np.zeros(env.num_envs, bool)
        if not playing.any():
            break
    return total


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    """Spearman's rank correlation of two samples (P,): Pearson's of their ranks, ties averaged.

    Returns nan where all values of a sample are equal.
    """
    a, b = (ranks(values) - (len(values) + 1) / 2 for values in (one, other))
    scale = np.sqrt((a @ a) * (b @ b))
    return float(a @ b / scale) if scale else float("nan")


def ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1 (the smallest) of values (P,); equal values share the mean of their ranks."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[group]


def standard_error(sample: np.ndarray) -> float:
    """Standard error of the mean of a sample (E,); 0 for a single value."""
    return float(sample.std(ddof=1) / np.sqrt(len(sample))) if len(sample) > 1 else 0.0
