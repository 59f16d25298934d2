"""Faults planted in real koi ponds, each found by its diagnostic from pixels alone."""

import numpy as np
import pytest
import tiny_ponds as ponds

from learned_envs.evaluation.koi_pond.diagnostics import Diagnosis, diagnosed
from learned_envs.evaluation.koi_pond.watch import watch

BEGIN, STEPS = 20, 80
FAULTS = {
    "none": None,
    "frozen": None,
    "blurred": None,
    "erased": ponds.take_away(2),
    "moved": ponds.move(3, (90.0, -50.0)),
    "recoloured": ponds.recolour(5),
    "merged": ponds.take_away(1),
    "rippling": ponds.ripple,
    "halved": ponds.take_away(2, 4, 6),
}


@pytest.fixture(scope="module")
def found() -> dict[str, Diagnosis]:
    """The diagnosis of each pond alone."""
    names = list(FAULTS)
    retouch = {names.index("frozen"): ponds.repeat, names.index("blurred"): ponds.blur}
    played = ponds.footage(list(FAULTS.values()), steps=STEPS, begin=BEGIN, retouch=retouch)
    watched = watch(iter([played]))
    return {name: diagnosed([pond], [STEPS]) for name, pond in zip(names, watched, strict=True)}


def test_a_faultless_pond_is_found_faultless(found):
    pond = found["none"]
    assert pond.count == pytest.approx(1, abs=0.02)
    assert pond.area == pytest.approx(1, abs=0.1)
    assert pond.crispness == pytest.approx(1, abs=0.1)
    assert 15 < pond.motion < 45
    assert (pond.identity[0].fish, pond.identity[0].unharmed) == (7, 7)
    fates = pond.fates
    assert (fates.vanished, fates.teleported, fates.merged, fates.appeared) == (0, 0, 0, 0)
    assert fates.minutes == pytest.approx(7 * (STEPS + 1) / 15 / 60, rel=0.02)
    assert pond.quiet < 0.01
    assert 15 < pond.calm_speeds[1] < 45


def test_a_frozen_pond_lacks_motion_and_nothing_else(found):
    pond = found["frozen"]
    assert pond.motion < 0.3 * found["none"].motion
    assert pond.count == pytest.approx(1, abs=0.02)
    assert pond.crispness == pytest.approx(1, abs=0.1)


def test_blurred_fish_are_less_crisp(found):
    assert found["blurred"].crispness < 0.7 * found["none"].crispness
    assert found["blurred"].count == pytest.approx(1, abs=0.05)


def test_an_erased_fish_vanished(found):
    fates = found["erased"].fates
    assert (fates.vanished, fates.teleported, fates.merged) == (1, 0, 0)
    assert found["erased"].identity[0].unharmed == 6


def test_a_moved_fish_teleported(found):
    fates = found["moved"].fates
    assert (fates.vanished, fates.teleported, fates.appeared) == (0, 1, 0)


def test_a_recoloured_fish_lost_its_pattern_and_nothing_else(found):
    pond = found["recoloured"]
    assert (pond.identity[0].fish, pond.identity[0].unharmed) == (7, 6)
    assert (pond.fates.vanished, pond.fates.teleported) == (0, 0)


def test_two_fish_that_become_one_merged(found):
    fates = found["merged"].fates
    assert (fates.vanished, fates.merged) == (1, 1)
    assert found["merged"].contacts.share < found["none"].contacts.share


def test_water_that_ripples_without_taps_is_not_quiet(found):
    assert found["rippling"].quiet > 0.3
    assert found["rippling"].ripples.fish > 3
    assert found["none"].ripples.fish == 0


def test_fish_come_through_ripples(found):
    assert found["rippling"].ripples.share > 0.9


def test_half_the_fish_are_half_the_count_and_area(found):
    pond = found["halved"]
    assert pond.count == pytest.approx(4 / 7, abs=0.13)
    assert pond.area == pytest.approx(4 / 7, abs=0.17)
    assert pond.fates.vanished == 3


def test_fish_that_ignore_taps_do_not_flee():
    taps = {5: (70 / 256, 60 / 256, 1.0), 30: (180 / 256, 180 / 256, 1.0)}
    played = ponds.footage([None, None], steps=50, begin=0, taps=taps, told=np.array([True, False]))
    told, deaf = (diagnosed([pond]).flight for pond in watch(iter([played])))
    assert min(told.fish[:2].sum(), deaf.fish[:2].sum()) >= 4
    near_told, near_deaf = (of.pixels[:2].sum() / of.fish[:2].sum() for of in (told, deaf))
    assert near_told > 40
    assert near_deaf < 0.4 * near_told
