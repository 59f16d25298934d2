"""What is read from Airstriker's pictures, and planted faults that it has to find."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tiny_airstriker import WORLD

from learned_envs.evaluation.airstriker.flights import LOOK, STILL, watch_flights
from learned_envs.evaluation.airstriker.report import FlightPair, flight_table
from learned_envs.evaluation.airstriker.scenes import THINGS, count_things, sharpness
from learned_envs.evaluation.rollouts import rollout

STEPS = 110


@pytest.fixture(scope="module")
def real():
    """A rollout of two real games, until after the first death or so."""
    env = WORLD.make_real_vec(2, max_episode_steps=STEPS)
    played = rollout(env, WORLD.make_behaviour(["sweep", "hunter"], [0, 1]), STEPS, seed=3)
    env.close()
    return played


@pytest.fixture(scope="module")
def truth(real):
    return watch_flights(iter([real]))


def watched(real, frames: np.ndarray):
    return watch_flights(iter([replace(real, frames=frames)]))


def drawn(*things: tuple[tuple[int, int, int], int, int, int]) -> np.ndarray:
    """A dark picture with squares: colour, x, y and side."""
    frame = np.zeros((112, 160, 3), np.uint8)
    for colour, x, y, side in things:
        frame[y : y + side, x : x + side] = colour
    return frame


def test_enemies_and_shots_are_counted_by_their_colours():
    red, green, pale = (250, 30, 30), (30, 250, 30), (200, 90, 90)
    frame = drawn((red, 20, 20, 10), (red, 60, 20, 10), (green, 40, 60, 3), (pale, 90, 70, 2))
    assert dict(zip(THINGS, count_things(frame), strict=True)) == {
        "enemies": 2, "enemies' shots": 1, "own shots": 1,
    }  # fmt: skip
    assert count_things(drawn()) == (0, 0, 0)


def test_real_games_are_free_of_faults(truth):
    assert truth.rollouts == 2 and truth.steps == STEPS
    assert truth.frozen == 0 and truth.obeyed == 1 and truth.seen > 0.7
    assert truth.blurred(float(np.median(truth.dullest))) == 0
    assert truth.things["enemies"] > 0.5 and truth.points > 0


def test_a_game_that_stands_still_is_frozen(real, truth):
    frames = real.frames.copy()
    frames[40 : 40 + STILL + 1, 1] = frames[40, 1]
    assert watched(real, frames).frozen == 0.5
    frames = real.frames.copy()
    frames[40 : 40 + STILL - 1, 1] = frames[40, 1]
    assert watched(real, frames).frozen == truth.frozen


def test_a_game_that_turns_to_fog_is_blurred(real, truth):
    frames = real.frames.copy()
    for t in range(STEPS - LOOK, STEPS + 1):
        frames[t, 0] = cv2.GaussianBlur(frames[t, 0], (0, 0), 4)
    assert sharpness(frames[-1]).tolist()[0] < sharpness(real.frames[-1]).tolist()[0] / 2
    assert watched(real, frames).blurred(float(np.median(truth.dullest))) == 0.5


def test_a_ship_that_goes_its_own_way_does_not_obey(real):
    other = replace(real, actions=np.where(real.actions % 3 == 1, 2, 1))
    assert watch_flights(iter([other])).obeyed < 0.8


def test_a_step_between_games_is_nobodys_disobedience(real):
    first = real.first.copy()
    first[50:52] = True
    cut = replace(real, frames=real.frames.copy(), first=first)
    cut.frames[50:52] = np.roll(cut.frames[50:52], 60, axis=3)
    obeyed = watch_flights(iter([cut])).obeyed
    assert watched(real, cut.frames).obeyed < 1 and obeyed > watched(real, cut.frames).obeyed


def test_pieces_of_a_rollout_are_watched_as_the_whole(real, truth):
    halves = [
        replace(
            real,
            frames=real.frames[a : b + 1], first=real.first[a : b + 1], age=real.age[a : b + 1],
            **{n: getattr(real, n)[a:b] for n in ("actions", "rewards", "terminated", "truncated")},
        )
        for a, b in ((0, 60), (60, STEPS))
    ]  # fmt: skip
    assert watch_flights(iter(halves)).to_json() == truth.to_json()


def test_the_table_has_a_row_for_everything(truth):
    table = flight_table(WORLD, "careful", FlightPair(dream=truth, real=truth), "command")
    assert len(table.rows) == 9
    assert all(row[1] == row[2] for row in table.rows)
