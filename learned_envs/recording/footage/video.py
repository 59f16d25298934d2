"""Footage as a recording: video files and what was pressed while they were filmed.

A clip is cut into takes of a minute, each a source of its own. Episodes are split into training,
validation and test by their source, so a whole clip in one split would leave the others empty for
whoever has a handful of clips. Takes share no frame; the step from one to the next is left out. At
15 steps a second a take is one episode of 900 frames.

In memory are the inputs, the frame times and one episode, however long a clip is.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from tqdm import tqdm

from learned_envs.data.episode import MAX_FRAMES, Episode, EpisodeAttributes
from learned_envs.data.folder import EpisodeFolder
from learned_envs.data.writer import EpisodeWriter
from learned_envs.recording.footage.clocks import check_clocks, pauses
from learned_envs.recording.footage.described import common_size, footage_world
from learned_envs.recording.footage.film import Film, read_film
from learned_envs.recording.footage.input_log import (
    Inputs,
    Kind,
    checked_kinds,
    read_inputs,
    step_actions,
)
from learned_envs.recording.takes import MAX_TAKES
from learned_envs.worlds.own import OwnWorld

BEHAVIOUR = "footage"


@dataclass(frozen=True, slots=True)
class Clip:
    """A piece of footage.

    Attributes:
        video: A file that FFmpeg can read.
        inputs: A CSV file; see `read_inputs`.
        offset: Seconds that are added to the times of the inputs, where their clock did not start
            with the video's first frame.
    """

    video: Path
    inputs: Path
    offset: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        takes: How many takes it recorded.
        kinds: How it read each input.
        guessed: Names of the inputs whose kind it guessed.
        notes: What is worth knowing of the inputs, in plain words.
    """

    takes: int
    kinds: Mapping[str, Kind]
    guessed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Some lines for people."""
        named = (f"{n} {k}{' (guessed)' * (n in self.guessed)}" for n, k in self.kinds.items())
        return "\n".join([f"{self.takes:,} takes; inputs: {', '.join(named)}", *self.notes])


def import_video(
    clips: Sequence[Clip],
    out: str | os.PathLike[str],
    *,
    name: str,
    fps: int = 15,
    image_size: tuple[int, int] | None = None,
    columns: Sequence[str] | None = None,
    kinds: Mapping[str, Kind] | None = None,
    tolerance: float = 0.05,
    take_seconds: float = 60.0,
    progress: bool = True,
) -> Imported:
    """Records clips as episodes of a world of one's own; skips takes that the folder holds already.

    Frame k of a clip is the one shown nearest to second k / fps after its first. Action k leads
    from frame k to frame k + 1 and holds the inputs of that time, one component for each column;
    see `step_actions`. Rewards are 0, and takes end truncated.

    All clips are looked through before anything is written. To add clips later, give them behind
    the earlier ones.

    Args:
        clips: At least one; their order gives takes their names.
        out: Recordings folder, a path or fsspec URL; created if need be.
        name: Of the world.
        fps: Steps a second.
        image_size: (H, W), multiples of 8; if None, the shorter side becomes 64 and the other keeps
            the shape of the clips.
        columns: Which columns of the inputs become actions, in this order; None for all.
        kinds: How columns are read: `held` (0 or 1, the state of a key), `delta` (a change since
            the row before, such as that of a mouse) or `value`. Those not named are guessed; see
            `guessed_kind`.
        tolerance: Seconds that a frame may be away from its step's time, and that inputs and video
            may differ at either end.
        take_seconds: Length of a take.
        progress: Whether to show a progress bar.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a clip or its inputs cannot be used; the message names the row or the second.
            If `out` holds another world, or one of other settings. What was recorded is kept.
        OSError: If the disk is full; all that was recorded before is whole.
        gymnasium.error.DependencyNotInstalled: If PyAV is missing.
    """
    take_frames = round(take_seconds * fps)
    if not clips or fps < 1 or not tolerance > 0 or take_frames < 2:
        raise ValueError(
            f"{len(clips)} clips, `fps` (={fps}), `tolerance` (={tolerance}) and `take_seconds` "
            f"(={take_seconds}) were given: expected at least one clip, one step a second, a "
            "tolerance above 0 and takes of two frames"
        )
    films = [read_film(Path(clip.video)) for clip in clips]
    inputs = [read_inputs(Path(clip.inputs), columns, clip.offset) for clip in clips]
    known = checked_kinds(inputs, kinds)
    footage = [
        _footage(film, each, known, fps, tolerance)
        for film, each in zip(films, inputs, strict=True)
    ]
    own = footage_world(
        name,
        fps=fps,
        image_size=image_size or common_size(films),
        kinds=known,
        take_seconds=take_seconds,
        actions=[each.actions for each in footage],
    )
    own.check_name()
    takes = _planned(own, clips, [len(each.chosen) for each in footage], take_frames)
    folder = EpisodeFolder(out)
    _check_sources(folder, takes)
    folder.describe(own.to_json())
    writer = EpisodeWriter(out, name)
    missing = [take for take in takes if take.attributes.take not in writer.whole_takes]
    frames = sum(len(each.chosen) for each in footage)
    left = sum(take.frames.stop - take.frames.start for take in missing)
    with tqdm(total=frames, initial=frames - left, unit="frame", disable=not progress) as bar:
        for run in _runs(missing):
            film = footage[run[0].clip]
            chosen = film.chosen[run[0].frames.start : run[-1].frames.stop]
            pictures = film.film.frames(chosen, own.image_size, tolerance)
            for take in run:
                for part in _parts(pictures, film.actions[take.frames][:-1], take.attributes):
                    writer.write(part)
                    bar.update(part.steps + part.attributes.last)
    return Imported(
        takes=len(missing),
        kinds=known,
        guessed=tuple(column for column in known if column not in (kinds or {})),
        notes=tuple(note for note in map(pauses, inputs) if note),
    )


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Footage:
    """A clip, looked through: which of its frames are recorded, and the action after each."""

    film: Film
    chosen: np.ndarray
    actions: np.ndarray


def _footage(
    film: Film, inputs: Inputs, kinds: Mapping[str, Kind], fps: int, tolerance: float
) -> _Footage:
    chosen = film.choose(fps, tolerance)
    if len(chosen) < 2:
        raise ValueError(f"{film.path} is {film.end:.3f} s long: at `fps` (={fps}) that is no step")
    check_clocks(inputs, film.end, film.interval, tolerance)
    actions = step_actions(inputs, kinds, fps, len(chosen))
    return _Footage(film=film, chosen=chosen, actions=actions)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Take:
    """A piece of a clip, by the numbers of the clip and of its frames."""

    clip: int
    number: int
    frames: slice
    attributes: EpisodeAttributes


def _planned(
    own: OwnWorld, clips: Sequence[Clip], lengths: Sequence[int], take_frames: int
) -> list[_Take]:
    """The takes of all clips, from the number of frames of each."""
    return [
        _Take(
            clip=clip,
            number=number,
            frames=slice(start, min(start + take_frames, length)),
            attributes=EpisodeAttributes(
                world=own.name,
                fps=own.fps,
                seed=clip * MAX_TAKES + number,
                behaviour=BEHAVIOUR,
                action_names=own.action_names,
                source=_source(clips[clip], start / own.fps),
            ),
        )
        for clip, length in enumerate(lengths)
        for number, start in enumerate(range(0, length - 1, take_frames))
    ]


def _check_sources(folder: EpisodeFolder, takes: Sequence[_Take]) -> None:
    planned = {take.attributes.take: take.attributes.source for take in takes}
    for header in folder.headers(takes[0].attributes.world).values():
        held = header.attributes
        if held.source != (wanted := planned.get(held.take, held.source)):
            raise ValueError(
                f"{folder.name} holds {held.take} of {held.source!r}, not of {wanted!r}: give the "
                "same clips with the same offsets in the same order, further ones behind them, or "
                "another folder"
            )


def _source(clip: Clip, second: float) -> str:
    """`run.mp4@120`, or with an offset of half a second `run.mp4@120+0.5`."""
    return f"{Path(clip.video).name}@{second:g}" + (f"{clip.offset:+g}" if clip.offset else "")


def _runs(takes: Sequence[_Take]) -> Iterator[list[_Take]]:
    """Takes that follow each other in one clip, so that it is decoded in one go."""
    for _, run in groupby(enumerate(takes), lambda pair: (pair[1].clip, pair[1].number - pair[0])):
        yield [take for _, take in run]


def _parts(
    pictures: Iterator[np.ndarray], actions: np.ndarray, attributes: EpisodeAttributes
) -> Iterator[Episode]:
    """Takes as many pictures as there are actions, and one more, and yields each part when full."""
    steps, length = len(actions), MAX_FRAMES - 1
    picture = next(pictures)
    for part, start in enumerate(range(0, steps, length)):
        action = actions[start : start + length]
        frames = np.empty((len(action) + 1, *picture.shape), np.uint8)
        frames[0] = picture
        for place in range(1, len(frames)):
            frames[place] = next(pictures)
        picture = frames[-1].copy()
        last = start + length >= steps
        yield Episode(
            observation=frames,
            action=action,
            reward=np.zeros(len(action), np.float32),
            terminated=np.zeros(len(action), bool),
            truncated=np.arange(len(action)) == (len(action) - 1 if last else -1),
            attributes=dataclasses.replace(attributes, part=part, last=last),
        )
