"""Sums over the episodes of a recording, one of which is in memory at a time."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learned_envs.data.episode import Episode
from learned_envs.recording.values import Values
from learned_envs.recording.variables import Variables
from learned_envs.worlds import World


@dataclass(frozen=True, kw_only=True, slots=True)
class ActionCoverage:
    """How one discrete action, or one component of a continuous one, was used.

    Attributes:
        name: As the recording names it.
        share: Share of the steps with this action; for a component, share of the steps at which it
            differs from its most common value.
        low: Least value seen, for a component.
        high: Greatest value seen, for a component.
    """

    name: str
    share: float
    low: float | None = None
    high: float | None = None

    def __str__(self) -> str:
        """One cell of the report."""
        values = "" if self.low is None else f" in [{self.low:.3g}, {self.high:.3g}]"
        return f"{self.name} {self.share:.1%}{values}"


class Tally:
    """Adds up what can be known of episodes without looking at every frame.

    Args:
        world: Counts the events; none are counted if None. Where frames decide them, and an episode
            is lazy, they are decoded.

    Attributes:
        world: It.
        steps: How many there were.
        events: Counts of the world's events.
        sizes: (H, W) of the frames; more than one only where episodes differ.
        rewards: Of all steps.
        returns: Sum of the rewards of each take, by name.
        variables: The metadata.
    """

    def __init__(self, world: World | None):
        self.world = world
        self._components: list[Values] = []
        self._discrete = True
        self.steps = 0
        self.events: Counter[str] = Counter()
        self.sizes: set[tuple[int, int]] = set()
        self.rewards = Values()
        self.returns: defaultdict[str, float] = defaultdict(float)
        self.variables = Variables()

    def add(self, episode: Episode) -> None:
        """Adds one episode."""
        if self.world is not None:
            self.events.update(self.world.events(episode))
        self.steps += episode.steps
        _, height, width, _ = episode.observation.shape
        self.sizes.add((height, width))
        self.rewards.add(episode.reward)
        self.returns[episode.attributes.take] += float(episode.reward.sum())
        self.variables.add(episode)
        self._discrete = episode.action.ndim == 1
        components = episode.action.reshape(episode.steps, -1).T
        self._components = self._components or [Values() for _ in components]
        for values, column in zip(self._components, components, strict=True):
            values.add(column)

    def coverage(self, names: Sequence[str]) -> tuple[ActionCoverage, ...]:
        """Use of each discrete action, or of each component."""
        if self._discrete:
            values, times = self._components[0].counts()
            counts = np.bincount(values, times, minlength=len(names))
            return tuple(
                ActionCoverage(name=name, share=count / self.steps)
                for name, count in zip(names, counts.tolist(), strict=True)
            )
        return tuple(
            ActionCoverage(
                name=name,
                share=float(1 - values.counts()[1].max(initial=0) / self.steps),
                low=values.low,
                high=values.high,
            )
            for name, values in zip(names, self._components, strict=True)
        )
