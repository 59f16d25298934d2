"""What goes wrong in dreams of footage is found where it was made, and nowhere else."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from tiny_walk import AHEAD, FPS, HEIGHT, LEFT, REST, RIGHT, TURN, WIDTH, WORLD, walked, wander

from learned_envs.data import Episode, EpisodeAttributes, EpisodeStore, EpisodeWriter
from learned_envs.evaluation.footage import rarity, report, stretches
from learned_envs.evaluation.footage.findings import findings, usual
from learned_envs.evaluation.footage.interface import interface_lag, interface_of
from learned_envs.evaluation.footage.made_faults import MADE
from learned_envs.evaluation.footage.memory import measure_memory
from learned_envs.evaluation.footage.rarity import measure_rarity
from learned_envs.evaluation.footage.signs import distance, signs_of

STEPS = 150


def film(seed: int) -> tuple[np.ndarray, np.ndarray]:
    actions = wander(STEPS, seed)
    return walked(actions, seed), actions


@pytest.fixture(scope="module")
def known():
    pairs = [film(seed) for seed in range(6)]
    return usual([signs_of(f) for f, _ in pairs], [a.any(1) for _, a in pairs], FPS)


def judged(frames, known, acting=None):
    acting = np.ones(len(frames) - 1, bool) if acting is None else acting
    return findings(signs_of(frames), acting, known)


def held(action, steps: int) -> np.ndarray:
    return np.repeat(np.array([action], np.float32), steps, 0)


def test_the_flow_says_which_way_one_turns_and_walks():
    right, left = (signs_of(walked(held(a, 20), 3)).turning.mean() for a in (RIGHT, LEFT))
    assert right == pytest.approx(TURN, rel=0.25)
    assert left == pytest.approx(-TURN, rel=0.25)
    ahead = signs_of(walked(held(AHEAD, 12), 3))
    assert ahead.forward.mean() > 0.3
    assert abs(ahead.turning.mean()) < 0.3
    still = signs_of(walked(held(REST, 12), 3))
    assert still.change.max() == still.jump.max() == 0
    assert abs(still.forward).max() < 0.01


def test_colours_are_shares_of_the_picture():
    frames, _ = film(0)
    colours = signs_of(frames).colours
    assert colours.sum(1) == pytest.approx(1)
    assert distance(colours[0], colours[0]) == 0
    black, white = (np.full((2, 8, 8, 3), level, np.uint8) for level in (0, 255))
    assert distance(signs_of(black).colours[0], signs_of(white).colours[0]) == 1


@pytest.mark.parametrize("seed", range(20, 24))
def test_nothing_is_found_in_a_walk(known, seed):
    found = judged(film(seed)[0], known)
    assert not (found.stuck or found.blurred or found.morphed)
    assert (found.teleports, found.overlays) == (0, 0)
    assert found.seconds == STEPS / FPS


@pytest.mark.parametrize("fault", MADE)
def test_made_faults_are_found(known, fault):
    random, found = np.random.default_rng(1), []
    for seed in range(20, 24):
        made = MADE[fault](film(seed)[0], film(seed + 40)[0], random)
        found.append(bool(getattr(judged(made, known), fault)))
    assert sum(found) >= 3


def test_who_rests_is_not_stuck(known):
    still = np.repeat(film(20)[0][:1], STEPS + 1, 0)
    assert judged(still, known).stuck
    assert not judged(still, known, np.zeros(STEPS, bool)).stuck


def test_a_menu_that_closes_again_is_no_teleport(known):
    frames = film(21)[0].copy()
    frames[50:80] = 255 - frames[49] // 2
    frames[80:] = frames[49]
    found = judged(frames, known)
    assert (found.teleports, found.overlays) == (0, 1)
    frames[80:] = 255 - frames[49] // 2  # it stays open
    found = judged(frames, known)
    assert (found.teleports, found.overlays) == (1, 0)


def test_a_flash_is_nothing(known):
    frames = film(22)[0].copy()
    frames[60:62] = 255 - frames[59] // 2
    frames[62:] = frames[59]
    found = judged(frames, known)
    assert (found.teleports, found.overlays) == (0, 0)


def recording(folder, film=film, takes: int = 40) -> str:
    writer = EpisodeWriter(folder, "walk")
    writer.folder.describe(WORLD.own.to_json())
    for seed in range(takes):
        frames, actions = film(seed)
        last = np.arange(len(actions)) == len(actions) - 1
        attributes = EpisodeAttributes(
            world="walk", fps=FPS, seed=seed, behaviour="footage", action_names=WORLD.action_names
        )
        writer.write(
            Episode(
                observation=frames, action=actions, reward=np.zeros(len(actions), np.float32),
                terminated=last & False, truncated=last, attributes=attributes,
            )
        )  # fmt: skip
    return str(folder)


class Dreamer:
    """Stands in for a model: dreams what the test says."""

    span = 3


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> str:
    return recording(tmp_path_factory.mktemp("walks"))


def measured(recorded, monkeypatch, dream, steps=120):
    for module in (report, stretches):
        monkeypatch.setattr(module, "dream_frames", dream)
    return report.measure_footage(WORLD, Dreamer(), recorded, films=4, steps=steps, seed=0)


def test_a_dream_that_stands_still_is_stuck_and_follows_no_input(recorded, monkeypatch):
    def still(model, context, actions, seed):
        assert context.shape[1] == Dreamer.span
        return np.repeat(context[:, -1:], actions.shape[1] - context.shape[1] + 1, 1)

    found = measured(recorded, monkeypatch, still)
    assert found.dream.stuck == 1
    assert found.real.stuck == found.real.blurred == 0
    dreamed, real = found.effects["right"]
    assert abs(dreamed.turning) < 0.01
    assert real.turning == pytest.approx(TURN, rel=0.3)
    dreamed, real = found.effects["forward"]
    assert abs(dreamed.forward) < 0.01
    assert real.forward > 0.2
    assert set(found.found) == set(MADE)
    table = report.footage_table(WORLD, found, "command")
    assert table.rows[0][1:3] == ("100.0%", "0.0%")
    nobody = report.Effect(forward=np.nan, turning=np.nan)
    unknown = replace(found, effects={"back": (nobody, nobody)})
    rows = report.footage_table(WORLD, unknown, "command").rows
    assert [row[1:3] for row in rows if row[0].startswith("back")] == [("–", "–")] * 2


def test_a_dream_of_noise_jumps_at_every_turn(recorded, monkeypatch):
    def noise(model, context, actions, seed):
        steps = actions.shape[1] - context.shape[1] + 1
        random = np.random.default_rng(seed)
        rows = len(context)
        tints = random.uniform(0.1, 1, (rows, steps, 1, 1, 3))
        whole = random.integers(0, 255, (rows, steps, *context.shape[2:4], 1)) * tints
        return whole.astype(np.uint8)

    found = measured(recorded, monkeypatch, noise)
    assert found.dream.stuck == 0
    assert found.dream.teleports + found.dream.overlays > 4 * (found.real.teleports + 1)


def test_films_are_no_longer_than_what_was_held_out(recorded, monkeypatch):
    lengths = []

    def still(model, context, actions, seed):
        lengths.append(actions.shape[1] - context.shape[1] + 1)
        return np.repeat(context[:, -1:], lengths[-1], 1)

    measured(recorded, monkeypatch, still, steps=1000)
    assert set(lengths) == {STEPS - Dreamer.span + 1, rarity.STEPS}


def with_interface(seed: int, late: int) -> np.ndarray:
    """A walk with a bar below, whose light changes by as much as the picture did before."""
    frames = film(seed)[0].copy()
    moved = abs(np.diff(frames[:, :40].astype(int), axis=0)).mean((1, 2, 3))
    change = np.concatenate([np.zeros(1 + late), moved])[: len(frames)]
    light = 100 + np.cumsum(4 * change * (-1) ** np.arange(len(frames)))
    frames[:, 40:] = 60
    frames[:, 42:46, 4:60] = light.clip(0, 255).astype(np.uint8)[:, None, None, None]
    return frames


@pytest.mark.parametrize("late", [0, 3, 9])
def test_an_interface_is_found_and_how_late_it_is(late):
    films = [with_interface(seed, late) for seed in range(6)]
    bar = np.zeros(films[0].shape[1:3], bool)
    bar[41:] = True
    found = interface_of(films)
    assert found is not None
    assert (found & bar).sum() > 0.3 * bar.sum()
    assert (found & ~bar).sum() < 0.1 * bar.sum()
    assert interface_lag(films, bar) == late


def test_pictures_that_move_as_a_whole_have_no_interface():
    assert interface_of([film(seed)[0] for seed in range(6)]) is None


def test_an_interface_that_does_not_follow_has_no_lag():
    films = [with_interface(seed, 0) for seed in range(4)]
    bar = np.zeros(films[0].shape[1:3], bool)
    bar[40:] = True
    for made in films:
        made[:, 40:] = 60
    assert interface_lag(films, bar) is None


def away_and_back(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A look along a wall whose colours change all along it, and back to where it began."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 255, (3, 9, 3)).astype(np.float32)
    wall = cv2.resize(coarse, (400, HEIGHT), interpolation=cv2.INTER_CUBIC).clip(0, 255)
    actions = np.concatenate([held(RIGHT, 30), held(LEFT, 30), held(REST, 5)])
    places = np.cumsum(np.concatenate([[0], 8 * (actions[:, 1] - actions[:, 0])])).astype(int)
    return np.stack([wall[:, at : at + WIDTH] for at in places]).astype(np.uint8), actions


def test_a_place_is_known_again_by_a_dream_that_returns(tmp_path, monkeypatch):
    store = EpisodeStore(recording(tmp_path, away_and_back, takes=60), "walk")

    def returning(model, context, actions, seed):
        return np.repeat(context[:, -1:], actions.shape[1] - context.shape[1] + 1, 1)

    def lost(model, context, actions, seed):
        elsewhere = away_and_back(1000 + seed)[0][None, :1]
        return np.repeat(elsewhere, actions.shape[1] - context.shape[1] + 1, 1)

    shares = []
    for dream in (returning, lost):
        monkeypatch.setattr(stretches, "dream_frames", dream)
        found = measure_memory(Dreamer(), store, ways=8, seed=0)
        assert found is not None
        assert found.real >= 0.8
        shares.append(found.dream)
    assert shares[0] == 1
    assert shares[1] <= 0.4


def bright_when_held_out(seed: int) -> tuple[np.ndarray, np.ndarray]:
    take = EpisodeAttributes(
        world="walk", fps=FPS, seed=seed, behaviour="footage", action_names=WORLD.action_names
    )
    new = take.split == "test" and seed % 2
    return np.full((41, HEIGHT, WIDTH, 3), 200 if new else 60, np.uint8), held(REST, 40)


def test_a_dream_that_fails_where_little_was_filmed_is_found_out(tmp_path, monkeypatch):
    store = EpisodeStore(recording(tmp_path, bright_when_held_out, takes=60), "walk")

    def dim(model, context, actions, seed):
        seen = np.minimum(context[:, -1:], 100)
        return np.repeat(seen, actions.shape[1] - context.shape[1] + 1, 1)

    monkeypatch.setattr(stretches, "dream_frames", dim)
    found = measure_rarity(Dreamer(), store, dreams=3, seed=0)
    assert found.common == found.common_unmoved == found.rare_unmoved == 60
    assert found.rare < 20
