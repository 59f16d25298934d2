"""Small clips whose frames show their own numbers, and files of inputs."""

import csv
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from learned_envs.data import EpisodeStore
from learned_envs.recording.footage.video import Clip, Imported, import_video

BITS, BLOCK = 12, 8
HEIGHT, WIDTH = 64, BITS * BLOCK


def numbered(number: int) -> np.ndarray:
    """A picture (64, 96, 3) that shows a number: a white column for each binary digit 1."""
    digits = (number >> np.arange(BITS)) & 1
    row = np.repeat(digits * 255, BLOCK).astype(np.uint8)
    return np.broadcast_to(row[None, :, None], (HEIGHT, WIDTH, 3)).copy()


def numbers(pictures: np.ndarray) -> list[int]:
    """The numbers that pictures (n, 64, 96, 3) show."""
    middle = pictures[:, HEIGHT // 2, BLOCK // 2 :: BLOCK].mean(-1) > 127
    return (middle @ (1 << np.arange(BITS))).tolist()


def film(
    path: Path,
    frames: int | Iterable[np.ndarray],
    fps: int = 30,
    times: Sequence[float] | None = None,
    codec: str = "libx264",
    keyframes: int = 12,
) -> Path:
    """Films pictures, or numbers from 0, at a rate or at times in seconds."""
    pictures = map(numbered, range(frames)) if isinstance(frames, int) else frames
    options = {"preset": "ultrafast", "g": str(keyframes), "bf": "2"}  # frames out of order
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            codec, rate=fps, options=options if codec == "libx264" else {}
        )
        unit = Fraction(1, 1000) if times else Fraction(1, fps)
        stream.codec_context.time_base = unit
        stream.pix_fmt = "yuv420p"
        for place, picture in enumerate(pictures):
            if not place:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = (round(times[place] * 1000) if times else place), unit
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """Writes a CSV file."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


def clip(folder: Path, name: str = "run", frames: int = 60, fps: int = 30) -> Clip:
    """A numbered clip, with the number of the frame on screen as the value `frame`."""
    rows = [(number / fps, number % 2, number) for number in range(frames)]
    return Clip(
        film(folder / f"{name}.mp4", frames, fps),
        table(folder / f"{name}.csv", ("time", "w", "frame"), rows),
    )


def imported(clips: Clip | list[Clip], out: Path, **arguments: object) -> Imported:
    """Imports clips as the world `run`."""
    clips = clips if isinstance(clips, list) else [clips]
    return import_video(clips, out, name="run", progress=False, **arguments)


def shown(out: Path) -> list[list[int]]:
    """The numbers that the frames of each episode show."""
    return [numbers(episode.observation[:]) for episode in EpisodeStore(out)]


def contents(folder: Path) -> dict[str, bytes]:
    """What every file below a folder holds."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def still(folder: Path, video: Path, begin: float = -1.0, end: float = 100.0) -> Clip:
    """A clip during which nothing is pressed, with a log from before it until after it."""
    rows = [(begin, 0, 0), (end, 0, 0)]
    return Clip(video, table(folder / f"{video.stem}.csv", ("time", "w", "frame"), rows))
