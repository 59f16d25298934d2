"""People at the koi pond: where they tap, when they rest, and what a recording of them holds."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from learned_envs import worlds
from learned_envs.recording.takes import planned_takes, record_take
from learned_envs.worlds.koi_pond import (
    FPS,
    RING_RADIUS,
    STYLES,
    TAP_THRESHOLD,
    Style,
    Tappers,
    find_fish,
    find_ring,
)
from sims import koi_pond as sim

WORLD = worlds.get("koi_pond")


@pytest.fixture(scope="module")
def pond() -> tuple[np.ndarray, dict]:
    return sim.KoiPondEnv().reset(seed=7)


def taps_of(style: Style | None, frame: np.ndarray, steps: int = 3000, rows: int = 1) -> np.ndarray:
    """Actions (steps, rows, 3) of people who see one frame all the time."""
    tappers = Tappers([style] * rows, list(range(rows)))
    frames = np.broadcast_to(frame, (rows, *frame.shape))
    none = np.zeros(rows, bool)
    return np.stack([tappers(frames, none if t else ~none) for t in range(steps)])


def places_of(style: Style, frame: np.ndarray, steps: int = 3000) -> np.ndarray:
    """Where (k, 2) somebody's taps fall, in pixels."""
    actions = taps_of(style, frame, steps)[:, 0]
    return 256 * actions[actions[:, 2] > TAP_THRESHOLD, :2]


def take_of(behaviour: str, steps: int = 60):
    (attributes,) = planned_takes(WORLD, 1, 0, {behaviour: 1.0})
    return record_take(WORLD, WORLD.make_real(), attributes, steps)


def test_what_the_world_says_of_its_simulator_is_so():
    assert (WORLD.fps, TAP_THRESHOLD, RING_RADIUS) == (
        sim.FPS, sim.TAP_THRESHOLD, sim.RING_RADIUS,
    )  # fmt: skip
    assert WORLD.idle_action.tolist() == list(sim.IDLE_ACTION)


@pytest.mark.parametrize("seed", range(3))
def test_fish_and_ring_are_found_in_a_frame(seed):
    frame, info = sim.KoiPondEnv().reset(seed=seed)
    fish = info["positions"][: info["fish"]]
    gaps = np.linalg.norm(find_fish(frame)[:, None] - fish, axis=2)
    assert (gaps.min(0) < 16).all()
    assert (gaps.min(1) < 26).mean() > 0.9
    assert np.linalg.norm(find_ring(frame) - info["ring"]) < 8


def test_a_ring_without_blossoms_is_looked_for_in_the_middle():
    assert find_ring(np.zeros((256, 256, 3), np.uint8)).tolist() == [128, 128]


def test_who_watches_never_taps(pond):
    assert not taps_of(STYLES["watch"], pond[0]).any()


@pytest.mark.parametrize("name", [name for name, style in STYLES.items() if style])
def test_whoever_taps_also_rests(pond, name):
    actions = taps_of(STYLES[name], pond[0], steps=6000)[:, 0]
    tapped = np.flatnonzero(actions[:, 2])
    low, high = STYLES[name].strength
    assert ((actions[tapped, 2] >= low) & (actions[tapped, 2] <= high)).all()
    gaps = np.diff(tapped) / FPS
    assert gaps.max() > STYLES[name].rest / 2
    assert np.median(gaps) < 2 * STYLES[name].gap
    assert all(action in WORLD.action_space for action in actions[::100])


def test_a_chaser_taps_at_fish(pond):
    frame, info = pond
    fish = info["positions"][: info["fish"]]
    places = places_of(Style(aim="fish", gap=0.5, spread=0), frame)
    assert (np.linalg.norm(places[:, None] - fish, axis=2).min(1) < 26).mean() > 0.9


def test_a_tapper_at_the_shore_taps_near_an_edge(pond):
    places = places_of(Style(aim="shore", gap=0.5, spread=0), pond[0])
    assert (np.minimum(places, 256 - places).min(1) <= 20.5).all()


def test_a_herder_taps_behind_fish_that_are_outside_of_the_ring(pond):
    frame, info = pond
    places = places_of(Style(aim="behind", gap=0.5, spread=0), frame)
    distance = np.linalg.norm(places - info["ring"], axis=1)
    assert len(places) > 20 and distance.min() > RING_RADIUS + 5


def test_a_herder_taps_no_longer_when_no_fish_is_outside():
    assert not len(places_of(Style(aim="behind", gap=0.5), np.zeros((256, 256, 3), np.uint8)))


def test_a_chaser_who_sees_no_fish_taps_anywhere():
    places = places_of(Style(aim="fish", gap=0.5), np.zeros((256, 256, 3), np.uint8))
    assert np.ptp(places, axis=0).min() > 150


def test_a_burst_falls_around_one_place(pond):
    actions = taps_of(Style(aim="anywhere", gap=20.0, burst=4, spread=3.0), pond[0], 6000)[:, 0]
    tapped = np.flatnonzero(actions[:, 2])
    bursts = np.split(tapped, np.flatnonzero(np.diff(tapped) > 3) + 1)
    whole = [burst for burst in bursts if len(burst) == 4]
    assert len(whole) >= len(bursts) - 3
    for burst in whole:
        assert np.ptp(256 * actions[burst, :2], axis=0).max() < 24


def test_people_do_not_wait_for_one_another(pond):
    alone = taps_of(STYLES["chase"], pond[0], 300)
    together = taps_of(STYLES["chase"], pond[0], 300, rows=3)
    np.testing.assert_array_equal(alone[:, 0], together[:, 0])
    assert (together[:, 0] != together[:, 1]).any()


def test_an_episode_begins_calm_and_no_tap_is_missing_from_its_actions():
    """Played again from its seed and its actions alone, every frame comes out the same."""
    take, env = take_of("random", 90), sim.KoiPondEnv()
    frame, _ = env.reset(seed=take.attributes.seed)
    assert not env.get_state()["height"].any()
    assert (take.action[:, 2] > TAP_THRESHOLD).any()
    for t, action in enumerate(take.action):
        np.testing.assert_array_equal(frame, take.observation[t])
        frame = env.step(action)[0]


def test_events_of_a_recording_are_counted():
    action, reward = np.zeros((400, 3), np.float32), np.zeros(400, np.float32)
    action[[10, 40, 395], 2] = 0.5
    action[41, 2] = TAP_THRESHOLD
    reward[100:], reward[200:] = 0.25, 0.5
    reward[300:], reward[350:] = 0.25, 0.5
    episode = SimpleNamespace(
        action=action, reward=reward, steps=400, metadata={"fish": np.full(401, 8)}
    )
    assert WORLD.events(episode) == {"taps": 3, "quiet seconds": 23, "koi herded": 6}


def test_the_seed_preset_has_the_published_sizes_and_planes():
    model = WORLD.presets["seed"]().build()
    assert model.codec.latent_shape == (8, 32, 32)
    assert sum(p.numel() for p in model.codec.parameters()) == pytest.approx(13.6e6, rel=0.03)
    assert sum(p.numel() for p in model.dynamics.parameters()) == pytest.approx(47.7e6, rel=0.03)
    assert model.dynamics.network.stem.in_channels == 82


def test_a_tap_anywhere_peaks_as_high_as_it_is_strong():
    actions = WORLD.presets["seed"]().actions
    taps = torch.rand(500, 3, generator=torch.Generator().manual_seed(0))
    taps[:, 2] = 1.0
    peaks = actions.draw(actions.encode(taps), (32, 32))[:, 0].amax((1, 2))
    assert peaks.min() > 0.77  # furthest from any place's middle: exp(-1/4)


def test_the_seed_preset_comes_to_its_own_predictions_as_published():
    recipe = WORLD.recipes["seed"]()
    own = {step: 1 - recipe.resync_at(step) for step in (0, 10_000, 50_000, 59_999)}
    assert own == pytest.approx({0: 0.0, 10_000: 0.5, 50_000: 1.0, 59_999: 1.0})
    assert recipe.rollout == 2


def test_who_has_not_begun_does_not_tap(pond):
    tappers = Tappers([STYLES["chase"], None], [0, 1])
    frames, none = np.stack([pond[0]] * 2), np.zeros(2, bool)
    for _ in range(90):
        assert not tappers(frames, none).any()
