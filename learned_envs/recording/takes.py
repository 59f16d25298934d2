"""What is recorded: a plan of takes that depends on the seed only, and the playing of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs.data.episode import Episode, EpisodeAttributes
from learned_envs.recording.cast import behaviour_weights
from learned_envs.recording.metadata import metadata_names
from learned_envs.worlds import Behaviour, World

MAX_TAKES = 1_000_000
_GOLDEN = (5**0.5 - 1) / 2


def planned_takes(
    world: World,
    count: int,
    seed: int,
    behaviours: Mapping[str, float] | None = None,
    agent: str | None = None,
) -> list[EpisodeAttributes]:
    """Says who plays which take, with which seed.

    Take i of recording `seed` has the seed `seed * 1,000,000 + i`, so recordings with different
    seeds share no take, and a longer plan begins with the shorter one. Behaviours follow their
    weights closely in every stretch of takes (a golden-ratio sequence), not just on average. Takes
    of one seed are of one source, whoever plays: what begins alike falls into one split.

    Args:
        world: What is played.
        count: How many takes, at most 1,000,000.
        seed: Of the recording, from 0.
        behaviours: Weights by name; None for the world's own.
        agent: Name of an agent who plays all takes, instead of the world's behaviours.

    Raises:
        ValueError: If a behaviour is unknown to the world, or a number is out of its range.
    """
    if not 1 <= count <= MAX_TAKES or seed < 0:
        raise ValueError(
            f"`episodes` (={count}) must lie in [1, {MAX_TAKES}] and `seed` (={seed}) from 0"
        )
    weights = {agent: 1.0} if agent else behaviour_weights(world, behaviours)
    names, ends = list(weights), np.cumsum(list(weights.values()))
    offset = np.random.default_rng(seed).random()
    positions = (offset + _GOLDEN * np.arange(count)) % 1
    chosen = np.minimum(np.searchsorted(ends, positions, side="right"), len(names) - 1)
    return [
        EpisodeAttributes(
            world=world.name,
            fps=world.fps,
            seed=seed * MAX_TAKES + i,
            behaviour=names[who],
            action_names=world.action_names,
            source=f"{world.name}-{seed * MAX_TAKES + i:012d}",
        )
        for i, who in enumerate(chosen.tolist())
    ]


MakeAgent = Callable[[gym.Env[Any, Any], int], Behaviour]
"""Makes an agent for one row from the env that is played and a seed."""


def record_take(
    world: World,
    env: gym.Env[Any, Any],
    attributes: EpisodeAttributes,
    max_steps: int,
    make_agent: MakeAgent | None = None,
) -> Episode:
    """Plays one take; the same attributes give the same take.

    Args:
        world: What is played.
        env: One of its real envs, without a time limit.
        attributes: Of the take, from `planned_takes`.
        max_steps: The take is truncated after so many steps.
        make_agent: Makes who plays; None for the take's behaviour of the world.

    Returns:
        The whole take, of any length. Its metadata are the numbers that `info` holds at the reset
        and after every step, always in one shape.
    """
    random = np.random.default_rng([attributes.seed, 1])  # not the stream that the env draws from
    seed = int(random.integers(2**31))
    if make_agent is None:
        player = world.make_behaviour([attributes.behaviour], [seed])
        options = world.reset_options(attributes.behaviour, random)
    else:
        player, options = make_agent(env, seed), None
    frame, info = env.reset(seed=attributes.seed, options=options)
    numbers = metadata_names(info)
    frames, actions, rewards = [frame], [], []
    metadata = {name: [info[name]] for name in numbers}
    terminated = False
    while not terminated and len(actions) < max_steps:
        action = player(frame[None], np.array([not actions]))[0]
        frame, reward, terminated, truncated, info = env.step(action)
        frames.append(frame)
        actions.append(action)
        rewards.append(reward)
        numbers = [
            n for n in numbers if n in info and np.shape(info[n]) == np.shape(metadata[n][0])
        ]
        for name in numbers:
            metadata[name].append(info[name])
        if truncated:
            break
    last = np.arange(len(actions)) == len(actions) - 1
    return Episode(
        observation=np.stack(frames),
        action=np.stack(actions),
        reward=np.array(rewards, np.float32),
        terminated=last & terminated,
        truncated=last & (not terminated),
        metadata={name: np.stack(metadata[name]) for name in numbers},
        attributes=attributes,
    )
