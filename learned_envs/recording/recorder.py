"""Recording many episodes with many processes: resumable, and safe to kill at any moment."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any

import gymnasium as gym
from tqdm import tqdm

from learned_envs.data.episode import EpisodeAttributes
from learned_envs.data.folder import EpisodeFolder
from learned_envs.data.writer import EpisodeWriter
from learned_envs.recording.takes import MakeAgent, planned_takes, record_take
from learned_envs.worlds import World


class WorkerError(RuntimeError):
    """A recording process failed or died; what was recorded is kept."""


def record(
    world: World,
    out: str | os.PathLike[str],
    episodes: int,
    workers: int = 1,
    seed: int = 0,
    behaviours: Mapping[str, float] | None = None,
    max_steps: int | None = None,
    patience: float = 600.0,
    progress: bool = True,
    agent: tuple[str, MakeAgent] | None = None,
) -> int:
    """Records until `out` holds `episodes` takes of this seed; skips those that it holds already.

    A take depends on the world, the seed and its number only, whatever the number of workers; with
    an agent as far as that acts alike at equal observations.
    Several calls with different seeds may record into one folder at the same time.

    Args:
        world: What to play.
        out: Recordings folder, a path or fsspec URL; created if need be.
        episodes: How many takes the folder shall hold, earlier ones with this seed included.
        workers: Processes; 0 plays in this one.
        seed: Of the recording, from 0.
        behaviours: Weights by name; None for the world's own.
        max_steps: Longest take; None for the world's own limit.
        patience: Seconds that a worker may spend on one take, its start included, before it counts
            as hung and is stopped.
        progress: Whether to show a progress bar.
        agent: Name and maker of who plays all takes instead of the world's behaviours; processes
            receive the maker, so it must be picklable.

    Returns:
        How many takes this call recorded.

    Raises:
        ValueError: If an argument is out of its range, the world is known from footage only, or
            `out` holds another world.
        OSError: If the disk is full; all that was recorded before is whole.
        WorkerError: If playing failed, or a worker died or hung. The other workers first finish
            the rest.
    """
    if world.real is None:
        raise ValueError(
            f"{world.name} has no simulator to record: what is known of it is footage "
            "(`learned-envs record video`)"
        )
    if workers < 0:
        raise ValueError(f"`workers` (={workers}) must be at least 0")
    max_steps = world.max_episode_steps if max_steps is None else max_steps
    if max_steps < 1:
        raise ValueError(f"`max_steps` (={max_steps}) must be at least 1")
    if not patience > 0:
        raise ValueError(f"`patience` (={patience}) must be more than 0 seconds")
    name, make_agent = agent or (None, None)
    plan = planned_takes(world, episodes, seed, behaviours, name)
    folder = os.fspath(out)
    if world.own is not None:
        EpisodeFolder(folder).describe(world.own.to_json())
    whole = EpisodeWriter(folder, world.name).whole_takes
    missing = [take for take in plan if take.take not in whole]
    done = len(plan) - len(missing)
    recorder = _Recorder(world, folder, max_steps, make_agent)
    with tqdm(total=len(plan), initial=done, unit="episode", disable=not progress) as bar:
        if workers:
            crew = _Crew(recorder, min(workers, len(missing)), patience)
            crew.record(missing, bar.update)
        else:
            for take in missing:
                recorder.record(take)
                bar.update()
    return len(missing)


@dataclass
class _Recorder:
    """Plays takes and writes them, in the process in which it first plays one."""

    world: World
    out: str
    max_steps: int
    make_agent: MakeAgent | None

    @cached_property
    def _env(self) -> gym.Env[Any, Any]:
        return self.world.make_real()

    @cached_property
    def _writer(self) -> EpisodeWriter:
        return EpisodeWriter(self.out, self.world.name)

    def record(self, take: EpisodeAttributes) -> None:
        played = record_take(self.world, self._env, take, self.max_steps, self.make_agent)
        self._writer.write_take(played)

    def attempt(self, take: EpisodeAttributes) -> _Failure | None:
        """Records a take; returns what went wrong, in a form that crosses processes."""
        try:
            self.record(take)
        except Exception as error:
            number = error.errno if isinstance(error, OSError) else None
            message = error.strerror if isinstance(error, OSError) and number else repr(error)
            return _Failure(number, str(message), traceback.format_exc())
        return None


@dataclass(frozen=True, slots=True)
class _Failure:
    """What went wrong in a worker; `errno` if it was an `OSError` that has one."""

    errno: int | None
    message: str
    details: str


def _work(connection: Connection, recorder: _Recorder) -> None:
    """Records the takes that arrive, until the other end closes or its process is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which closes the pipe
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        while True:
            take = connection.recv()
            connection.send(recorder.attempt(take))


@dataclass(slots=True)
class _Worker:
    number: int
    process: SpawnProcess
    take: EpisodeAttributes
    deadline: float


class _Crew:
    """Hands takes to worker processes, one at a time, and listens for results, deaths and silence.

    A worker that died or hung is not replaced: the others do the rest.
    """

    def __init__(self, recorder: _Recorder, size: int, patience: float):
        self._recorder, self._size, self._patience = recorder, size, patience
        self._workers: dict[Connection, _Worker] = {}
        self._losses: list[str] = []

    def record(self, takes: Sequence[EpisodeAttributes], count_one: Callable[[], object]) -> None:
        queue = deque(takes)
        recorded = 0
        try:
            for number in range(self._size):
                self._hire(number, queue.popleft())
            while self._workers:
                for connection in self._heard():
                    if not self._finished(connection):
                        continue
                    recorded += 1
                    count_one()
                    if queue:
                        self._hand(connection, queue.popleft())
                    else:
                        self._dismiss(connection)
        finally:  # on an error or Ctrl-C, the others finish the takes they are in
            for connection in list(self._workers):
                self._dismiss(connection)
        if self._losses:
            raise WorkerError(
                f"{len(self._losses)} of {self._size} workers were lost: "
                f"{'; '.join(self._losses)}. {recorded} of {len(takes)} episodes were recorded and "
                f"are kept in {self._recorder.out}. Record again with the same settings to get the "
                "rest: with fewer workers if memory was short (exit code -9), with a larger "
                "`patience` if the world is only slow"
            )

    def _heard(self) -> list[Connection]:
        """Waits until workers answer or die; stops those that have done neither for too long."""
        first = min(worker.deadline for worker in self._workers.values())
        heard = wait(list(self._workers), max(0.0, first - time.monotonic()))
        for connection, worker in list(self._workers.items()):
            if connection not in heard and worker.deadline <= time.monotonic():
                self._losses.append(
                    f"worker {worker.number} did not finish {worker.take.take} within "
                    f"{self._patience:g} s and was stopped"
                )
                self._dismiss(connection)
        return [connection for connection in heard if isinstance(connection, Connection)]

    def _hire(self, number: int, take: EpisodeAttributes) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._recorder), daemon=True)
        process.start()
        theirs.close()  # so that the worker's death closes the pipe
        self._workers[ours] = _Worker(number, process, take, 0.0)
        self._hand(ours, take)

    def _hand(self, connection: Connection, take: EpisodeAttributes) -> None:
        worker = self._workers[connection]
        worker.take, worker.deadline = take, time.monotonic() + self._patience
        with contextlib.suppress(BrokenPipeError):  # a dead worker is noticed when listening
            connection.send(take)

    def _finished(self, connection: Connection) -> bool:
        """Hears a worker out; False if it has died."""
        worker = self._workers[connection]
        try:
            failure = connection.recv()
        except (EOFError, ConnectionResetError):
            self._dismiss(connection)
            self._losses.append(
                f"worker {worker.number} died with exit code {worker.process.exitcode} in "
                f"{worker.take.take}"
            )
            return False
        if failure is None:
            return True
        if failure.errno is not None:
            raise OSError(failure.errno, failure.message)
        raise WorkerError(
            f"recording {worker.take.take} failed: {failure.message}\n{failure.details}"
        )

    def _dismiss(self, connection: Connection) -> None:
        """Lets a worker finish the take that it is in, and stops it where that takes too long."""
        connection.close()
        worker = self._workers.pop(connection)
        worker.process.join(max(0.0, worker.deadline - time.monotonic()))
        if worker.process.exitcode is None:
            worker.process.kill()
            worker.process.join()
