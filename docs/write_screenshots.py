"""Writes docs/play-*.png and docs/quiz-*.png: the windows, driven by injected keys and clicks.

    python docs/write_screenshots.py

No screen is needed. Real and dreamed games are played by the world's first behaviour, so that the
pictures show games worth looking at.
"""

import os

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

import sys
import threading
from pathlib import Path

import numpy as np
import pygame
from PIL import Image

from learned_envs import worlds
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.play.clips import ClipMaker, make_clips
from learned_envs.play.controls import OVERLAYS
from learned_envs.play.quiz import Quiz
from learned_envs.play.quiz_window import QuizWindow
from learned_envs.play.screen import Screen, View
from learned_envs.play.session import Session
from learned_envs.play.stage import Stage
from learned_envs.play.window import Window
from learned_envs.worlds import World

DOCS = Path(__file__).parent
LARGEST = 150 * 1024
SECONDS = 2.0


def write_screenshots(docs: Path, world: World, weights: str | None = None) -> list[Path]:
    """Writes all pictures into `docs` and returns their paths.

    Raises:
        ValueError: If one of them is larger than `LARGEST` bytes.
    """
    return [*_play(docs, world, weights), *_quiz(docs, world, weights)]


def _play(docs: Path, world: World, weights: str | None) -> list[Path]:
    screen = Screen("screenshots")
    player = world.make_behaviour([next(iter(world.behaviours))], [0])

    def make_stage() -> Stage:
        stage = Stage(
            world,
            real=world.make_real(),
            make_dream=lambda steps: DreamEnv(weights, world=world.name, sampler_steps=steps),
        )
        stage.set_paused(True)
        return stage

    def advance(steps: int) -> None:
        """Plays on, the behaviour at the keys."""
        done = threading.Event()

        def run(stage: Stage) -> None:
            for _ in range(steps):
                now = stage.snapshot()
                game = now.dream if now.real is None else now.real
                assert game is not None
                stage.hold(player(game.frame[None], np.array([game.step == 0]))[0])
                stage.tick()
            done.set()

        session.send(run)
        done.wait()

    def photograph(name: str) -> Path:
        """What is seen after a moment at the game's own rate."""
        session.send(lambda stage: stage.set_paused(False))
        screen.measure(window, SECONDS)
        path = _save(docs / name)
        session.send(lambda stage: stage.set_paused(True))
        return path

    session = Session(make_stage)
    window = Window(session, world, out=docs)
    session.start()
    advance(60)
    paths = [photograph("play-side-by-side.png")]
    for name, (_, key) in OVERLAYS.items():
        if name not in window.overlays:
            _press(screen, window, key)
    _press(screen, window, "t")
    advance(40)
    paths.append(photograph("play-overlays.png"))
    for key in ("c", "b", "4"):
        _press(screen, window, key)
    advance(20)
    paths.append(photograph("play-blend.png"))
    session.close()
    screen.close()
    return paths


def _quiz(docs: Path, world: World, weights: str | None) -> list[Path]:
    screen = Screen("screenshots")
    time = 0.0
    dream = DreamEnv(weights, world=world.name)
    count = 20
    clips = ClipMaker(
        lambda: make_clips(world, world.make_real(), dream, count=count, seconds=4, oldest=150),
        count,
    )
    quiz = Quiz(total=count)
    window = QuizWindow(quiz, clips, world, clock=lambda: time)
    clips.start()
    clips.wait()
    screen.frame(window)
    paths = [_save(docs / "quiz-begin.png")]
    _press(screen, window, "return")
    time = 3.0
    screen.frame(window)
    paths.append(_save(docs / "quiz-clip.png"))
    guesses = np.random.default_rng(0).integers(2, size=count)
    for guess in guesses:
        _press(screen, window, "d" if guess else "r")
    screen.frame(window)
    paths.append(_save(docs / "quiz-end.png"))
    screen.close()
    return paths


def _press(screen: Screen, view: View, key: str) -> None:
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(key)))
    screen.frame(view)


def _save(path: Path) -> Path:
    pixels = pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    image.save(path, optimize=True)
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path} has {path.stat().st_size} bytes, at most {LARGEST} are allowed")
    return path


if __name__ == "__main__":
    weights = sys.argv[1] if len(sys.argv) > 1 else None
    for written in write_screenshots(DOCS, worlds.get("breakout"), weights):
        print(written.name, written.stat().st_size)
