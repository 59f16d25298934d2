"""Recording a person who plays any program: frames of the screen, and what the person does."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from tqdm import tqdm

from learned_envs.data.episode import MAX_FRAMES, EpisodeAttributes
from learned_envs.data.folder import EpisodeFolder
from learned_envs.data.writer import EpisodeWriter
from learned_envs.recording.capture.grabbing import Grab, OpenScreen, Region, open_screen
from learned_envs.recording.capture.inputs import KEYS, Inputs, known_keys
from learned_envs.recording.capture.listening import Listen, listen
from learned_envs.recording.capture.pacing import Captured, ticks
from learned_envs.recording.capture.reel import PART_BYTES, Filing, Reel
from learned_envs.worlds.frame_env import resized
from learned_envs.worlds.own import OwnWorld, shrunk_size
from learned_envs.worlds.spaces import space_to_json

BEHAVIOUR = "person"
TAKE_SECONDS = 60


def record_screen(
    out: str | os.PathLike[str],
    *,
    name: str,
    fps: int = 15,
    region: Region | tuple[int, int, int, int] | None = None,
    keys: Sequence[str] = (),
    mouse: bool = False,
    image_size: tuple[int, int] | None = None,
    seconds: float | None = None,
    hotkey: str | None = "f12",
    stop: threading.Event | None = None,
    progress: bool = True,
    grab: OpenScreen = open_screen,
    listen: Listen = listen,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], object] = time.sleep,
) -> Captured:
    """Records the screen, keys and mouse until it is told to stop, in takes of at most a minute.

    `action[i]` holds what was done from the moment at which frame i was grabbed to that of frame
    i + 1; `Inputs` says how. The metadata `time` are those moments, in seconds (float64) since the
    take's first frame. It stops at Ctrl-C, at `hotkey`, when `stop` is set or after `seconds`, and
    what it holds is written then. Killed, it loses the part of a take that it was in, and the one
    that was just being written, if any. More can be recorded into the same folder later.

    Args:
        out: Recordings folder, a path or fsspec URL; created if need be.
        name: Of the world.
        fps: Frames a second. A frame that is late by more than half a tick is dropped and the take
            ends, so that within a take steps last between a half and one and a half ticks.
        region: What to capture: x, y, width, height; None for all of the first screen.
        keys: Which to record, by names of `inputs.KEYS`; all others are ignored.
        mouse: Whether to record the pointer's moves and two buttons. On Linux the pointer is drawn
            in the pictures then.
        image_size: (H, W) of the recorded pictures, multiples of 8; if None, the shorter side
            becomes 64 and the other keeps the shape.
        seconds: How long to record; None for no end.
        hotkey: Key that stops, by its name in `inputs.KEYS`; None for none.
        stop: Stops the recording when it is set.
        progress: Whether to show how many frames there are.
        grab: Opens the screen.
        listen: Listens to keys and mouse.
        clock: Seconds that only go on.
        sleep: Waits for so many seconds.

    Raises:
        ValueError: If an argument is out of its range, there is no such key, the region reaches
            beyond the screen, or `out` holds another world or was recorded with other settings.
        gymnasium.error.DependencyNotInstalled: If mss or pynput is missing.
        PermissionError: If the system lets this program neither see nor listen (macOS).
        RuntimeError: If there is no screen that can be captured, as on Wayland.
        OSError: If the disk is full; all that was written before is whole.
    """
    keys = known_keys(keys)
    hotkey = known_keys([hotkey])[0] if hotkey else None
    if hotkey in keys:
        raise ValueError(f"`hotkey` (={hotkey!r}) stops the recording: choose none of `keys`")
    if not keys and not mouse:
        raise ValueError("nothing that a person does would be recorded: give `keys`, or `mouse`")
    if seconds is not None and not seconds > 0:
        raise ValueError(f"`seconds` (={seconds}) must be more than 0")
    stop = stop or threading.Event()
    given = None if region is None else Region(*region)
    with contextlib.ExitStack() as opened:
        seen, shoot = opened.enter_context(grab(given, mouse))
        inputs = Inputs(keys, mouse=mouse, size=(seen.width, seen.height), clock=clock)
        own = _described(name, fps, image_size or shrunk_size(seen.height, seen.width), inputs)

        def hear(key: str, down: bool) -> None:
            if key == hotkey and down:
                stop.set()
            inputs.hear(key, down)

        opened.enter_context(listen(hear, inputs.move if mouse else None))
        first = _first_take(out, own)
        write = EpisodeWriter(out, own.name).write
        opened.enter_context(_stopped_by_signals(stop))
        bar = opened.enter_context(
            tqdm(
                desc=f"recording {seen} until {hotkey or 'Ctrl-C'}",
                unit=" frames",
                disable=not progress,
            )
        )
        filing = opened.enter_context(Filing(write))
        reel = Reel(
            filing.put,
            first,
            steps=own.max_episode_steps,
            max_frames=max(2, min(MAX_FRAMES, PART_BYTES // (3 * math.prod(own.image_size)))),
        )

        def shot() -> np.ndarray:
            filing.check()
            bar.update()
            return resized(shoot(), own.image_size)

        return _capture(shot, inputs, reel, ticks(fps, seconds, stop, clock, sleep))


def _capture(
    shot: Grab, inputs: Inputs, reel: Reel, moments: Iterator[tuple[float, int]]
) -> Captured:
    """Takes a picture at each moment; whatever happens, the take that it was in is handed on."""
    frames = dropped = 0
    first = before = longest = 0.0
    try:
        for now, missed in moments:
            frame, action = shot(), inputs.until(now)
            if frames and not missed:
                reel.add(action, frame, now)
            else:
                reel.begin(frame, now)
            first = now if not frames else first
            longest = max(longest, now - before) if frames else 0.0
            before, frames, dropped = now, frames + 1, dropped + missed
    finally:
        reel.end()
    return Captured(
        frames=frames,
        takes=reel.takes,
        seconds=before - first,
        dropped=dropped,
        longest_gap=longest,
    )


def _described(name: str, fps: int, image_size: tuple[int, int], inputs: Inputs) -> OwnWorld:
    idle = [0.0] * len(inputs.names)
    own = OwnWorld(
        name=name,
        env=None,
        image_size=image_size,
        fps=fps,
        max_episode_steps=min(TAKE_SECONDS * fps, MAX_FRAMES - 1),
        action_space=space_to_json(inputs.space),
        action_names=inputs.names,
        idle_action=idle,
        keys={
            KEYS[key]: [float(key == component) for component in inputs.names]
            for key in inputs.names
            if key in KEYS
        },
    )
    own.check_name()
    return own


def _first_take(out: str | os.PathLike[str], own: OwnWorld) -> EpisodeAttributes:
    """Describes the folder and finds the first take that it does not hold."""
    folder = EpisodeFolder(out)
    held = [header.attributes.seed for header in folder.headers(own.name).values()]
    folder.describe(own.to_json())
    return EpisodeAttributes(
        world=own.name,
        fps=own.fps,
        seed=max(held, default=-1) + 1,
        behaviour=BEHAVIOUR,
        action_names=own.action_names,
    )


@contextlib.contextmanager
def _stopped_by_signals(stop: threading.Event) -> Iterator[None]:
    """Has the first Ctrl-C, or SIGTERM, set `stop`; a second one acts as ever."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def handle(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
