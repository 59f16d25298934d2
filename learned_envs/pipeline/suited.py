"""Presets made to measure for a world of one's own, and how long their training takes here."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from learned_envs.disk import replace_file
from learned_envs.models.codecs.codec import TrainableCodec, to_images
from learned_envs.models.precision import mixed_precision
from learned_envs.pipeline.windows import recorded
from learned_envs.recording.facts import facts_of
from learned_envs.recording.opened import recordings_of
from learned_envs.training.closed_loop import closed_loop
from learned_envs.training.codec import codec_loss
from learned_envs.training.recipe import Recipe
from learned_envs.worlds import World
from learned_envs.worlds.own_presets import Facts, with_presets


def suited(world: World, recordings: str, run: Path | None = None) -> tuple[World, Facts]:
    """A world of one's own with presets made to measure, and what of its recordings they fit.

    Args:
        world: A world of one's own.
        recordings: Folder of its recordings.
        run: Folder of a training. What its recordings were like when it began is kept in it and
            counts from then on, however much is recorded later.

    Raises:
        ValueError: If the folder holds no episodes, or those of another world.
        FileNotFoundError: If there is no such folder.
    """
    store = recordings_of(world, recordings)
    kept = run and run / "facts.json"
    if kept and kept.exists():
        facts = Facts.from_json(json.loads(kept.read_bytes()))
    else:
        facts = facts_of(store)
        if kept:
            for split in ("train", "validation"):
                store.needed(split)
            kept.parent.mkdir(parents=True, exist_ok=True)
            replace_file(kept, (json.dumps(asdict(facts)) + "\n").encode())
    return with_presets(world, facts), facts


def expected_minutes(world: World, preset: str, recordings: str, device: str = "cpu") -> float:
    """How long a preset's whole training takes here, judged by a few steps of each of its parts.

    Rows that go on from predictions of their own cost more; they are counted in.

    Raises:
        ValueError: If the recordings have no training split.
    """
    config, recipe = world.presets[preset](), world.recipes[preset]()
    assert isinstance(recipe, Recipe)
    model = config.build().to(device)
    window = next(recorded(world, recipe, recordings)[0](0))
    seconds = 0.0
    codec = model.codec
    if isinstance(codec, TrainableCodec):
        frames = torch.from_numpy(window.observation).flatten(0, 1)[: recipe.codec.batch]
        images = to_images(frames.to(device))
        step = _seconds(lambda: codec_loss(codec, images, recipe.codec)[0], device)
        seconds += recipe.codec.steps * step
    for share, resync in _closing_parts(recipe):
        walk = closed_loop(
            model, window, resync=resync, divergence=recipe.divergence,
            on_truth=recipe.on_truth, damaged=recipe.damaged, device=torch.device(device),
        )  # fmt: skip
        deque(islice(walk, model.dynamics.context), 0)  # before it, rows that just began are few
        seconds += share * recipe.steps * _seconds(lambda walk=walk: next(walk).loss.total, device)
    return seconds / 60


def _closing_parts(recipe: Recipe) -> list[tuple[float, float]]:
    """Shares of a training, with the probability in each of going back to the truth."""
    steps = np.linspace(0, recipe.steps, 11)[:-1]
    open_share = float(np.mean([recipe.resync_at(int(step)) >= 1 for step in steps]))
    return [(open_share, 1.0), (1 - open_share, 0.5)]


def _seconds(loss: Callable[[], torch.Tensor], device: str, times: int = 4) -> float:
    """The median time of a loss with its gradients, the first apart."""
    taken = []
    for _ in range(times):
        begin = time.perf_counter()
        with mixed_precision(torch.device(device)):
            total = loss()
        total.backward()
        taken.append(time.perf_counter() - begin)
    return float(np.median(taken[1:]))
