"""What the koi pond looks like: fish under pads, bodies that bend, ripples that run and fade."""

import cv2
import numpy as np
import pytest

from sims.koi_pond import KoiPondEnv, bodies, koi, water
from sims.koi_pond.scenery import RING_RADIUS, Scenery
from sims.koi_pond.simulation import KoiPondSimulation

FRAME = slice(bodies.BORDER, bodies.BORDER + 256)
IDLE = np.zeros(3, np.float32)


def rippled(ticks: int, strength: float = 1.0) -> np.ndarray:
    """The surface some ticks after a tap in the middle."""
    height = np.zeros((128, 128), np.float32)
    before = height.copy()
    water.splash(height, before, np.array([128.0, 128.0]), strength)
    for _ in range(ticks):
        height, before = water.flow(height, before)
    return height


def front(height: np.ndarray) -> float:
    """Pixels from the middle to the outermost wave, to the right."""
    return _outermost(height[64, 64:])


def _outermost(ray: np.ndarray) -> float:
    return 2 * float(np.flatnonzero(np.abs(ray) > 0.5 * np.abs(ray).max())[-1])


def test_ripples_run_at_the_wave_speed():
    speed = (front(rippled(20)) - front(rippled(8))) / (12 / water.FPS)
    assert speed == pytest.approx(water.SPEED, rel=0.1)


def test_ripples_run_alike_to_all_sides():
    height = rippled(12)[1:, 1:]  # the middle lies between cells 63 and 64
    assert np.allclose(height, height.T, atol=1e-4)
    diagonal = _outermost(height.diagonal()[63:]) * np.sqrt(2)
    assert diagonal == pytest.approx(front(rippled(12)), abs=4)


def test_ripples_are_the_higher_the_stronger_the_tap():
    heights = [np.abs(rippled(5, strength)).max() for strength in (0.2, 0.6, 1.0)]
    assert heights == pytest.approx([0.2 * heights[2], 0.6 * heights[2], heights[2]], rel=0.01)


def test_ripples_fade_from_tick_to_tick_and_the_water_lies_still_in_the_end():
    heights = [np.abs(rippled(ticks)).max() for ticks in (2, 10, 20, 40)]
    assert sorted(heights, reverse=True) == heights
    assert not rippled(300).any()


def test_still_water_shows_what_lies_below_as_it_is():
    picture = np.random.default_rng(0).integers(0, 256, (256, 256, 3)).astype(np.uint8)
    assert np.array_equal(water.seen_through(picture, np.zeros((128, 128), np.float32)), picture)


def test_a_ripple_bends_and_lights_the_picture_where_it_is():
    env = KoiPondEnv()
    env.reset(seed=0, options={"positions": [(30, 30)], "headings": [0]})
    state = env.get_state()
    env.step(np.array([0.6, 0.6, 1], np.float32))
    tapped = env.step(IDLE)[0].astype(int)
    env.set_state(state)
    env.step(IDLE)
    changed = np.abs(tapped - env.step(IDLE)[0]).max(-1)
    assert changed[130:180, 130:180].max() > 40
    assert changed[200:, :100].max() <= 1


def test_a_calm_bed_does_not_flicker():
    env = KoiPondEnv()
    frame, _ = env.reset(seed=0, options={"positions": [(60, 60)], "headings": [0]})
    for _ in range(5):
        later = env.step(IDLE)[0]
    assert np.array_equal(frame[150:, 150:], later[150:, 150:])


def visible_share(simulation: KoiPondSimulation) -> float:
    """The share of all that is drawn of the fish that lies in the frame and under no pad."""
    fish = simulation.fish_layer(0)[..., 3].astype(float)
    uncovered = 1 - simulation.scenery(0).cover / 255
    return (fish[FRAME, FRAME] * uncovered).sum() / fish.sum()


@pytest.mark.parametrize("look", [0, 1])
def test_at_least_a_quarter_of_a_koi_shows_wherever_it_swims(look):
    """A lone fish is put under pads at every angle, straight and bent."""
    simulation = KoiPondSimulation(1, leaving=False)
    random = np.random.default_rng(look)
    options = {"look": look, "positions": [(128, 128)]}
    simulation.start(0, random, options)
    shoal, cover = simulation.shoal, simulation.scenery(0).cover
    shoal.length[0, 0] = 41.6  # the shortest there is
    under = np.argwhere(cover[16:240, 16:240] > 200)[:, ::-1] + 16.0
    shares = []
    for centre in random.permutation(under)[:150]:
        bend = random.uniform(-1.2, 1.2)
        shoal.bend[0, 0] = random.uniform(-np.pi, np.pi) + np.linspace(0, bend, 12)
        shoal.head[0, 0] += centre - shoal.centres()[0, 0]
        shares.append(visible_share(simulation))
    assert min(shares) >= 0.25
    assert min(shares) < 0.7  # pads do hide fish


def test_every_pad_is_shorter_than_a_koi():
    for look in range(3):
        cover = (Scenery.of(look).cover > 127).astype(np.uint8)
        _, _, boxes, _ = cv2.connectedComponentsWithStats(cover)
        assert boxes[1:, 2:4].max() < 41


def test_the_ring_is_drawn_in_pads():
    scenery = Scenery.of(4)
    angles = np.linspace(0, 2 * np.pi, 360)
    x, y = np.rint(scenery.ring[:, None] + RING_RADIUS * np.stack([np.cos(angles), np.sin(angles)]))
    covered = scenery.cover[y.astype(int), x.astype(int)] > 127
    assert np.abs(np.diff(covered.astype(int))).sum() >= 2 * 8
    assert 0.3 < covered.mean() < 0.7
    y, x = np.mgrid[:256, :256]
    inside = np.hypot(x - scenery.ring[0], y - scenery.ring[1]) < RING_RADIUS - 12
    assert not scenery.cover[inside].any()


def drawn(head: tuple[float, float], *, turn: float = 0.0, phase: float = 1.0) -> np.ndarray:
    """Opacity of one drawn fish, in the frame."""
    texture = koi.paint(0, 50.0, np.random.default_rng(0))
    bend = np.linspace(0, turn, 12)[None]
    length, phases = np.array([50.0]), np.array([phase])
    points, tangents = bodies.swimming_spines(
        np.array([head]), bend, length, phases, np.array([24.0])
    )
    layer = bodies.draw([texture], points, tangents, length, phases)
    return layer[FRAME, FRAME, 3].astype(float)


def middle(opacity: np.ndarray) -> np.ndarray:
    y, x = np.mgrid[:256, :256]
    return np.array([(x * opacity).sum(), (y * opacity).sum()]) / opacity.sum()


@pytest.mark.parametrize("shift", [0.1, 0.25, 0.5, 0.75])
def test_fish_are_drawn_at_their_sub_pixel_positions(shift):
    moved = middle(drawn((150 + shift, 120 - shift))) - middle(drawn((150, 120)))
    assert moved == pytest.approx([shift, -shift], abs=0.06)


def test_a_turning_fish_is_bent():
    y, x = np.nonzero(drawn((150, 120)) > 100)
    bent_y, bent_x = np.nonzero(drawn((150, 120), turn=1.4) > 100)
    assert np.ptp(bent_y) > np.ptp(y) + 5
    assert np.ptp(bent_x) < np.ptp(x)


def test_the_tail_beats_more_than_the_head():
    frames = [drawn((150, 120), phase=phase) for phase in (0.0, np.pi)]
    changed = np.abs(frames[0] - frames[1]) > 80
    assert changed[:, :115].sum() > 2 * changed[:, 138:].sum()


def test_a_fish_keeps_its_size_while_it_swims():
    areas = [
        drawn((150.3, 120.8), turn=turn, phase=phase).sum()
        for turn in (-1.2, 0, 1.2)
        for phase in (0.0, 2.0, 4.0)
    ]
    assert max(areas) < 1.12 * min(areas)


def test_varieties_differ_in_colour():
    random = np.random.default_rng(0)
    colours = []
    for variety in range(len(koi.VARIETIES)):
        texture = koi.paint(variety, 50.0, random).astype(float)
        solid = texture[..., 3] > 250
        colours.append(np.concatenate([texture[solid, :3].mean(0), texture[solid, :3].std(0)]))
    apart = np.linalg.norm(np.array(colours)[:, None] - colours, axis=-1)
    assert apart[~np.eye(len(colours), dtype=bool)].min() > 12


def test_a_fish_casts_a_shadow_to_its_lower_right():
    simulation = KoiPondSimulation(1, leaving=False)
    options = {"look": 2, "positions": [(128, 128)], "headings": [0]}
    simulation.start(0, np.random.default_rng(0), options)
    opacity = simulation.fish_layer(0)[FRAME, FRAME, 3]
    shaded = (np.roll(opacity, (7, 5), (0, 1)) > 250) & (opacity == 0)
    shaded &= simulation.scenery(0).through[..., 0] == 255
    assert shaded.sum() > 30
    frame, bed = simulation.frame(0), simulation.scenery(0).bed
    assert frame[shaded].mean() < 0.8 * bed[shaded].mean()
