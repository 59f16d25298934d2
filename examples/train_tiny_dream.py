"""Trains a tiny dream of Breakout for a minute, and steps it as a Gymnasium environment.

The packaged weights took ninety minutes; this shows the shape of the code, not a good dream.
"""

import dataclasses
from pathlib import Path

import gymnasium as gym

import learned_envs  # noqa: F401  registers the ids
from learned_envs import worlds
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.packing import Origin
from learned_envs.pipeline import simulated, train
from learned_envs.training.recipe import Recipe


def main(folder: Path = Path("runs/tiny"), steps: int = 200) -> Path:
    """Trains, packs and plays; returns the checkpoint's folder."""
    world = worlds.get("breakout")
    dynamics = SparseEditorConfig(widths=(24, 32), blocks=(1, 1), head=32)
    config = dataclasses.replace(world.presets["small"](), dynamics=dynamics)
    recipe = Recipe(steps=steps, round_steps=100, batch=16, window=32, warmup=20)
    windows, held_out = simulated(world, recipe)
    origin = Origin(recipe=recipe)
    trained = train(world, config.build(), origin, folder, windows=windows, held_out=held_out)
    checkpoint = trained.checkpoint
    assert checkpoint is not None
    env = gym.make("Dream-v0", weights=str(checkpoint))
    env.reset(seed=0)
    for _ in range(30):
        _, _, terminated, truncated, _ = env.step(env.action_space.sample())
        if terminated or truncated:
            env.reset()
    return checkpoint


if __name__ == "__main__":
    print(main())
