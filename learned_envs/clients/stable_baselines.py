"""Real and dreamed batches as Stable-Baselines3's `VecEnv`; needs the extra `rl`.

To train on sixteen dreams at once:

    from stable_baselines3 import PPO
    from learned_envs.clients.stable_baselines import make_vec

    PPO("CnnPolicy", make_vec("Dream-Breakout-v0", 16)).learn(100_000)
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode

from sims.batch import BatchEnv

try:
    from stable_baselines3.common.vec_env import VecEnv  # pyright: ignore[reportMissingImports]
except ImportError:
    raise gym.error.DependencyNotInstalled(
        'stable_baselines3 is not installed: run `pip install "learned-envs[rl]"`'
    ) from None


def make_vec(env_id: str, num_envs: int, **options: Any) -> BatchVecEnv:
    """Makes a native batch for Stable-Baselines3.

    Args:
        env_id: `Real-<World>-v0`, `Dream-<World>-v0` or `Dream-v0`.
        num_envs: Rows, at least 1.
        options: Of the batch: `render_mode`, `max_episode_steps`; of a dream also `weights`,
            `runtime`, `device`, `sampler_steps`.

    Raises:
        gymnasium.error.Error: If there is no such id.
        TypeError: If the batch knows no such option.
        ValueError: If an option's value is not one of those it can have.
    """
    env = gym.make_vec(env_id, num_envs, autoreset_mode=AutoresetMode.SAME_STEP, **options)
    assert isinstance(env, BatchEnv)
    return BatchVecEnv(env)


class BatchVecEnv(VecEnv):
    """A native batch of n rows as a `VecEnv`; it plays as n single envs in a `DummyVecEnv` would.

    `reset` gives observations (n, H, W, 3) uint8 and leaves the rows' infos in `reset_infos`;
    `seed(s)` before it seeds row i with s + i, and `set_options` hands each row its own options.
    `step` gives observations, rewards (n,) float32, dones (n,) bool and n infos. A row that ended
    shows the first frame of its next episode; its info holds `terminal_observation`, and
    `TimeLimit.truncated` says whether only a step limit ended it.

    Args:
        env: The batch, with same-step autoreset and NumPy observations.

    Attributes:
        env: The batch.

    Raises:
        ValueError: If the batch autoresets in another way.
    """

    def __init__(self, env: BatchEnv):
        if env.autoreset_mode is not AutoresetMode.SAME_STEP:
            raise ValueError(
                f"a batch with {env.autoreset_mode} was given, but Stable-Baselines3 begins "
                "episodes anew within the step: make it with autoreset_mode='SameStep', or with "
                "`make_vec` of this module"
            )
        self.env = env
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> np.ndarray:
        options = {row: given for row, given in enumerate(self._options) if given}
        observation, info = self.env.reset(
            seed=self._seeds, options={"rows": options} if options else None
        )
        self.reset_infos = _by_row(info, self.num_envs)
        self._reset_seeds()
        self._reset_options()
        return _array(observation)

    def step_async(self, actions: np.ndarray) -> None:
        self._actions = actions

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        observation, reward, terminated, truncated, info = self.env.step(self._actions)
        done = terminated | truncated
        infos = _by_row(info, self.num_envs)
        for row, own in enumerate(infos):
            own["TimeLimit.truncated"] = bool(truncated[row] and not terminated[row])
            if done[row]:
                own["terminal_observation"] = info["final_obs"][row]
        return _array(observation), np.asarray(reward, np.float32), done, infos

    def close(self) -> None:
        self.env.close()

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The batch's attribute, once for each row asked for."""
        return [getattr(self.env, attr_name) for _ in self._get_indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Sets the batch's attribute.

        Raises:
            ValueError: If `indices` are given: what a batch is set to holds for all of its rows.
        """
        if indices is not None:
            raise ValueError(
                f"`{attr_name}` was to be set for rows {indices}, but the rows of a batch have no "
                "attributes of their own: leave `indices` out"
            )
        setattr(self.env, attr_name, value)

    def env_method(
        self, method_name: str, *method_args: Any, indices: Any = None, **method_kwargs: Any
    ) -> list[Any]:
        """Is not there.

        Raises:
            NotImplementedError: Always: the rows of a batch have no methods of their own.
        """
        raise NotImplementedError(
            f"`{method_name}` was called on single rows, but the rows of a batch have no methods "
            f"of their own: call `vec_env.env.{method_name}(...)`, for all of them"
        )

    def env_is_wrapped(self, wrapper_class: type[gym.Wrapper], indices: Any = None) -> list[bool]:
        """False for each row asked for: the rows of a batch have no wrappers."""
        return [False for _ in self._get_indices(indices)]

    def get_images(self) -> Sequence[np.ndarray | None]:
        """One frame (H, W, 3) uint8 for each row, or None without `render_mode="rgb_array"`."""
        return self.env.render() or [None] * self.num_envs  # type: ignore[return-value]


def _array(observation: Any) -> np.ndarray:
    if not isinstance(observation, np.ndarray):
        raise ValueError(
            f"observations of type {type(observation).__name__} came, but Stable-Baselines3 takes "
            "NumPy arrays: make the batch with observations='numpy'"
        )
    return observation


def _by_row(info: dict[str, Any], rows: int) -> list[dict[str, Any]]:
    """Splits a batch's info; what is no array of n entries is the same for every row."""
    split: list[dict[str, Any]] = [{} for _ in range(rows)]
    for name, value in info.items():
        if name.startswith(("_", "final_")):
            continue
        each = isinstance(value, np.ndarray) and value.shape[:1] == (rows,)
        told = info.get(f"_{name}", np.ones(rows, bool))
        for row, own in enumerate(split):
            if told[row]:
                own[name] = value[row] if each else value
    return split
