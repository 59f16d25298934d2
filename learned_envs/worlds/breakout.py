"""Breakout: players from careful to careless, odd starts, the packaged and the published model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from learned_envs.worlds.world import World
from sims.breakout import BRICK_HEIGHT, BRICK_WIDTH, BRICK_X, BRICK_Y

if TYPE_CHECKING:
    from learned_envs.data.episode import Episode
    from learned_envs.models.world_model import WorldModelConfig
    from learned_envs.training.recipe import Recipe

NOOP, LEFT, RIGHT = 0, 1, 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How a player plays.

    Attributes:
        lag: Frames by which the player sees the ball late, 0 to 15.
        dead_zone: Pixels between ball and paddle centre that the player tolerates.
        random_rate: Share of actions drawn at random instead.
        aim: Pixels off the paddle's centre at which the player wants the ball.
        aim_spread: The aim is redrawn within ± this many pixels for each descent of the ball.
        sweep: The player runs from wall to wall and ignores the ball.
        avoid: The player stays away from the ball.
    """

    lag: int = 0
    dead_zone: float = 1.5
    random_rate: float = 0.0
    aim: float = 0.0
    aim_spread: float = 0.0
    sweep: bool = False
    avoid: bool = False


STYLES = {
    "careful": Style(random_rate=0.08, aim_spread=3.0),
    "follow": Style(random_rate=0.22, aim_spread=3.0),
    "edges": Style(aim_spread=6.5, dead_zone=1.3),
    "lagging": Style(lag=6, random_rate=0.1, aim_spread=3.0),
    "sleepy": Style(lag=12, dead_zone=3.0, random_rate=0.15),
    "sweep": Style(sweep=True, random_rate=0.05),
    "idle": Style(random_rate=0.02, dead_zone=np.inf),
    "random": Style(random_rate=1.0),
    "miss": Style(avoid=True, random_rate=0.1),
}
WEIGHTS = {
    "careful": 0.28, "follow": 0.14, "edges": 0.18, "lagging": 0.12, "sleepy": 0.08,
    "sweep": 0.05, "idle": 0.03, "random": 0.06, "miss": 0.06,
}  # fmt: skip
LADDER = {
    "centred": Style(),
    "dead zone 4": Style(dead_zone=4.0, aim_spread=3.0),
    "good": Style(aim_spread=4.5),
    **{f"lag {lag}": Style(lag=lag, aim_spread=4.5) for lag in (5, 6, 7, 8, 9, 10, 12, 15)},
    "dead zone 6": Style(dead_zone=6.0, aim_spread=3.0),
    "dead zone 8": Style(dead_zone=8.0, aim_spread=3.0),
    **{
        f"random {share}%": Style(random_rate=share / 100, aim_spread=4.5)
        for share in (60, 65, 70, 80, 90)
    },
    "miss": STYLES["miss"],
    "random": STYLES["random"],
}
ODD_START_RATE = 0.8
FALLING_START_RATE = 0.35
AMONG_BRICKS_RATE = 0.7
LOST_START_RATE = 0.25
LAST_BRICK_RATE = 0.08
LAUNCH_RATE = 0.5
"""Chance that the next ball is launched at a step after such a start; the same at every step, so
that it is that of any context without a ball, whether the paddle moves meanwhile or not."""
_MAX_LAG = 16
_LAST_CATCH, _CATCH = 55.0, 8.0  # below this line the paddle has caught what is so near its middle


class Players:
    """Breakout players in a batch: they see only frames, so they play real and dreamed games alike.

    Args:
        styles: One a row.
        seeds: One a row.
    """

    def __init__(self, styles: Sequence[Style], seeds: Sequence[int]):
        count = len(styles)
        self._random = [np.random.default_rng(seed) for seed in seeds]
        self._styles = tuple(styles)
        column = {
            name: np.array([getattr(style, name) for style in styles])
            for name in Style.__dataclass_fields__
        }
        self._lag, self._dead_zone = column["lag"], column["dead_zone"]
        self._aim_centre, self._spread = column["aim"], column["aim_spread"]
        self._sweep, self._avoid = column["sweep"], column["avoid"]
        self._rate = column["random_rate"]
        self._seen = np.full((_MAX_LAG, count, 2), 32.0)  # ball positions, newest first
        self._aim = self._aim_centre.copy()
        self._falling = np.zeros(count, bool)
        self._direction = np.full(count, RIGHT)
        self._draws = np.zeros((64, count, 3))
        self._tick = 0

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Actions (n,) int64 for frames (n, 64, 64, 3) uint8; see `Behaviour`."""
        ball, paddle = find_ball(observation, self._seen[0]), find_paddle(observation)
        self._seen = np.roll(self._seen, 1, axis=0)
        self._seen[0] = ball
        self._seen[:, first] = ball[first]
        chance, pick, aim = self._draw()
        falling = self._seen[0, :, 1] > self._seen[1, :, 1]
        turned = falling & ~self._falling
        self._falling = falling
        self._aim = np.where(turned, self._aim_centre + (2 * aim - 1) * self._spread, self._aim)
        rows = np.arange(len(ball))
        error = self._seen[self._lag, rows, 0] + self._aim - paddle
        wanted = np.where(
            error > self._dead_zone, RIGHT, np.where(error < -self._dead_zone, LEFT, NOOP)
        )
        away = np.where(abs(error) > 14, NOOP, np.where((error > 0) == (paddle > 16), LEFT, RIGHT))
        self._direction = np.where(
            paddle <= 8.5, RIGHT, np.where(paddle >= 55.5, LEFT, self._direction)
        )
        wanted = np.where(self._sweep, self._direction, np.where(self._avoid, away, wanted))
        return np.where(chance < self._rate, (pick * 3).astype(np.int64), wanted)

    def _draw(self) -> np.ndarray:
        """Three uniforms a row from each row's own generator, fetched in blocks of 64 ticks."""
        slot = self._tick % len(self._draws)
        if slot == 0:
            for row, random in enumerate(self._random):
                self._draws[:, row] = random.random((len(self._draws), 3))
        self._tick += 1
        return self._draws[slot].T


def find_ball(frames: np.ndarray, fallback: np.ndarray) -> np.ndarray:
    """Reads the ball's centre pixel: (n, 2) x, y; `fallback` (n, 2) where no ball is seen."""
    field = np.minimum(frames[:, 3:56, :, 0], frames[:, 3:56, :, 2])
    weight = np.maximum(field, 170) - 170.0  # only the ball is bright in red and in blue
    across, down = weight.sum(1), weight.sum(2)
    total = across.sum(1)
    x, y = across @ np.arange(64.0), down @ np.arange(3.0, 56.0)
    seen = total > 170
    total = np.maximum(total, 1.0)
    return np.where(seen[:, None], np.stack([x / total, y / total], 1), fallback)


def find_paddle(frames: np.ndarray) -> np.ndarray:
    """Reads the paddle's centre: (n,) x in pixels (a pixel's centre is whole)."""
    weight = frames[:, 58, :, 0].astype(np.float32)
    weight = np.where(weight > 40, weight, 0)
    return weight @ np.arange(64, dtype=np.float32) / np.maximum(weight.sum(1), 1)


def make_behaviour(names: Sequence[str], seeds: Sequence[int]) -> Players:
    """Players in the styles of `STYLES` or `LADDER` called `names`, each with its own seed."""
    styles = STYLES | LADDER
    return Players([styles[name] for name in names], seeds)


def reset_options(behaviour: str, random: np.random.Generator) -> dict[str, Any] | None:
    """Begins four episodes in five mid-game: odd walls, few lives, a ball anywhere or just lost.

    A ball among the bricks meets one every few steps, and bricks are what is hardest to dream; one
    that falls near the paddle is caught at its edge, just missed or already below it. From the lost
    ball, which no frame shows, a dream that mislays its ball learns to launch the next one. With
    the last ball out of sight, the game ends at once, so that a dream does not put off its end.
    Where a single brick stands the ball flies towards it: the wall is rebuilt once in a long game.
    """
    if random.random() > ODD_START_RATE:
        return None
    density = random.choice([0.02, 0.3, 0.5, 0.7, 1.0], p=[0.1, 0.25, 0.25, 0.25, 0.15])
    bricks = random.random((6, 12)) < density
    if random.random() < 0.3:
        bricks[:, random.permutation(12)[: random.integers(1, 11)]] = False
    bricks[random.integers(6), random.integers(12)] = True
    lives = int(random.integers(1, 4))
    paddle = random.uniform(2.0, 50.0)
    x, vx = random.uniform(2.0, 61.0), random.uniform(-1.2, 1.2)
    kind = random.random()
    if kind < LOST_START_RATE:
        hidden = min(random.geometric(LAUNCH_RATE), 5) if lives > 1 else 1
        y, vy = 65.5, 0.5 / (hidden - 0.5)
    elif kind < LOST_START_RATE + FALLING_START_RATE:
        y, vy = random.uniform(42.0, 65.0), 0.92
        beside = _CATCH if y > _LAST_CATCH else 0.0
        offset = random.choice([-1.0, 1.0]) * random.uniform(beside, 14.0)
        x = float(np.clip(paddle + 6.0 + offset, 2.0, 61.0))
    elif kind < LOST_START_RATE + FALLING_START_RATE + LAST_BRICK_RATE:
        row, column = random.integers(6), random.integers(12)
        bricks = np.zeros((6, 12), bool)
        bricks[row, column] = True
        ticks, vy = random.uniform(1.0, 12.0), random.choice([-0.92, 0.92])
        aim = BRICK_X[column] + random.uniform(0, BRICK_WIDTH), BRICK_Y[row] + BRICK_HEIGHT / 2
        x = float(np.clip(aim[0] - ticks * vx, 2.0, 61.0))
        y = float(np.clip(aim[1] - ticks * vy, 4.0, 54.0))
    else:
        lowest = 36.0 if random.random() < AMONG_BRICKS_RATE else 54.0
        y, vy = random.uniform(4.0, lowest), random.choice([-0.92, 0.92])
    return {
        "bricks": bricks,
        "ball": (x, y),
        "velocity": (vx, vy),
        "lives": lives,
        "paddle": paddle,
    }


def events(episode: Episode) -> dict[str, int]:
    """Counts bricks broken, walls refilled, lives lost and game overs of a recorded episode."""
    frames = episode.observation[:]
    pips = (frames[:, 1, 4:19, 2] > 150).sum(1) // 3
    bricks = (frames[:, 8:30:4, 4:60:5] > 100).any(3).sum((1, 2))
    return {
        "bricks broken": int(episode.reward.sum()),
        "refills": int((np.diff(bricks) > 36).sum()),
        "lives lost": int(np.maximum(-np.diff(pips.astype(int)), 0).sum()),
        "game overs": int(episode.terminated.sum()),
    }


def small() -> WorldModelConfig:
    """The packaged model: a sparse editor of pixels, 0.21 GFLOP a frame."""
    from learned_envs.models.actions import DiscreteActions
    from learned_envs.models.codecs.identity import IdentityConfig
    from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
    from learned_envs.models.heads import HeadsConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=(64, 64),
        actions=DiscreteActions(count=3, idle=NOOP),
        codec=IdentityConfig(),
        dynamics=SparseEditorConfig(as_dreamed=0.33),
        heads=HeadsConfig(rewards=(0.0, 1.0)),
    )


def small_recipe() -> Recipe:
    """About two hours on two cores with AMX; short episodes, for the odd starts among them."""
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=30_000, decay=0.6, episode_steps=50, closing=((0.6, 0.0), (0.7, 0.98)), on_truth=0.7,
        damaged=0.2, divergence=3.0,
    )  # fmt: skip


def seed() -> WorldModelConfig:
    """The published model at its full size, with heads for what it left to its simulator."""
    from learned_envs.models.actions import DiscreteActions
    from learned_envs.models.codecs.identity import IdentityConfig
    from learned_envs.models.dynamics.diffusion_dynamics import tiny_denoiser
    from learned_envs.models.heads import HeadsConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=(64, 64),
        actions=DiscreteActions(count=3, idle=NOOP),
        codec=IdentityConfig(),
        dynamics=tiny_denoiser(steps=2),
        heads=HeadsConfig(rewards=(0.0, 1.0)),
    )


def seed_recipe() -> Recipe:
    """The published training: teacher forcing only, 40,000 steps of 128."""
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=40_000,
        round_steps=100,
        batch=128,
        learning_rate=2e-4,
        decay=0.0,
        closing=((0.0, 0.0),),
    )


WORLD = World(
    name="breakout",
    id_suffix="Breakout",
    fps=15,
    max_episode_steps=1000,
    observation_space=spaces.Box(0, 255, (64, 64, 3), np.uint8),
    action_space=spaces.Discrete(3),
    action_names=("noop", "left", "right"),
    idle_action=NOOP,
    real="sims.breakout:BreakoutEnv",
    real_vector="sims.breakout:BreakoutVectorEnv",
    behaviours=WEIGHTS,
    ladder=tuple(LADDER),
    keys={"left": LEFT, "a": LEFT, "right": RIGHT, "d": RIGHT},
    make_behaviour=make_behaviour,
    reset_options=reset_options,
    events=events,
    presets={"small": small, "seed": seed},
    recipes={"small": small_recipe, "seed": seed_recipe},
)
