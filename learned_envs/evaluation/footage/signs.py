"""What can be measured of every frame of a film: how much moves, how sharp it is, what jumps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from learned_envs.evaluation.footage.tracked import lost_detail

_BLOCK = 2  # pixels a side that are averaged before frames are compared: noise of codecs goes
_LEVELS = 4  # of each colour in histograms
_FLOW = {
    "pyr_scale": 0.5, "levels": 3, "winsize": 13, "iterations": 2, "poly_n": 5, "poly_sigma": 1.1,
    "flags": 0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Signs:
    """Measurements of a film of T + 1 frames.

    Attributes:
        change: (T,), mean absolute difference of brightness to the frame before, in levels, after
            2x2 pixels were averaged.
        unexplained: (T,), the part of it that is left when the frame before is moved by the optical
            flow to this one (Farnebäck 2003).
        colours: (T + 1, 64), shares of the pixels by colour, four levels each of red, green and
            blue: what hardly changes while one moves, and at once when one is elsewhere.
        sharpness: (T + 1,), mean absolute Laplacian of brightness, in levels.
        forward: (T,), how much the flow spreads from the middle of the picture, in pixels a step:
            the mean of its part along the way from the middle, positive when one walks ahead.
        turning: (T,), mean flow to the left in pixels a step, positive when one turns right.
        fading: (T + 1 - FADED_FRAMES,), see `lost_detail`.
    """

    change: np.ndarray
    unexplained: np.ndarray
    colours: np.ndarray
    sharpness: np.ndarray
    forward: np.ndarray
    turning: np.ndarray
    fading: np.ndarray

    @property
    def jump(self) -> np.ndarray:
        """(T,), how abrupt each step is: what no motion explains, by how far the colours went.

        Either alone is high in a fast turn, both only where another picture takes the place.
        """
        return self.unexplained * distance(self.colours[1:], self.colours[:-1])


def signs_of(film: np.ndarray) -> Signs:
    """Measures a film (T + 1, H, W, 3) uint8, T >= 1."""
    film = np.ascontiguousarray(film)
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in film]
    height, width = grey[0].shape
    y, x = np.mgrid[:height, :width].astype(np.float32)
    away = np.stack([x - (width - 1) / 2, y - (height - 1) / 2], 2)
    away /= np.maximum(np.linalg.norm(away, axis=2, keepdims=True), 1)
    steps, flows, carried = np.empty((len(grey) - 1, 4)), [], []
    for t, (before, now) in enumerate(zip(grey, grey[1:], strict=False)):
        flow = flow_between(now, before)
        flows.append(flow)
        back = x + flow[..., 0], y + flow[..., 1]
        moved = cv2.remap(before, *back, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        carried.append(moved)
        spread = -(flow * away).sum(2).mean()
        steps[t] = _apart(now, before), _apart(now, moved), spread, flow[..., 0].mean()
    change, unexplained, forward, turning = steps.T
    return Signs(
        change=change,
        unexplained=unexplained,
        colours=colours_of(film),
        sharpness=np.array([abs(cv2.Laplacian(frame, cv2.CV_32F)).mean() for frame in grey]),
        forward=forward,
        turning=turning,
        fading=lost_detail(grey, flows, carried),
    )


def flow_between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Where each pixel of a picture (H, W) went in another, (H, W, 2) in pixels, x first."""
    return cv2.calcOpticalFlowFarneback(one, other, None, **_FLOW)  # pyright: ignore


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Total variation distance of histograms (..., 64), 0 to 1."""
    return abs(one - other).sum(-1) / 2


def colours_of(film: np.ndarray) -> np.ndarray:
    """Shares of the pixels of frames (n, H, W, 3) uint8 by colour, (n, 64); see `Signs`."""
    level = film // (256 // _LEVELS)
    number = (level.astype(np.int32) * [_LEVELS**2, _LEVELS, 1]).sum(-1).reshape(len(film), -1)
    counts = [np.bincount(frame, minlength=_LEVELS**3) for frame in number]
    return np.stack(counts) / number.shape[1]


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    """Mean absolute difference of two brightnesses (H, W) in levels, block by block."""
    size = one.shape[1] // _BLOCK, one.shape[0] // _BLOCK
    small = [cv2.resize(picture, size, interpolation=cv2.INTER_AREA) for picture in (one, other)]
    return float(cv2.absdiff(*small).mean())
