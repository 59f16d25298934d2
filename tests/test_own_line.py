"""A stranger's environment, all the way from its id to a dream of it that is played and judged."""

import json
import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from own_game import FIELD

from learned_envs import cli, pipeline, worlds
from learned_envs.data import EpisodeStore
from learned_envs.evaluation.held_out import held_out_windows
from learned_envs.evaluation.trust import report
from learned_envs.evaluation.trust.clips import LENGTH
from learned_envs.evaluation.trust.report import kinds, measure_trust, trust_standing, trust_table
from learned_envs.evaluation.trust.sources import Recorded
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.packing import recorded_starts
from learned_envs.play.clips import make_clips, recorded_clips
from learned_envs.recording.recorder import record
from learned_envs.worlds.look import describe

GAME = "own_game:DotEnv"
EPISODES = 60


def typed(folder: Path, line: str) -> None:
    """Runs a command of the library in a folder, as if it had been typed there."""
    here, words = os.getcwd(), sys.argv
    os.chdir(folder)
    sys.argv = ["learned-envs", *line.split()]
    try:
        cli.main()
    finally:
        os.chdir(here)
        sys.argv = words


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Where a dream of the game was made with the commands of the tutorial."""
    folder = tmp_path_factory.mktemp("own")
    typed(folder, f"record gym --env {GAME} --out recordings --episodes {EPISODES} --steps 60")
    typed(folder, "train --recordings recordings --out run --steps 2 --batch 4")
    return folder


@pytest.fixture(scope="module")
def world(folder):
    return worlds.find(str(folder / "run" / "checkpoint"))


def test_the_recording_says_what_will_be_trained(folder, capsys):
    typed(folder, "inspect recordings")
    shown = capsys.readouterr().out
    assert f"{EPISODES} takes" in shown
    assert "preset         sparse:" in shown
    assert "minutes on this machine" in shown


def test_the_dream_has_the_spaces_of_the_game(folder, world):
    env = gym.make("learned_envs:Dream-v0", weights=str(folder / "run" / "checkpoint"))
    real = world.make_real()
    assert env.observation_space == real.observation_space
    assert env.action_space == real.action_space
    frame, _ = env.reset(seed=0)
    starts = load_checkpoint(folder / "run" / "checkpoint").starts.frames.numpy()
    assert any(np.array_equal(frame, start[-1]) for start in starts)
    for _ in range(3):
        frame, reward, terminated, _, info = env.step(env.action_space.sample())
    assert frame.shape == (FIELD, FIELD, 3)
    assert reward in (0.0, 1.0)
    assert 0 <= info["doubt"] <= 1


def test_starts_are_play_that_was_held_out(folder):
    model = load_checkpoint(folder / "run" / "checkpoint").model
    store = EpisodeStore(folder / "recordings")
    seen = np.concatenate([store.read(n).observation[:] for n in store.names("train")])
    held = np.concatenate([store.read(n).observation[:] for n in store.names("validation")])
    starts = load_checkpoint(folder / "run" / "checkpoint").starts
    assert starts.frames.shape[1] == model.context
    frames = starts.frames.numpy().reshape(-1, FIELD, FIELD, 3)
    assert all((held == frame).all((1, 2, 3)).any() for frame in frames)
    assert len(seen) > len(held)


def test_starts_keep_within_their_room_and_get_short_before_they_get_few(folder, world):
    model = load_checkpoint(folder / "run" / "checkpoint").model
    recordings = str(folder / "recordings")
    held_out = held_out_windows(world, recordings, rows=8, steps=8, seed=0)
    windows = [next(held_out) for _ in range(4)]
    frame = FIELD * FIELD * 3
    for room, shape in (
        (5 * model.context * frame, (5, model.context)),
        (3 * frame, (3, 1)),
        (0, (1, 1)),
    ):
        starts = recorded_starts(model, iter(windows), most_bytes=room)
        assert starts.frames.shape[:2] == shape
        assert starts.actions.shape[:2] == (shape[0], shape[1] - 1)


def test_too_short_a_recording_has_no_starts(folder):
    model = load_checkpoint(folder / "run" / "checkpoint").model
    with pytest.raises(ValueError, match="no stretch of play to begin from"):
        recorded_starts(model, iter([]))


def test_training_goes_on_and_other_settings_are_refused(folder, capsys):
    typed(folder, "train --recordings recordings --out run --steps 2 --batch 4")
    assert "2 of 2 steps" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="another recipe"):
        typed(folder, "train --recordings recordings --out run --steps 3 --batch 4")
    with pytest.raises(SystemExit, match="neither a world nor --recordings"):
        typed(folder, "train")


def test_speed_is_compared_among_the_librarys_models(folder):
    with pytest.raises(SystemExit, match="a world of one's own, and `bench`"):
        typed(folder, "bench run/checkpoint")


def test_the_dream_is_compared_with_an_episode_that_was_held_out(folder):
    typed(folder, "compare run/checkpoint --recordings recordings --steps 20 --out compared")
    figures = json.loads((folder / "compared" / "metrics.json").read_text())
    store = EpisodeStore(folder / "recordings")
    longest = max(store.headers[name].steps for name in store.names("test"))
    model = load_checkpoint(folder / "run" / "checkpoint").model
    assert figures["steps"] == min(20, longest - (model.span - 1))
    assert len(figures["horizons"]["prediction"]["psnr"]) == min(64, longest - model.span + 1)
    assert (folder / "compared" / "dot_env.gif").stat().st_size > 1000
    with pytest.raises(SystemExit, match="give its folder"):
        typed(folder, "compare run/checkpoint --steps 20 --out compared")


def test_errors_are_measured_on_the_test_split(folder, world):
    recordings = str(folder / "recordings")
    window = next(held_out_windows(world, recordings, rows=6, steps=8, seed=0))
    store = EpisodeStore(recordings)
    held = np.concatenate([store.read(n).observation[:] for n in store.names("test")])
    assert all((held == frame).all((1, 2, 3)).any() for frame in window.observation[:, 0])
    with pytest.raises(ValueError, match="--recordings"):
        held_out_windows(world, None, rows=6, steps=8, seed=0)


def test_a_trust_report_asks_for_a_recording(folder):
    with pytest.raises(SystemExit, match="trust report is of a recording's test split"):
        typed(folder, "evaluate run/checkpoint --rollouts 0 --trust")


def test_what_a_run_began_with_counts_however_much_is_recorded_later(folder, tmp_path):
    recordings = str(folder / "recordings")
    world = worlds.find(recordings)
    _, facts = pipeline.suited(world, recordings, run=tmp_path)
    kept = tmp_path / "facts.json"
    kept.write_text(kept.read_text().replace("1.0", "5.0"))
    _, again = pipeline.suited(world, recordings, run=tmp_path)
    assert again.rewards == (0.0, 5.0) != facts.rewards


@pytest.mark.full
def test_the_whole_standing_is_measured(folder, capsys):
    typed(folder, "evaluate run/checkpoint --recordings recordings --rows 2 --card --docs docs")
    written = sorted(path.name for path in (folder / "docs" / "results").iterdir())
    assert written == ["dot_env-0-standing.json", "dot_env-1-errors.json"]
    assert "copy last" in capsys.readouterr().out
    assert "copy last" in (folder / "run" / "checkpoint" / "README.md").read_text()


@pytest.fixture(scope="module")
def source(folder, world):
    weights = str(folder / "run" / "checkpoint")
    model = load_checkpoint(folder / "run" / "checkpoint").model
    return Recorded(world, weights, model, str(folder / "recordings"), 32)


def test_clips_of_both_kinds_begin_alike(source):
    real, dreamed = source.real(5), source.dreamed(5)
    assert list(real) == list(dreamed) == [15]
    assert real[15].frames.shape == (32, LENGTH, FIELD, FIELD, 3)
    rows = dreamed[15].row  # a dream may have ended before
    assert np.array_equal(dreamed[15].frames[:, 0], real[15].frames[rows, 0])
    assert np.array_equal(dreamed[15].actions, real[15].actions[rows])


def test_no_episode_is_in_both_halves(source, folder):
    even, odd = (
        {name for row, (name, _) in enumerate(source._places(3)) if row % 2 == side}
        for side in (0, 1)
    )
    assert not even & odd


def test_a_trust_report_needs_no_way_to_branch(source, world, folder, monkeypatch):
    monkeypatch.setattr("learned_envs.evaluation.trust.report.IDLE_STEPS", 200)
    monkeypatch.setattr("learned_envs.evaluation.trust.sources._IDLERS", 2)
    monkeypatch.setattr(report, "doubt_auroc", partial(report.doubt_auroc, windows=1))
    model = load_checkpoint(folder / "run" / "checkpoint").model
    trust = measure_trust(world, model, source, seed=0, rows=32, steps=2)
    assert set(trust.told_apart) == {15}
    assert trust.branching is None
    table = trust_table(world, trust, "command")
    assert not [row for row in table.rows if "branch" in row[0]]
    assert set(trust.idle) == {"0 to 200"}
    assert np.isfinite([trust.actions_real, trust.actions_dream]).all()
    trained = {"preset": "sparse", "frames": 180 * world.fps, "cpu_hours": 0.26}
    (row,) = trust_standing(world, trust, trained, "command").rows
    assert row[:4] == ["dot_env, 3 minutes", "sparse", "0.3", "15"]
    (row,) = trust_standing(world, trust, {}, "command").rows
    assert row[:3] == ["dot_env", "own", "–"]


def test_a_recording_without_long_episodes_cannot_be_trusted(tmp_path, source, world):
    record(world, tmp_path, 20, workers=0, max_steps=5, progress=False)
    model = load_checkpoint(Path(source._weights)).model
    with pytest.raises(ValueError, match="expected at least 2 of"):
        Recorded(world, None, model, str(tmp_path), 8)


def test_kinds_of_vectors_are_told_by_side():
    world = describe(GAME, env_kwargs={"kind": "box"}).world()
    assert kinds(world, np.array([[-1.0], [0.0], [2.0]])).tolist() == [0, 1, 2]


def test_a_quiz_shows_both(world, folder):
    weights = str(folder / "run" / "checkpoint")
    dream = gym.make(world.dream_id, weights=weights).unwrapped
    clips = list(make_clips(world, world.make_real(), dream, count=2, seconds=1, oldest=5))
    assert [clip.frames.shape for clip in clips] == [(20, FIELD, FIELD, 3)] * 2


def test_a_quiz_is_made_of_a_recording(world, folder, monkeypatch):
    dream: Any = gym.make(world.dream_id, weights=str(folder / "run" / "checkpoint")).unwrapped
    begun, begin = [], dream.reset
    monkeypatch.setattr(
        dream, "reset", lambda **given: begun.append(given["options"]["frames"]) or begin(**given)
    )
    store = EpisodeStore(folder / "recordings")
    clips = list(recorded_clips(world, store, dream, count=6, seconds=1, oldest=5))
    held = np.concatenate([store.read(n).observation[:] for n in store.names("test")])
    assert {clip.dreamed for clip in clips} == {True, False}
    for clip in clips:
        assert clip.frames.shape == (20, FIELD, FIELD, 3)
        if not clip.dreamed:
            assert all((held == frame).all((1, 2, 3)).any() for frame in clip.frames)
    assert len(begun) == sum(clip.dreamed for clip in clips)
    for frames in begun:
        assert len(frames) == dream.runtime.spec.span
        assert all((held == frame).all((1, 2, 3)).any() for frame in frames)
    with pytest.raises(ValueError, match="expected one of"):
        next(recorded_clips(replace(world, fps=1000), store, dream))


def test_presets_are_made_to_measure(folder):
    world, facts = pipeline.suited(
        worlds.find(str(folder / "recordings")), str(folder / "recordings")
    )
    assert set(world.presets) == {"sparse", "latent", "seed", "pretrained"}
    assert facts.rewards == (0.0, 1.0)


@pytest.mark.full
@pytest.mark.parametrize("kind", ["multi_discrete", "multi_binary", "box"])
def test_dreams_of_every_kind_of_action_are_exported(kind, tmp_path):
    pytest.importorskip("onnxscript")
    typed(tmp_path, f'record gym --env {GAME} --kwargs {{"kind":"{kind}"}} --out r --episodes 20')
    typed(tmp_path, "train r --out run --steps 1 --batch 2")
    typed(tmp_path, "export run/checkpoint --out onnx --dtype fp32")
    env = gym.make("learned_envs:Dream-v0", weights=str(tmp_path / "onnx" / "dot_env.onnx"))
    env.reset(seed=0)
    frame, *_ = env.step(env.action_space.sample())
    assert frame.shape == (FIELD, FIELD, 3)
