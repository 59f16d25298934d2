"""A world that is played with a mouse: the koi pond, real, in the window."""

import numpy as np
import pytest
from tiny_play import Driver, pygame

from learned_envs import worlds
from learned_envs.play.hands import Mouse, how_to_play
from learned_envs.play.screen import SIZE, Screen
from learned_envs.play.stage import Stage
from sims.koi_pond import KoiPondEnv

POND, BREAKOUT = worlds.get("koi_pond"), worlds.get("breakout")


class Pond(KoiPondEnv):
    """Remembers the taps it was given."""

    def __init__(self):
        super().__init__()
        self.taps = []

    def step(self, action):
        if action.any():
            self.taps.append(np.asarray(action).tolist())
        return super().step(action)


class Person(Driver):
    """Somebody with a mouse at a paused real pond, and a clock that stands still."""

    def __init__(self, out):
        self.pond, self.clock = Pond(), 10.0
        stage = Stage(POND, real=self.pond, make_dream=None)
        stage.set_paused(True)
        super().__init__(Screen("test", SIZE), POND, lambda: stage, out)

    def play(self, steps: int):
        """Plays so many steps."""
        for _ in range(steps):
            self.session.send(lambda stage: stage.tick())
        self.look()

    def place(self, u: float, v: float) -> tuple[int, int]:
        """A place of the picture in the window."""
        rect = self.window._pictures[0]
        return round(rect.x + u * rect.width), round(rect.y + v * rect.height)

    def press(self, at: tuple[int, int]):
        self.post(pygame.MOUSEBUTTONDOWN, pos=at, button=1)

    def move(self, at: tuple[int, int]):
        self.post(pygame.MOUSEMOTION, pos=at, rel=(0, 0), buttons=(1, 0, 0))

    def let_go(self, at: tuple[int, int]):
        self.post(pygame.MOUSEBUTTONUP, pos=at, button=1)


@pytest.fixture
def person(tmp_path, monkeypatch):
    found = Person(tmp_path)
    monkeypatch.setattr("learned_envs.play.window._seconds", lambda: found.clock)
    yield found
    found.session.close()
    found.screen.close()


@pytest.mark.parametrize(("held", "strength"), [(0.0, 0.25), (0.4, 0.625), (3.0, 1.0)])
def test_a_tap_falls_when_the_button_is_let_go_and_is_harder_the_longer_held(
    person, held, strength
):
    at = person.place(0.25, 0.75)
    person.press(at)
    person.play(2)
    assert not person.pond.taps
    person.clock += held
    person.let_go(at)
    person.play(3)
    assert len(person.pond.taps) == 1
    assert person.pond.taps[0] == pytest.approx([0.25, 0.75, strength], abs=0.003)


def test_a_tap_falls_where_the_pointer_has_come_to(person):
    person.press(person.place(0.2, 0.2))
    person.move(person.place(0.6, 0.4))
    person.let_go(person.place(0.6, 0.4))
    person.play(1)
    assert person.pond.taps[0][:2] == pytest.approx([0.6, 0.4], abs=0.003)


def test_a_pointer_that_leaves_the_picture_taps_at_its_edge(person):
    person.press(person.place(0.5, 0.5))
    person.move((0, 0))
    person.let_go((0, 0))
    person.play(1)
    assert person.pond.taps[0][:2] == [0.0, 0.0]


def test_clicks_beside_the_picture_and_mere_motion_tap_nothing(person):
    person.move(person.place(0.5, 0.5))
    person.press((1, 1))
    person.let_go(person.place(0.5, 0.5))
    person.play(2)
    assert not person.pond.taps


def test_the_window_shows_how_long_the_button_is_held(person):
    before, at = person.look(), person.place(0.5, 0.5)
    person.press(at)
    person.clock += 0.5
    y, x = np.nonzero((person.look() != before).any(2))
    assert abs(x.mean() - at[0]) < 3 and abs(y.mean() - at[1]) < 3
    assert 30 < np.ptp(x) < 42


def test_the_hint_says_what_the_mouse_does():
    assert "mouse" in how_to_play(POND)


def test_a_mouse_does_nothing_where_keys_play():
    mouse = Mouse(BREAKOUT)
    assert mouse.press(0.5, 0.5, 0.0) == mouse.move(0.1, 0.1) == mouse.release(1.0) == []
    assert mouse.at is None
