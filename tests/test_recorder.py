"""The recorder: the same episodes however it is run, whole however it is stopped."""

import dataclasses
import errno
import itertools
import multiprocessing
import os
import signal
import time
from collections import Counter
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from tiny_world import BEHAVIOURS, tiny_world

from learned_envs import worlds
from learned_envs.data import Episode, EpisodeAttributes, EpisodeStore
from learned_envs.recording import recorder
from learned_envs.recording.recorder import WorkerError, record
from learned_envs.recording.takes import planned_takes, record_take

WORLD = tiny_world()


def record_quietly(out: Path, episodes: int, workers: int = 0, env: str = "TinyEnv") -> int:
    return record(tiny_world(env), out, episodes, workers, progress=False)


def expected_take(attributes: EpisodeAttributes) -> Episode:
    return record_take(WORLD, WORLD.make_real(), attributes, WORLD.max_episode_steps)


def assert_whole(folder: Path) -> None:
    """Every episode in the folder is, to the last byte, the one that its name stands for."""
    for episode in EpisodeStore(folder, "tiny"):
        expected = expected_take(episode.attributes)
        assert episode.steps == expected.steps
        np.testing.assert_array_equal(episode.observation[:], expected.observation[:])
        np.testing.assert_array_equal(episode.action, expected.action)
        np.testing.assert_array_equal(episode.reward, expected.reward)
        np.testing.assert_array_equal(episode.metadata["clock"], expected.metadata["clock"])


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_an_episode_holds_what_happened() -> None:
    (attributes,) = planned_takes(WORLD, 1, seed=7, behaviours={"up": 1.0})
    episode = expected_take(attributes)
    steps = episode.steps
    np.testing.assert_array_equal(episode.observation[:][:, 0, 0, 0], np.arange(steps + 1))
    np.testing.assert_array_equal(episode.metadata["clock"], np.arange(steps + 1))
    np.testing.assert_array_equal(episode.action, np.ones(steps))
    np.testing.assert_array_equal(episode.reward, np.ones(steps))


def test_a_take_ends_terminated_or_at_the_limit_truncated() -> None:
    ends = set()
    for attributes in planned_takes(WORLD, 30, seed=0):
        episode = expected_take(attributes)
        assert episode.terminated[-1] != episode.truncated[-1]
        assert episode.truncated[-1] <= (episode.steps == WORLD.max_episode_steps)
        ends.add(bool(episode.terminated[-1]))
    assert ends == {True, False}


def test_behaviours_follow_their_weights_closely() -> None:
    for count in (8, 20, 100):
        drawn = Counter(take.behaviour for take in planned_takes(WORLD, count, seed=0))
        assert abs(drawn["up"] - count * BEHAVIOURS["up"] / 4) <= 2


def test_a_longer_plan_begins_with_the_shorter_one() -> None:
    assert planned_takes(WORLD, 50, seed=3)[:20] == planned_takes(WORLD, 20, seed=3)


def test_plans_of_different_seeds_share_no_take() -> None:
    one, other = (planned_takes(WORLD, 50, seed=seed) for seed in (0, 1))
    assert len({take.seed for take in (*one, *other)}) == 100


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"episodes": 0}, r"`episodes` \(=0\)"),
        ({"episodes": 1, "seed": -1}, r"`seed` \(=-1\)"),
        ({"episodes": 1, "workers": -1}, r"`workers` \(=-1\)"),
        ({"episodes": 1, "patience": 0}, r"`patience` \(=0\)"),
        ({"episodes": 1, "max_steps": 0}, r"`max_steps` \(=0\)"),
        ({"episodes": 1, "behaviours": {"brave": 1.0}}, r"no behaviours \['brave'\]"),
    ],
)
def test_arguments_out_of_range_are_refused(
    tmp_path: Path, arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        record(WORLD, tmp_path, progress=False, **arguments)
    assert not os.listdir(tmp_path)


def test_workers_record_what_one_process_records(tmp_path: Path) -> None:
    record_quietly(tmp_path / "one", 12)
    record_quietly(tmp_path / "many", 12, workers=2)
    assert contents(tmp_path / "one") == contents(tmp_path / "many")


def test_recording_goes_on_where_it_stopped(tmp_path: Path) -> None:
    assert record_quietly(tmp_path, 5) == 5
    before = contents(tmp_path)
    assert record_quietly(tmp_path, 9) == 4
    assert record_quietly(tmp_path, 9) == 0
    after = contents(tmp_path)
    assert before.items() <= after.items()
    assert len(EpisodeStore(tmp_path)) == 9


def test_a_folder_of_another_world_is_refused(tmp_path: Path) -> None:
    record_quietly(tmp_path, 1)
    other = dataclasses.replace(WORLD, name="other")
    with pytest.raises(ValueError, match="holds recordings of the world 'tiny'"):
        record(other, tmp_path, 1, workers=0, progress=False)


def test_a_full_disk_keeps_what_is_whole_and_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes, calls = Path.write_bytes, itertools.count()

    def full(path: Path, content: bytes) -> int:
        if next(calls) == 40:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write_bytes(path, content)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="no space is left for .* free some space and record"):
            record_quietly(tmp_path, 10)
    assert 0 < len(EpisodeStore(tmp_path)) < 10
    assert_whole(tmp_path)
    assert all(name.endswith(".zarr") for name in os.listdir(tmp_path))
    record_quietly(tmp_path, 10)
    assert len(EpisodeStore(tmp_path)) == 10


def test_a_worker_that_dies_is_reported_and_the_rest_is_recorded(tmp_path: Path) -> None:
    message = r"1 of 2 workers were lost: worker . died with exit code -9 in tiny-down-000000000002"
    with pytest.raises(WorkerError, match=rf"{message}\. 7 of 8 .* Record again"):
        record_quietly(tmp_path, 8, workers=2, env="DeadlyEnv")
    assert len(EpisodeStore(tmp_path)) == 7
    assert_whole(tmp_path)
    assert record_quietly(tmp_path, 8) == 1


def test_a_worker_that_hangs_is_stopped_and_reported_and_the_rest_is_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]  # stands still as long as somebody is at work

    def patient(connections: list[Connection], timeout: float) -> list[object]:
        if len(connections) > 1:
            return wait(connections)
        clock[0] += timeout
        return []

    monkeypatch.setattr(recorder, "wait", patient)
    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    message = r"worker . did not finish tiny-down-000000000002 within 30 s and was stopped\. 7 of 8"
    with pytest.raises(WorkerError, match=rf"{message} .*larger `patience`"):
        record(tiny_world("HangingEnv"), tmp_path, 8, workers=2, patience=30, progress=False)
    assert len(EpisodeStore(tmp_path)) == 7
    assert_whole(tmp_path)
    assert record_quietly(tmp_path, 8) == 1


def test_an_error_in_a_worker_is_raised_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"(?s)000002 failed.*the ball is square.*in reset"):
        record_quietly(tmp_path, 8, workers=1, env="BrokenEnv")
    assert len(EpisodeStore(tmp_path)) == 2


def test_a_full_disk_in_a_worker_is_raised_as_such(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no space is left") as info:
        record_quietly(tmp_path, 8, workers=1, env="FullDiskEnv")
    assert info.value.errno == errno.ENOSPC


def entries(folder: Path) -> int:
    return sum(len(files) + len(folders) for _, folders, files in os.walk(folder))


def kill_when(process: BaseProcess, folder: Path, count: int) -> None:
    """Kills `process` as soon as `folder` has `count` entries, finished or not."""
    while process.is_alive() and entries(folder) < count:
        time.sleep(0.0005)
    process.kill()
    process.join()


def test_a_recorder_killed_at_random_moments_leaves_whole_episodes_and_goes_on(
    tmp_path: Path, forkserver: multiprocessing.context.ForkServerContext
) -> None:
    random, folder, kills = np.random.default_rng(0), tmp_path / "out", 0
    while True:
        process = forkserver.Process(target=record_quietly, args=(folder, 40))
        process.start()
        kill_when(process, folder, entries(folder) + int(random.integers(1, 60)))
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
        kills += 1
    assert kills >= 15
    assert len(EpisodeStore(folder)) == 40
    assert_whole(folder)


def test_a_world_known_from_footage_cannot_be_recorded(tmp_path):
    with pytest.raises(ValueError, match="my_way_home has no simulator to record"):
        record(worlds.get("my_way_home"), tmp_path / "out", 1)
    assert not (tmp_path / "out").exists()
