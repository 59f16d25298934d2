import subprocess
import sys

import pytest

from learned_envs import cli, worlds
from learned_envs.data import EpisodeStore
from learned_envs.recording.footage.export import export_clip


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["learned-envs", *arguments])
    cli.main()


def test_list_names_both_ids_of_breakout(monkeypatch, capsys):
    run(monkeypatch, "list")
    out = capsys.readouterr().out
    assert "Real-Breakout-v0" in out
    assert "Dream-Breakout-v0" in out


def test_record_then_inspect_prints_what_was_recorded(monkeypatch, capsys, tmp_path):
    run(monkeypatch, "record", "breakout", "--out", str(tmp_path / "takes"), "--episodes", "3")
    run(monkeypatch, "inspect", str(tmp_path / "takes"))
    out = capsys.readouterr().out
    assert "bricks broken" in out


def test_a_recording_is_exported_as_chunks(monkeypatch, capsys, tmp_path):
    run(monkeypatch, "record", "breakout", "--out", str(tmp_path / "takes"), "--episodes", "1")
    run(monkeypatch, "chunks", str(tmp_path / "takes"), "--out", str(tmp_path / "chunks"))
    count = len(list((tmp_path / "chunks").glob("*_meta.json")))
    assert f"{count} chunks in" in capsys.readouterr().out and count > 0


def test_an_unknown_world_ends_with_the_nearest_name_and_no_traceback(monkeypatch):
    with pytest.raises(SystemExit, match="Did you mean 'breakout'"):
        run(monkeypatch, "train", "brekout")


def test_an_unknown_preset_ends_with_those_there_are(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="small"):
        run(monkeypatch, "train", "breakout", "--preset", "huge", "--out", str(tmp_path))


def test_help_needs_no_torch():
    code = (
        "import sys; from learned_envs import cli; sys.argv = ['learned-envs', '--help']\n"
        "try:\n    cli.main()\nexcept SystemExit:\n    pass\n"
        "assert 'torch' not in sys.modules and 'pygame' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_a_film_with_a_log_becomes_a_recording(monkeypatch, capsys, tmp_path):
    pytest.importorskip("av")
    takes, film = str(tmp_path / "takes"), tmp_path / "film.mp4"
    run(monkeypatch, "record", "breakout", "--out", takes, "--episodes", "1")
    export_clip(EpisodeStore(takes), film, film.with_suffix(".csv"))
    out = str(tmp_path / "filmed")
    run(monkeypatch, "record", "video", str(film), "--out", out, "--kinds", "left=held")
    told = capsys.readouterr().out
    assert "left held," in told
    assert "right held (guessed)" in told
    assert worlds.find(out).name == "filmed"
    run(monkeypatch, "inspect", out)
    assert "frozen frames" in capsys.readouterr().out


def test_films_and_logs_must_be_as_many(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="1 clips and 2 files of inputs"):
        run(monkeypatch, "record", "video", "a.mp4", "--inputs", "a.csv", "b.csv", "--out", "x")


def test_a_region_that_is_none_is_refused(monkeypatch, tmp_path):
    with pytest.raises(SystemExit, match="must be x,y,width,height"):
        run(monkeypatch, "record", "screen", "--region", "wide", "--out", str(tmp_path))


def test_arguments_of_an_environment_are_json(monkeypatch, tmp_path):
    words = ["record", "gym", "--env", "own_game:DotEnv", "--out", str(tmp_path)]
    with pytest.raises(SystemExit, match="must be a JSON object"):
        run(monkeypatch, *words, "--kwargs", "kind=box")
