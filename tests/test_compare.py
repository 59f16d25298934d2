"""Two games under one player: film, figures, page. The real batch stands in for a dream."""

import json

import numpy as np
import pytest
from PIL import Image

from learned_envs import worlds
from learned_envs.evaluation.compare import compare_envs
from learned_envs.evaluation.film import Reel, write_film

WORLD = worlds.get("breakout")
STEPS = 45


class Haunted(type(WORLD.make_real_vec(1))):
    """Real games in which a block appears from the twentieth step on; sure of itself by 0.7."""

    def _advance(self, actions, rows):
        return *super()._advance(actions, rows)[:2], {"doubt": np.array([0.7])}

    def _observe(self):
        frames = super()._observe()
        if self._elapsed[0] >= 20:
            frames[:, 40:44, 30:40] = 160, 60, 60
        return frames


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    out = tmp_path_factory.mktemp("compare") / "new"
    real, dream = WORLD.make_real_vec(1), Haunted(1)
    paths = compare_envs(WORLD, real, dream, steps=STEPS, seed=3, out=out, scale=4)
    return out, *paths


def test_it_writes_a_film_figures_and_a_page(compared):
    out, film, metrics, report = compared
    assert film == out / "breakout.gif" and metrics == out / "metrics.json"
    assert report == out / "report.html"
    assert film.stat().st_size < 200_000
    assert report.stat().st_size < 400_000


def test_figures_tell_the_dream_from_the_real_game(compared):
    figures = json.loads(compared[2].read_text())
    real, dream = figures["real"], figures["dream"]
    assert real["score"] == dream["score"] and figures["steps"] == STEPS
    assert all(law["held"] == 1 for law in real["laws"]["laws"].values())
    assert dream["laws"]["laws"]["clean"]["held"] == pytest.approx(1 - 26 / STEPS)
    assert figures["parted_at"] == 20
    assert figures["mean_doubt"] == pytest.approx(0.7)
    assert figures["drift"]["bricks broken"] == 0
    assert figures["one_step"] is None and figures["horizons"] is None


def test_equal_seeds_give_equal_files(compared, tmp_path):
    real, dream = WORLD.make_real_vec(1), Haunted(1)
    again = compare_envs(WORLD, real, dream, steps=STEPS, seed=3, out=tmp_path, scale=4)
    assert [p.read_bytes() for p in again] == [p.read_bytes() for p in compared[1:]]


def test_a_world_without_laws_is_compared_by_all_else(tmp_path):
    world = worlds.get("minipaint")
    games = [world.make_real_vec(1) for _ in range(2)]
    film, metrics, report = compare_envs(world, *games, steps=12, seed=3, out=tmp_path)
    figures, page = json.loads(metrics.read_text()), report.read_text()
    assert figures["real"]["score"] == figures["dream"]["score"]
    assert figures["parted_at"] is None is figures["drift"] is figures["dream"]["laws"]
    assert "Step by step" in page and "Frames look alike" in page
    assert "laws" not in page.lower() and "Law kept" not in page
    with Image.open(film) as shown:
        assert 2 * 224 < shown.width < 3 * 224


def test_an_unknown_behaviour_is_answered_with_those_there_are(tmp_path):
    real, dream = WORLD.make_real_vec(1), WORLD.make_real_vec(1)
    with pytest.raises(ValueError, match="no behaviour 'clever'; it has careful"):
        compare_envs(WORLD, real, dream, steps=3, behaviour="clever", out=tmp_path)


def test_a_batch_of_more_is_refused(tmp_path):
    real, dream = WORLD.make_real_vec(1), WORLD.make_real_vec(2)
    with pytest.raises(ValueError, match="expected one of 1"):
        compare_envs(WORLD, real, dream, steps=3, out=tmp_path)


def shown(path) -> tuple[list[np.ndarray], list[int]]:
    frames, delays = [], []
    with Image.open(path) as film:
        for i in range(film.n_frames):
            film.seek(i)
            frames.append(np.asarray(film.convert("RGB")))
            delays.append(film.info["duration"])
    return frames, delays


def reel(frames: np.ndarray, doubt: float = np.nan) -> Reel:
    steps = len(frames)
    return Reel(title="a", frames=frames, score=np.arange(steps), doubt=np.full(steps, doubt))


def test_it_runs_at_the_rate_of_the_world(compared):
    frames, delays = shown(compared[1])
    assert len(frames) == STEPS + 1
    assert sum(delays) == pytest.approx(1000 * (STEPS + 1) / 15, abs=10)


def test_it_shows_the_games_as_they_were(tmp_path):
    played = WORLD.make_real_vec(2)
    games = [played.reset(seed=0)[0]]
    for t in range(30):
        games.append(played.step(np.full(2, t % 3))[0])
    left, right = np.stack(games).transpose(1, 0, 2, 3, 4)
    path = tmp_path / "film.gif"
    write_film(path, reel(left), reel(right), caption="", fps=15, scale=2)
    frames, _ = shown(path)
    for t in (0, 1, 17, 30):
        for game, x in ((left, 20), (right, 20 + 128 + 20)):
            picture = frames[t][40 : 40 + 128, x : x + 128][::2, ::2]
            error = abs(picture.astype(int) - game[t])
            assert error.max() <= 24 and (error > 0).mean() < 0.005


def test_many_colours_are_brought_down_to_a_palette(tmp_path):
    ramp = np.linspace(0, 255, 32).astype(np.uint8)
    frame = np.full((32, 32, 3), 90, np.uint8)
    frame[..., 0], frame[..., 1] = ramp, ramp[:, None]
    path = tmp_path / "film.gif"
    write_film(path, reel(frame[None]), reel(frame[None]), caption="", fps=30, scale=1)
    picture = shown(path)[0][0][40:72, 20:52]
    assert abs(picture.astype(int) - frame).mean() < 12


def test_a_doubt_bar_grows_with_doubt(tmp_path):
    frames = np.zeros((1, 64, 64, 3), np.uint8)

    def bar(doubt):
        path = tmp_path / f"{doubt}.gif"
        write_film(path, reel(frames), reel(frames, doubt), caption="", fps=15, scale=4)
        line = shown(path)[0][0][40 + 256 + 11 + 8]
        return int((line[300:].max(-1) > 150).sum())

    assert bar(0.2) < bar(0.6) < bar(0.995)


def test_games_of_different_length_are_refused(tmp_path):
    frames = np.zeros((3, 8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="expected the same for both"):
        write_film(tmp_path / "x.gif", reel(frames), reel(frames[:2]), caption="", fps=15, scale=1)
