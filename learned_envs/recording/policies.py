"""Agents that act while a world is recorded.

A policy is code of whoever gives it: an import path runs a module, and the `.zip` files of
Stable-Baselines3 hold pickles. Give only what you would run.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs.worlds.chance import Chance
from learned_envs.worlds.frame_env import FrameEnv

Policy = Callable[[Any], Any]
"""Maps the environment's own observation to an action."""

_STRAY = 8.0  # mean steps between two decisions of who acts


def load_policy(policy: str, env: gym.Env[Any, Any]) -> Policy:
    """Loads an agent.

    Args:
        policy: The path of a Stable-Baselines3 `.zip`, or the import path (`package.module:name`)
            of a function that maps an observation to an action, or of a class that is called with
            the environment and whose instances do.
        env: Where it shall act.

    Raises:
        ValueError: If there is no such file or name, or it is of no agent that is known.
        gymnasium.error.DependencyNotInstalled: If it needs Stable-Baselines3 and that is missing.
    """
    if policy.endswith(".zip"):
        return _of_zip(Path(policy).expanduser())
    module, _, name = policy.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"there is no policy {policy!r} ({error}): give the path of a Stable-Baselines3 .zip, "
            "or an import path (package.module:function) that is on PYTHONPATH"
        ) from error
    return found(env) if isinstance(found, type) else found


def _of_zip(path: Path) -> Policy:
    if not path.is_file():
        raise ValueError(f"there is no file {path}: give the .zip that `model.save` wrote")
    try:
        import stable_baselines3 as sb3  # pyright: ignore[reportMissingImports]
        from stable_baselines3.common.save_util import (  # pyright: ignore[reportMissingImports]
            load_from_zip_file,
        )
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            f'{path} needs stable-baselines3: run `pip install "learned-envs[rl]"`'
        ) from None
    try:
        settings, _, _ = load_from_zip_file(path, device="cpu")
    except (ValueError, OSError, KeyError) as error:
        raise ValueError(f"{path} is no agent that Stable-Baselines3 saved: {error}") from error
    for setting, algorithm in {
        "clip_range": sb3.PPO, "exploration_fraction": sb3.DQN, "target_entropy": sb3.SAC,
        "policy_delay": sb3.TD3, "gae_lambda": sb3.A2C,
    }.items():  # fmt: skip
        if setting in (settings or {}):
            agent = algorithm.load(path, device="cpu")
            return lambda observation: agent.predict(observation, deterministic=False)[0]
    raise ValueError(
        f"{path} was saved by another algorithm than A2C, DDPG, DQN, PPO, SAC and TD3: give the "
        "import path of a function that calls it"
    )


class Agent:
    """A policy as a `Behaviour` of one row: it sees what the environment shows to agents.

    Args:
        policy: The policy.
        env: What is recorded. Of a `FrameEnv` the policy sees the environment's own observation,
            and numbers actions as that does.
        chance: Share of the steps at which the `held` player of `Chance` acts instead, so that a
            recording holds more than what an agent does in its habits.
        seed: Of that player.
    """

    def __init__(self, policy: Policy, env: gym.Env[Any, Any], chance: float, seed: int):
        self._policy, self._env, self._chance = policy, env, chance
        self._random = np.random.default_rng(seed)
        self._other = Chance(env.action_space, ["held"], [seed])
        self._straying = False

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Actions (1, ...); see `Behaviour`."""
        env, space = self._env, self._env.action_space
        by_chance = self._other(observation, first)
        if self._random.random() < 1 / _STRAY:
            self._straying = bool(self._random.random() < self._chance)
        if self._straying:
            return by_chance
        own = isinstance(env, FrameEnv)
        chosen = np.asarray(self._policy(env.native if own else observation[0]))
        chosen = chosen - (env.first_action if own else 0)
        action = chosen.astype(space.dtype)
        if not space.contains(action if space.shape else action[()]):
            raise ValueError(f"the policy chose {action!r}, which is not in {space}")
        return action[None]


@dataclass
class MakeAgent:
    """Makes the agents of a recording; processes receive it and load the policy themselves.

    Attributes:
        policy: As `load_policy` takes it; a file's path must be absolute.
        chance: As `Agent` takes it.
    """

    policy: str
    chance: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.chance <= 1:
            raise ValueError(f"`chance` (={self.chance}) must lie in [0, 1]")
        if self.policy.endswith(".zip"):
            self.policy = str(Path(self.policy).expanduser().absolute())

    @property
    def name(self) -> str:
        """The policy's name in recordings: the last word of its path, without a `.zip`."""
        whole = self.policy.endswith(".zip")
        last = Path(self.policy).stem if whole else re.split(r"[:./]", self.policy)[-1]
        return re.sub(r"[^\w-]+", "_", last).strip("_") or "policy"

    def __call__(self, env: gym.Env[Any, Any], seed: int) -> Agent:
        """Makes an agent for an env."""
        if self._loaded is None or self._loaded[0] is not env:
            self._loaded = env, load_policy(self.policy, env)
        return Agent(self._loaded[1], env, self.chance, seed)

    _loaded: tuple[gym.Env[Any, Any], Policy] | None = field(default=None, init=False, repr=False)
