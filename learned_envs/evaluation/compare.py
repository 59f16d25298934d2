"""The real world and its dream under one player: a film side by side, figures, and a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import VectorEnv

from learned_envs.data.episode import Episode
from learned_envs.data.store import EpisodeStore
from learned_envs.dream.weights import resolve
from learned_envs.evaluation import find_referee, make_referee
from learned_envs.evaluation.film import Reel, write_film
from learned_envs.evaluation.held_out import held_out_footage
from learned_envs.evaluation.judging import Judged, event_drift, judge
from learned_envs.evaluation.measures import measure_errors
from learned_envs.evaluation.metrics import HorizonErrors, psnr
from learned_envs.evaluation.report import write_report
from learned_envs.evaluation.report_sections import KINDS, Match
from learned_envs.evaluation.results import without_nan
from learned_envs.evaluation.rollouts import Rollout, recorded_rollout, replayed, rollout
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.packing import HELD_OUT_SEED
from learned_envs.recording.opened import recordings_of
from learned_envs.worlds import World

ALIKE = 30.0
"""dB of PSNR above which two frames look alike: a ball one pixel off its place gives 29."""

_WIDTH = 320  # screen pixels of a picture in the film

ERROR_ROWS = 4
"""Games that errors are measured on: enough for a plot in seconds; `evaluate` measures more."""

Env = VectorEnv[Any, Any, Any]


def compare(
    world: World,
    *,
    steps: int = 500,
    behaviour: str | None = None,
    seed: int = 0,
    weights: str | None = None,
    recordings: str | None = None,
    out: Path = Path("out"),
    scale: int | None = None,
    command: str = "",
) -> tuple[Path, Path, Path]:
    """Plays the real world and its dream with one kind of player, and writes what came of it.

    With a recording, an episode of its test split stands for the real world: the dream begins with
    its first frames and gets its actions.

    The errors by horizon are measured on a checkpoint; an exported file has no model to ask.

    Args:
        world: Which world.
        steps: Steps to play; games that end begin anew.
        behaviour: Who plays; the world's first behaviour if None.
        seed: Of both envs and both players.
        weights: Folder of a checkpoint or an exported file; the packaged weights if None.
        recordings: Folder of a recording, or None to play the real world; a world of one's own
            needs one.
        out: Folder to write to; made if missing.
        scale: Screen pixels for a pixel of the world, in the film; as many as make a picture 320
            wide if None.
        command: What the report says it was made with.

    Returns:
        The paths of `<world>.gif`, `metrics.json` and `report.html` in `out`.

    Raises:
        ValueError: If the world has no real env or no such behaviour, or the recording no test
            split.
    """
    limit = world.max_episode_steps
    folder = resolve(weights, world.known_as)
    checkpoint = load_checkpoint(folder) if folder.is_dir() else None
    recordings = recordings or held_out_footage(world)
    if recordings is None and world.own is not None:
        raise ValueError(
            f"{world.name} is a world of one's own, whose dream is compared with a recording: give "
            "its folder (--recordings)"
        )
    errors = checkpoint and measure_errors(
        world, checkpoint.model, HELD_OUT_SEED, _error_rows(world), recordings
    )
    shown = {"errors": errors, "card": checkpoint and checkpoint.card, "command": command}
    dream: Any = gym.make_vec(world.dream_id, 1, weights=weights, max_episode_steps=limit)
    if recordings is not None:
        episode = _held_out_episode(recordings_of(world, recordings), seed)
        begin = min(dream.runtime.spec.span, episode.steps) - 1
        played = {
            "real": recorded_rollout(episode, begin, steps),
            "dream": replayed(dream, episode, begin, steps),
        }
        behaviour = episode.attributes.behaviour
        return _write(world, played, behaviour=behaviour, seed=seed, out=out, scale=scale, **shown)
    real = world.make_real_vec(1, max_episode_steps=limit)
    return compare_envs(
        world, real, dream, steps=steps, behaviour=behaviour, seed=seed, out=out, scale=scale,
        **shown,
    )  # fmt: skip


def compare_envs(
    world: World,
    real: Env,
    dream: Env,
    *,
    steps: int,
    behaviour: str | None = None,
    seed: int = 0,
    out: Path,
    scale: int | None = None,
    errors: tuple[HorizonErrors, HorizonErrors] | None = None,
    card: str | None = None,
    command: str = "",
) -> tuple[Path, Path, Path]:
    """As `compare`, with batches of one game each that the caller has made.

    The report shows `errors`, as `measure_errors` returns them, and the measured part of `card`.

    `metrics.json` holds, for `real` and `dream`, `score` (rewards of all steps), `episodes` begun,
    and in worlds with laws `rates` (events per 1,000 steps, counted in the pixels) and `laws`
    (`LawReport.to_json`), else null; and `drift` (dreamed rate over real rate, minus 1; null, too,
    where there are no rates), `parted_at` (the step after which the two frames
    first differ by a PSNR below `ALIKE`, null if never; they may rightly part when chance or the
    player decides otherwise), `mean_doubt`, and `one_step` and `horizons` (`HorizonErrors.to_json`,
    null if not given).

    Raises:
        ValueError: If there is no such behaviour, or an env has more than one row.
    """
    behaviour = _behaviour(world, behaviour)
    for env in (real, dream):
        if env.num_envs != 1:
            raise ValueError(f"a batch of {env.num_envs} games was given, expected one of 1")
    played = {
        kind: rollout(env, world.make_behaviour([behaviour], [seed]), steps, seed)
        for kind, env in zip(KINDS, (real, dream), strict=True)
    }
    return _write(
        world, played, behaviour=behaviour, seed=seed, out=out, scale=scale, errors=errors,
        card=card, command=command,
    )  # fmt: skip


def _write(
    world: World,
    played: dict[str, Rollout],
    *,
    behaviour: str,
    seed: int,
    out: Path,
    scale: int | None,
    errors: tuple[HorizonErrors, HorizonErrors] | None,
    card: str | None,
    command: str,
) -> tuple[Path, Path, Path]:
    """Writes the film, the figures and the page of two games, the real and the dreamed."""
    lawful = find_referee(world.name)
    judged = {
        kind: judge(iter([play]), make_referee(world.name)) if lawful else None
        for kind, play in played.items()
    }
    likeness = psnr(played["dream"].frames[:, 0], played["real"].frames[:, 0])
    one_step, horizons = errors or (None, None)
    figures = {
        "world": world.name,
        "behaviour": behaviour,
        "steps": len(played["real"].actions),
        "seed": seed,
        **{kind: _figures(played[kind], judged[kind]) for kind in played},
        "drift": _drift(judged["real"], judged["dream"]),
        "parted_at": _parted_at(likeness),
        "mean_doubt": float(played["dream"].doubt.mean()),
        "one_step": one_step and one_step.to_json(),
        "horizons": horizons and horizons.to_json(),
    }
    figures = without_nan(figures)
    reels = {kind: _reel(kind, play) for kind, play in played.items()}
    out.mkdir(parents=True, exist_ok=True)
    film, metrics = out / f"{world.name}.gif", out / "metrics.json"
    metrics.write_text(json.dumps(figures, indent=1) + "\n")
    write_film(
        film,
        *reels.values(),
        caption=f"{world.id_suffix}: one player ({behaviour}) in both, seed {seed}",
        fps=world.fps,
        scale=scale or max(1, _WIDTH // played["real"].frames.shape[3]),
    )
    match = Match(
        figures=figures,
        reels=reels,
        broken={kind: _broken(world, play) for kind, play in played.items()},
        laws=lawful.laws if lawful else {},
        likeness=likeness,
        alike=ALIKE,
    )
    report = out / "report.html"
    write_report(report, world, match, card=card, command=command)
    return film, metrics, report


def _held_out_episode(store: EpisodeStore, seed: int) -> Episode:
    """An episode of the test split, the longer the sooner: seed 0 gives the longest."""
    ordered = sorted(store.needed("test"), key=lambda name: -store.headers[name].steps)
    return store.read(ordered[seed % len(ordered)])


def _behaviour(world: World, name: str | None) -> str:
    name = name or next(iter(world.behaviours))
    if name not in world.behaviours:
        raise ValueError(
            f"{world.name} has no behaviour {name!r}; it has {', '.join(world.behaviours)}"
        )
    return name


def _figures(play: Rollout, judged: Judged | None) -> dict[str, Any]:
    return {
        "score": float(play.rewards.sum()),
        "episodes": int(play.first.sum()),
        "rates": judged and judged.rates,
        "laws": judged and judged.report.to_json(),
    }


def _drift(real: Judged | None, dream: Judged | None) -> dict[str, float] | None:
    return event_drift(real.rates, dream.rates) if real and dream else None


def _broken(world: World, play: Rollout) -> dict[str, np.ndarray]:
    """By law, (T,) bool: the step of row 0 broke it, and did not only begin an episode."""
    referee = find_referee(world.name)
    verdicts = referee.watch(play) if referee else {}
    return {law: verdict.broken[:, 0] & ~play.first[1:, 0] for law, verdict in verdicts.items()}


def _parted_at(likeness: np.ndarray) -> int | None:
    unlike = likeness < ALIKE
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


def _error_rows(world: World) -> int:
    """Games that errors are measured on: fewer of frames larger than 128x128, at least one."""
    height, width, _ = world.observation_space.shape
    return max(1, min(ERROR_ROWS, ERROR_ROWS * 128**2 // (height * width)))
