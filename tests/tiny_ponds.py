"""Real koi ponds with planted faults, as rollouts of pixels: one fault a row, from one pond."""

import dataclasses
from collections.abc import Callable

import cv2
import numpy as np

from learned_envs.evaluation.rollouts import Rollout
from sims.koi_pond.picture import compose
from sims.koi_pond.simulation import KoiPondSimulation
from sims.koi_pond.water import splash

SEED = 900_204
PLACES = np.array([(60, 60), (60, 77), (190, 60), (60, 190), (190, 190), (200, 120), (125, 215)])
HEADINGS = np.array([0, 0, 2.5, -0.5, -2.5, 1.5, 0.0])

Fault = Callable[[KoiPondSimulation, int, int], None]
"""Changes one pond of a simulation at a tick, from the tick of the fault on."""


def footage(
    faults: list[Fault | None],
    *,
    steps: int,
    begin: int,
    retouch: dict[int, Callable[[np.ndarray, np.ndarray], np.ndarray]] | None = None,
    taps: dict[int, tuple[float, float, float]] | None = None,
    told: np.ndarray | None = None,
) -> Rollout:
    """Plays the same pond in as many rows as there are faults.

    Args:
        faults: What happens to each row after every tick from `begin` on; None: nothing.
        steps: Ticks.
        begin: When faults begin.
        retouch: By row, what becomes of a frame from `begin` on, given it and the one shown before.
        taps: By tick, a tap in every row.
        told: (n,) bool, rows that feel the taps; all if not given.
    """
    rows = len(faults)
    simulation = KoiPondSimulation(rows, leaving=False)
    random = [np.random.default_rng(SEED) for _ in range(rows)]
    for row, generator in enumerate(random):
        simulation.start(row, generator, {"positions": PLACES, "headings": HEADINGS})
    told = np.ones(rows, bool) if told is None else told
    shown, actions = [], []
    for tick in range(steps + 1):
        if tick:
            action = np.zeros((rows, 3), np.float32)
            action[:] = (taps or {}).get(tick - 1, 0)
            actions.append(action)
            simulation.advance(action * told[:, None], np.ones(rows, bool), random)
        for row, fault in enumerate(faults if tick >= begin else ()):
            if fault is not None:
                fault(simulation, row, tick - begin)
        frames = np.stack([simulation.frame(row) for row in range(rows)])
        for row, change in (retouch or {}).items() if tick >= begin else ():
            frames[row] = change(frames[row], shown[-1][row])
        shown.append(frames)
    return rollout(np.stack(shown), np.stack(actions))


def rollout(frames: np.ndarray, actions: np.ndarray) -> Rollout:
    """Frames (T + 1, n, 256, 256, 3) and actions (T, n, 3) as one episode a row."""
    steps, rows = actions.shape[:2]
    return Rollout(
        frames=frames,
        actions=actions,
        rewards=np.zeros((steps, rows)),
        terminated=np.zeros((steps, rows), bool),
        truncated=np.zeros((steps, rows), bool),
        first=np.arange(steps + 1)[:, None] + np.zeros(rows) == 0,
        age=np.arange(steps + 1)[:, None] + np.zeros((1, rows), np.int64),
        doubt=np.full((steps, rows), np.nan),
    )


def take_away(*fish: int) -> Fault:
    """Those fish are there no more."""

    def fault(simulation, row, since):
        simulation.shoal.present[row, list(fish)] = False
        simulation.varieties[row, list(fish)] = -1
        simulation.shoal.head[row, list(fish)] = 1e4

    return fault


def move(fish: int, by: tuple[float, float]) -> Fault:
    """A fish is somewhere else in an instant."""

    def fault(simulation, row, since):
        if not since:
            simulation.shoal.head[row, fish] += by

    return fault


def recolour(fish: int) -> Fault:
    """A fish wears the coat of a variety that is not in the pond."""

    def fault(simulation, row, since):
        if not since:
            unworn = set(range(10)) - set(simulation.varieties[row].tolist())
            simulation.varieties[row, fish] = min(unworn)
            simulation.shoal.length[row, fish] += 1e-6  # has it painted anew

    return fault


def ripple(simulation: KoiPondSimulation, row: int, since: int) -> None:
    """For two seconds something splashes that nobody did, and no fish minds."""
    if since % 10 == 0 and since < 30:
        point = np.array([128.0, 128.0]) + 50 * np.array([np.cos(since), np.sin(since)])
        splash(simulation.height[row], simulation.before[row], point, 1.0)
    if since == 30:
        simulation.height[row] = simulation.before[row] = 0


def repeat(frame: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The picture stands still."""
    return before


def blur(frame: np.ndarray, before: np.ndarray) -> np.ndarray:
    """The picture is out of focus."""
    return cv2.GaussianBlur(frame, (0, 0), 1.3)


def shifted_bed(simulation: KoiPondSimulation, row: int, pixels: int) -> np.ndarray:
    """A frame whose bed alone lies so many pixels to the right."""
    scenery = simulation.scenery(row)
    moved = dataclasses.replace(scenery, bed=np.roll(scenery.bed, pixels, 1))
    return compose(moved, simulation.fish_layer(row), simulation.height[row], simulation.food[row])
