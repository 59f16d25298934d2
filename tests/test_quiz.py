"""Which is real? Clips, answers, what they prove, and the file that keeps them."""

import json

import numpy as np
import pytest
from tiny_play import WORLD, pygame, save_tiny_breakout

from learned_envs.dream.dream_env import DreamEnv
from learned_envs.play.clips import Clip, ClipMaker, make_clips
from learned_envs.play.quiz import Quiz, append_line, chance_of, interval, record, verdict
from learned_envs.play.quiz_window import QuizWindow
from learned_envs.play.screen import Screen


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny_breakout(tmp_path_factory.mktemp("weights") / "w")


def clips_of(weights, **kwargs):
    dream = DreamEnv(weights, world="breakout")
    settings = {"count": 6, "seconds": 0.4, "oldest": 5, **kwargs}
    return list(make_clips(WORLD, WORLD.make_real(), dream, **settings))


def clip(dreamed, frames=6):
    shades = np.arange(frames, dtype=np.uint8)[:, None, None, None]
    return Clip(
        frames=np.broadcast_to(shades, (frames, 8, 8, 3)),
        dreamed=dreamed,
        behaviour="careful",
        age=7,
    )


def answered(said, truth):
    quiz = Quiz(total=len(said))
    for s, t in zip(said, truth, strict=True):
        quiz.answer(clip(t), said_dreamed=s, seconds=1.0)
    return quiz


def test_clips_are_real_or_dreamed_of_random_ages_and_players(weights):
    made = clips_of(weights, count=12)
    assert {c.dreamed for c in made} == {False, True}
    assert len({c.age for c in made}) > 2 and max(c.age for c in made) <= 5
    assert len({c.behaviour for c in made}) > 2
    assert all(c.frames.shape == (6, 64, 64, 3) and c.frames.dtype == np.uint8 for c in made)


def test_real_clips_show_the_real_game_and_dreamed_ones_the_model(weights):
    for c in clips_of(weights):
        colours = len(np.unique(c.frames.reshape(-1, 3), axis=0))
        assert (colours > 2000) == c.dreamed  # this model dreams noise


def test_equal_seeds_give_equal_clips(weights):
    for a, b in zip(clips_of(weights, seed=3), clips_of(weights, seed=3), strict=True):
        assert (a.frames == b.frames).all() and a.dreamed == b.dreamed


def test_a_clip_does_not_depend_on_how_many_there_are(weights):
    assert (clips_of(weights, count=2)[1].frames == clips_of(weights, count=3)[1].frames).all()


def test_clips_are_made_in_the_background_and_an_error_is_told():
    def source():
        yield clip(True)
        raise RuntimeError("the ball is square")

    maker = ClipMaker(source, count=2)
    maker.start()
    maker.wait()
    assert (maker.ready, maker.error) == (1, "the ball is square")
    assert maker.clip(0) is not None and maker.clip(1) is None


def test_a_coin_is_right_by_the_binomial_law():
    assert chance_of(0, 20) == 1
    assert chance_of(20, 20) == 2**-20
    assert chance_of(15, 20) == pytest.approx(0.02069, abs=1e-5)


@pytest.mark.parametrize(
    ("correct", "low", "high"),
    [(0, 0.0, 0.16843), (10, 0.27196, 0.72804), (15, 0.50895, 0.91343), (20, 0.83157, 1.0)],
)
def test_the_interval_is_that_of_clopper_and_pearson(correct, low, high):
    assert interval(correct, 20) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("correct", "words"),
    [(17, "So you can tell."), (11, "does not show"), (2, "take the dream for real")],
)
def test_the_verdict_claims_no_more_than_the_interval(correct, words):
    assert words in verdict(correct, 20)


def test_sittings_are_added_one_a_line(tmp_path):
    path = tmp_path / "new" / "quiz.jsonl"
    quiz = answered([True, False, True], [True, True, False])
    for seed in (1, 2):
        append_line(path, record(quiz, world="breakout", seed=seed))
    first, second = map(json.loads, path.read_text().splitlines())
    assert (first["seed"], second["seed"]) == (1, 2)
    assert (first["correct"], first["answered"], first["of"]) == (1, 3, 3)
    assert [c["dreamed"] for c in first["clips"]] == [True, True, False]
    assert first["clips"][0] == {
        "dreamed": True, "said_dreamed": True, "behaviour": "careful", "age": 7, "seconds": 1.0,
    }  # fmt: skip


def test_a_torn_line_and_what_was_there_are_kept(tmp_path):
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"old": 1}\n{"torn')
    append_line(path, {"new": 2})
    assert path.read_text() == '{"old": 1}\n{"torn\n{"new": 2}\n'


def test_what_was_there_survives_a_write_that_fails(tmp_path, monkeypatch):
    path = tmp_path / "quiz.jsonl"
    path.write_text('{"old": 1}\n')

    def fail(descriptor):
        raise OSError("no space is left")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        append_line(path, {"new": 2})
    assert path.read_text() == '{"old": 1}\n'


@pytest.fixture
def sitting():
    """A window over given clips, a clock that stands still, and ways to press keys."""
    screen = Screen("test", (700, 600))
    pygame.event.clear()

    class Sitting:
        time = 0.0

        def begin(self, clips, count=None):
            self.maker = ClipMaker(lambda: iter(clips), count or len(clips))
            self.maker.start()
            self.maker.wait()
            self.quiz = Quiz(total=self.maker.count)
            self.window = QuizWindow(self.quiz, self.maker, WORLD, clock=lambda: self.time)
            screen.frame(self.window)
            return self

        def key(self, name):
            code = pygame.key.key_code(name)
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=code))
            return self.look()

        def click(self, label):
            rect = next(r for r, c in self.window._hits if c.label == label)
            event = pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=rect.center, button=1)
            pygame.event.post(event)
            return self.look()

        def look(self):
            for _ in range(2):
                screen.frame(self.window)
            return pygame.surfarray.array3d(pygame.display.get_surface()).transpose(1, 0, 2)

    yield Sitting()
    screen.close()


def test_keys_and_clicks_answer_and_the_end_is_shown(sitting):
    s = sitting.begin([clip(True), clip(False), clip(True)])
    s.key("d")
    assert not s.quiz.answers  # it has not begun
    s.key("return")
    s.time = 2.5
    s.key("d")
    s.click("Dreamed")
    assert not s.quiz.finished
    s.key("r")
    assert [(a.said_dreamed, a.right) for a in s.quiz.answers] == [
        (True, True), (True, False), (False, False),
    ]  # fmt: skip
    assert s.quiz.answers[0].seconds == 2.5
    assert s.quiz.finished and s.quiz.correct == 1
    s.key("r")
    assert len(s.quiz.answers) == 3
    s.click("Quit")
    assert s.window.done


def test_a_clip_runs_at_the_rate_of_the_world_stops_at_its_end_and_can_be_seen_again(sitting):
    s = sitting.begin([clip(True, frames=60)])

    def shown():
        return int(s.look()[270, 350, 0])

    s.key("return")
    assert shown() == 0
    s.time = 2.04
    assert shown() == 30
    s.time = 99.0
    assert shown() == 59
    s.key("space")
    assert shown() == 0


def test_it_waits_for_a_clip_that_is_not_made_yet(sitting):
    s = sitting.begin([clip(True)], count=2)
    s.key("return")
    s.key("d")
    s.key("d")
    assert len(s.quiz.answers) == 1 and not s.quiz.finished
