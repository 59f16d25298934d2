"""The koi's manners: where they swim, what they keep away from, what frightens and draws them."""

import numpy as np
import pytest

from sims.koi_pond import KoiPondEnv
from sims.koi_pond.shoal import GIRTH, MAX_KOI, Shoal
from sims.koi_pond.simulation import KoiPondSimulation

NO_FOOD = np.full((1, 8, 2), np.nan)


def lone_fish(count: int) -> Shoal:
    """`count` ponds with one fish each in the middle, heading every way."""
    shoal = Shoal(count, leaving=False)
    for row in range(count):
        heading = np.array([2 * np.pi * row / count])
        shoal.place(row, np.array([[128.0, 128.0]]), heading, np.random.default_rng(row))
    return shoal


def swim(shoal: Shoal, ticks: int, food: np.ndarray = NO_FOOD) -> None:
    count = len(shoal.head)
    for _ in range(ticks):
        still = np.zeros((count, MAX_KOI))
        shoal.swim(np.ones(count, bool), still, np.broadcast_to(food, (count, 8, 2)))


def flight(distance: float, strength: float) -> float:
    """Pixels that a tap drives a fish away within a second, beyond where it would have been."""
    moved = []
    point = np.array([128.0 - distance, 128.0])
    for tapped in (True, False):
        shoal = lone_fish(8)
        for row in range(8 if tapped else 0):
            shoal.frighten(row, point, strength)
        swim(shoal, 15)
        moved.append(np.linalg.norm(shoal.centres()[:, 0] - point, axis=-1).mean())
    return moved[0] - moved[1]


@pytest.fixture(scope="module")
def voyage() -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Spines, lengths and presence over 300 ticks of 8 ponds, half of them tapped at random."""
    count = 8
    simulation = KoiPondSimulation(count, leaving=False)
    random = [np.random.default_rng(row) for row in range(count)]
    for row in range(count):
        simulation.start(row, random[row], {"fish": 7 + row % 4})
    hand, seen = np.random.default_rng(5), []
    everywhere = np.ones(count, bool)
    for _ in range(300):
        for row in range(count // 2):
            if hand.random() < 0.04:
                simulation.shoal.frighten(row, hand.uniform(0, 256, 2), hand.uniform(0.3, 1))
        whims = np.stack([generator.standard_normal(MAX_KOI) for generator in random])
        simulation.shoal.swim(everywhere, whims, simulation.food)
        shoal = simulation.shoal
        seen.append((shoal.spine(), shoal.length.copy(), shoal.present.copy()))
    return seen


def test_centres_stay_in_the_frame_over_thousands_of_pond_ticks(voyage):
    for spine, _, present in voyage:
        centres = spine[:, :, 6][present]
        assert centres.min() >= 15.9
        assert centres.max() <= 240.1


def test_koi_use_the_whole_pond(voyage):
    centres = np.concatenate([spine[:, :, 6][present] for spine, _, present in voyage])
    visits, _, _ = np.histogram2d(*centres.T, bins=4, range=[[0, 256]] * 2)
    assert visits.min() > 0.01 * visits.sum()


def clearances(spine: np.ndarray, length: np.ndarray, present: np.ndarray) -> np.ndarray:
    """Pixels of water between the two nearest bodies of each pond, negative where they overlap."""
    girth = GIRTH * length[..., None]
    apart = spine[:, :, None, :, None] - spine[:, None, :, None]
    clear = np.linalg.norm(apart, axis=-1) - girth[:, :, None, :, None] - girth[:, None, :, None]
    clear = clear.min((-1, -2))
    clear[:, np.eye(MAX_KOI, dtype=bool)] = np.inf
    clear[~(present[:, :, None] & present[:, None])] = np.inf
    return clear.min((1, 2))


def test_koi_do_not_touch_beyond_a_tolerance(voyage):
    clear = np.stack([clearances(*moment) for moment in voyage[::3]])
    assert clear.min() > -3
    assert (clear < 0).mean() < 0.03
    assert np.median(clear) > 1


def test_koi_move_smoothly(voyage):
    heads = np.stack([spine[:, :, 0] for spine, _, _ in voyage])
    present = voyage[0][2]
    steps = np.linalg.norm(np.diff(heads, axis=0), axis=-1)[:, present]
    assert steps.max() < 18
    assert 0.8 < np.median(steps) < 3


def test_a_tap_drives_koi_away_the_more_the_nearer_it_falls():
    near, middle, far, remote = (flight(distance, 1.0) for distance in (20, 50, 90, 200))
    assert near > middle > far > remote
    assert near > 40
    assert abs(remote) < 3


def test_a_tap_drives_koi_away_the_more_the_stronger_it_is():
    weak, middle, strong = (flight(30, strength) for strength in (0.2, 0.5, 1.0))
    assert strong > middle > weak > 1


def test_fear_calms_within_a_few_seconds():
    shoal = lone_fish(4)
    for row in range(4):
        shoal.frighten(row, np.array([118.0, 128.0]), 1.0)
    frightened = shoal.fear[:, 0].copy()
    swim(shoal, 15)
    assert (shoal.fear[:, 0] < 0.5 * frightened).all()
    swim(shoal, 60)
    assert not shoal.fear.any()
    assert shoal.speed[:, 0] == pytest.approx(shoal.cruise[:, 0], rel=0.1)


@pytest.mark.parametrize(("strength", "felt"), [(0.0, False), (0.1, False), (0.11, True)])
def test_up_to_a_strength_of_a_tenth_a_tap_is_none(strength, felt):
    env = KoiPondEnv()
    env.reset(seed=0, options={"positions": [(128, 128)]})
    env.step(np.array([0.5, 0.5, strength], np.float32))
    state = env.get_state()
    assert bool(state["height"].any()) is bool(state["fear"].any()) is felt


def test_food_draws_koi_frightens_none_and_is_eaten():
    env = KoiPondEnv(food=True)
    _, info = env.reset(seed=0, options={"positions": [(60, 128)], "headings": [np.pi / 2]})
    idle = np.zeros(4, np.float32)
    env.step(np.array([0.62, 0.5, 1, 1], np.float32))
    assert not env.get_state()["fear"].any()
    pellet = env.get_state()["food"][0]
    assert pellet == pytest.approx([158, 128])
    before = np.linalg.norm(info["positions"][0] - pellet)
    for _ in range(120):
        info = env.step(idle)[4]
        if np.isnan(env.get_state()["food"]).all():
            break
    assert np.isnan(env.get_state()["food"]).all()
    assert np.linalg.norm(info["positions"][0] - pellet) < 0.5 * before


def test_food_left_alone_stays_and_is_seen():
    env = KoiPondEnv(food=True)
    env.reset(seed=0, options={"positions": [(40, 40)], "headings": [0], "look": 3})
    state = env.get_state()
    env.step(np.array([0.9, 0.9, 1, 1], np.float32))
    env.step(np.zeros(4, np.float32))
    with_food = env.step(np.zeros(4, np.float32))[0].astype(int)
    assert (~np.isnan(env.get_state()["food"])).any()
    env.set_state(state)
    for _ in range(3):
        without = env.step(np.zeros(4, np.float32))[0]
    assert np.abs(with_food - without)[224:238, 224:238].max() > 40


def test_more_food_than_there_is_room_for_replaces_the_oldest():
    simulation = KoiPondSimulation(1, leaving=False)
    for x in range(9):
        simulation.feed(0, np.array([100.0 + x, 100.0]))
    assert simulation.food[0, :, 0].tolist() == [101 + x for x in range(8)]


def test_without_food_a_pond_holds_none():
    env = KoiPondEnv()
    env.reset(seed=0, options={"fish": 6})
    env.step(np.array([0.5, 0.5, 1], np.float32))
    assert np.isnan(env.get_state()["food"]).all()


def test_leaving_koi_leave_the_frame_and_return():
    count = 4
    simulation = KoiPondSimulation(count, leaving=True)
    random = [np.random.default_rng(row) for row in range(count)]
    for row in range(count):
        simulation.start(row, random[row], {"fish": 8})
    away = np.zeros((400, count, MAX_KOI), bool)
    for tick in range(400):
        whims = np.stack([generator.standard_normal(MAX_KOI) for generator in random])
        simulation.shoal.swim(np.ones(count, bool), whims, simulation.food)
        centres = simulation.shoal.centres()
        away[tick] = ((centres < -20) | (centres > 276)).any(-1) & simulation.shoal.present
    left = away.any(0)
    returned = (away[:-1] & ~away[1:]).any(0)
    assert left.sum() >= 3
    assert returned.sum() >= 0.5 * left.sum()
    assert away[:, simulation.shoal.present].mean() < 0.5


def test_what_happens_in_one_pond_moves_nothing_in_another():
    """Fish placed close touch often, so that some ponds are eased apart more than others."""

    def shoal(rows: range) -> Shoal:
        fish = Shoal(len(rows), leaving=False)
        for i, row in enumerate(rows):
            random = np.random.default_rng(row)
            fish.place(i, random.uniform(90, 166, (6, 2)), random.uniform(-3, 3, 6), random)
        return fish

    together, alone = shoal(range(3)), [shoal(range(row, row + 1)) for row in range(3)]
    for fish in (together, *alone):
        swim(fish, 40)
    assert np.array_equal(together.head, np.concatenate([fish.head for fish in alone]))
