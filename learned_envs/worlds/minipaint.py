"""Minipaint: painters from careful to careless, and people who click beside everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from learned_envs.worlds.minipaint_painters import STYLES, Painters, eraser_chosen
from learned_envs.worlds.world import Manners, Pointer, Task, World
from sims.minipaint.drawing import drawing
from sims.minipaint.layout import BRUSHES, COLOURS, SIZE, part_at
from sims.minipaint.program import PRESSED, pixel_at
from sims.minipaint.reward import canvas_of, progress

if TYPE_CHECKING:
    from learned_envs.data.episode import Episode
    from learned_envs.models.world_model import WorldModelConfig
    from learned_envs.training.recipe import Recipe

WEIGHTS = {
    "sketcher": 0.24, "writer": 0.08, "filler": 0.08, "corrector": 0.2, "fiddler": 0.22,
    "stray": 0.14, "idler": 0.02, "random": 0.02, "tester": 0.0,
}  # fmt: skip
STUDIED = {
    "sketcher": 0.16, "writer": 0.06, "filler": 0.06, "corrector": 0.16, "fiddler": 0.1,
    "stray": 0.06, "tester": 0.36, "idler": 0.02, "random": 0.02,
}  # fmt: skip
"""Who is watched to learn from: of strokes there are more than enough, of clicks too few."""

ODD_START_RATE = 0.5
PAINTED_START_RATE = 0.25
PUBLISHED_FRAMES, PUBLISHED_PAIRS = 237_010, 371_799
"""What Infinipaint trained its codec and its dynamics on."""

VIEWER = Manners(throttle=0.08, dead_zone=4.0, longest=12.0)
"""How sparingly the published viewer sends the moves of a hand."""

_NOT_PRESSED = 0.49999  # just below `PRESSED`: a touch must be above its threshold, not at it
_NEVER = 1e9  # a distance from the truth that no latent comes to


def make_behaviour(names: Sequence[str], seeds: Sequence[int]) -> Painters:
    """Painters in the styles of `STYLES` called `names`, each with its own seed."""
    return Painters([STYLES[name] for name in names], seeds)


def reset_options(
    behaviour: str, random: np.random.Generator, *, soft: bool = False
) -> dict[str, Any]:
    """Begins half of the episodes with any tool, colour and brush, a quarter on a drawing.

    `soft` as in `MinipaintEnv`.
    """
    options: dict[str, Any] = {}
    if random.random() < ODD_START_RATE:
        options["tool"] = "eraser" if random.random() < 0.3 else "pen"
        options["colour"] = str(random.choice(list(COLOURS)))
        options["brush"] = int(random.integers(BRUSHES))
    if random.random() < PAINTED_START_RATE:
        options["canvas"] = drawing(int(random.integers(2**31)), soft)
    return options


def brush(u: float, v: float, pressed: bool, held: float) -> np.ndarray:
    """A mouse at the canvas: down while its button is; idle when it is let go."""
    return np.array([u, v, 1] if pressed else [0, 0, 0], np.float32)


def draw_target(random: np.random.Generator, *, soft: bool = False) -> dict[str, np.ndarray]:
    """Draws the target of an episode as the real program does; `soft` as in `MinipaintEnv`."""
    return {"target": drawing(int(random.integers(2**31)), soft)}


def reward(before: np.ndarray, after: np.ndarray, goal: Mapping[str, np.ndarray]) -> np.ndarray:
    """By how much canvases came nearer to their targets; see `sims.minipaint.reward.progress`."""
    return progress(canvas_of(before), canvas_of(after), goal["target"])


def events(episode: Episode) -> dict[str, int]:
    """Counts where the button went down: strokes of pen and eraser, clicks on each control, gaps.

    A button that is held from one part of a take to the next counts in both.
    """
    down = episode.action[:, 2] >= PRESSED
    pressed = np.flatnonzero(down & ~np.concatenate([[False], down[:-1]]))
    parts = [part_at(*pixel_at(*episode.action[step, :2].tolist())) for step in pressed]
    erasing = eraser_chosen(episode.observation[:])[pressed]
    on_canvas = np.array([part == "canvas" for part in parts], bool)
    counts = {
        "strokes": int((on_canvas & ~erasing).sum()),
        "erasing strokes": int((on_canvas & erasing).sum()),
    }
    for name in ("pen", "eraser", "slider", *COLOURS):
        counts[f"{name} clicks"] = parts.count(name)
    return counts | {"gap clicks": parts.count(None)}


def small() -> WorldModelConfig:
    """The packaged model: an editor of the pixels that the pointer changes."""
    from learned_envs.models.actions import PointActions
    from learned_envs.models.codecs.identity import IdentityConfig
    from learned_envs.models.dynamics.pointer_editor import PointerEditorConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=PointActions(threshold=_NOT_PRESSED),
        codec=IdentityConfig(),
        dynamics=PointerEditorConfig(),
    )


def small_recipe() -> Recipe:
    """True contexts, at the end its own for half of the rows; about two hours on two cores.

    It plays no more steps than the pairs that the published model was trained on.
    """
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=PUBLISHED_PAIRS // 32, batch=32, window=16, learning_rate=1e-3, warmup=200, decay=0.8,
        average=0.998, episode_steps=500, behaviours=tuple(STUDIED.items()),
        closing=((0.75, 0.0), (0.8, 0.95)), divergence=12.0, damaged=0.0,
        replayed=32,
    )  # fmt: skip


def seed() -> WorldModelConfig:
    """The published model at its full size, 33.6 million parameters: a codec and a flat network."""
    from learned_envs.models.actions import PointActions
    from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
    from learned_envs.models.dynamics.latent_cnn import LatentCNNConfig
    from learned_envs.models.world_model import WorldModelConfig

    return WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=PointActions(threshold=_NOT_PRESSED, spread=2.4),
        codec=VariationalAutoencoderConfig(),
        dynamics=LatentCNNConfig(),
    )


def seed_recipe() -> Recipe:
    """As many frames and pairs as were published, each once: how often they were seen is not told.

    Nor are batches, rates and the schedule of its own predictions: these are ours. Rounds are as
    long as episodes, so that crowded canvases come in each.
    """
    from learned_envs.training.codec import CodecRecipe
    from learned_envs.training.recipe import Recipe

    return Recipe(
        steps=PUBLISHED_PAIRS // 32, round_steps=1000, batch=32, window=32, learning_rate=2e-4,
        episode_steps=1000, closing=((0.2, 0.0), (1.0, 0.5)), on_truth=0.0, damaged=0.0,
        divergence=_NEVER,
        codec=CodecRecipe(
            steps=PUBLISHED_FRAMES // 16, round_steps=2000, batch=16, learning_rate=1e-4
        ),
    )  # fmt: skip


WORLD = World(
    name="minipaint",
    id_suffix="Minipaint",
    fps=15,
    max_episode_steps=1000,
    observation_space=spaces.Box(0, 255, (SIZE, SIZE, 3), np.uint8),
    action_space=spaces.Box(0, 1, (3,), np.float32),
    action_names=("u", "v", "pressed"),
    idle_action=np.zeros(3, np.float32),
    real="sims.minipaint:MinipaintEnv",
    real_vector="sims.minipaint:MinipaintVectorEnv",
    behaviours=WEIGHTS,
    pointer=Pointer(
        action=brush,
        hint="Draw with the mouse; click a tool, a colour or the slider",
        manners=VIEWER,
    ),
    make_behaviour=make_behaviour,
    reset_options=reset_options,
    events=events,
    task=Task(draw=draw_target, reward=reward),
    presets={"small": small, "seed": seed},
    recipes={"small": small_recipe, "seed": seed_recipe},
)
