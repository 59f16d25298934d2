"""The reader of koi against what the simulator knows, on ponds it was not trained on."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tiny_ponds import SEED

from learned_envs.evaluation.koi_pond.eye import WEIGHTS, Eye, packaged_eye
from learned_envs.evaluation.koi_pond.eye_training import batch, eye_loss
from learned_envs.evaluation.koi_pond.footage import Footage, film
from learned_envs.evaluation.koi_pond.reader import read
from sims.koi_pond.picture import compose
from sims.koi_pond.simulation import KoiPondSimulation

NEAR = 12.0  # pixels within which a sighting is of a fish


@dataclass
class Score:
    """Every true fish of some footage: `found` and, if so, how far off it was read."""

    found: np.ndarray
    away: np.ndarray
    turned: np.ndarray
    right: np.ndarray
    shown: np.ndarray
    rippled: np.ndarray
    crowded: np.ndarray
    invented: float  # of all sightings, the share of those that are of no fish


def score(footage: Footage) -> Score:
    seen = read(footage.frames[:, None])
    rows, invented, sightings = [], 0, 0
    for i, (centres, varieties) in enumerate(zip(footage.centres, footage.varieties, strict=True)):
        fish, sights = np.flatnonzero(varieties >= 0), np.flatnonzero(seen.variety[i, 0] >= 0)
        away = np.linalg.norm(centres[fish, None] - seen.centre[i, 0, sights], axis=-1)
        others = np.linalg.norm(centres[fish, None] - centres[fish], axis=-1)
        others[np.eye(len(fish), dtype=bool)] = np.inf
        mine = matched(away)
        for j, k in enumerate(fish):
            sight = sights[mine[j]] if j in mine else -1
            turn = seen.heading[i, 0, sight] - footage.headings[i, k]
            rows.append(
                (
                    sight >= 0,
                    away[j, mine[j]] if j in mine else np.nan,
                    abs((turn + np.pi) % (2 * np.pi) - np.pi),
                    seen.variety[i, 0, sight] == varieties[k],
                    footage.shown[i, k],
                    footage.rippled[i],
                    others[j].min() < 20,
                )
            )
        invented += len(sights) - len(mine)
        sightings += len(sights)
    return Score(*np.array(rows, float).T, invented=invented / sightings)


def matched(away: np.ndarray) -> dict[int, int]:
    """Fish and sightings that belong together, the nearest first."""
    pairs: dict[int, int] = {}
    for place in np.argsort(away, axis=None):
        fish, sight = divmod(int(place), away.shape[1])
        if away[fish, sight] > NEAR:
            break
        if fish not in pairs and sight not in pairs.values():
            pairs[fish] = sight
    return pairs


@pytest.fixture(scope="module")
def scored() -> Score:
    return score(film(range(950_000, 950_016), 12))


def mean(score: Score, of: str, where: np.ndarray | bool = True) -> float:
    values = getattr(score, of)
    return float(values[where & (score.found > 0)].mean())


def test_nearly_every_fish_is_found_and_none_invented(scored):
    assert len(scored.found) > 1000
    assert scored.found.mean() > 0.99
    assert scored.invented < 0.01


def test_centres_are_read_to_about_a_pixel(scored):
    assert mean(scored, "away") < 1.5
    assert np.nanquantile(scored.away, 0.99) < 5


def test_varieties_are_told_apart(scored):
    assert mean(scored, "right") > 0.98


def test_headings_are_read(scored):
    assert np.degrees(np.median(scored.turned[scored.found > 0])) < 15


def test_fish_half_hidden_by_pads_are_read(scored):
    hidden = scored.shown < 0.75
    assert hidden.sum() > 50
    assert scored.found[hidden].mean() > 0.95
    assert mean(scored, "away", hidden) < 3
    assert mean(scored, "right", hidden) > 0.88


def test_fish_over_ripples_are_read(scored):
    rippled = scored.rippled > 0
    assert rippled.sum() > 300
    assert scored.found[rippled].mean() > 0.985
    assert mean(scored, "right", rippled) > 0.97


def test_fish_that_touch_are_read(scored):
    crowded = scored.crowded > 0
    assert crowded.sum() > 50
    assert scored.found[crowded].mean() > 0.93
    assert mean(scored, "right", crowded) > 0.93


def test_the_area_of_fish_is_read():
    footage = film(range(950_100, 950_106), 4)
    ratio = read(footage.frames[:, None]).cover.sum((1, 2, 3)) / footage.cover.sum((1, 2))
    assert ratio.mean() == pytest.approx(1, abs=0.06)
    assert ratio.std() < 0.08


def test_an_empty_pond_has_no_fish():
    simulation = KoiPondSimulation(4, leaving=False)
    nothing, flat = np.zeros((416, 416, 4), np.uint8), np.zeros((128, 128), np.float32)
    for row in range(4):
        simulation.start(row, np.random.default_rng(SEED + row), None)
    frames = [compose(simulation.scenery(i), nothing, flat, simulation.food[i]) for i in range(4)]
    seen = read(np.stack(frames)[None])
    assert (seen.variety == -1).all()
    assert seen.cover.sum((2, 3)).max() * 16 < 150


def test_a_frame_is_read_on_its_own():
    footage = film([950_200], 5)
    together, alone = read(footage.frames[:, None]), read(footage.frames[3:4, None])
    np.testing.assert_allclose(together.centre[3], alone.centre[0], atol=1e-3)
    np.testing.assert_array_equal(together.variety[3], alone.variety[0])


def test_turned_and_mirrored_pictures_are_taught_with_their_own_truth():
    footage = film([950_300, 950_301], 4)
    eye, random = packaged_eye(), np.random.default_rng(0)
    parts = [eye_loss(eye, *batch(footage, random))[1] for _ in range(3)]
    losses = {name: float(np.mean([part[name] for part in parts])) for name in parts[0]}
    assert losses["heading"] < 0.3
    assert losses["offset"] < 0.3
    assert losses["cover"] < 0.15


def test_an_untrained_eye_learns():
    torch.manual_seed(0)
    footage, random = film([1, 2], 4), np.random.default_rng(0)
    eye = Eye()
    optimiser, losses = torch.optim.AdamW(eye.parameters(), 2e-3), []
    for _ in range(6):
        loss, _ = eye_loss(eye, *batch(footage, random))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]


def test_the_weights_are_small():
    assert sum(p.numel() for p in Eye().parameters()) < 300_000
    assert WEIGHTS.stat().st_size < 2**20
