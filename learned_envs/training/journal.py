"""What a training run shows of itself: scalars, sample grids and rollout strips for TensorBoard."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from torch.utils.tensorboard import SummaryWriter

from learned_envs.data.window import Window
from learned_envs.models.dreaming import dream_frames
from learned_envs.models.world_model import WorldModel


class Journal:
    """Writes a run's figures and pictures to a TensorBoard folder.

    Args:
        folder: Where to.
        windows: Held-out windows, of which the first is dreamed after every round. It must be
            longer than the model's context. None where there are no dreams yet.
        rows: Rows of the pictures.
        columns: Frames in a rollout strip.
    """

    def __init__(
        self,
        folder: Path,
        windows: Iterator[Window] | None = None,
        *,
        rows: int = 4,
        columns: int = 8,
    ):
        self._writer = SummaryWriter(str(folder))
        self._window = next(windows) if windows is not None else None
        self._rows, self._columns = rows, columns

    def log(self, step: int, figures: dict[str, float]) -> None:
        """Writes scalars."""
        for name, value in figures.items():
            self._writer.add_scalar(f"train/{name}", value, step)

    def round_end(self, step: int, model: WorldModel) -> None:
        """Dreams the held-out window: error per horizon, a grid of first steps, rollout strips."""
        assert self._window is not None
        context = model.context
        truth = self._window.observation[:, context:]
        dreamed = dream_frames(model, self._window.observation[:, :context], self._window.action)
        seam = self._window.first[:, 1:].any(1)
        error = ((dreamed.astype(np.float32) - truth) ** 2).mean((2, 3, 4))[~seam]
        for horizon in (1, 4, 16, 64):
            if horizon <= error.shape[1] and len(error):
                psnr = 10 * np.log10(255**2 / max(float(error[:, horizon - 1].mean()), 1e-6))
                self._writer.add_scalar(f"held_out/psnr_{horizon}", psnr, step)
        pair = np.concatenate([truth[:, 0], dreamed[:, 0]], 1)[: 2 * self._rows]
        self._writer.add_image("one_step", np.concatenate(pair, 1), step, dataformats="HWC")
        times = np.linspace(0, truth.shape[1] - 1, self._columns).astype(int)
        strips = [
            np.concatenate(frames[row, times], 1)
            for row in range(min(self._rows, len(truth)))
            for frames in (truth, dreamed)
        ]
        self._writer.add_image("rollout", np.concatenate(strips), step, dataformats="HWC")
        self._writer.flush()
