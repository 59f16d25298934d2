"""What a recordings folder contains, and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from tqdm import tqdm

from learned_envs.data.store import EpisodeStore
from learned_envs.recording.facts import spread
from learned_envs.recording.lag import LagEstimate, input_lag
from learned_envs.recording.opened import world_of
from learned_envs.recording.tally import ActionCoverage, Tally
from learned_envs.recording.values import Values
from learned_envs.recording.variables import Variable
from learned_envs.worlds import World

FEW_TAKES = 20
MUCH_FROZEN = 0.2
_SPLITS = ("train", "validation", "test")


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
        fps: Steps a second, as the first episode has them.
        sizes: (H, W) of the frames; more than one only where episodes differ.
        megabytes: Size on disk, in MB of 10^6 bytes.
        reward: Sum of all rewards.
        rewards: Of all steps.
        returns: Sum of the rewards of each take.
        behaviours: Takes by behaviour.
        splits: Episodes by split.
        events: Counts of the events that the world knows; None for an unknown world.
        actions: Use of each action, or of each component.
        variables: What the world says of itself beside its frames.
        frozen: Share of steps after which the frame is the same; None if frames were left out.
        lag: Frames by which actions show late; None if frames were left out.
        warnings: What is wrong, in plain words.
    """

    folder: str
    world: str
    takes: int
    episodes: int
    frames: int
    hours: float
    fps: float
    sizes: tuple[tuple[int, int], ...]
    megabytes: float
    reward: float
    rewards: Values
    returns: tuple[float, ...]
    behaviours: dict[str, int]
    splits: dict[str, int]
    events: dict[str, int] | None
    actions: tuple[ActionCoverage, ...]
    variables: tuple[Variable, ...]
    frozen: float | None
    lag: LagEstimate | None
    warnings: tuple[str, ...]

    def __str__(self) -> str:
        """The table that `learned-envs inspect` prints."""
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
        ]
        if self.frozen is not None:
            rows.append(("frozen frames", f"{self.frozen:.1%}"))
        if self.lag is not None:
            seen = "none is seen" if self.lag.lag is None else f"{self.lag.lag} frames"
            rows.append(("input lag", seen))
        lines = [self.folder, *(f"  {name:<14} {value}" for name, value in rows)]
        return "\n".join([*lines, *(f"  warning: {warning}" for warning in self.warnings)])


def inspect(
    folder: str | os.PathLike[str],
    world: World | None = None,
    progress: bool = False,
    frames: bool = True,
) -> Report:
    """Reads a recordings folder through and reports on it.

    Args:
        folder: A path or fsspec URL.
        world: Counts the events; None finds the world that the folder is of.
        progress: Whether to show a progress bar while the episodes are read.
        frames: Whether to look at all frames, for those that repeat and for late actions. If not,
            only those are decoded that decide the world's events.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If it is empty, damaged or of another schema or world.
    """
    store = EpisodeStore(folder, None if world is None else world.name)
    headers = store.headers.values()
    tally, repeated = Tally(world or world_of(store)), 0
    for name in tqdm(store.names(), unit="episode", disable=not progress):
        episode = store.read(name, lazy=not frames)
        tally.add(episode)
        if frames:
            shown = episode.observation[:]
            repeated += int((shown[1:] == shown[:-1]).all((1, 2, 3)).sum())
    takes = Counter(h.attributes.behaviour for h in headers if h.attributes.last)
    splits = {split: len(store.names(split)) for split in _SPLITS}
    frozen = repeated / tally.steps if frames else None
    about = next(iter(headers)).attributes
    actions = tally.coverage(about.action_names)
    lag = input_lag(spread(store)) if frames else None
    return Report(
        folder=store.folder.name,
        world=store.world,
        takes=takes.total(),
        episodes=len(store),
        frames=sum(header.steps + 1 for header in headers),
        hours=sum(header.steps / header.attributes.fps for header in headers) / 3600,
        fps=about.fps,
        sizes=tuple(sorted(tally.sizes)),
        megabytes=sum(sum(header.sizes.values()) for header in headers) / 1e6,
        reward=tally.rewards.total,
        rewards=tally.rewards,
        returns=tuple(tally.returns.values()),
        behaviours=dict(sorted(takes.items())),
        splits=splits,
        events=None if tally.world is None else dict(tally.events),
        actions=actions,
        variables=tally.variables.found(),
        frozen=frozen,
        lag=lag,
        warnings=tuple(_warnings(takes.total(), splits, actions, frozen, lag)),
    )


def _warnings(
    takes: int,
    splits: dict[str, int],
    actions: tuple[ActionCoverage, ...],
    frozen: float | None,
    lag: LagEstimate | None,
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
    if frozen is not None and frozen > MUCH_FROZEN:
        yield (
            f"{frozen:.0%} of the frames repeat the one before: record livelier behaviours, or "
            "check the rate at which frames were captured"
        )
    if lag is None:
        return
    if lag.lag is None:
        yield "no effect of the actions on the frames is seen: check that they belong together"
    elif lag.lag:
        yield (
            f"actions show {lag.lag} frames late: shift them if frames were captured late; a game "
            "with momentum, or one that repeats actions by itself, shows them late, too: leave "
            "those"
        )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in counts.items()) or "none"
