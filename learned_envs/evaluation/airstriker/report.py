"""Airstriker's dreams beside the real game under the same pilots, and how they are shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from learned_envs.evaluation.airstriker.flights import LOOK, NEAR, STILL, Flights, watch_flights
from learned_envs.evaluation.airstriker.scenes import THINGS
from learned_envs.evaluation.results import Table
from learned_envs.evaluation.rollouts import pieces
from learned_envs.worlds import World


@dataclass(frozen=True, kw_only=True, slots=True)
class FlightPair:
    """Dreamed and real games under the same pilots.

    Attributes:
        dream: How the dreamed ones went.
        real: How the real ones did.
    """

    dream: Flights
    real: Flights

    @property
    def usual(self) -> float:
        """The usual sharpness of real games where they are dullest."""
        return float(np.median(self.real.dullest))

    def to_json(self) -> dict[str, Any]:
        """The figures as JSON types."""
        return {"dream": self.dream.to_json(), "real": self.real.to_json()}


def measure_flights(
    world: World, weights: str | None, players: Sequence[str], steps: int, seed: int
) -> FlightPair:
    """Plays free rollouts, dreamed and real, as many of each as there are players."""
    rows = len(players)
    seeds = range(seed, seed + rows)
    dream = gym.make_vec(world.dream_id, rows, weights=weights, max_episode_steps=steps)
    dreamed = watch_flights(pieces(dream, world.make_behaviour(players, seeds), steps, seed))
    real = world.make_real_vec(rows, max_episode_steps=steps)
    truth = watch_flights(pieces(real, world.make_behaviour(players, seeds), steps, seed))
    real.close()
    return FlightPair(dream=dreamed, real=truth)


def flight_table(world: World, players: str, pair: FlightPair, command: str) -> Table:
    """How dreamed and real games went under one kind of pilots."""
    dream, real = pair.dream, pair.real
    rows = [
        ("rollouts that froze", _percent(dream.frozen), _percent(real.frozen)),
        ("rollouts that blurred", *(_percent(f.blurred(pair.usual)) for f in (dream, real))),
        ("steps after which the ship is where its action takes it", _percent(dream.obeyed),
         _percent(real.obeyed)),
        ("frames in which the ship is seen", _percent(dream.seen), _percent(real.seen)),
        *(
            (f"{thing} in a frame", f"{dream.things[thing]:.2f}", f"{real.things[thing]:.2f}")
            for thing in THINGS
        ),
        ("points in 1,000 steps", f"{dream.points:.0f}", f"{real.points:.0f}"),
        ("games over in 1,000 steps", f"{dream.overs:.2f}", f"{real.overs:.2f}"),
    ]  # fmt: skip
    return Table(
        name=f"{world.name}-3-flights-{players}",
        title=f"{world.id_suffix}: free rollouts, {players} pilots",
        columns=("read from pixels", "dream", "real"),
        rows=rows,
        note=(
            f"{dream.rollouts} rollouts of {dream.steps} steps each. Froze: nothing changed for "
            f"{STILL} steps. Blurred: over some {LOOK} steps less than half as sharp as real games "
            f"at their dullest. Where its action takes it: within {NEAR} units, one step's flight."
        ),
        command=command,
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f}%"
