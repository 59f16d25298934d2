"""A stage of the real Breakout and a tiny dream of its size, and what tests need around it."""

import os
import threading
import warnings
from pathlib import Path

os.environ["SDL_VIDEODRIVER"] = "dummy"
os.environ["PYGAME_HIDE_SUPPORT_PROMPT"] = "1"

with warnings.catch_warnings():  # pygame asks setuptools for what newer ones no longer have
    warnings.simplefilter("ignore")
    import pygame  # noqa: F401

import numpy as np
from tiny_dream import save_tiny, tiny_config, tiny_model

from learned_envs import worlds
from learned_envs.data.episode import Episode, EpisodeAttributes
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.play.session import Session
from learned_envs.play.stage import Stage
from learned_envs.play.window import Window

WORLD = worlds.get("breakout")
LEFT, RIGHT = WORLD.keys["left"], WORLD.keys["right"]


def save_tiny_breakout(folder: Path, dynamics=None) -> Path:
    """Weights with random values that dream 64x64 pixels under three actions."""
    config = tiny_config(size=64) if dynamics is None else tiny_config(size=64, dynamics=dynamics)
    return save_tiny(folder, tiny_model(config), world="breakout")


def tiny_stage(weights: Path, real=None, **kwargs) -> Stage:
    """A stage of Breakout; `real` stands in for the real env if given."""
    return Stage(
        WORLD,
        real=real or WORLD.make_real(),
        make_dream=lambda steps: DreamEnv(weights, world="breakout", sampler_steps=steps),
        **kwargs,
    )


def recorded(seed: int, steps: int = 20) -> Episode:
    """A recording of the real Breakout in which the actions take turns."""
    env = WORLD.make_real()
    frames, rewards = [env.reset(seed=seed)[0]], []
    actions = np.arange(steps) % 3
    for action in actions:
        frame, reward, *_ = env.step(action)
        frames.append(frame)
        rewards.append(reward)
    ends = np.zeros(steps, bool)
    return Episode(
        observation=np.stack(frames),
        action=actions,
        reward=np.array(rewards, np.float32),
        terminated=ends,
        truncated=ends,
        attributes=EpisodeAttributes(
            world="breakout", fps=15, seed=seed, behaviour="test", action_names=WORLD.action_names
        ),
    )


class Driver:
    """A person: presses keys and clicks, and waits until the session has answered."""

    def __init__(self, screen, world, make_stage, out):
        self.screen = screen
        self.session = Session(make_stage)
        self.window = Window(self.session, world, out=out)
        self.session.start()
        self.look()

    def look(self):
        """Lets the session finish what it was told, draws, and returns the picture."""
        done = threading.Event()
        self.session.send(lambda stage: done.set())
        assert done.wait(60)
        self.screen.frame(self.window)
        return pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)

    def post(self, kind, **attributes):
        pygame.event.post(pygame.event.Event(kind, **attributes))
        self.screen.frame(self.window)
        return self.look()

    def key(self, name):
        code = pygame.key.key_code(name)
        self.post(pygame.KEYDOWN, key=code)
        return self.post(pygame.KEYUP, key=code)

    def button(self, label):
        return next((r, c) for r, c in self.window._hits if c.label.startswith(label))

    def click(self, at):
        self.post(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(0, 0, 0))
        self.post(pygame.MOUSEBUTTONDOWN, pos=at, button=1)
        return self.post(pygame.MOUSEBUTTONUP, pos=at, button=1)

    @property
    def now(self):
        return self.session.snapshot
