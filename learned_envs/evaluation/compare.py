"""The real world and its dream under one player: a film side by side, and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from learned_envs.evaluation import make_referee
from learned_envs.evaluation.film import Reel, write_film
from learned_envs.evaluation.metrics import psnr
from learned_envs.evaluation.rollouts import Judged, Rollout, event_drift, judge, rollout
from learned_envs.worlds import World

ALIKE = 30.0
"""dB of PSNR above which two frames look alike: a ball one pixel off its place gives 29."""

Env = VectorEnv[Any, Any, Any]


def compare(
    world: World,
    *,
    steps: int = 500,
    behaviour: str | None = None,
    seed: int = 0,
    weights: str | None = None,
    out: Path = Path("out"),
    scale: int = 5,
) -> tuple[Path, Path]:
    """Plays the real world and its dream with one kind of player, and writes what came of it.

    Args:
        world: Which world.
        steps: Steps to play; games that end begin anew.
        behaviour: Who plays; the world's first behaviour if None.
        seed: Of both envs and both players.
        weights: Folder of a checkpoint or an exported file; the packaged weights if None.
        out: Folder to write to; made if missing.
        scale: Screen pixels for a pixel of the world.

    Returns:
        The paths of `<world>.gif` and `metrics.json` in `out`.

    Raises:
        ValueError: If the world has no real env or no such behaviour.
    """
    limit = world.max_episode_steps
    real = world.make_real_vec(1, max_episode_steps=limit)
    dream = gym.make_vec(
        f"learned_envs:Dream-{world.id_suffix}-v0", 1, weights=weights, max_episode_steps=limit
    )
    return compare_envs(
        world, real, dream, steps=steps, behaviour=behaviour, seed=seed, out=out, scale=scale
    )


def compare_envs(
    world: World,
    real: Env,
    dream: Env,
    *,
    steps: int,
    behaviour: str | None = None,
    seed: int = 0,
    out: Path,
    scale: int = 5,
) -> tuple[Path, Path]:
    """As `compare`, with batches of one game each that the caller has made.

    `metrics.json` holds, for `real` and `dream`, `score` (rewards of all steps), `episodes` begun,
    `rates` (events per 1,000 steps, counted in the pixels) and `laws` (`LawReport.to_json`); and
    `drift` (dreamed rate over real rate, minus 1), `parted_at` (the step after which the two frames
    first differ by a PSNR below `ALIKE`, null if never; they may rightly part when chance or the
    player decides otherwise) and `mean_doubt`.

    Raises:
        ValueError: If there is no such behaviour, or an env has more than one row.
    """
    behaviour = behaviour or next(iter(world.behaviours))
    if behaviour not in world.behaviours:
        raise ValueError(
            f"{world.name} has no behaviour {behaviour!r}; it has {', '.join(world.behaviours)}"
        )
    for env in (real, dream):
        if env.num_envs != 1:
            raise ValueError(f"a batch of {env.num_envs} games was given, expected one of 1")
    played = {
        kind: rollout(env, world.make_behaviour([behaviour], [seed]), steps, seed)
        for kind, env in (("real", real), ("dream", dream))
    }
    judged = {kind: judge(iter([play]), make_referee(world.name)) for kind, play in played.items()}
    figures = {
        "world": world.name,
        "behaviour": behaviour,
        "steps": steps,
        "seed": seed,
        **{kind: _figures(played[kind], judged[kind]) for kind in played},
        "drift": event_drift(judged["real"].rates, judged["dream"].rates),
        "parted_at": _parted_at(played["real"], played["dream"]),
        "mean_doubt": float(played["dream"].doubt.mean()),
    }
    out.mkdir(parents=True, exist_ok=True)
    film, metrics = out / f"{world.name}.gif", out / "metrics.json"
    metrics.write_text(json.dumps(_without_nan(figures), indent=1) + "\n")
    write_film(
        film,
        *(_reel(kind, play) for kind, play in played.items()),
        caption=f"{world.id_suffix}: one player ({behaviour}) in both, seed {seed}",
        fps=world.fps,
        scale=scale,
    )
    return film, metrics


def _figures(play: Rollout, judged: Judged) -> dict[str, Any]:
    return {
        "score": float(play.rewards.sum()),
        "episodes": int(play.first.sum()),
        "rates": judged.rates,
        "laws": judged.report.to_json(),
    }


def _parted_at(real: Rollout, dream: Rollout) -> int | None:
    unlike = psnr(dream.frames[:, 0], real.frames[:, 0]) < ALIKE
    return int(unlike.argmax()) if unlike.any() else None


def _reel(title: str, play: Rollout) -> Reel:
    """The game of row 0; its score begins anew with every episode."""
    total = np.concatenate([[0.0], play.rewards[:, 0].cumsum()])
    begun = np.maximum.accumulate(np.where(play.first[:, 0], np.arange(len(total)), 0))
    return Reel(
        title=title,
        frames=play.frames[:, 0],
        score=total - total[begun],
        doubt=np.concatenate([[np.nan], play.doubt[:, 0]]),
    )


def _without_nan(value: Any) -> Any:
    """JSON knows no nan: null stands for it."""
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
