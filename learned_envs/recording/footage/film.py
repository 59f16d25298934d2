"""A video file as pictures at the times at which they are wanted, decoded one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from learned_envs.worlds.frame_env import resized

if TYPE_CHECKING:
    import av.container
    import av.video

_SLOWER = 1.01  # frames may be so many times farther apart than asked: 29.97 a second pass for 30
_CUT_SECONDS = 1.0  # a file that ends so long before its header says was cut
_TWICE = 4  # pictures are first shrunk to so many times the size


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Film:
    """When the frames of a video file are shown. The first one is shown at 0 seconds.

    Attributes:
        path: The file.
        size: (H, W) of its pictures, as they are shown.
        stamps: (n,) int64, increasing: times of its frames in the file's own unit.
        unit: Seconds in that unit.
        interval: Seconds from one frame to the next, the median.
        end: Seconds at which the last frame is shown; of a file that was cut, as its header says.
    """

    path: Path
    size: tuple[int, int]
    stamps: np.ndarray
    unit: float
    interval: float
    end: float

    @property
    def times(self) -> np.ndarray:
        """(n,) float64 seconds."""
        return (self.stamps - self.stamps[0]) * self.unit

    def choose(self, fps: int, tolerance: float) -> np.ndarray:
        """Which frame is nearest to each step's time, `k / fps` for k = 0, 1, ...

        Args:
            fps: Steps a second.
            tolerance: Seconds that a frame may be away from the time it stands for.

        Returns:
            Places in `stamps`, int64; one too many where a file was cut before the step.

        Raises:
            ValueError: If there are fewer than `fps` frames a second, or a frame is farther away.
        """
        if self.interval * fps > _SLOWER:
            raise ValueError(
                f"{self.path} has {1 / self.interval:.4g} frames a second and `fps` (={fps}) were "
                "asked for: ask for at most as many as it has"
            )
        times = self.times
        wanted = np.arange(int(self.end * fps + 1e-6) + 1) / fps
        after = np.searchsorted(times, wanted).clip(1, len(times) - 1)
        nearest = after - (wanted - times[after - 1] <= times[after] - wanted)
        far = np.abs(times[nearest] - wanted) > tolerance
        missing = far & (wanted > times[-1])
        if (far & ~missing).any():
            first = after[np.argmax(far)]
            raise ValueError(
                f"{self.path} shows no frame from second {times[first - 1]:.3f} to "
                f"{times[first]:.3f}, so the step at {wanted[np.argmax(far)]:.3f} has none within "
                f"`tolerance` (={tolerance:g} s): its frame rate varies. Film at a constant rate, "
                "cut the clip there, or allow for more where the picture stood still"
            )
        return np.where(missing, len(times), nearest)

    def frames(
        self, chosen: np.ndarray, size: tuple[int, int], tolerance: float
    ) -> Iterator[np.ndarray]:
        """Decodes the chosen frames, one at a time.

        They are shrunk by area; most of the way by the decoder's own scaler, which is several times
        as fast and, left to do all of it, leaves out small things.

        Args:
            chosen: Places in `stamps`, as `choose` gives them, never going back.
            size: (H, W) of the pictures.
            tolerance: Seconds that a frame may come late where the one chosen cannot be decoded.

        Yields:
            (H, W, 3) uint8, one for each entry of `chosen`.

        Raises:
            ValueError: If the file is cut or damaged; the message names the second.
        """
        if not len(chosen):
            return
        known = len(self.stamps)
        decoded = self._decoded(int(self.stamps[min(chosen[0], known - 1)]))
        frame, picture = next(decoded), None
        for place in chosen:
            if place == known:
                raise self._stopped(int(self.stamps[-1]), "the file was cut")
            wanted = int(self.stamps[place])
            while frame.pts < wanted:
                following = next(decoded, None)
                if following is None:
                    break
                frame, picture = following, None
            if abs(frame.pts - wanted) * self.unit > tolerance:
                raise self._stopped(wanted, "there is no frame")
            if picture is None:
                if frame.is_corrupt:
                    raise self._stopped(frame.pts, "the frame is damaged")
                picture = _picture(frame, size)
            yield picture

    def _decoded(self, since: int) -> Iterator[Any]:
        """Frames from `since` or an earlier one on; from the first where that cannot be found."""
        for start in (since, None) if since > self.stamps[0] else (None,):
            reached = None
            with _opened(self.path) as (container, stream):
                try:
                    if start is not None:
                        container.seek(start, stream=stream)
                    for frame in container.decode(stream):
                        if frame.pts is None or (reached is not None and frame.pts < reached):
                            raise self._stopped(reached, "the times of its frames go back")
                        if start is not None and reached is None and frame.pts > start:
                            break  # sought too far, as in files without an index
                        reached = frame.pts
                        yield frame
                except _ffmpeg_error() as error:
                    if reached is not None or start is None:
                        raise self._stopped(reached, str(error)) from error
            if reached is not None:
                return
        raise self._stopped(None, "no frame can be decoded")

    def _stopped(self, stamp: int | None, reason: str) -> ValueError:
        second = 0.0 if stamp is None else (stamp - int(self.stamps[0])) * self.unit
        return ValueError(
            f"{self.path} cannot be read beyond second {second:.3f}: {reason}. Episodes that were "
            "whole before are kept. Repair the file, or cut it and its inputs before that second, "
            "and import it again"
        )


def read_film(path: Path) -> Film:
    """Reads through a video file without decoding it, but for its first frame.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no video, or does not say when its frames are shown.
        gymnasium.error.DependencyNotInstalled: If PyAV is missing.
    """
    with _opened(path) as (container, stream):
        try:
            first = next(container.decode(stream))
        except (StopIteration, _ffmpeg_error()) as error:
            raise ValueError(f"{path} has no frame that can be decoded ({error!r})") from error
        unit, rotation = float(stream.time_base or 0), first.rotation
    stamps, end, cut = _stamps(path)
    if first.pts is None or stamps is None:
        raise ValueError(
            f"{path} does not say when its frames are shown: encode it again "
            "(`ffmpeg -i FILE NEW.mp4`)"
        )
    stamps = np.unique(stamps[stamps >= first.pts])
    if len(stamps) < 2:
        raise ValueError(f"{path} has a single frame, expected a film")
    interval = float(np.median(np.diff(stamps))) * unit
    last = float(stamps[-1] - stamps[0]) * unit
    return Film(
        path=path,
        size=(first.width, first.height) if _on_its_side(rotation) else (first.height, first.width),
        stamps=stamps,
        unit=unit,
        interval=interval,
        end=max(last, end - interval) if cut else last,
    )


def _stamps(path: Path) -> tuple[np.ndarray | None, float, bool]:
    """When frames are shown, None if unknown; the seconds a header promises; whether it is cut."""
    stamps: list[int | None] = []
    end, cut = 0.0, False
    with _opened(path) as (container, stream):
        declared = (container.duration or 0) / 1e6
        try:
            for packet in container.demux():
                if not packet.size:  # marks the end
                    continue
                if packet.stream.index == stream.index and not packet.is_discard:
                    stamps.append(packet.pts)
                    cut = packet.is_corrupt
                if packet.pts is not None and packet.time_base is not None:
                    shown = packet.pts + (packet.duration or 0)
                    end = max(end, float(shown * packet.time_base))
        except _ffmpeg_error():
            cut = True
    cut = cut or declared > end + _CUT_SECONDS
    known = [stamp for stamp in stamps if stamp is not None]
    return (np.array(known) if len(known) == len(stamps) else None), declared, cut


@contextmanager
def _opened(path: Path) -> Iterator[tuple[av.container.InputContainer, av.video.VideoStream]]:
    """Opens a local file; FFmpeg follows no address of a network that one may hold."""
    av = import_av()
    if not path.is_file():
        raise FileNotFoundError(f"there is no video {path}")
    try:
        container = av.open(str(path), metadata_errors="replace")
    except av.FFmpegError as error:
        raise ValueError(
            f"{path} cannot be read as a video ({error}): it is of an unknown kind, or was cut off "
            "before it was finished"
        ) from error
    with container:
        if not container.streams.video:
            raise ValueError(f"{path} holds no pictures: it has no video stream")
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        yield container, stream


def import_av() -> Any:
    """The module `av`.

    Raises:
        gymnasium.error.DependencyNotInstalled: If it is missing.
    """
    try:
        import av
    except ImportError:
        raise gym.error.DependencyNotInstalled(
            'PyAV is not installed, which reads videos: run `pip install "learned-envs[video]"`'
        ) from None
    return av


def _ffmpeg_error() -> type[Exception]:
    return import_av().FFmpegError


def _picture(frame: Any, size: tuple[int, int]) -> np.ndarray:
    height, width = size[::-1] if _on_its_side(frame.rotation) else size
    large = frame.to_ndarray(
        format="rgb24",
        height=min(_TWICE * height, frame.height),
        width=min(_TWICE * width, frame.width),
        interpolation="AREA",
    )
    upright = np.rot90(large, round(frame.rotation / 90))
    return resized(np.ascontiguousarray(upright), size)


def _on_its_side(rotation: float) -> bool:
    return round(rotation / 90) % 2 == 1
