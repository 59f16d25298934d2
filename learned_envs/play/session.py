"""A stage that plays by itself, on a thread of its own, so that no window ever waits for it."""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections import deque
from collections.abc import Callable

from learned_envs.play.snapshot import Snapshot
from learned_envs.play.stage import Stage

Command = Callable[[Stage], None]
_KEPT = 900


class Session:
    """Plays a stage at its own pace and tells how it stands.

    Whatever a world or a model raises becomes the snapshot's `error`; a reset goes on. If the stage
    could not be made, the next command tries again.

    Args:
        make_stage: Makes the stage, on the session's thread.

    Attributes:
        snapshot: The latest. Reading it never blocks.
    """

    def __init__(self, make_stage: Callable[[], Stage]):
        self.snapshot = Snapshot(loading=True)
        self._make_stage = make_stage
        self._stage: Stage | None = None
        self._commands: queue.SimpleQueue[Command | None] = queue.SimpleQueue()
        self._recent: deque[Snapshot] = deque(maxlen=_KEPT)
        self._lock = threading.Lock()
        self._tick_times: deque[float] = deque(maxlen=16)
        self._thread = threading.Thread(target=self._run, name="session", daemon=True)

    def start(self) -> None:
        """Begins to make the stage and to play."""
        self._thread.start()

    def send(self, command: Command) -> None:
        """Has the session's thread call `command` with the stage, before the next step."""
        self._commands.put(command)

    def close(self, timeout: float = 5.0) -> None:
        """Stops after the step that is being played, or leaves it alone after `timeout` seconds."""
        self._commands.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout)

    def recent(self) -> tuple[Snapshot, ...]:
        """Snapshots of the latest ticks in the present mode, at most 900, oldest first."""
        with self._lock:
            kept = tuple(self._recent)
        start = len(kept)
        while start and kept[start - 1].mode is self.snapshot.mode:
            start -= 1
        return kept[start:]

    def _run(self) -> None:
        self._load()
        due = time.perf_counter()
        while True:
            stage = self._stage
            running = stage is not None and stage.running
            wait = max(due - time.perf_counter(), 0) if running else None
            try:
                command = self._commands.get(timeout=wait)
            except queue.Empty:
                assert stage is not None
                self._guarded(stage, Stage.tick)
                self._tick_times.append(time.perf_counter())
                if not stage.running:
                    self._tick_times.clear()
                self._publish(stage)
                due = max(due + 1 / stage.pace, time.perf_counter())
                continue
            if command is None:
                return
            self._obey(command)

    def _load(self) -> None:
        self.snapshot = Snapshot(loading=True)
        try:
            self._stage = self._make_stage()
        except Exception as error:  # whatever it is, the person shall read it
            self.snapshot = Snapshot(error=_text(error))
            return
        self._publish(self._stage)

    def _obey(self, command: Command) -> None:
        if self._stage is None:
            self._load()
            return
        self._guarded(self._stage, command)
        if not self._stage.running:
            self._tick_times.clear()
        self._publish(self._stage)

    def _guarded(self, stage: Stage, command: Command) -> None:
        try:
            command(stage)
        except Exception as error:  # whatever it is, the person shall read it
            stage.error = _text(error)

    def _publish(self, stage: Stage) -> None:
        before = self.snapshot.number
        self.snapshot = dataclasses.replace(stage.snapshot(), rate=self._rate())
        if self.snapshot.number != before:
            with self._lock:
                self._recent.append(self.snapshot)

    def _rate(self) -> float:
        times = self._tick_times
        taken = times[-1] - times[0] if len(times) > 1 else 0.0
        return (len(times) - 1) / taken if taken else float("nan")


def _text(error: Exception) -> str:
    return str(error) or type(error).__name__
