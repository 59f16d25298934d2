"""A pointer with manners: Minipaint by mouse, where every action that is sent is a step."""

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image
from tiny_dream import save_tiny, tiny_model
from tiny_play import Driver, pygame

from learned_envs import worlds
from learned_envs.dream.dream_env import DreamEnv
from learned_envs.models.actions import PointActions
from learned_envs.models.codecs.variational import VariationalAutoencoderConfig
from learned_envs.models.dynamics.latent_cnn import LatentCNNConfig
from learned_envs.models.world_model import WorldModelConfig
from learned_envs.play import overlays
from learned_envs.play.hands import Mouse
from learned_envs.play.screen import Screen
from learned_envs.play.snapshot import Mode
from learned_envs.play.stage import Stage
from sims.minipaint import SIZE

WORLD = worlds.get("minipaint")


def px(pixels: float) -> float:
    """A way across the picture in pixels, as a share of it."""
    return pixels / SIZE


def pixels(actions: list[np.ndarray]) -> list[tuple[int, int, int]]:
    """x, y and button of actions, rounded."""
    return [
        (*np.rint(action[:2] * SIZE).astype(int).tolist(), int(action[2])) for action in actions
    ]


@pytest.fixture
def mouse():
    """Its button was pressed at (100, 100) at second 10."""
    pressed = Mouse(WORLD)
    assert pixels(pressed.press(px(100), px(100), 10.0)) == [(100, 100, 1)]
    return pressed


def test_the_pointer_is_looked_at_every_80_ms_and_not_followed(mouse):
    assert mouse.move(px(108), px(100)) == []
    assert mouse.look(10.07) == []
    mouse.move(px(105), px(100))
    assert pixels(mouse.look(10.081)) == [(105, 100, 1)]
    mouse.move(px(115), px(100))
    assert mouse.look(10.16) == []
    assert pixels(mouse.look(10.162)) == [(115, 100, 1)]


def test_what_stays_within_4_pixels_of_the_point_sent_last_is_not_sent(mouse):
    for t, x in enumerate((102, 98, 103), 1):
        mouse.move(px(x), px(101))
        assert mouse.look(10 + t) == []
    mouse.move(px(103), px(103))
    assert pixels(mouse.look(20)) == [(103, 103, 1)]


def test_a_way_of_more_than_12_pixels_is_sent_in_equal_pieces(mouse):
    mouse.move(px(112), px(100))
    assert pixels(mouse.look(11)) == [(112, 100, 1)]
    mouse.move(px(112), px(130))
    assert pixels(mouse.look(12)) == [(112, 110, 1), (112, 120, 1), (112, 130, 1)]


def test_a_stroke_ends_where_the_button_is_let_go_and_with_one_idle_action(mouse):
    mouse.move(px(108), px(100))
    *way, last = mouse.release(10.01)
    assert pixels(way) == [(108, 100, 1)]
    assert np.array_equal(last, WORLD.idle_action)
    assert mouse.look(11) == [] and mouse.release(12) == []


def test_a_click_is_one_point_and_one_idle_action():
    mouse = Mouse(WORLD)
    actions = mouse.press(0.1, 0.25, 0.0) + mouse.release(0.2)
    assert [action[2] for action in actions] == [1, 0]


def test_a_world_without_manners_follows_its_pointer_at_once():
    mouse = Mouse(worlds.get("koi_pond"))
    mouse.press(0.5, 0.5, 0.0)
    assert len(mouse.move(0.5, 0.501)) == 1
    assert mouse.look(9.0) == []
    assert len(mouse.release(9.0)) == 2


def test_the_world_plays_each_action_once_and_rests_between_strokes():
    stage = Stage(WORLD, real=WORLD.make_real(), make_dream=None)
    stage.tick()
    assert not stage.running and stage.snapshot().number == 0
    for x in (100, 110, 120):
        stage.hold(np.array([px(x), 0.5, 1], np.float32))
    stage.hold(WORLD.idle_action)
    seen = []
    while stage.running:
        stage.tick()
        seen.append(stage.snapshot().action)
    assert pixels(seen) == [(100, 112, 1), (110, 112, 1), (120, 112, 1), (0, 0, 0)]
    stage.tick()
    assert stage.snapshot().number == stage.snapshot().real.step == 4


def test_the_more_actions_wait_the_faster_they_are_played():
    stage = Stage(WORLD, real=WORLD.make_real(), make_dream=None)
    assert stage.pace == WORLD.fps
    for _ in range(3):
        stage.hold(WORLD.idle_action)
    stage.set_speed(2.0)
    assert stage.pace == 2 * 3 * WORLD.fps


def test_a_new_game_forgets_what_was_waiting_and_the_path():
    stage = Stage(WORLD, real=WORLD.make_real(), make_dream=None)
    stage.hold(np.array([0.5, 0.5, 1], np.float32))
    stage.tick()
    stage.hold(np.array([0.6, 0.5, 1], np.float32))
    stage.reset()
    assert not stage.running and stage.snapshot().path == ()


def test_a_game_that_is_over_begins_anew_though_nobody_acts():
    stage = Stage(WORLD, real=gym.wrappers.TimeLimit(WORLD.make_real(), 1), make_dream=None)
    stage.hold(WORLD.idle_action)
    stage.tick()
    assert stage.snapshot().real.over and stage.running
    for _ in range(WORLD.fps):
        stage.tick()
    assert not stage.snapshot().real.over and not stage.running


def test_the_path_is_bright_where_the_pointer_was_last_and_broken_between_strokes():
    points = (None, (0.2, 0.2), (0.4, 0.2), None, (0.4, 0.8), (0.8, 0.8))
    drawn = pygame.surfarray.array_alpha(overlays.path(points, (100, 100))).T
    assert 0 < drawn[20, 30] < drawn[80, 60]
    assert drawn[50, 40] == 0 and drawn[20:80, 90].max() == 0


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Random ones that dream Minipaint."""
    config = WorldModelConfig(
        image_size=(SIZE, SIZE),
        actions=PointActions(threshold=0.49, spread=2.4),
        codec=VariationalAutoencoderConfig(channels=4, widths=(4, 4, 4), blocks=1, groups=2),
        dynamics=LatentCNNConfig(width=8, blocks=1, groups=4),
    )
    return save_tiny(tmp_path_factory.mktemp("weights") / "w", tiny_model(config))


class Painter(Driver):
    """Somebody with a mouse at Minipaint and its dream, and a clock that stands still."""

    def __init__(self, weights, out):
        self.clock = 10.0
        stage = Stage(
            WORLD,
            real=WORLD.make_real(),
            make_dream=lambda steps: DreamEnv(weights, world="minipaint"),
        )
        stage.set_paused(True)
        super().__init__(Screen("test", (900, 700)), WORLD, lambda: stage, out)

    def play(self):
        """Plays all that waits."""

        def ticks(stage):
            stage.set_paused(False)
            while stage.running:
                stage.tick()
            stage.set_paused(True)

        self.session.send(ticks)
        return self.look()

    def stroke(self, *points: tuple[float, float]):
        """Draws a line through places of the first picture, u and v, a second from each to each."""
        rect = self.window._pictures[0]
        places = [
            (round(rect.x + u * rect.width), round(rect.y + v * rect.height)) for u, v in points
        ]
        self.post(pygame.MOUSEBUTTONDOWN, pos=places[0], button=1)
        for place in places[1:]:
            self.clock += 1
            self.post(pygame.MOUSEMOTION, pos=place, rel=(0, 0), buttons=(1, 0, 0))
        self.post(pygame.MOUSEBUTTONUP, pos=places[-1], button=1)


@pytest.fixture
def painter(weights, tmp_path, monkeypatch):
    found = Painter(weights, tmp_path)
    monkeypatch.setattr("learned_envs.play.window._seconds", lambda: found.clock)
    yield found
    found.session.close()
    found.screen.close()


def test_a_stroke_in_the_window_is_drawn_in_pieces_in_both_worlds(painter):
    painter.stroke((0.5, 0.25), (0.5 + px(30), 0.25))
    painter.play()
    assert painter.now.real.step == 5  # the first point, three pieces, the end
    ink = (painter.now.real.frame[:, 42:] == 0).all(2)
    assert ink[56, 112 - 42 : 142 - 42].all()


def test_losing_the_focus_ends_a_stroke_and_is_no_step_otherwise(painter):
    painter.post(pygame.WINDOWFOCUSLOST)
    painter.play()
    assert painter.now.number == 0
    rect = painter.window._pictures[0]
    painter.post(pygame.MOUSEBUTTONDOWN, pos=rect.center, button=1)
    painter.post(pygame.WINDOWFOCUSLOST)
    painter.play()
    assert painter.now.number == 2 and not painter.now.action.any()


def test_the_cursors_path_is_laid_over_the_pictures_and_goes_again(painter):
    painter.stroke((0.3, 0.3), (0.7, 0.6))
    before = painter.play()
    shown = painter.key("m")
    y, x = np.nonzero((shown[60:500] != before[60:500]).any(2))
    rect = painter.window._pictures[0]
    left = x < rect.right
    assert np.abs(x[left].min() - rect.x - 0.3 * rect.width) < 10
    assert np.abs(y[left].max() + 60 - rect.y - 0.6 * rect.height) < 10
    assert (painter.key("m")[60:500] == before[60:500]).all()


def test_no_ring_grows_over_what_is_being_drawn(painter):
    before = painter.look()
    painter.post(pygame.MOUSEBUTTONDOWN, pos=painter.window._pictures[0].center, button=1)
    painter.clock += 1
    assert (painter.look()[60:500] == before[60:500]).all()


def test_a_drawing_made_in_the_dream_is_saved_as_a_png(painter, tmp_path):
    painter.key("2")
    painter.stroke((0.4, 0.4), (0.8, 0.5))
    painter.play()
    painter.key("p")
    painter.window.saver.wait()
    assert painter.now.mode is Mode.DREAM and painter.now.dream.step > 5
    saved = np.asarray(Image.open(tmp_path / "minipaint-dream-1.png"))
    assert np.array_equal(saved[::2, ::2], painter.now.dream.frame)
