"""SSIM by step: the dream with its band, its codec's ceiling, a copied frame, published figures."""

from __future__ import annotations

import io

import numpy as np
from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from learned_envs.evaluation.minipaint.fidelity import BAND, Fidelity
from learned_envs.evaluation.plot_style import plot_style
from learned_envs.worlds import World

PUBLISHED = {1: 0.995, 150: 0.95, 500: 0.85, 800: 0.62}
"""SSIM by step of Infinipaint, 33.6 million parameters, over 20 held-out episodes."""

_INK, _SOFT, _LINE, _DREAM, _PUBLISHED = "#1f2328", "#59636e", "#d9dee3", "#0b6bcb", "#c4532d"
_STYLE = plot_style(_INK, _SOFT, _LINE) | {
    "axes.titlesize": 11,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "legend.fontsize": 8.5,
}


def plot_name(world: World) -> str:
    """The file that the plot is kept in, beside the tables."""
    return f"{world.name}-1-likeness.svg"


def likeness_plot(world: World, fidelity: Fidelity) -> str:
    """An SVG of SSIM by step."""
    with style.context(["default", _STYLE]):
        figure = Figure((6.8, 3.9), layout="constrained")
        axes = figure.add_subplot()
        _draw(axes, fidelity)
        axes.set_title(f"{world.id_suffix}: SSIM to the real program under the same actions")
        axes.set(xlabel="step", xlim=(0, fidelity.steps[-1]))
        figure.legend(loc="outside lower left", ncols=3, handlelength=2)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Creator", "Date")))
    return text.getvalue()


def _draw(axes: Axes, fidelity: Fidelity) -> None:
    steps, likeness = fidelity.steps, fidelity.likeness
    ssim = likeness["dream"].ssim
    axes.fill_between(
        steps, *np.quantile(ssim, BAND, axis=1), color=_DREAM, alpha=0.2, linewidth=0,
        label="10 to 90% of episodes",
    )  # fmt: skip
    axes.plot(
        steps, ssim.mean(1), color=_DREAM, linewidth=2,
        label=f"dream, mean of {fidelity.episodes}", zorder=3,
    )  # fmt: skip
    for kind, label, dashes in (
        ("codec", "real frame encoded and decoded", (0, (4, 2))),
        ("copy first", "first frame for ever", (0, (1, 1.5))),
    ):
        if kind in likeness:
            mean = likeness[kind].ssim.mean(1)
            axes.plot(steps, mean, color=_SOFT, linewidth=1.2, linestyle=dashes, label=label)
    published = [(step, value) for step, value in PUBLISHED.items() if step <= steps[-1]]
    axes.plot(
        *zip(*published, strict=True), color=_PUBLISHED, linewidth=1.2, marker="o", markersize=6,
        markeredgecolor="white", clip_on=False, label="published (33.6M parameters)",
        zorder=2,
    )  # fmt: skip
