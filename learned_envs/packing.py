"""A trained model becomes a checkpoint: doubt table, starts, model card."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch

from learned_envs.data.window import Window
from learned_envs.models.checkpoint import Starts, save_checkpoint
from learned_envs.models.codecs.codec import Codec, to_images
from learned_envs.models.configuration import to_json
from learned_envs.models.dreaming import settled_steps
from learned_envs.models.history import looked_back_on
from learned_envs.models.world_model import DOUBT_LEVELS, WorldModel
from learned_envs.training.recipe import AnyRecipe
from learned_envs.worlds import World
from learned_envs.worlds.own import in_settings

HELD_OUT_SEED = 900_000
HELD_OUT_ROWS = 64
STARTS, MOST_BYTES = 16, 10 * 2**20

_FEWEST = 4  # starts that are worth their whole histories
_BESIDES = 2**16  # bytes of a graph without weights, a card and a configuration
_HIDDEN = 0.05  # what a start may hide from the codec
_PATIENCE = 30  # seconds in which one is waited for that hides less
_LOOK = 5  # steps between looks


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a model comes from, for its card and its settings.

    Attributes:
        recipe: How it was trained.
        steps: Optimiser steps done.
        preset: Name of the world's preset that it is of, if it is of one.
        recordings: What it was trained on: a recording's folder, or `sim`.
        init_from: The weights it began from, or None for random ones.
        rows_before: Rows that those weights were trained on, as far as their settings tell.
        frames: Of the recording's training split; 0 where the simulator was played.
        cpu_hours: What training it cost, the codec's included; of all cores together.
    """

    recipe: AnyRecipe
    steps: int = 0
    preset: str | None = None
    recordings: str = "sim"
    init_from: str | None = None
    rows_before: int = 0
    frames: int = 0
    cpu_hours: float = 0.0


def pack(
    world: World, model: WorldModel, folder: Path, held_out: Iterator[Window], origin: Origin
) -> Path:
    """Fills the doubt table, collects starts and writes the checkpoint with its model card.

    Its settings keep under `trained` the `preset`, the `rows` it was trained on (with those of the
    weights it began from) and, `of` how many, the rows in the preset's whole training; and the
    `frames` and `cpu_hours` of its origin.
    """
    model = deepcopy(model).to("cpu").eval()
    model.surprises.copy_(measure_surprises(model, held_out))
    if world.own is None:
        starts = collect_starts(world, model.codec)
    else:
        starts = recorded_starts(model, held_out, most_bytes=_room(world, model))
    whole = world.recipes[origin.preset]() if origin.preset else origin.recipe
    trained = {
        "preset": origin.preset,
        "rows": origin.rows_before + origin.steps * origin.recipe.batch,
        "of": whole.steps * whole.batch,
        "frames": origin.frames,
        "cpu_hours": round(origin.cpu_hours, 2),
    }
    save_checkpoint(
        folder,
        model,
        starts,
        world=world.name,
        settings={
            "fps": world.fps,
            "max_episode_steps": world.max_episode_steps,
            "trained": trained,
        }
        | ({"reward": "frames"} if world.task else {})
        | (in_settings(world.own) if world.own else {}),
        card=model_card(world, model, origin),
    )
    return folder


def model_card(world: World, model: WorldModel, origin: Origin) -> str:
    """The part of a model card that is known before anything is measured."""
    dynamics = type(model.config.dynamics).__name__.removesuffix("Config")
    parameters = sum(p.numel() for p in model.parameters())
    behaviours = dict(origin.recipe.behaviours) or world.behaviours
    played = ", ".join(f"{name} {share:g}" for name, share in behaviours.items())
    named = f" {world.name}" if world.known_as else ""
    recordings = "" if origin.recordings == "sim" else f" --recordings {origin.recordings}"
    command = f"learned-envs train{named}{recordings} --preset {origin.preset}"
    dreams = f"`Real-{world.id_suffix}-v0`"
    if world.own is not None:
        dreams = f"`{world.own.env}`" if world.own.env else "recorded footage"
    made = 'gymnasium.make("learned_envs:Dream-v0", weights="<this folder>")'
    if world.known_as:
        made = f'gymnasium.make("Dream-{world.id_suffix}-v0")'
    data = (
        f"The real world's simulator, played while training by its behaviours ({played}) from "
        f"usual and odd starts. Seeds from {HELD_OUT_SEED:,} on were kept for measuring."
        if origin.recordings == "sim"
        else f"The training split of the recording `{origin.recordings}`, {origin.frames:,} frames."
    )
    return f"""# {world.id_suffix}, dreamed

A `{dynamics}` of {parameters:,} parameters that dreams {dreams}; play it as
`{made}`.

## Data

{data}

## Recipe

{"`" + command + "`" if origin.preset else "A recipe of its own"}, begun from
{origin.init_from or "random weights"}; {origin.steps:,} of {origin.recipe.steps:,} steps in
{origin.cpu_hours:.1f} CPU hours, with

```json
{json.dumps(to_json(origin.recipe), indent=1)}
```

## Licence

{world.licence}
"""


@torch.no_grad()
def measure_surprises(
    model: WorldModel, held_out: Iterator[Window], windows: int = 4
) -> torch.Tensor:
    """The surprise of one-step predictions on held-out real play, as sorted quantiles (1000,).

    Every eighth step of each window is predicted: neighbours are much alike, and the largest models
    take a fifth of a second for each.
    """
    seen = []
    generators = [np.random.default_rng(row) for row in range(HELD_OUT_ROWS)]
    for window in islice(held_out, windows):
        played = window.observation, window.action, window.valid
        for *_, prediction in settled_steps(model, *played, generators, every=8):
            seen.append(prediction.surprise)
    levels = (torch.arange(DOUBT_LEVELS) + 0.5) / DOUBT_LEVELS
    return torch.quantile(torch.cat(seen), levels)


@torch.no_grad()
def collect_starts(world: World, codec: Codec, count: int = STARTS) -> Starts:
    """Distinct histories of the real env left idle from its beginning, of frames of a codec's ages.

    Each ends with the first moment that hides nothing from the codec, or with the one that hides
    least of those in the next half a minute. Over `count` seeds, or as many as take no more than
    10 MiB.
    """
    env = world.make_real()
    histories = [_history(env, world, HELD_OUT_SEED, codec)]
    count = max(1, min(count, MOST_BYTES // histories[0].nbytes))
    histories += [_history(env, world, HELD_OUT_SEED + i, codec) for i in range(1, count)]
    frames = np.unique(np.stack(histories), axis=0)
    idle = torch.as_tensor(world.idle_action, dtype=_action_dtype(world))
    return Starts(
        frames=torch.from_numpy(frames),
        actions=idle.expand(len(frames), len(codec.ages) - 1, *idle.shape),
    )


def _room(world: World, model: WorldModel) -> int:
    """Bytes that starts may take besides weights in half precision, a graph and a card."""
    if world.cap is None:
        return MOST_BYTES
    weights = 2 * sum(value.numel() for value in model.state_dict().values())
    return min(MOST_BYTES, max(0, world.cap - weights - _BESIDES))


def recorded_starts(
    model: WorldModel,
    held_out: Iterator[Window],
    count: int = STARTS,
    tries: int = 16,
    most_bytes: int = MOST_BYTES,
) -> Starts:
    """Histories from held-out play, of frames of a model's ages.

    Over `count` rows, or as many as take no more than `most_bytes`, at least one. Where that is
    less than four, they are of their last frame only: what moved there begins at rest.

    Raises:
        ValueError: If in so many windows none is long enough.
    """
    histories: list[tuple[np.ndarray, np.ndarray]] = []
    for window in islice(held_out, tries):
        span = min(model.span, window.observation.shape[1])
        for row in np.flatnonzero(window.valid[:, : span - 1].all(1)):
            frames, actions = (
                window.observation[row : row + 1, :span],
                window.action[row, : span - 1],
            )
            picked, led = looked_back_on(
                frames, actions[None], model.ages, np.array(model.actions.idle)
            )
            histories.append((picked[0], led[0]))
        if len(histories) >= count:
            break
    if not histories:
        raise ValueError("the validation split holds no stretch of play to begin from: record more")
    if most_bytes < _FEWEST * histories[0][0].nbytes:
        histories = [(frames[-1:], actions[:0]) for frames, actions in histories]
    count = max(1, min(count, most_bytes // histories[0][0].nbytes, len(histories)))
    chosen = np.linspace(0, len(histories) - 1, count).astype(int)
    return Starts(
        frames=torch.from_numpy(np.stack([histories[i][0] for i in chosen])),
        actions=torch.from_numpy(np.stack([histories[i][1] for i in chosen])).to(
            model.actions.dtype
        ),
    )


def _history(env: gym.Env[Any, Any], world: World, seed: int, codec: Codec) -> np.ndarray:
    frames, ages = [env.reset(seed=seed)[0]], codec.ages
    best, least, over = frames, np.inf, False
    while least > _HIDDEN and not over and len(frames) <= ages[0] + world.fps * _PATIENCE:
        if len(frames) > ages[0] and (len(frames) - 1 - ages[0]) % _LOOK == 0:
            history = np.stack([frames[-1 - age] for age in ages])
            hidden = codec.obscured(to_images(torch.from_numpy(history)[None])).item()
            if hidden < least:
                best, least = history, hidden
        frame, _, over, _, _ = env.step(world.idle_action)
        frames.append(frame)
    return np.asarray(best)


def _action_dtype(world: World) -> torch.dtype:
    discrete = np.issubdtype(world.action_space.dtype, np.integer)
    return torch.int64 if discrete else torch.float32
