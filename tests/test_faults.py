"""Kills before every file operation, full disks, damaged progress: work goes on from what is whole.

What happens to damaged episodes and checkpoints, and to a recorder's workers, is in their tests.
"""

import dataclasses
import errno
import itertools
import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_dream import save_tiny
from tiny_faults import flipped, full_disk, killed_before
from tiny_training import (
    assert_equal,
    endless,
    parameters,
    recipe,
    tiny_config,
    tiny_model,
    trained,
)

from learned_envs import disk, pipeline, worlds
from learned_envs.models.checkpoint import load_checkpoint
from learned_envs.training.recipe import Recipe
from learned_envs.training.trainer import dynamics_trainer

OLD, NEW = {"is": "old"}, {"is": "new"}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    return parameters(trained(tmp_path_factory.mktemp("unbroken")).module)


@pytest.fixture(scope="module")
def progress(tmp_path_factory):
    """The file of a run that is complete."""
    folder = tmp_path_factory.mktemp("complete")
    trained(folder)
    return folder / "progress.safetensors"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def pack(folder: Path, swap: bool) -> None:
    if not swap:
        disk._swapped = lambda one, other: False
    save_tiny(folder, settings=NEW)


@pytest.mark.parametrize("swap", [True, False], ids=["swap", "no swap"])
def test_a_packing_killed_at_any_moment_leaves_the_old_checkpoint_or_the_new(
    tmp_path, forkserver, swap
):
    original, folder, found = save_tiny(tmp_path / "original", settings=OLD), tmp_path / "w", []
    for operation in itertools.count():
        shutil.rmtree(tmp_path / "w", ignore_errors=True)
        shutil.copytree(original, folder)
        if not killed_before(forkserver, operation, tmp_path, pack, folder, swap):
            break
        whole = folder if swap or folder.exists() else tmp_path / "w.old"
        found.append(load_checkpoint(whole).settings["is"])
    moment = found.index("new")
    assert moment > 5
    assert found == ["old"] * moment + ["new"] * (len(found) - moment)
    assert load_checkpoint(folder).settings == NEW


def train(folder: Path) -> None:
    torch.set_num_threads(1)
    trained(folder)


def test_a_training_killed_before_every_file_operation_ends_as_an_unbroken_one(
    tmp_path, forkserver, unbroken
):
    steps = []
    for operation in itertools.count():
        if not killed_before(forkserver, operation, tmp_path, train, tmp_path / "run"):
            break
        run = dynamics_trainer(tiny_model(), recipe(), endless, tmp_path / "run")
        steps.append(run.step)
    assert set(steps) == {0, 4, 8}
    assert steps == sorted(steps)
    assert_equal(parameters(trained(tmp_path / "run").module), unbroken)


def train_preset(folder: Path) -> Path:
    """Trains a preset of Breakout that takes no time."""
    torch.set_num_threads(1)
    world = dataclasses.replace(
        worlds.get("breakout"),
        presets={"tiny": lambda: tiny_config(64)},
        recipes={"tiny": lambda: Recipe(steps=4, round_steps=2, batch=4, window=6, warmup=2)},
    )
    packed = pipeline.train_preset(world, "tiny", folder).checkpoint
    assert packed is not None
    return packed


@pytest.mark.full
def test_a_preset_killed_before_every_file_operation_packs_the_same_bytes(tmp_path, forkserver):
    for operation in itertools.count():
        if not killed_before(forkserver, operation, tmp_path, train_preset, tmp_path / "run"):
            break
    assert operation > 15
    killed, straight = tmp_path / "run" / "checkpoint", train_preset(tmp_path / "straight")
    assert names(killed) == names(straight)
    for name in names(straight):
        assert (killed / name).read_bytes() == (straight / name).read_bytes()


def test_a_training_on_a_full_disk_keeps_its_last_round_and_goes_on_from_it(tmp_path, unbroken):
    with (
        full_disk(after=1),
        pytest.raises(OSError, match=r"no space is left for .*same command") as e,
    ):
        trained(tmp_path)
    assert e.value.errno == errno.ENOSPC
    assert names(tmp_path) == ["progress.safetensors"]
    assert dynamics_trainer(tiny_model(), recipe(), endless, tmp_path).step == 4
    assert_equal(parameters(trained(tmp_path).module), unbroken)


def test_a_log_on_a_full_disk_is_told_as_such(tmp_path):
    def log(step: int, figures: dict[str, float]) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    run = dynamics_trainer(tiny_model(), recipe(steps=20), endless, tmp_path, log=log)
    with pytest.raises(OSError, match=r"no space is left for .*last whole round reached is kept"):
        run.run(progress=False)
    assert dynamics_trainer(tiny_model(), recipe(steps=20), endless, tmp_path).step == 16


def test_whatever_else_of_a_run_meets_a_full_disk_is_told_as_such(tmp_path, monkeypatch):
    def train(*args, **kwargs):
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr(pipeline.presets, "train", train)
    with pytest.raises(OSError, match=r"no space is left for .*What was reached is kept"):
        train_preset(tmp_path)


@pytest.mark.parametrize("file", range(4))
def test_a_packing_on_a_full_disk_leaves_the_old_checkpoint_whole(tmp_path, file):
    save_tiny(tmp_path / "w", settings=OLD)
    with (
        full_disk(after=file),
        pytest.raises(OSError, match=r"no space is left for .*free some") as e,
    ):
        save_tiny(tmp_path / "w", settings=NEW)
    assert e.value.errno == errno.ENOSPC
    assert load_checkpoint(tmp_path / "w").settings == OLD
    assert names(tmp_path) == ["w"]


def test_other_errors_of_a_disk_are_left_as_they_are(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        save_tiny(tmp_path / "file" / "w")


def assert_refused(folder: Path, content: bytes) -> None:
    (folder / "progress.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"progress\.safetensors is truncated or damaged .*delete"):
        dynamics_trainer(tiny_model(), recipe(), endless, folder)


@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_progress_cut_at_any_length_is_refused(progress, tmp_path_factory, data):
    content = progress.read_bytes()
    length = data.draw(st.integers(0, len(content) - 1))
    assert_refused(tmp_path_factory.mktemp("cut"), content[:length])


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_progress_with_a_flipped_bit_is_refused(progress, tmp_path_factory, data):
    content = progress.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    byte = data.draw(st.one_of(st.integers(0, header - 1), st.integers(0, len(content) - 1)))
    if b"sha256" in content[byte - 6 : byte + 7]:  # without its name, the checksum is not looked at
        return
    assert_refused(tmp_path_factory.mktemp("flip"), flipped(content, 8 * byte + byte % 8))


def test_damaged_settings_of_a_run_are_named(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"world": "breakout"})[:-3])
    with pytest.raises(ValueError, match=r"run\.json is damaged .*another --out"):
        train_preset(tmp_path)
