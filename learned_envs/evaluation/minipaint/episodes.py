"""Held-out episodes: painters at the real program, and the same actions in two programs at once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from learned_envs.evaluation.minipaint.programs import Programs
from learned_envs.evaluation.minipaint.viewer import as_viewed
from learned_envs.evaluation.rollouts import mixed_players
from learned_envs.worlds import World

PHASES = ("early", "late")

EARLY, LATE = 150, 500
"""The early phase ends with step 150, where the published model began to drift; the late one begins
with step 500, where it collapsed."""

_PIECE = 500  # steps that painters play before it is seen whether they are enough


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Episodes:
    """n episodes of T steps.

    Attributes:
        first: (n, 224, 224, 3) uint8, real frames to begin from; the button is up.
        actions: (T, n, 3) float32, as the viewer sends them.
    """

    first: np.ndarray
    actions: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Moment:
    """One step of n episodes in two programs.

    Attributes:
        step: From 1.
        actions: (n, 3), that led here.
        real: (n, 224, 224, 3) uint8.
        dream: The same, dreamed.
    """

    step: int
    actions: np.ndarray
    real: np.ndarray
    dream: np.ndarray


def phase_of(step: int) -> str | None:
    """The phase of an episode that a step belongs to; None between the two."""
    return "early" if step <= EARLY else "late" if step >= LATE else None


def viewed_episodes(world: World, rows: int, steps: int, seed: int) -> Episodes:
    """Has painters play the real program, in shares that follow their weights.

    Row i begins as an episode of a recording does and is painted with seed + i. What the painter
    did goes through `as_viewed`, so that idling and hovering are left out: an episode is dense.
    """
    names, seeds = mixed_players(world, rows), range(seed, seed + rows)
    begun = {}
    for row, name in enumerate(names):
        options = world.reset_options(name, np.random.default_rng(seeds[row]))
        begun[row] = options or {}
    env = world.make_real_vec(rows, max_episode_steps=None)
    first, _ = env.reset(seed=seed, options={"rows": begun})
    painters = world.make_behaviour(names, seeds)
    frames, fresh, played = first, np.ones(rows, bool), []
    viewed: list[np.ndarray] = []
    while min(map(len, viewed), default=0) < steps:
        for _ in range(_PIECE):
            played.append(painters(frames, fresh))
            frames, fresh = env.step(played[-1])[0], np.zeros(rows, bool)
        viewed = [as_viewed(row) for row in np.stack(played, 1)]
    return Episodes(first=first, actions=np.stack([row[:steps] for row in viewed], 1))


def side_by_side(real: Programs, dream: Programs, episodes: Episodes) -> Iterator[Moment]:
    """Plays the actions of episodes in two programs that have begun from their first frames.

    Between two moments either program may be branched, if it is put back into its state.
    """
    for step, actions in enumerate(episodes.actions, 1):
        yield Moment(step=step, actions=actions, real=real.step(actions), dream=dream.step(actions))
