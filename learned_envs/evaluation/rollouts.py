"""Plays an environment, real or dreamed, and hands out what happened in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv

from learned_envs.data.episode import Episode
from learned_envs.worlds import Behaviour, World

PIECE = 64
"""Steps in a piece: 64 rows of 64x64 pixels are 50 MB."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Rollout:
    """T steps of n rows, T + 1 frames.

    Attributes:
        frames: (T + 1, n, H, W, 3) uint8.
        actions: (T, n, ...); `actions[t]` takes frame t to frame t + 1.
        rewards: (T, n) float64.
        terminated: (T, n) bool.
        truncated: (T, n) bool.
        first: (T + 1, n) bool, the frame begins an episode; the step to it means nothing.
        age: (T + 1, n) int64, steps since the episode began.
        doubt: (T, n) float64, `info["doubt"]` of each step; nan where the env gives none.
    """

    frames: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray
    first: np.ndarray
    age: np.ndarray
    doubt: np.ndarray


def mixed_players(world: World, rows: int) -> list[str]:
    """Names of behaviours for rows, in shares that follow their weights in the world."""
    ends = np.cumsum(list(world.behaviours.values()))
    places = (np.arange(rows) + 0.5) / rows * ends[-1]
    names = list(world.behaviours)
    return [names[i] for i in np.searchsorted(ends, places)]


def rollout(
    env: VectorEnv[Any, Any, Any],
    behaviour: Behaviour,
    steps: int,
    seed: int,
    options: dict[str, Any] | None = None,
) -> Rollout:
    """Plays `steps` steps from a fresh reset and keeps every frame; see `pieces`."""
    (whole,) = pieces(env, behaviour, steps, seed, options, piece=steps)
    return whole


def pieces(
    env: VectorEnv[Any, Any, Any],
    behaviour: Behaviour,
    steps: int,
    seed: int,
    options: dict[str, Any] | None = None,
    *,
    piece: int = PIECE,
) -> Iterator[Rollout]:
    """Plays `steps` steps from a fresh reset, in pieces of at most `piece` steps.

    Each piece begins with the last frame of the piece before.

    Args:
        env: Any batch that resets by itself (`NEXT_STEP` or `SAME_STEP`). With `SAME_STEP` the last
            frame of an episode is not in the rollout.
        behaviour: Who plays; it sees the frames of this env.
        steps: Steps to play, at least 1.
        seed: Of the env's reset.
        options: Of the env's reset.
        piece: Most steps in a piece.

    Raises:
        ValueError: If `steps` or `piece` is below 1 or the env does not reset by itself.
    """
    if steps < 1 or piece < 1:
        raise ValueError(f"`steps` (={steps}) and `piece` (={piece}) must be at least 1")
    mode = env.metadata.get("autoreset_mode")
    if mode not in (AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP):
        raise ValueError(
            f"a rollout needs an env that resets by itself, but its autoreset mode is {mode}: "
            "make it with autoreset_mode=AutoresetMode.NEXT_STEP"
        )
    same_step = mode is AutoresetMode.SAME_STEP
    frame, _ = env.reset(seed=seed, options=options)
    first, age = np.ones(env.num_envs, bool), np.zeros(env.num_envs, np.int64)
    ended = np.zeros(env.num_envs, bool)
    for start in range(0, steps, piece):
        frames, firsts, ages = [frame], [first], [age]
        played = []
        for _ in range(min(piece, steps - start)):
            action = behaviour(frame, first)
            frame, reward, terminated, truncated, info = env.step(action)
            before, ended = ended, terminated | truncated
            first = ended if same_step else before
            age = np.where(first, 0, age + 1)
            doubt = np.broadcast_to(info.get("doubt", np.nan), first.shape)
            played.append((action, reward, terminated, truncated, doubt))
            frames.append(frame)
            firsts.append(first)
            ages.append(age)
        actions, rewards, terminations, truncations, doubts = map(
            np.stack, zip(*played, strict=True)
        )
        yield Rollout(
            frames=np.stack(frames),
            actions=actions,
            rewards=rewards,
            terminated=terminations,
            truncated=truncations,
            first=np.stack(firsts),
            age=np.stack(ages),
            doubt=doubts.astype(np.float64),
        )


def recorded_rollout(episode: Episode, begin: int, steps: int) -> Rollout:
    """Some steps of a recorded episode as a rollout of one row.

    Args:
        episode: What was recorded.
        begin: The first step.
        steps: How many, at most.
    """
    end = min(begin + steps, episode.steps)
    played = slice(begin, end)
    count = np.arange(end - begin + 1)[:, None]
    return Rollout(
        frames=episode.observation[begin : end + 1][:, None],
        actions=episode.action[played, None],
        rewards=episode.reward[played, None].astype(np.float64),
        terminated=episode.terminated[played, None],
        truncated=episode.truncated[played, None],
        first=count == 0,
        age=count,
        doubt=np.full((end - begin, 1), np.nan),
    )


def replayed(dream: VectorEnv[Any, Any, Any], episode: Episode, begin: int, steps: int) -> Rollout:
    """The same steps dreamed: from the frames up to the first, under the recorded actions.

    Args:
        dream: A batch of one dream.
        episode: What was recorded.
        begin: The first step; the frames before it are what the dream begins with.
        steps: How many, at most.
    """
    end = min(begin + steps, episode.steps)
    known = {"frames": episode.observation[: begin + 1], "actions": episode.action[:begin]}
    again = replay(episode.action[begin:end, None])
    return rollout(dream, again, end - begin, 0, {"rows": {0: known}})


def replay(actions: np.ndarray) -> Behaviour:
    """A behaviour that sends actions (T, n, ...) one after the other, whatever it sees."""
    coming = iter(actions)

    def act(observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        return next(coming)

    return act
