"""Pads, bed, water and detail, read from pixels."""

import cv2
import numpy as np
import pytest
import tiny_ponds as ponds

from learned_envs.evaluation.koi_pond.footage import film, truth
from learned_envs.evaluation.koi_pond.surface import (
    BED_WINDOW,
    PSNR_CAP,
    STIRRED,
    Surface,
    crispness,
    read_pads,
)
from sims.koi_pond.simulation import KoiPondSimulation

NOWHERE = np.full((1, 16, 2), np.nan, np.float32)


def pond(seed: int = ponds.SEED, **options) -> tuple[KoiPondSimulation, np.random.Generator]:
    simulation, random = KoiPondSimulation(1, leaving=False), np.random.default_rng(seed)
    simulation.start(0, random, options)
    return simulation, random


@pytest.mark.parametrize("seed", range(900_300, 900_306))
def test_pads_are_where_they_are(seed):
    simulation, _ = pond(seed)
    pads = simulation.scenery(0).cover > 127
    found = read_pads(simulation.frame(0))
    assert pads.sum() > 1000
    assert (pads & found).sum() / (pads | found).sum() > 0.8


def bed_after(frame_at, count: int = BED_WINDOW) -> Surface:
    """A pond watched for ten seconds; `frame_at(simulation, tick)` is what is shown of it."""
    simulation, random = pond(fish=3)
    surface = None
    for tick in range(count):
        seen = truth(simulation)
        if surface is None:
            surface = Surface(seen["frames"][0], seen["cover"][0])
        surface.watch(frame_at(simulation, tick)[None], seen["cover"], NOWHERE)
        simulation.advance(np.zeros((1, 3), np.float32), np.ones(1, bool), [random])
    assert surface is not None
    return surface


def test_a_real_bed_does_not_change():
    assert bed_after(lambda simulation, tick: simulation.frame(0)).bed == [PSNR_CAP]


def test_a_bed_that_drifts_is_found():
    drifted = bed_after(lambda simulation, tick: ponds.shifted_bed(simulation, 0, tick // 40))
    assert drifted.bed[0] < PSNR_CAP - 15


def test_a_bed_that_changes_its_colour_is_found():
    dimmed = bed_after(lambda simulation, tick: cv2.convertScaleAbs(simulation.frame(0), alpha=0.9))
    assert dimmed.bed[0] < 32


def test_bed_is_judged_by_whole_windows():
    assert bed_after(lambda simulation, tick: simulation.frame(0), BED_WINDOW - 1).bed == []


def stirred(strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Over 12 ticks after a tap 40 pixels from a fish: change of the water, whether it crosses."""
    simulation, random = pond(positions=np.array([[128.0, 128.0]]), headings=np.zeros(1))
    seen = truth(simulation)
    surface, rows = Surface(seen["frames"][0], seen["cover"][0]), []
    for tick in range(12):
        tapped = np.array([[0.5, 0.66, strength if tick == 0 else 0]], np.float32)
        simulation.advance(tapped, np.ones(1, bool), [random])
        seen, centres = truth(simulation), NOWHERE.copy()
        centres[0, 0] = seen["centres"][0, 0]
        rows.append(surface.watch(seen["frames"], seen["cover"], centres))
    stir, rippled = zip(*rows, strict=True)
    return np.concatenate(stir), np.concatenate(rippled)[:, 0]


def test_still_water_does_not_change():
    stir, rippled = stirred(0.0)
    assert stir.max() < 0.01 * STIRRED
    assert not rippled.any()


def test_a_ripple_stirs_the_water_and_crosses_the_fish_beside_it():
    stir, rippled = stirred(0.6)
    assert stir.max() > 0.2
    assert rippled.sum() >= 6


def test_the_more_a_picture_is_blurred_the_less_crisp_its_fish_are():
    footage = film([900_310], 1)
    found = [crispness(footage.frames, footage.cover)[0]]
    for blur in (0.6, 1.0, 2.0):
        soft = cv2.GaussianBlur(footage.frames[0], (0, 0), blur)
        found.append(crispness(soft[None], footage.cover)[0])
    assert (np.diff(found) < 0).all()
    assert found[-1] < 0.3 * found[0]


def test_without_fish_nothing_is_crisp():
    footage = film([900_310], 1)
    assert np.isnan(crispness(footage.frames, np.zeros_like(footage.cover))).all()
