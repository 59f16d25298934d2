"""Pictures as a video: H.264 that players show, or every bit of them, to learn from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import gymnasium as gym
import numpy as np

from learned_envs.recording.footage.film import import_av


@contextmanager
def encoder(
    file: Path | BinaryIO, fps: float, size: tuple[int, int], *, lossless: bool = False
) -> Iterator[Callable[[np.ndarray], None]]:
    """Opens a video to write; gives a function that adds a picture (H, W, 3) uint8.

    Args:
        file: A path of a kind that holds H.264, or where the bytes of an MP4 file go.
        fps: Pictures a second.
        size: (H, W) of the pictures.
        lossless: Whether they come back bit by bit: H.264 of RGB, which FFmpeg, and what builds on
            it, decodes, but not every player. If not, colours are kept at half the resolution, and
            where PyAV has no encoder for H.264, MPEG-4 is written.

    Raises:
        gymnasium.error.DependencyNotInstalled: If PyAV, or its lossless encoder, is missing.
    """
    av = import_av()
    height, width = size
    rate = Fraction(fps).limit_denominator(1001)
    if lossless and "libx264rgb" not in av.codecs_available:
        raise gym.error.DependencyNotInstalled(
            "this build of PyAV has no encoder libx264rgb, which writes lossless videos: run "
            "`pip install --force-reinstall av`, whose wheels have it"
        )
    target, kind = (str(file), None) if isinstance(file, Path) else (file, "mp4")
    with av.open(target, "w", format=kind) as container:
        if lossless:
            stream = container.add_stream("libx264rgb", rate=rate, options={"qp": "0"})
        elif "libx264" in av.codecs_available:
            stream = container.add_stream("libx264", rate=rate, options={"crf": "14"})
        else:
            stream = container.add_stream("mpeg4", rate=rate)
            stream.bit_rate = round(fps * height * width)  # a bit a pixel, which is plenty
        stream.height, stream.width = height, width
        stream.pix_fmt = "rgb24" if lossless else "yuv420p"

        def encode(picture: np.ndarray) -> None:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))

        yield encode
        container.mux(stream.encode(None))
