"""The command line: `learned-envs <command> --help` says what each command takes."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import gymnasium as gym
import tyro

from learned_envs.recording.commands import SOURCES
from learned_envs.recording.dataset.commands import Command

if TYPE_CHECKING:
    from learned_envs.worlds import World

Positional = tyro.conf.Positional


def list_worlds() -> None:
    """Lists the worlds, their ids and packaged weights."""
    from learned_envs import worlds
    from learned_envs.dream.weights import packaged

    for name in worlds.names():
        world = worlds.get(name)
        ids = [f"Real-{world.id_suffix}-v0"] * (world.real is not None)
        ids += [f"Dream-{world.id_suffix}-v0"] * (packaged(name) is not None)
        print(f"{name:15s} {'  '.join(ids)}")


def record(
    world: Positional[str],
    /,
    *,
    out: Path,
    episodes: int = 100,
    workers: int = 1,
    seed: int = 0,
    policy: str | None = None,
    chance: float = 0.1,
) -> None:
    """Records episodes of a real world, played by its scripted behaviours or an agent.

    Of other worlds, `learned-envs record gym` plays any environment, `record screen` watches a
    person, `record video` takes films and logs of inputs: their `--help` says how.

    Args:
        world: Name of the world.
        out: Folder of the recording; what it holds already is kept and counted.
        episodes: How many episodes the folder shall hold.
        workers: Processes.
        seed: Of the recording; different seeds share no episode.
        policy: Who plays instead of the behaviours: a Stable-Baselines3 `.zip`, or the import path
            of a function that maps a frame to an action.
        chance: Share of the steps at which a player acts by chance in place of the policy.
    """
    from learned_envs import worlds
    from learned_envs.recording.policies import MakeAgent
    from learned_envs.recording.recorder import record as record_world

    agent = MakeAgent(policy, chance) if policy else None
    record_world(
        worlds.get(world), out, episodes=episodes, workers=workers, seed=seed,
        agent=agent and (agent.name, agent),
    )  # fmt: skip


def inspect(folder: Positional[Path], /) -> None:
    """Prints what a recording contains: events, actions, frozen frames, input lag.

    Of a world of one's own it also says which preset would be trained, why, and for how long.

    Args:
        folder: Of the recording.
    """
    from learned_envs import worlds
    from learned_envs.recording.inspect import inspect as inspect_folder

    report = inspect_folder(folder, progress=True)
    print(report)
    world = worlds.find(str(folder)) if report.events is not None else None
    if world is not None and world.known_as is None:
        from learned_envs.pipeline import expected_minutes, suited

        world, facts = suited(world, str(folder))
        print(f"  preset         {facts.preset}: {facts.reason}")
        if report.splits["train"] and report.splits["validation"]:
            minutes = expected_minutes(world, facts.preset, str(folder))
            print(f"  training       about {minutes:,.0f} minutes on this machine")


def chunks(folder: Positional[Path], /, *, out: Path, seconds: float = 6.0) -> None:
    """Exports a recording as short raw chunks, each with every action that acts in it.

    Args:
        folder: Of the recording.
        out: Folder to write to; chunks that are there already are kept.
        seconds: Length of a chunk.
    """
    from learned_envs.data.chunks import export_chunks

    written = sum(1 for _ in export_chunks(folder, out, seconds=seconds))
    print(f"{written:,} chunks in {out}")


def dataset(*, command: Annotated[Command, tyro.conf.arg(name="")]) -> None:
    """Describes a recording to others (`card`), and gives it to other libraries (`export`)."""


def train(
    world: Positional[str | None] = None,
    /,
    *,
    preset: str | None = None,
    recordings: str = "sim",
    out: Path | None = None,
    minutes: float | None = None,
    steps: int | None = None,
    batch: int | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    init_from: str | None = None,
    pretrained: str | None = None,
) -> None:
    """Trains a dream of a world; run again, it goes on where it stopped.

    Args:
        world: Name of the world, or folder of a recording; the one that `--recordings` is of, if
            not given.
        preset: `small` (packaged) or `seed` (the published model); for a world of one's own
            `sparse` or `latent`, by default the one that `inspect` names, or `seed` or
            `pretrained`.
        recordings: Folder of a recording, or `sim` to play the simulator while training.
        out: Folder of the run.
        minutes: Stop at the end of a round after so long.
        steps: Optimiser steps, instead of the preset's.
        batch: Rows in a batch, instead of the preset's.
        device: Where to train.
        init_from: Weights to begin from, e.g. the world's name for the packaged ones.
        pretrained: Folder or hub id of what a preset begins from that begins from something
            pretrained; if not given, what was published.
    """
    from learned_envs import worlds
    from learned_envs.pipeline import suited, train_preset

    if recordings == "sim":
        recordings = _recordings(world) or "sim"
    if world is None and recordings == "sim":
        raise ValueError(
            f"neither a world nor --recordings was given: name one of {', '.join(worlds.names())}, "
            "or give the folder of a recording"
        )
    found = worlds.find(world or recordings)
    if found.known_as is None:
        preset = preset or suited(found, recordings, run=out)[1].preset
    preset = preset or "small"
    folder = out or Path("runs") / f"{found.name}-{preset}"
    if found.known_as is None:
        found, _ = suited(found, recordings, folder)
    if pretrained is not None:
        found = found.with_pretrained(preset, pretrained)
    done = train_preset(
        found, preset, folder, recordings=recordings,
        minutes=minutes, steps=steps, batch=batch, device=device, init_from=init_from,
    )  # fmt: skip
    print(f"{done.steps:,} of {done.of:,} steps: {done.checkpoint or 'the codec comes first'}")
    if done.steps < done.of:
        print("run the same command again to go on")


def evaluate(
    world: Positional[str],
    /,
    *,
    weights: str | None = None,
    rollouts: int | None = None,
    steps: int = 1000,
    rows: int = 64,
    seed: int = 900_000,
    policies: int = 0,
    trust: bool = False,
    recordings: str | None = None,
    out: Path | None = None,
    docs: Path | None = None,
    card: bool = False,
) -> None:
    """Measures a dream on held-out play: error, lawfulness, event rates and, if asked, policies.

    Args:
        world: Name of the world, or a folder: of a checkpoint, or of recordings.
        weights: Folder of a checkpoint; the packaged weights if not given.
        rollouts: Free rollouts, half of them under a careful behaviour; 64 if not given, and of a
            paint program 20 under its painters; 0 to measure only what else is asked for.
        steps: Length of each.
        rows: Games that errors are measured on.
        seed: First seed; seeds from 1,000,000 are kept for others to check with.
        policies: Also rank twenty policies by so many episodes each in both worlds; 100 take over
            an hour on two cores.
        trust: Also measure how far the dream can be trusted: whether a classifier tells it from the
            real world, whether actions act, whether doubt knows; about a quarter of an hour.
        recordings: Measure errors and trust on the test split of this recording, not on the real
            world played for it; a world of one's own needs one.
        out: Write the figures to this JSON file.
        docs: Also write into this docs folder's results: the tables, if the weights are packaged
            ones or of a world of one's own, and for any weights their rows in the standings.
        card: Also write the tables into the checkpoint's model card.
    """
    from learned_envs.evaluation.evaluate import evaluate as evaluate_world

    found, weights = _subject(world, weights)
    recordings = recordings or _recordings(world)
    evaluate_world(
        found, weights, rollouts=rollouts, steps=steps, rows=rows, seed=seed, policies=policies,
        trust=trust, recordings=recordings, out=out, docs=docs, card=card, command=_command_line(),
    )  # fmt: skip


def compare(
    world: Positional[str],
    /,
    *,
    steps: int = 500,
    behaviour: str | None = None,
    seed: int = 0,
    weights: str | None = None,
    recordings: str | None = None,
    out: Path = Path("out"),
) -> None:
    """Plays the real world and its dream side by side: a GIF, `metrics.json` and `report.html`.

    The report is one page that loads nothing: clips, plots, laws and the model card's figures.

    Args:
        world: Name of the world.
        steps: Steps to play.
        behaviour: Which scripted player drives both; the world's first if not given.
        seed: Of both.
        weights: Folder of a checkpoint; the packaged weights if not given.
        recordings: Play the test split of this recording in place of the real world, and have the
            dream follow its actions.
        out: Folder to write to.
    """
    from learned_envs.evaluation.compare import compare as compare_world

    found, weights = _subject(world, weights)
    recordings = recordings or _recordings(world)
    for path in compare_world(
        found, steps=steps, behaviour=behaviour, seed=seed, weights=weights,
        recordings=recordings, out=out, command=_command_line(),
    ):  # fmt: skip
        print(path)


def play(
    world: Positional[str],
    /,
    *,
    quiz: bool = False,
    replay: str | None = None,
    episode: str | None = None,
    measure: float | None = None,
    seed: int | None = None,
    weights: str | None = None,
    device: Literal["cpu", "cuda"] = "cpu",
    out: Path = Path("out"),
) -> None:
    """Opens a window to play in: real, dreamed, side by side, or one over the other.

    Args:
        world: Name of the world.
        quiz: Show twenty clips instead, and ask of each whether it is real.
        replay: Folder of a recording, to see an episode beside the dream under its actions; with
            `--quiz`, clips of its test split are shown.
        episode: Which episode of the recording; the first if not given.
        measure: Draw for so many seconds, say how evenly, and close.
        seed: Of the first game, or of the quiz; 0, or drawn for the quiz, if not given.
        weights: Folder of a checkpoint; the packaged weights if not given.
        device: Where to dream.
        out: Folder for pictures, films and the answers of the quiz.
    """
    from learned_envs.play import launch

    found, weights = _subject(world, weights)
    if quiz:
        told = launch.quiz(found, weights=weights, device=device, seed=seed, replay=replay, out=out)
        print(told)
    elif measure is not None:
        print(
            launch.measure(found, measure, weights=weights, device=device, seed=seed or 0, out=out)
        )
    else:
        launch.play(
            found, weights=weights, device=device, seed=seed or 0, replay=replay,
            episode=episode, out=out,
        )  # fmt: skip


def export(
    world: Positional[str],
    /,
    *,
    out: Path | None = None,
    embed: bool = False,
    dtype: Literal["fp32", "fp16", "both"] = "both",
    weights: str | None = None,
) -> None:
    """Exports a dream as ONNX, after checking it step by step against torch.

    Args:
        world: Name of the world.
        out: Folder to write files to that can be played on their own.
        embed: Add the graph to the checkpoint, which is then played twice as fast on a CPU.
        dtype: Precision of the files.
        weights: Folder of a checkpoint; the packaged weights if not given.
    """
    from learned_envs.deploy import onnx_export

    if (out is None) is not embed:
        raise ValueError("give either --out DIR, for files of their own, or --embed")
    if out is None:
        print(onnx_export.embed(weights or world))
    else:
        for path in onnx_export.export(weights or world, out, dtype=dtype):
            print(path)


def bench(
    world: Positional[str],
    /,
    *,
    soak: float | None = None,
    weights: str | None = None,
    out: Path | None = None,
    docs: Path | None = None,
) -> None:
    """Measures speed: cost of a step beside published models, steps a second, what bounds them.

    Args:
        world: Name of the world.
        soak: Instead, dream sixteen rows for so many minutes of play (60 at 15 frames a second are
            54,000 steps) and fail if memory grows, a number is not finite or doubt drifts.
        weights: Folder of a checkpoint; the packaged weights if not given.
        out: Write the figures to this JSON file.
        docs: Also write into this docs folder's results: of weights that are not the packaged ones
            only the cost of a step, in which weights play no part.
    """
    from learned_envs import worlds
    from learned_envs.evaluation.speed.bench import bench as bench_world
    from learned_envs.evaluation.speed.soak import soak_world

    (found, weights), command = _subject(world, weights), _command_line()
    if found.known_as is None:
        raise ValueError(
            f"{found.name} is a world of one's own, and `bench` compares the models of the "
            f"library's: {', '.join(worlds.names())}"
        )
    if soak is None:
        bench_world(found, weights, out=out, docs=docs, command=command)
    else:
        soak_world(found, soak, weights, out=out, docs=docs, command=command)


def _subject(world: str, weights: str | None) -> tuple[World, str | None]:
    """The world of that name, or that a folder is of; a checkpoint's folder gives weights, too."""
    from learned_envs import worlds

    found = worlds.find(world)
    is_checkpoint = world not in worlds.names() and (Path(world) / "config.json").is_file()
    return found, world if weights is None and is_checkpoint else weights


def _recordings(world: str | None) -> str | None:
    """The folder that was given in place of a world's name, if it is one of recordings."""
    from learned_envs import worlds

    if world is None or world in worlds.names() or (Path(world) / "config.json").is_file():
        return None
    return world if Path(world).is_dir() or "://" in world else None


def _command_line() -> str:
    """The command as a reader would type it: where its figures were put besides is left out."""
    words = sys.argv[1:]
    if "--out" in words:
        place = words.index("--out")
        del words[place : place + 2]
    return " ".join(["learned-envs", *words])


COMMANDS = {
    "list": list_worlds,
    "record": record,
    "inspect": inspect,
    "chunks": chunks,
    "dataset": dataset,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "play": play,
    "export": export,
    "bench": bench,
}


def main() -> None:
    """Entry point of `learned-envs`; errors that a user can mend come without a traceback."""
    words = sys.argv[1:]
    try:
        if words[:1] == ["record"] and words[1:2] and words[1] in SOURCES:
            source = SOURCES[words[1]]
            tyro.cli(source, prog=f"learned-envs record {words[1]}", args=words[2:])
        else:
            tyro.extras.subcommand_cli_from_dict(COMMANDS, prog="learned-envs")
    except (ValueError, OSError, RuntimeError, gym.error.Error) as error:
        if os.environ.get("LEARNED_ENVS_TRACEBACK"):
            raise
        raise SystemExit(f"error: {error}") from None
    except KeyboardInterrupt:
        raise SystemExit("stopped: run the same command again to go on") from None
