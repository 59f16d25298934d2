"""Opens the windows: for play, for the quiz, and to measure how evenly they are drawn."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from learned_envs.data.episode import Episode
from learned_envs.dream.weights import packaged, resolve
from learned_envs.evaluation.held_out import held_out_footage
from learned_envs.play.session import Session
from learned_envs.play.stage import MakeDream, Stage
from learned_envs.recording.opened import recordings_of
from learned_envs.worlds import World

if TYPE_CHECKING:
    from learned_envs.dream.dream_env import DreamEnv
    from learned_envs.play.screen import Screen
    from learned_envs.play.window import Window

QUIZ_CLIPS = 20


def play(
    world: World,
    *,
    weights: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    replay: str | None = None,
    episode: str | None = None,
    out: Path = Path("out"),
) -> None:
    """Plays until the window is closed.

    Args:
        world: Which world.
        weights: Folder of a checkpoint or an exported file; the packaged weights if None, or the
            real world alone if there are none.
        device: Where to dream.
        seed: Of the first game.
        replay: Folder of a recording to replay, or None.
        episode: Which of its episodes; the first if None.
        out: Folder for saved pictures and films.

    Raises:
        ValueError: If weights, recording or episode are not there.
        RuntimeError: If there is no screen.
    """
    with _window(world, weights, device, seed, replay, episode, out) as (screen, window):
        screen.run(window)


def measure(
    world: World,
    seconds: float,
    *,
    weights: str | None = None,
    device: str = "cpu",
    seed: int = 0,
    out: Path = Path("out"),
) -> str:
    """Draws the window for a while with all overlays on, real and dream side by side.

    Time counts from the first dream step on: opening the window and loading weights are left out.
    A frame is on the screen when `pygame.display.flip` returns.

    Returns:
        A line of figures: frames a second, the longest time between two of them, steps a second.
    """
    from learned_envs.play.controls import OVERLAYS

    with _window(world, weights, device, seed, None, None, out) as (screen, window):
        for name in OVERLAYS.keys() - window.overlays:
            window.toggle(name)
        window.session.send(Stage.never_rest)
        while not (window.session.snapshot.number or window.session.snapshot.error):
            screen.frame(window)
        before = window.session.snapshot
        drawn = screen.measure(window, seconds)
        after = window.session.snapshot
    if after.error:
        raise RuntimeError(after.error)
    return (
        f"drew {drawn.fps:.1f} frames a second for {drawn.seconds:.0f} s; longest time between "
        f"two {drawn.longest_ms:.0f} ms, {drawn.stalls} above 50 ms; the game made "
        f"{(after.number - before.number) / drawn.seconds:.1f} of {world.fps} steps a second, a "
        f"dream step took {after.step_ms:.1f} ms"
    )


def quiz(
    world: World,
    *,
    weights: str | None = None,
    device: str = "cpu",
    seed: int | None = None,
    replay: str | None = None,
    out: Path = Path("out"),
) -> str:
    """Asks of twenty clips which are real, and adds the answers to `quiz.jsonl` in `out`.

    Args:
        world: Which world; without a recording it must have a real env.
        weights: Folder of a checkpoint or an exported file; the packaged weights if None.
        device: Where to dream.
        seed: Of the clips; drawn if None.
        replay: Folder of a recording whose test split the clips are of, or None for free play.
        out: Folder of the results.

    Returns:
        A line about the score.

    Raises:
        ValueError: If the world has no real env or the weights are not there.
        RuntimeError: If there is no screen.
    """
    import secrets

    _prepare()
    from learned_envs.play.clips import ClipMaker, make_clips, recorded_clips
    from learned_envs.play.quiz import Quiz, append_line, record, verdict
    from learned_envs.play.quiz_window import QuizWindow
    from learned_envs.play.screen import Screen

    seed = secrets.randbelow(2**31) if seed is None else seed
    dream, settings = _maker(world, weights, device)(None), {"count": QUIZ_CLIPS, "seed": seed}
    replay = replay or held_out_footage(world)
    if replay is None:
        source = partial(make_clips, world, world.make_real(), dream, **settings)
    else:
        source = partial(recorded_clips, world, recordings_of(world, replay), dream, **settings)
    sitting, clips = Quiz(total=QUIZ_CLIPS), ClipMaker(source, QUIZ_CLIPS)
    screen = Screen(f"Which is real? {world.id_suffix}")
    clips.start()
    try:
        screen.run(QuizWindow(sitting, clips, world))
    finally:
        screen.close()
        clips.close()
        path = out / "quiz.jsonl"
        if sitting.answers:
            about = {"world": world.name, "weights": weights or world.name, "seed": seed}
            values = record(sitting, **about)
            try:
                append_line(path, values)
            except OSError as error:
                raise RuntimeError(
                    f"{path} could not be written ({error}): add this line to it yourself\n"
                    f"{json.dumps(values)}"
                ) from error
    if not sitting.answers:
        return "no clip was judged: nothing was written"
    answered = len(sitting.answers)
    words = verdict(sitting.correct, answered)
    return f"{sitting.correct} of {answered} right. {words}\nadded to {path}"


@contextmanager
def _window(
    world: World,
    weights: str | None,
    device: str,
    seed: int,
    replay: str | None,
    episode: str | None,
    out: Path,
) -> Iterator[tuple[Screen, Window]]:
    """An open screen and a window whose session runs."""
    _prepare()
    from learned_envs.play.screen import Screen
    from learned_envs.play.window import Window

    recorded = _episode(replay, episode, world) if replay else None
    make_dream = None
    if weights is not None or packaged(world.name) is not None:
        resolve(
            weights, world.known_as
        )  # what is not there shall end the command, not fill a window
        make_dream = _maker(world, weights, device)

    def make_stage() -> Stage:
        real = world.make_real() if world.real is not None else None
        return Stage(world, real=real, make_dream=make_dream, seed=seed, episode=recorded)

    screen = Screen(f"learned_envs: {world.id_suffix}")
    session = Session(make_stage)
    window = Window(session, world, out=out)
    session.start()
    try:
        yield screen, window
    finally:
        screen.close()
        session.close()
        window.saver.wait()


def _maker(world: World, weights: str | None, device: str) -> MakeDream:
    from learned_envs.dream.dream_env import DreamEnv

    # An overlay looks inside the network, which only torch allows; the world's own rate is enough.
    runtime = "auto" if weights and Path(weights).suffix == ".onnx" else "torch"

    def make(steps: int | None) -> DreamEnv:
        return DreamEnv(
            weights, world=world.known_as, runtime=runtime, device=device, sampler_steps=steps
        )

    return make


def _episode(folder: str, name: str | None, world: World) -> Episode:
    store = recordings_of(world, folder)
    names = store.names()
    if name is not None and name not in names:
        raise ValueError(
            f"there is no episode {name!r} in {folder}; it holds {len(names)}, the first "
            f"is {names[0]}"
        )
    return store.read(name or names[0])


def _prepare() -> None:
    """Readies the process for a window beside a busy thread.

    Torch is imported before there is a window, since a long import would freeze it, and leaves a
    core to the window. Threads change places after 1 ms instead of 5.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    import torch

    torch.set_num_threads(max((os.cpu_count() or 2) - 1, 1))
    sys.setswitchinterval(0.001)
