"""The window, by injected keys, clicks and moves of the pointer. Nothing is shown anywhere."""

import threading

import numpy as np
import pytest
from tiny_play import LEFT, RIGHT, WORLD, Driver, pygame, save_tiny_breakout, tiny_stage

from learned_envs.models.dynamics.diffusion_dynamics import tiny_denoiser
from learned_envs.play import overlays, theme, widgets
from learned_envs.play.controls import OVERLAYS
from learned_envs.play.layout import arrange
from learned_envs.play.screen import Screen, drawing
from learned_envs.play.session import Session
from learned_envs.play.snapshot import Mode
from learned_envs.play.window import Window

SIZE = 900, 700
WITHOUT_POINTER = {name: key for name, (_, key) in OVERLAYS.items() if name != "path"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return save_tiny_breakout(tmp_path_factory.mktemp("weights") / "w")


@pytest.fixture
def screen():
    opened = Screen("test", SIZE)
    pygame.event.clear()
    yield opened
    opened.close()


@pytest.fixture
def person(screen, weights, tmp_path):
    drivers = []

    def begin(make_stage=None, **kwargs):
        def make():
            stage = make_stage() if make_stage else tiny_stage(weights, **kwargs)
            stage.set_paused(True)
            return stage

        drivers.append(Driver(screen, WORLD, make, tmp_path / "out"))
        return drivers[-1]

    yield begin
    for driver in drivers:
        driver.session.close()


@pytest.mark.parametrize(
    ("key", "mode"),
    [("1", Mode.REAL), ("2", Mode.DREAM), ("3", Mode.SIDE), ("4", Mode.BLEND)],
)
def test_keys_and_clicks_both_choose_what_is_played(person, key, mode):
    at = person()
    at.key(key)
    assert at.now.mode is mode
    at.key("1" if mode is not Mode.REAL else "2")
    rect, _ = next((r, c) for r, c in at.window._hits if c.key == key)
    at.click(rect.center)
    assert at.now.mode is mode


def test_everything_a_key_does_has_a_button_that_shows_the_key(person):
    at = person()
    at.key("4")
    shown = {control.key for _, control in at.window._hits}
    expected = "1 2 3 4 f11 escape space n - = r e t p g".split()
    assert shown == {*expected, "[ ]", *WITHOUT_POINTER.values()}


def test_arrows_move_the_paddle(person):
    at = person()
    for name, action in (("left", LEFT), ("d", RIGHT)):
        at.post(pygame.KEYDOWN, key=pygame.key.key_code(name))
        at.key("n")
        at.key("n")
        assert at.now.action == action
        at.post(pygame.KEYUP, key=pygame.key.key_code(name))
    at.key("n")
    assert at.now.action == WORLD.idle_action


def test_keys_are_let_go_when_the_focus_is_lost(person):
    at = person()
    at.post(pygame.KEYDOWN, key=pygame.K_LEFT)
    at.key("n")
    at.post(pygame.WINDOWFOCUSLOST)
    at.key("n")
    assert at.now.action == WORLD.idle_action


def test_the_dream_takes_over(person):
    at = person()
    at.key("1")
    at.key("n")
    at.key("t")
    assert at.now.mode is Mode.DREAM
    assert (at.now.dream.frame == at.now.real.frame).all()


def test_pause_speed_and_resets(person):
    at = person()
    at.key("space")
    assert not at.now.paused
    at.key("space")
    for _ in range(3):
        at.key("=")
    assert at.now.speed == 4
    for _ in range(9):
        at.key("-")
    assert at.now.speed == 0.25
    at.key("r")
    assert (at.now.seed, at.now.real.step) == (1, 0)
    at.key("e")
    assert at.now.seed == 1


def test_the_slider_is_dragged_and_stepped(person):
    at = person()
    at.key("4")
    assert at.window.weight == 0.32
    at.key("]")
    assert at.window.weight == pytest.approx(0.36)
    rect, _ = at.button("Dream 3")
    way = widgets.track(rect)
    at.post(pygame.MOUSEBUTTONDOWN, pos=way.center, button=1)
    assert at.window.weight == pytest.approx(0.5, abs=0.02)
    at.post(pygame.MOUSEMOTION, pos=(way.right + 300, way.y), rel=(0, 0), buttons=(1, 0, 0))
    assert at.window.weight == 1
    at.post(pygame.MOUSEBUTTONUP, pos=(0, 0), button=1)
    at.post(pygame.MOUSEMOTION, pos=way.topleft, rel=(0, 0), buttons=(0, 0, 0))
    assert at.window.weight == 1


def test_there_is_a_slider_only_where_there_is_a_blend(person):
    at = person()
    assert not [c for _, c in at.window._hits if c.value is not None]
    at.key("]")
    assert at.window.weight == 0.32


@pytest.mark.parametrize("name", WITHOUT_POINTER)
def test_every_overlay_changes_the_picture_and_goes_again(person, name):
    at = person()
    at.window.overlays.clear()
    for _ in range(5):
        at.key("n")
    before = at.look()
    key = WITHOUT_POINTER[name]
    shown = at.key(key)
    assert name in at.window.overlays
    place = slice(60, 500)
    assert (shown[place] != before[place]).any()
    gone = at.key(key)
    assert (gone[place] == before[place]).all()


def test_norms_of_blocks_are_asked_of_the_network_only_while_they_are_shown(person):
    at = person(mode=Mode.DREAM)
    at.key("b")
    at.key("n")
    assert at.now.norms
    at.key("b")
    at.key("n")
    assert not at.now.norms


def test_sampler_steps_are_offered_for_diffusion_models_alone(person, tmp_path):
    at = person()
    assert not [c for _, c in at.window._hits if c.label.startswith("Denoising")]
    diffusion = save_tiny_breakout(tmp_path / "diffusion", tiny_denoiser(steps=1))
    at = person(lambda: tiny_stage(diffusion))
    at.click(at.button("more")[0].center)
    assert at.now.sampler_steps == 2
    at.key(",")
    assert at.now.sampler_steps == 1


def test_pictures_and_films_are_saved(person, tmp_path):
    at = person()
    for _ in range(3):
        at.key("n")
    at.key("p")
    at.key("g")
    at.window.saver.wait()
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {"breakout-side-by-side-1.png", "breakout-side-by-side-1.gif"}
    assert at.window.saver.note.startswith("saved")


def test_an_error_is_shown_and_a_reset_goes_on(person, weights):
    class Brittle(type(WORLD.make_real())):
        def step(self, action):
            raise RuntimeError("the ball is square")

    at = person(lambda: tiny_stage(weights, real=Brittle()))
    whole = at.look()
    wrong = at.key("n")
    assert at.now.error == "the ball is square"
    red = (wrong == theme.LOST).all(-1).sum()
    assert red > 300 and not (whole == theme.LOST).all(-1).any()
    again = at.key("r")
    assert at.now.error == "" and not (again == theme.LOST).all(-1).any()


def test_it_draws_while_a_dream_step_hangs_and_while_worlds_are_made(screen, weights, tmp_path):
    made, inside, go_on = threading.Event(), threading.Event(), threading.Event()

    class Slow(type(WORLD.make_real())):
        def step(self, action):
            inside.set()
            assert go_on.wait(60)
            return super().step(action)

    def make():
        assert made.wait(60)
        return tiny_stage(weights, real=Slow())

    session = Session(make)
    window = Window(session, WORLD, out=tmp_path)
    session.start()
    screen.frame(window)
    assert session.snapshot.loading
    made.set()
    assert inside.wait(60)
    for _ in range(3):
        screen.frame(window)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_u))
    screen.frame(window)
    assert "doubt" in window.overlays and session.snapshot.number == 0
    go_on.set()
    session.close()


@pytest.mark.parametrize("how", ["close", "escape", "click"])
def test_it_ends_when_it_is_closed(person, how):
    at = person()
    if how == "close":
        pygame.event.post(pygame.event.Event(pygame.QUIT))
    elif how == "escape":
        pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE))
    else:
        rect, _ = at.button("Quit")
        pygame.event.post(pygame.event.Event(pygame.MOUSEBUTTONDOWN, pos=rect.center, button=1))
    at.screen.run(at.window)
    assert at.window.done


def test_full_screen_comes_and_goes_and_escape_leaves_it_first(person):
    at = person()
    at.click(at.button("Full screen")[0].center)
    assert at.screen.full
    at.key("escape")
    assert not at.screen.full and not at.window.done
    assert pygame.display.get_window_size() == SIZE


@pytest.mark.parametrize("size", [(640, 520), (1080, 780), (2560, 1440)])
@pytest.mark.parametrize("extras", [False, True])
def test_nothing_overlaps_in_windows_of_any_size(size, extras):
    layout = arrange(
        size,
        tabs=[90] * 7,
        controls=[120] * 14,
        pictures=2,
        aspect=1.0,
        chart=extras,
        blocks=extras and size[0] > 700,
    )
    figures = [rect for rect in (layout.chart, layout.blocks) if rect]
    rects = [*layout.tabs, *layout.pictures, *figures, layout.hint, layout.status]
    rects += layout.controls
    for i, rect in enumerate(rects):
        assert pygame.Rect(0, 0, *size).contains(rect)
        assert rect.collidelist(rects[i + 1 :]) == -1


def test_it_can_be_drawn_in_a_window_too_small_for_it(person):
    at = person()
    for name in OVERLAYS:
        at.window.overlays.add(name)
    at.window.draw(pygame.Surface((40, 30)), 60.0)
    at.window.draw(pygame.Surface((3000, 200)), 60.0)


def test_pixels_stay_crisp_when_they_are_enlarged():
    frame = np.zeros((4, 4, 3), np.uint8)
    frame[1, 2] = 200
    pixels = pygame.surfarray.array3d(theme.enlarged(frame, (30, 30))).transpose(1, 0, 2)
    assert pixels.shape == (30, 30, 3)
    lit = pixels[..., 0] > 195
    assert lit[9:14, 16:21].all() and lit.sum() <= 49
    assert (pixels[:7] == 0).all()


def test_small_pixels_are_smoothed_when_they_are_enlarged():
    frame = np.zeros((40, 40, 3), np.uint8)
    frame[:, 20:] = 200
    row = pygame.surfarray.array3d(theme.enlarged(frame, (90, 90)))[:, 45, 0].astype(int)
    assert np.diff(row).max() < 150 and row[0] == 0 and row[-1] == 200


def test_heat_is_dark_where_nothing_changed_and_brightest_where_most_did():
    change = np.zeros((2, 2), np.float32)
    change[0, 1], change[1, 0] = 0.5, 0.1
    glow = pygame.surfarray.array3d(overlays.heat(change, (2, 2))).transpose(1, 0, 2)
    light = glow.sum(-1)
    assert tuple(glow[0, 0]) == tuple(glow[1, 1]) == theme.NIGHT
    assert light[0, 0] < light[1, 0] < light[0, 1]
    still = pygame.surfarray.array3d(overlays.heat(0 * change, (2, 2)))
    assert (still == theme.NIGHT).all()


def test_figures_of_drawing_count_frames_and_find_the_longest_wait():
    found = drawing(np.array([0.0, 0.02, 0.04, 0.14, 0.16]))
    assert found.fps == pytest.approx(25)
    assert found.longest_ms == pytest.approx(100)
    assert found.stalls == 1
