"""What a recordings folder contains, and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from learned_envs import worlds
from learned_envs.data.episode import Episode
from learned_envs.data.store import EpisodeStore
from learned_envs.recording.facts import spread
from learned_envs.recording.lag import LagEstimate, input_lag
from learned_envs.worlds import World

FEW_TAKES = 20
MUCH_FROZEN = 0.2
_SPLITS = ("train", "validation", "test")


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a folder of recordings contains; prints as a table.

    Attributes:
        folder: Where it is.
        world: Name of the world.
        takes: Whole takes.
        episodes: Stored episodes, every part of a long take counted.
        frames: Recorded frames.
        hours: Playing time at the world's ticks a second.
        megabytes: Size on disk, in MB of 10^6 bytes.
        reward: Sum of all rewards.
        behaviours: Takes by behaviour.
        splits: Episodes by split.
        events: Counts of the events that the world knows; None for an unknown world.
        actions: Use of each action, or of each component.
        frozen: Share of steps after which the frame is the same.
        lag: Frames by which actions show late.
        warnings: What is wrong, in plain words.
    """

    folder: str
    world: str
    takes: int
    episodes: int
    frames: int
    hours: float
    megabytes: float
    reward: float
    behaviours: dict[str, int]
    splits: dict[str, int]
    events: dict[str, int] | None
    actions: tuple[ActionCoverage, ...]
    frozen: float
    lag: LagEstimate
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        """The table that `learned-envs inspect` prints."""
        lag = "none is seen" if self.lag.lag is None else f"{self.lag.lag} frames"
        events = "unknown world" if self.events is None else _counts(self.events)
        rows = [
            ("world", self.world),
            ("recorded", f"{self.takes:,} takes in {self.episodes:,} episodes"),
            ("length", f"{self.hours:.2f} hours, {self.frames:,} frames"),
            ("on disk", f"{self.megabytes:.1f} MB"),
            ("behaviours", _counts(self.behaviours)),
            ("splits", _counts(self.splits)),
            ("events", events),
            ("reward", f"{self.reward:,.6g}"),
            ("actions", ", ".join(map(str, self.actions))),
            ("frozen frames", f"{self.frozen:.1%}"),
            ("input lag", lag),
        ]
        lines = [self.folder, *(f"  {name:<14} {value}" for name, value in rows)]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


def inspect(
    folder: str | os.PathLike[str], world: World | None = None, progress: bool = False
) -> Report:
    """Reads a recordings folder through and reports on it.

    Args:
        folder: A path or fsspec URL.
        world: Counts the events; None finds the world that the folder is of.
        progress: Whether to show a progress bar while all frames are read.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is empty, damaged or of another schema or world.
    """
    store = EpisodeStore(folder, None if world is None else world.name)
    if world is None and (store.folder.description() or store.world in worlds.names()):
        world = worlds.find(store.folder.name)
    headers = store.headers.values()
    tally = _Tally(world)
    for episode in tqdm(store, unit="episode", disable=not progress):
        tally.add(episode)
    takes = Counter(h.attributes.behaviour for h in headers if h.attributes.last)
    splits = {split: len(store.names(split)) for split in _SPLITS}
    frozen = tally.frozen / tally.steps
    actions = tally.coverage(next(iter(headers)).attributes.action_names)
    lag = input_lag(spread(store))
    return Report(
        folder=store.folder.name,
        world=store.world,
        takes=takes.total(),
        episodes=len(store),
        frames=sum(header.steps + 1 for header in headers),
        hours=sum(header.steps / header.attributes.fps for header in headers) / 3600,
        megabytes=sum(sum(header.sizes.values()) for header in headers) / 1e6,
        reward=tally.reward,
        behaviours=dict(sorted(takes.items())),
        splits=splits,
        events=None if world is None else dict(tally.events),
        actions=actions,
        frozen=frozen,
        lag=lag,
        warnings=tuple(_warnings(takes.total(), splits, actions, frozen, lag.lag)),
    )


class _Tally:
    """Sums over episodes, so that one at a time is in memory."""

    def __init__(self, world: World | None):
        self._world = world
        self.events: Counter[str] = Counter()
        self.steps = self.frozen = 0
        self.reward = 0.0
        self._actions: list[np.ndarray] = []

    def add(self, episode: Episode) -> None:
        if self._world is not None:
            self.events.update(self._world.events(episode))
        frames = episode.observation[:]
        self.steps += episode.steps
        self.frozen += int((frames[1:] == frames[:-1]).all((1, 2, 3)).sum())
        self.reward += float(episode.reward.sum())
        self._actions.append(episode.action)

    def coverage(self, names: tuple[str, ...]) -> tuple[ActionCoverage, ...]:
        actions = np.concatenate(self._actions)
        if actions.ndim == 1:
            counts = np.bincount(actions, minlength=len(names))
            return tuple(
                ActionCoverage(name=name, share=count / len(actions))
                for name, count in zip(names, counts.tolist(), strict=True)
            )
        components = actions.reshape(len(actions), -1).astype(float).T
        return tuple(_component(name, v) for name, v in zip(names, components, strict=True))


def _component(name: str, values: np.ndarray) -> ActionCoverage:
    usual = np.unique(values, return_counts=True)[1].max()
    return ActionCoverage(
        name=name,
        share=1 - usual / len(values),
        low=float(values.min()),
        high=float(values.max()),
    )


def _warnings(
    takes: int,
    splits: dict[str, int],
    actions: tuple[ActionCoverage, ...],
    frozen: float,
    lag: int | None,
) -> Iterator[str]:
    if takes < FEW_TAKES:
        yield f"only {takes} takes: record at least {FEW_TAKES}, better some hundreds"
    for split in (split for split, count in splits.items() if not count):
        yield f"no episode falls into the {split} split: record more"
    for action in (action for action in actions if not action.share):
        unused = "never used" if action.low is None else f"always {action.low:.3g}"
        yield (
            f"the action {action.name!r} is {unused}: a model would learn to ignore it; record a "
            "behaviour that uses it"
        )
    if frozen > MUCH_FROZEN:
        yield (
            f"{frozen:.0%} of the frames repeat the one before: record livelier behaviours, or "
            "check the rate at which frames were captured"
        )
    if lag is None:
        yield "no effect of the actions on the frames is seen: check that they belong together"
    elif lag:
        yield (
            f"actions show {lag} frames late: shift them if frames were captured late; a game with "
            "momentum, or one that repeats actions by itself, shows them late, too: leave those"
        )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
