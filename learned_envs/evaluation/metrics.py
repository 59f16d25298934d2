"""How far predicted frames are from true ones: PSNR, SSIM, and PSNR over what changes.

The functions know frames and callables, not models, so that anything that predicts can be measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

from learned_envs.data import Window
from learned_envs.evaluation.text_table import text_table

PSNR_CAP = 60.0
"""dB. A perfect frame's PSNR is infinite; capped, a mean exists. 60 dB is an error of one level on
one value in fifteen: nothing that is seen."""

Predict = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""`predict(context, actions) -> frames`, all on its own predictions.

context (B, k, H, W, 3) uint8, oldest first; actions (B, k - 1 + h, ...), the first k - 1 of them
between the context's frames; frames (B, h, H, W, 3) uint8.
"""

Codec = Callable[[np.ndarray], np.ndarray]
"""`codec(frames) -> frame`: the last of some frames in a row (B, k, H, W, 3), encoded and decoded.
"""

_CHUNK = 512  # frames whose SSIM is computed at once


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class FrameError:
    """Error of predicted frames at h horizons, each an (h,) float64.

    Attributes:
        psnr: dB, mean over frames of each frame's `psnr`.
        ssim: Mean over frames of each frame's `ssim`.
        changing_psnr: dB over the changing pixels only: those where the true frame differs, in any
            channel, from the true frame before. From their squared error pooled over all frames,
            capped at 60; nan where nothing changed.
    """

    psnr: np.ndarray
    ssim: np.ndarray
    changing_psnr: np.ndarray


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class HorizonErrors:
    """Errors of a predictor and of its baselines; index i is i + 1 steps after the last true frame.

    Attributes:
        errors: `prediction`; `copy last`, which shows the last true frame for ever; and, where a
            codec was given, `codec`: the true frame encoded and decoded, the best that a model on
            that codec can do.
        windows: Windows measured.
    """

    errors: Mapping[str, FrameError]
    windows: int

    def table(self) -> str:
        """A text table of all errors at horizons 1, 2, 4, 8, ... and the last."""
        last = len(next(iter(self.errors.values())).psnr)
        shown = sorted({2**i for i in range(last.bit_length())} | {last})
        rows = [["steps ahead", *map(str, shown)]]
        for name, error in self.errors.items():
            for label, values, digits in (
                ("PSNR (dB)", error.psnr, 2),
                ("SSIM", error.ssim, 4),
                ("PSNR of changing pixels (dB)", error.changing_psnr, 2),
            ):
                cells = (f"{values[h - 1]:.{digits}f}" for h in shown)
                rows.append([f"{name}: {label}", *cells])
        return f"{self.windows} windows\n" + text_table(rows)

    def to_json(self) -> dict[str, Any]:
        """The errors as JSON types; nan is None."""
        return {
            "windows": self.windows,
            **{
                name: {
                    field: [None if np.isnan(v) else float(v) for v in getattr(error, field)]
                    for field in ("psnr", "ssim", "changing_psnr")
                }
                for name, error in self.errors.items()
            },
        }


def psnr(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """PSNR of each frame in dB: 10 log10(255² / its mean squared error), at most `PSNR_CAP`.

    Args:
        frames: (..., H, W, 3) uint8.
        truth: The same shape.

    Returns:
        (...) float64.

    Raises:
        ValueError: If the shapes differ or the frames are not uint8.
    """
    one, other = _pair(frames, truth)
    value = peak_signal_noise_ratio(one, other, data_range=255.0, reduction="none", dim=(1, 2, 3))
    return value.clamp(max=PSNR_CAP).double().numpy().reshape(frames.shape[:-3])


def ssim(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity of each frame (Wang et al. 2004; Gaussian window of sigma 1.5), <= 1.

    Args:
        frames: (..., H, W, 3) uint8.
        truth: The same shape.

    Returns:
        (...) float64.

    Raises:
        ValueError: If the shapes differ or the frames are not uint8.
    """
    parts = []
    for one, other in zip(*(p.split(_CHUNK) for p in _pair(frames, truth)), strict=True):
        part = structural_similarity_index_measure(one, other, data_range=255.0, reduction="none")
        assert isinstance(part, torch.Tensor)
        parts.append(part)
    return torch.cat(parts).double().numpy().reshape(frames.shape[:-3])


def ssim_map(frames: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Structural similarity around each pixel; its mean over a frame is that frame's `ssim`.

    In float64 and with a separable window: in float32 large bright areas that are equal come out at
    0.9997, and torchmetrics takes over a second for a large frame in float64.

    Args:
        frames: (n, H, W, 3) uint8.
        truth: The same shape.

    Returns:
        (n, H, W) float64, mean over the channels.
    """
    return np.stack([_ssim_map(*pair) for pair in zip(frames, truth, strict=True)])


def _ssim_map(frame: np.ndarray, truth: np.ndarray) -> np.ndarray:
    def window(values: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(values, (11, 11), 1.5, borderType=cv2.BORDER_REFLECT_101)

    one, other = frame.astype(np.float64), truth.astype(np.float64)
    mean, mean_of_truth = window(one), window(other)
    variance = window(one**2) - mean**2
    variance_of_truth = window(other**2) - mean_of_truth**2
    covariance = window(one * other) - mean * mean_of_truth
    low, lower = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    like = (2 * mean * mean_of_truth + low) / (mean**2 + mean_of_truth**2 + low)
    return (like * (2 * covariance + lower) / (variance + variance_of_truth + lower)).mean(-1)


def errors_by_horizon(
    predict: Predict,
    windows: Iterable[Window],
    *,
    context: int,
    horizon: int,
    codec: Codec | None = None,
) -> HorizonErrors:
    """Measures predictions of 1 to `horizon` steps on true play; with `horizon=1`, one step.

    Args:
        predict: See `Predict`.
        windows: A finite number of windows of at least `context - 1 + horizon` steps. Rows in which
            a step of these is not valid are left out.
        context: True frames that the predictor is given, k.
        horizon: Steps predicted, h.
        codec: For the ceiling.

    Raises:
        ValueError: If a window is too short, or no row is valid.
    """
    sums: dict[str, _Sums] = {}
    measured = 0
    for window in windows:
        steps = context - 1 + horizon
        if window.action.shape[1] < steps:
            raise ValueError(
                f"windows of {window.action.shape[1]} steps were given, expected at least {steps}: "
                f"{context} frames of context and {horizon} predicted"
            )
        rows = window.valid[:, :steps].all(1)
        if not rows.any():
            continue
        frames = window.observation[rows, : steps + 1]
        given, truth, before = frames[:, :context], frames[:, context:], frames[:, context - 1 : -1]
        guesses = {
            "prediction": predict(given, window.action[rows, :steps]),
            "copy last": np.repeat(given[:, -1:], horizon, 1),
        }
        if codec is not None:
            seen = [codec(frames[:, t + 1 : t + 1 + context]) for t in range(horizon)]
            guesses["codec"] = np.stack(seen, 1)
        changing = (truth != before).any(-1)
        for name, guess in guesses.items():
            sums.setdefault(name, _Sums(horizon)).add(guess, truth, changing)
        measured += int(rows.sum())
    if not measured:
        raise ValueError("there is no row whose steps are all valid: give more or shorter windows")
    return HorizonErrors(
        errors={name: total.error(measured) for name, total in sums.items()}, windows=measured
    )


class _Sums:
    """Sums behind a `FrameError`, over any number of windows."""

    def __init__(self, horizon: int):
        self._psnr, self._ssim = np.zeros(horizon), np.zeros(horizon)
        self._squares, self._values = np.zeros(horizon), np.zeros(horizon)

    def add(self, guess: np.ndarray, truth: np.ndarray, changing: np.ndarray) -> None:
        self._psnr += psnr(guess, truth).sum(0)
        self._ssim += ssim(guess, truth).sum(0)
        square = (guess.astype(np.float32) - truth) ** 2 * changing[..., None]
        self._squares += square.sum((0, 2, 3, 4), dtype=np.float64)
        self._values += changing.sum((0, 2, 3)) * truth.shape[-1]

    def error(self, windows: int) -> FrameError:
        with np.errstate(divide="ignore", invalid="ignore"):
            changing = 10 * np.log10(255**2 * self._values / self._squares)
        return FrameError(
            psnr=self._psnr / windows,
            ssim=self._ssim / windows,
            changing_psnr=np.minimum(changing, PSNR_CAP),
        )


def _pair(frames: np.ndarray, truth: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Both as images (N, 3, H, W) float32 in 0 to 255."""
    if frames.shape != truth.shape or frames.dtype != np.uint8 or truth.dtype != np.uint8:
        raise ValueError(
            f"frames {frames.shape} {frames.dtype} and truth {truth.shape} {truth.dtype} were "
            "given, expected uint8 of equal shapes (..., H, W, 3)"
        )
    flat = (a.reshape(-1, *a.shape[-3:]) for a in (frames, truth))
    one, other = (torch.from_numpy(np.moveaxis(a, -1, 1).astype(np.float32)) for a in flat)
    return one, other
