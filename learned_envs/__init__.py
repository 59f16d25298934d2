"""Worlds to dream: Gymnasium environments whose `step()` is a small world model.

Importing the package registers `Real-<World>-v0` and `Dream-<World>-v0` for every world, and
`Dream-v0`, which plays any checkpoint. What the ids stand for is imported when one is made.
"""

import gymnasium as gym

from learned_envs import worlds

__all__ = ["__version__", "register_envs", "worlds"]

__version__ = "0.1.0"

_DREAM = "learned_envs.dream.dream_env:DreamEnv"
_DREAM_VECTOR = "learned_envs.dream.dream_vector_env:DreamVectorEnv"


def register_envs() -> None:
    """Registers the ids that are not registered yet."""
    for name in worlds.names():
        world = worlds.get(name)
        if world.real is not None:
            _register(
                f"Real-{world.id_suffix}-v0",
                entry_point=world.real,
                vector_entry_point=world.real_vector,
                max_episode_steps=world.max_episode_steps,
                kwargs=dict(world.real_kwargs),
            )
        _register(
            f"Dream-{world.id_suffix}-v0",
            entry_point=_DREAM,
            vector_entry_point=_DREAM_VECTOR,
            max_episode_steps=world.max_episode_steps,
            kwargs={"world": name},
        )
    _register(
        "Dream-v0",
        entry_point=_DREAM,
        vector_entry_point=_DREAM_VECTOR,
        kwargs={"own_limit": True},
    )


def _register(
    env_id: str,
    *,
    entry_point: str,
    vector_entry_point: str | None,
    max_episode_steps: int | None = None,
    kwargs: dict[str, object] | None = None,
) -> None:
    if env_id not in gym.registry:
        gym.register(
            env_id,
            entry_point=entry_point,
            vector_entry_point=vector_entry_point,
            max_episode_steps=max_episode_steps,
            kwargs=kwargs,
        )


register_envs()
