"""Where the windows of a training come from: the simulator, played meanwhile, or a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from learned_envs.data.window import Window
from learned_envs.data.windows import EpisodeCache, StoreWindows
from learned_envs.packing import HELD_OUT_ROWS, HELD_OUT_SEED
from learned_envs.recording.live import LiveWindows, affordable_rows
from learned_envs.recording.opened import recordings_of
from learned_envs.training.motion import MotionRecipe
from learned_envs.training.recipe import AnyRecipe
from learned_envs.worlds import World

Windows = Callable[[int], Iterator[Window]]


def simulated(world: World, recipe: AnyRecipe, _: str = "sim") -> tuple[Windows, Windows]:
    """Training and held-out windows straight from the world's batched simulator."""

    def windows(number: int) -> Iterator[Window]:
        return LiveWindows(
            world, recipe.batch, recipe.window, _seed(recipe.seed, number),
            behaviours=dict(recipe.behaviours) or None, max_episode_steps=recipe.episode_steps,
        )  # fmt: skip

    def held_out(number: int) -> Iterator[Window]:
        steps = _held_out_steps(recipe)
        rows = affordable_rows(world, HELD_OUT_ROWS, steps)
        return LiveWindows(
            world, rows, steps, HELD_OUT_SEED + number, warm_up=world.max_episode_steps
        )

    return windows, held_out


def recorded(world: World, recipe: AnyRecipe, folder: str) -> tuple[Windows, Windows]:
    """Training and held-out windows from a recording's training and validation splits."""
    store = recordings_of(world, folder)
    for split in ("train", "validation"):
        store.needed(split)
    cache = EpisodeCache(store)

    def windows(number: int) -> Iterator[Window]:
        seed = _seed(recipe.seed, number)
        return StoreWindows(
            store, "train", batch=recipe.batch, length=recipe.window, seed=seed, cache=cache
        )

    def held_out(number: int) -> Iterator[Window]:
        steps = _held_out_steps(recipe)
        rows = affordable_rows(world, HELD_OUT_ROWS, steps)
        return StoreWindows(store, "validation", batch=rows, length=steps, seed=number)

    return windows, held_out


def frames_recorded(world: World, folder: str) -> int:
    """Frames of a recording's training split."""
    store = recordings_of(world, folder)
    return sum(store.headers[name].steps + 1 for name in store.names("train"))


def _held_out_steps(recipe: AnyRecipe) -> int:
    """Steps of windows for measuring."""
    return recipe.span if isinstance(recipe, MotionRecipe) else recipe.window


def _seed(seed: int, number: int) -> int:
    """A seed for round `number`, below those kept for held-out play."""
    return int(np.random.default_rng((seed, number)).integers(HELD_OUT_SEED))
