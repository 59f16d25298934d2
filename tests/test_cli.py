import subprocess
import sys

import pytest

from learned_envs import cli


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
