"""How every plot looks, whatever its colours."""

from typing import Any


def plot_style(ink: str, soft: str, line: str) -> dict[str, Any]:
    """Settings of matplotlib for plots with text in `ink` and `soft`, and lines in `line`."""
    return {
        "svg.hashsalt": "learned_envs",  # equal plots give equal bytes
        "font.size": 9,
        "text.color": ink,
        "axes.labelcolor": soft,
        "axes.edgecolor": line,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "xtick.color": line,
        "ytick.color": line,
        "xtick.labelcolor": soft,
        "ytick.labelcolor": soft,
        "legend.frameon": False,
        "legend.fontsize": 9,
    }
