"""A game that tells its own variables: a dot between two walls, in windows made on the spot."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from learned_envs.data.window import Window
from learned_envs.models.actions import DiscreteActions
from learned_envs.models.codecs.identity import IdentityConfig
from learned_envs.models.dynamics.sparse_editor import SparseEditorConfig
from learned_envs.models.metadata.predictor import MetadataConfig
from learned_envs.models.metadata.variables import Count, Flag, Position
from learned_envs.models.world_model import WorldModel, WorldModelConfig

HEIGHT, WIDTH, DOT = 16, 24, 4
FAR = WIDTH - DOT
VARIABLES = (
    Count(name="bumps", changes=(0.0, 1.0)),
    Flag(name="side", values=(0.0, 1.0)),
    Position(name="place", low=0.0, high=float(FAR)),
)
METADATA = MetadataConfig(variables=VARIABLES, width=32, widths=(8, 8))


def window(seed: int, rows: int = 8, steps: int = 12) -> Window:
    """Games of random players: 0 to the left, 1 to stay, 2 to the right, 4 pixels a step.

    `bumps` counts the steps that come to a wall, `side` is 1 in the right half.
    """
    random = np.random.default_rng(seed)
    place = np.empty((rows, steps + 1), int)
    place[:, 0] = 4 * random.integers(0, FAR // 4 + 1, size=rows)
    action = random.integers(3, size=(rows, steps))
    bumped = np.zeros((rows, steps + 1), bool)
    for t in range(steps):
        place[:, t + 1] = np.clip(place[:, t] + 4 * (action[:, t] - 1), 0, FAR)
        moved = place[:, t + 1] != place[:, t]
        bumped[:, t + 1] = moved & np.isin(place[:, t + 1], (0, FAR))
    frames = np.full((rows, steps + 1, HEIGHT, WIDTH, 3), 20, np.uint8)
    for row, t in np.ndindex(place.shape):
        frames[row, t, 6 : 6 + DOT, place[row, t] : place[row, t] + DOT] = 230
    first = np.zeros(place.shape, bool)
    first[:, 0] = True
    return Window(
        observation=frames,
        action=action,
        reward=bumped[:, 1:].astype(np.float32),
        terminated=np.zeros(action.shape, bool),
        first=first,
        valid=np.ones(action.shape, bool),
        metadata={
            "bumps": bumped.cumsum(1),
            "side": (place > FAR / 2).astype(int),
            "place": place,
        },
    )


def windows(number: int) -> Iterator[Window]:
    """Endless windows of round `number`."""
    seed = 1000 * number
    while True:
        yield window(seed := seed + 1)


def told_model(**changes: Any) -> WorldModel:
    """A small model that is told the variables, or other ones."""
    config = WorldModelConfig(
        image_size=(HEIGHT, WIDTH),
        actions=DiscreteActions(count=3, idle=1),
        codec=IdentityConfig(),
        dynamics=SparseEditorConfig(
            context=2, widths=(8, 8), head=8, glimpse=8, glimpse_widths=(8, 8, 8), evidence=8
        ),
        metadata=changes.pop("metadata", METADATA),
    )
    return config.build()
