"""Airstriker: a retro game whose own variables are known; pilots from careful to careless."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from gymnasium import spaces

from learned_envs.worlds.own_presets import LCM_DREAMSHAPER, pretrained_recipe, taught
from learned_envs.worlds.world import World

if TYPE_CHECKING:
    from learned_envs.data.episode import Episode
    from learned_envs.models.world_model import WorldModelConfig
    from learned_envs.training.recipe import Recipe

ACTIONS = {
    "noop": (), "left": ("LEFT",), "right": ("RIGHT",), "fire": ("B",),
    "left+fire": ("LEFT", "B"), "right+fire": ("RIGHT", "B"),
}  # fmt: skip
"""What the game answers to."""

IMAGE_SIZE = (112, 160)

SHIFTS = (
    (4, 0), (2, 0), (3, 0), (6, 0), (10, 0), (-10, 0), (5, 0), (1, 0), (0, 10), (0, -10), (-5, 0),
    (0, -5), (0, 5),
)  # fmt: skip
"""Pixels (down, right) by which things fly in a step: 84% of what changes."""

NOOP, LEFT, RIGHT, FIRE = 0, 1, 2, 3
_FIRE_TOO = 3  # added to an action, the same while firing

_SHIP_ROWS = slice(88, 106)
_ABOVE = 84  # rows of what may still be aimed at
_NEAR_ROWS = slice(70, 106)  # rows of what may soon hit
_MIDDLE, _RANGE = 80.0, (12.0, 149.0)  # where the ship can be, x in pixels
_STEP = 10.0  # pixels that it flies in a step


@dataclass(frozen=True, kw_only=True, slots=True)
class Style:
    """How a pilot flies.

    Attributes:
        aim: Flies under the nearest enemy.
        dodge: Pixels to either side within which the pilot gets out of the way; 0 for never.
        fire: Share of the steps in which the pilot fires where nobody is straight above.
        ready: Whether the pilot fires where somebody is.
        random: Share of the actions drawn at random instead.
        steady: Steps that a random action is kept.
        sweep: Flies from edge to edge.
        ram: Flies into what comes down.
    """

    aim: bool = False
    dodge: float = 0.0
    fire: float = 0.0
    ready: bool = True
    random: float = 0.0
    steady: int = 1
    sweep: bool = False
    ram: bool = False


STYLES = {
    "careful": Style(aim=True, dodge=13.0, random=0.04),
    "hunter": Style(aim=True, dodge=9.0, fire=0.3, random=0.1),
    "greedy": Style(aim=True, fire=0.5, random=0.08),
    "dodger": Style(dodge=16.0, ready=False, random=0.1),
    "sweep": Style(sweep=True, fire=0.4, random=0.05),
    "ram": Style(ram=True, fire=0.2, random=0.1),
    "idle": Style(random=0.03, ready=False),
    "random": Style(random=1.0),
    "drift": Style(random=1.0, steady=6),
}
WEIGHTS = {
    "careful": 0.24, "hunter": 0.2, "greedy": 0.12, "dodger": 0.1, "sweep": 0.08, "ram": 0.06,
    "idle": 0.04, "random": 0.08, "drift": 0.08,
}  # fmt: skip


class Pilots:
    """Pilots in a batch: they see only frames, so they fly in real and dreamed games alike.

    Args:
        styles: One a row.
        seeds: One a row.
    """

    def __init__(self, styles: Sequence[Style], seeds: Sequence[int]):
        self._styles = tuple(styles)
        self._random = [np.random.default_rng(seed) for seed in seeds]
        self._ship = np.full(len(self._styles), _MIDDLE)
        self._way = np.full(len(self._styles), RIGHT)
        self._kept = np.zeros((len(self._styles), 2), int)  # a random action, and for how long yet

    def __call__(self, observation: np.ndarray, first: np.ndarray) -> np.ndarray:
        """Actions (n,) int64 for frames (n, 112, 160, 3) uint8; see `Behaviour`."""
        self._ship[first] = _MIDDLE
        self._kept[first] = 0
        rows = range(len(self._styles))
        return np.array([self._chosen(row, observation[row]) for row in rows], np.int64)

    def _chosen(self, row: int, frame: np.ndarray) -> int:
        style, random = self._styles[row], self._random[row]
        chance, shoots, pick = random.random(3)
        if self._kept[row, 1] > 0:
            self._kept[row, 1] -= 1
            return int(self._kept[row, 0])
        if chance < style.random:
            self._kept[row] = int(pick * len(ACTIONS)), style.steady - 1
            return int(self._kept[row, 0])
        self._ship[row] = ship = find_ship(frame, self._ship[row])
        targets, threats = find_enemies(frame), find_threats(frame)
        above = bool(len(targets)) and abs(targets - ship).min() < 8
        fires = above if style.ready and above else shoots < style.fire
        return self._steered(row, style, ship, targets, threats) + (_FIRE_TOO if fires else 0)

    def _steered(
        self, row: int, style: Style, ship: float, targets: np.ndarray, threats: np.ndarray
    ) -> int:
        """The safest of staying, left and right; of equally safe ones that which leads there."""
        if style.sweep:
            if ship < 20 or ship > 140:
                self._way[row] = RIGHT if ship < _MIDDLE else LEFT
            return int(self._way[row])
        places = np.clip(ship + np.array([0.0, -_STEP, _STEP]), *_RANGE)
        goals = threats if style.ram else targets if style.aim else threats[:0]
        ways = abs(places[:, None] - goals).min(1) if len(goals) else abs(places - ship)
        danger = (abs(places[:, None] - threats) < style.dodge).sum(1)
        return int(np.lexsort((ways, danger))[0])


def find_ship(frame: np.ndarray, fallback: float) -> float:
    """The ship's middle, x in pixels; `fallback` where none is seen."""
    low = frame[_SHIP_ROWS].astype(int)
    grey = (low.min(-1) > 110) & (np.ptp(low, axis=-1) < 60)
    weight = grey.sum(0)
    if weight.sum() < 20:
        return fallback
    return float(np.average(np.arange(frame.shape[1]), weights=weight))


def find_enemies(frame: np.ndarray) -> np.ndarray:
    """The middles of red ships above one's own, x in pixels, from left to right."""
    return _runs(_red(frame[:_ABOVE]).sum(0) >= 3)


def find_threats(frame: np.ndarray) -> np.ndarray:
    """Where in the lower half something is that can hit: shots, red ships, rocks; x in pixels."""
    near = frame[_NEAR_ROWS].astype(int)
    shots = (near[..., 1] > 150) & (near[..., 0] < 120) & (near[..., 2] < 120)
    low = _red(frame[_NEAR_ROWS]).sum(0) >= 3
    grey = (near.min(-1) > 90) & (np.ptp(near, axis=-1) < 60)
    rocks = grey[: _SHIP_ROWS.start - _NEAR_ROWS.start].sum(0) >= 2
    return _runs(shots.any(0) | low | rocks)


def _red(pixels: np.ndarray) -> np.ndarray:
    red, green, blue = np.moveaxis(pixels.astype(int), -1, 0)
    return (red > 150) & (green < 90) & (blue < 110)


def _runs(there: np.ndarray) -> np.ndarray:
    """The middles of runs of True in (W,)."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], there, [False]]).astype(int)))
    return (edges[::2] + edges[1::2] - 1) / 2


def make_behaviour(names: Sequence[str], seeds: Sequence[int]) -> Pilots:
    """Pilots in the styles of `STYLES` called `names`, each with its own seed."""
    return Pilots([STYLES[name] for name in names], seeds)


def reset_options(behaviour: str, random: np.random.Generator) -> None:
    """Every game begins as the env draws it."""


def events(episode: Episode) -> dict[str, int]:
    """Counts shots, hits (rises of the score), lives lost and games over."""
    fired = np.isin(episode.action, [FIRE, LEFT + _FIRE_TOO, RIGHT + _FIRE_TOO])
    score, lives = (episode.metadata[name].astype(int) for name in ("score", "lives"))
    return {
        "shots": int(fired.sum()),
        "hits": int((np.diff(score) > 0).sum()),
        "lives lost": int((np.diff(lives) < 0).sum()),
        "games over": int(episode.terminated.sum()),
    }


def small() -> WorldModelConfig:
    """The packaged model: a sparse editor of pixels that is told the game's own variables."""
    from learned_envs.models.metadata.predictor import MetadataConfig
    from learned_envs.models.metadata.variables import Clock, Count, Flag, Position

    metadata = MetadataConfig(
        variables=(
            Count(name="score", changes=(0.0, 20.0, 40.0), scale=20.0),
            Count(name="lives", changes=(0.0, -1.0)),
            Flag(name="gameover", values=tuple(float(value) for value in range(10))),
            Position(name="x", low=137.0, high=412.0),
            Clock(name="time", tick=4.0, span=512.0),
        ),
        spotted=16,
        reward="score",
        over=(("gameover", 1.0), ("lives", 0.0)),
    )
    return replace(blind(), metadata=metadata, heads=None)


def seed(pretrained: str = LCM_DREAMSHAPER) -> WorldModelConfig:
    """The published model: a pretrained pipeline (folder or hub id), told the variables, too."""
    told = small()
    return replace(taught(pretrained, IMAGE_SIZE, told.actions), metadata=told.metadata)


def blind() -> WorldModelConfig:
    """The same, told nothing: reward and end are read from its pictures."""
    from learned_envs.models.actions import DiscreteActions
    from learned_envs.models.codecs.identity import IdentityConfig
    from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
    from learned_envs.models.heads import HeadsConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=IMAGE_SIZE,
        actions=DiscreteActions(count=len(ACTIONS)),
        codec=IdentityConfig(),
        dynamics=SparseEditorConfig(
            choices=2, as_dreamed=0.33, memory=32, shifts=SHIFTS, lots=2, moments=32
        ),
        heads=HeadsConfig(rewards=(0.0, 20.0, 40.0), patch=4),
    )


def recipe() -> Recipe:
    """About three hours on one core: the variables, then dynamics in small batches."""
    from learned_envs.training.metadata import MetadataRecipe
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=24_000, batch=8, window=32, decay=0.5, warmup=300,
        closing=((0.6, 0.0), (0.7, 0.95)), on_truth=0.6, divergence=3.0,
        metadata=MetadataRecipe(steps=6_000),
    )  # fmt: skip


LICENCE = """MIT, like the library, for the weights, which were made by it. The starts hold pictures
of Airstriker by Electrokinesis, and dreams draw them: a game whose ROM
[stable-retro](https://stable-retro.farama.org) hands on as non-commercial. Use its pictures in that
way only. Nothing of the ROM is here."""

GAME = {
    "game": "Airstriker-Genesis-v0",
    "actions": ACTIONS,
    "tapped": ("B",),
    "variables": {
        "x": {"address": 0xFF0268, "type": ">u2"},  # of the ship, 137 to 412, 5 a frame
        "time": {"address": 0xFF0294, "type": ">u2"},  # frames since the level began
    },
    "image_size": IMAGE_SIZE,
}

WORLD = World(
    name="airstriker",
    id_suffix="Airstriker",
    fps=15,
    max_episode_steps=900,
    observation_space=spaces.Box(0, 255, (*IMAGE_SIZE, 3), np.uint8),
    action_space=spaces.Discrete(len(ACTIONS)),
    action_names=tuple(ACTIONS),
    idle_action=NOOP,
    real="sims.retro:RetroEnv",
    real_vector="sims.retro:RetroVectorEnv",
    real_kwargs=GAME,
    most_real=16,
    cap=5 * 2**20,
    licence=LICENCE,
    behaviours=WEIGHTS,
    make_behaviour=make_behaviour,
    reset_options=reset_options,
    events=events,
    keys={"left": LEFT, "a": LEFT, "right": RIGHT, "d": RIGHT, "space": FIRE},
    presets={"small": small, "blind": blind, "seed": seed},
    recipes={"small": recipe, "blind": recipe, "seed": pretrained_recipe},
)
