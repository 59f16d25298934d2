"""The command: windows that open, are used and close, and what they leave behind."""

import json
import sys

import numpy as np
import pytest
from tiny_play import WORLD, pygame, recorded, save_tiny_breakout

from learned_envs import cli, worlds
from learned_envs.data.writer import EpisodeWriter
from learned_envs.play import launch
from learned_envs.play.clips import Clip
from learned_envs.play.controls import OVERLAYS
from learned_envs.play.screen import Screen
from learned_envs.play.snapshot import Mode


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return str(save_tiny_breakout(tmp_path_factory.mktemp("weights") / "w"))


class Person:
    """Presses one key after another, one with each frame; sees what the window shows."""

    def __init__(self):
        self.keys, self.view = [], None

    def press(self, view):
        self.view = view
        if self.keys:
            key = pygame.key.key_code(self.keys.pop(0))
            pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=key))


@pytest.fixture
def person(monkeypatch):
    monkeypatch.setattr(launch, "_prepare", lambda: None)  # it changes the whole process
    found, frame = Person(), Screen.frame

    def press_and_draw(screen, view):
        found.press(view)
        frame(screen, view)

    monkeypatch.setattr(Screen, "frame", press_and_draw)
    return found


@pytest.fixture
def recordings(tmp_path):
    writer = EpisodeWriter(tmp_path / "takes", "breakout")
    for seed in (1, 2):
        writer.write(recorded(seed))
    return str(tmp_path / "takes")


def test_a_window_opens_and_closes(person, weights, tmp_path):
    person.keys += ["escape"]
    launch.play(WORLD, weights=weights, out=tmp_path)
    assert person.view.done
    assert not pygame.display.get_init()


def test_weights_that_are_not_there_end_the_command_before_a_window_opens(person, tmp_path):
    with pytest.raises(ValueError, match="there are no weights"):
        launch.play(WORLD, weights="no/such@weights!", out=tmp_path)
    assert person.view is None


def test_an_episode_is_replayed(person, weights, recordings, tmp_path):
    name = recorded(2).attributes.name
    recording = launch._episode(recordings, name, WORLD)
    assert recording.attributes.seed == 2
    assert launch._episode(recordings, None, WORLD).attributes.seed == 1
    with launch._window(WORLD, weights, "cpu", 0, recordings, name, tmp_path) as (screen, window):
        while not window.session.snapshot.number:
            screen.frame(window)
        assert window.session.snapshot.mode is Mode.REPLAY


def test_an_unknown_episode_is_answered_with_one_there_is(recordings):
    with pytest.raises(ValueError, match="holds 2, the first is breakout-test-000000000001-p000"):
        launch._episode(recordings, "another", WORLD)


def test_drawing_is_measured_with_everything_on(person, weights, tmp_path):
    words = launch.measure(WORLD, 0.1, weights=weights, out=tmp_path)
    assert words.startswith("drew ") and "of 15 steps a second" in words
    assert person.view.overlays == set(OVERLAYS)


def test_a_world_that_rests_until_somebody_acts_is_measured_as_it_goes_on(person, tmp_path):
    assert launch.measure(worlds.get("minipaint"), 0.1, out=tmp_path).startswith("drew ")


@pytest.fixture
def two_clips(monkeypatch):
    def make_clips(world, real, dream, *, count, seed):
        for dreamed in (True, False)[:count]:
            frames = np.zeros((3, 64, 64, 3), np.uint8)
            yield Clip(frames=frames, dreamed=dreamed, behaviour="careful", age=seed)

    monkeypatch.setattr("learned_envs.play.clips.make_clips", make_clips)
    monkeypatch.setattr(launch, "QUIZ_CLIPS", 2)


def until_answered(person, monkeypatch, key, count):
    """Presses `key` until there are so many answers, however long clips take."""

    def press(view):
        person.view = view
        pressed = "return" if not view._begun else key
        if len(view.quiz.answers) >= count:
            pressed = "escape"
        event = pygame.event.Event(pygame.KEYDOWN, key=pygame.key.key_code(pressed))
        pygame.event.post(event)

    monkeypatch.setattr(person, "press", press)


@pytest.mark.parametrize("answers", [1, 2])
def test_a_sitting_is_kept_even_if_it_was_not_finished(
    person, weights, two_clips, tmp_path, monkeypatch, answers
):
    until_answered(person, monkeypatch, "d", answers)
    words = launch.quiz(WORLD, weights=weights, seed=4, out=tmp_path)
    assert words.startswith(f"1 of {answers} right")
    (line,) = (tmp_path / "quiz.jsonl").read_text().splitlines()
    kept = json.loads(line)
    assert (kept["world"], kept["seed"], kept["of"]) == ("breakout", 4, 2)
    assert [clip["dreamed"] for clip in kept["clips"]] == [True, False][:answers]


def test_answers_that_cannot_be_written_are_told(person, weights, two_clips, tmp_path, monkeypatch):
    until_answered(person, monkeypatch, "d", 2)
    (tmp_path / "out").write_text("a file where a folder is needed")
    with pytest.raises(RuntimeError, match=r'could not be written(.|\n)*"correct": 1'):
        launch.quiz(WORLD, weights=weights, out=tmp_path / "out")


def test_a_sitting_without_answers_leaves_nothing(person, weights, two_clips, tmp_path):
    person.keys += ["escape"]
    assert "nothing was written" in launch.quiz(WORLD, weights=weights, out=tmp_path)
    assert not (tmp_path / "quiz.jsonl").exists()


def test_the_command_hands_on_what_it_is_told(monkeypatch, tmp_path, capsys):
    calls = []

    def called(name):
        return lambda *given, **named: calls.append((name, given[1:], named)) or name

    for name in ("play", "quiz", "measure"):
        monkeypatch.setattr(launch, name, called(name))

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["learned-envs", "play", "breakout", *words])
        cli.main()

    run("--replay", "takes", "--episode", "x")
    run("--quiz")
    run("--measure", "60", "--seed", "3")
    assert [(name, given) for name, given, _ in calls] == [
        ("play", ()), ("quiz", ()), ("measure", (60.0,)),
    ]  # fmt: skip
    assert calls[0][2]["replay"] == "takes" and calls[0][2]["seed"] == 0
    assert calls[1][2]["seed"] is None and calls[2][2]["seed"] == 3
    assert capsys.readouterr().out.split() == ["quiz", "measure"]
