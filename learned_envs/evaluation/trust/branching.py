"""From one moment, every action: do dreamed branches part as real ones do?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs.evaluation.rollouts import pieces
from learned_envs.worlds import World

_HISTORY = 8  # frames that a dream is given


@dataclass(frozen=True, kw_only=True, slots=True)
class Branching:
    """What holding each action for a while comes to.

    Attributes:
        recognised: Share of dreamed branches whose nearest real branch, of those from the same
            moment, is the one of the same action; of actions that another equals in the real world
            (a paddle at a wall) there is nothing to recognise, and they are left out.
        chance: That share for branches that ignore the action.
        spread: Mean distance between dreamed branches of different actions, over that between the
            real ones; 1 is right, 0 means that actions do nothing.
        moments: Moments branched from.
    """

    recognised: float
    chance: float
    spread: float
    moments: int


def measure_branching(
    world: World,
    dream: gym.vector.VectorEnv[Any, Any, Any],
    *,
    seed: int,
    horizon: int = 12,
    before: int = 40,
) -> Branching:
    """Plays the real world up to a moment, then holds each action, for real and dreamed.

    Args:
        world: With a real env that has `get_state` and `set_state`.
        dream: A batch of its dream: as many moments.
        seed: Of the games and players.
        horizon: Steps for which an action is held.
        before: Steps played before the moment.
    """
    rows = dream.num_envs
    real = world.make_real_vec(rows, max_episode_steps=None)
    players = world.make_behaviour(_mixed(world, rows), range(seed, seed + rows))
    (played,) = pieces(real, players, before, seed, piece=before)
    moment = real.unwrapped.get_state()  # pyright: ignore[reportAttributeAccessIssue]
    whole = np.flatnonzero((played.age[-1] >= _HISTORY) & ~played.terminated[-1])
    history = {
        "frames": played.frames[-_HISTORY:].swapaxes(0, 1),
        "actions": played.actions[1 - _HISTORY :].swapaxes(0, 1),
    }
    branches: dict[str, list[np.ndarray]] = {"real": [], "dream": []}
    ended = np.zeros(rows, bool)
    for action in _actions(world, seed):
        held = np.broadcast_to(action, (rows, *np.shape(action)))
        real.unwrapped.set_state(moment)  # pyright: ignore[reportAttributeAccessIssue]
        dream.reset(seed=seed, options=history)
        for kind, env in (("real", real), ("dream", dream)):
            for _ in range(horizon):
                frame, _, terminated, truncated, _ = env.step(held)
                if kind == "real":
                    ended |= terminated | truncated
            branches[kind].append(frame[whole].astype(np.float32))
    ours, theirs = np.stack(branches["dream"], 1), np.stack(branches["real"], 1)
    lasting = ~ended[whole]
    return _compared(ours[lasting], theirs[lasting])


def _compared(dreamed: np.ndarray, real: np.ndarray) -> Branching:
    """Compares last frames (n, A, H, W, 3) of A branches from n moments."""
    count = real.shape[1]
    apart = ~np.eye(count, dtype=bool)
    between = _distances(real, real)
    distinct = np.where(apart, between, np.inf).min(2) > 0
    away = np.where(distinct[:, None], _distances(dreamed, real), np.inf)
    right = away.argmin(2) == np.arange(count)
    return Branching(
        recognised=float(right[distinct].mean()),
        chance=float(distinct.any(1).sum() / max(1, distinct.sum())),
        spread=float(_distances(dreamed, dreamed)[:, apart].mean() / between[:, apart].mean()),
        moments=len(real),
    )


def _distances(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Mean absolute difference of each branch (n, A, ...) from each of the others: (n, A, A)."""
    count = other.shape[1]
    return np.stack([abs(one - other[:, [a]]).mean((2, 3, 4)) for a in range(count)], 2)


def _actions(world: World, seed: int) -> Sequence[Any]:
    """All actions of a discrete world; else the idle one and four drawn ones."""
    space = world.action_space
    if isinstance(space, gym.spaces.Discrete):
        return [int(space.start) + a for a in range(int(space.n))]
    space.seed(seed)
    return [world.idle_action, *(space.sample() for _ in range(4))]


def _mixed(world: World, rows: int) -> list[str]:
    random = np.random.default_rng(rows)
    shares = np.array(list(world.behaviours.values()))
    return random.choice(list(world.behaviours), rows, p=shares / shares.sum()).tolist()
