"""A page about one comparison: clips, plots, laws, figures; one file that loads nothing.

The frames travel as sprite sheets, lossless PNGs that a small script draws on a canvas. The page's
own content policy forbids every other script and all traffic, so that a model card, which comes
with the weights, can do no more than be read.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from PIL import Image

from learned_envs.evaluation.report_sections import KINDS, Match, sections, summary
from learned_envs.worlds import World

SHEET = 4096, 1024
"""Pixels across and down a sprite sheet: as wide as any browser's canvas takes, and narrow enough
that PNG, which looks back 32 KiB, finds the frame before."""


def write_report(
    path: Path, world: World, match: Match, *, card: str | None = None, command: str = ""
) -> None:
    """Writes the page.

    Args:
        path: File to write.
        world: What was played.
        match: What there is to show.
        card: Text of the model card, from which the measured part is shown; None for weights that
            have none.
        command: That made the page.
    """
    figures, real = match.figures, match.reels["real"]
    template = (files("learned_envs.evaluation") / "report.html").read_text("utf-8")
    title = f"{world.id_suffix}, real and dreamed"
    lede = (
        f"One player ({figures['behaviour']}) plays the real game and its dream for "
        f"{figures['steps']:,} steps from seed {figures['seed']}. The dream is a small world "
        "model: it draws every frame from its own last frames and the player’s actions."
    )
    page = Template(template).substitute(
        policy=_policy(template),
        title=escape(title),
        description=escape(lede),
        lede=escape(lede),
        height=real.frames.shape[1],
        width=real.frames.shape[2],
        steps=figures["steps"],
        fps=world.fps,
        film=f"{escape(world.name)}.gif",
        sheets="\n".join(_images(kind, match.reels[kind].frames) for kind in KINDS),
        summary=summary(match),
        sections=sections(match, card),
        command=escape(command or f"learned-envs compare {world.name}"),
        clip=_clip(world, match),
    )
    path.write_text(page, "utf-8")


def sprite_sheets(frames: np.ndarray) -> list[bytes]:
    """Frames (T, H, W, 3) uint8 as PNGs, row by row, as many in each as `sheet_grid` says."""
    _, height, width, _ = frames.shape
    columns, most_rows = sheet_grid(height, width)
    count = columns * most_rows
    sheets = []
    for start in range(0, len(frames), count):
        piece = frames[start : start + count]
        rows = -(-len(piece) // columns)
        missing = rows * columns - len(piece)
        piece = np.concatenate([piece, np.zeros((missing, *piece.shape[1:]), np.uint8)])
        grid = piece.reshape(rows, columns, height, width, 3).swapaxes(1, 2)
        sheet = io.BytesIO()
        image = Image.fromarray(grid.reshape(rows * height, columns * width, 3))
        image.save(sheet, "PNG", optimize=True)
        sheets.append(sheet.getvalue())
    return sheets


def sheet_grid(height: int, width: int) -> tuple[int, int]:
    """How many frames of that size stand beside and below each other in a sprite sheet."""
    return max(1, SHEET[0] // width), max(1, SHEET[1] // height)


def _policy(template: str) -> str:
    """A content policy under which the template's own script runs and nothing else does."""
    script = template.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src "
        f"'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    )


def _images(kind: str, frames: np.ndarray) -> str:
    return "\n".join(
        f'<img id="{kind}-{i}" hidden alt="All frames of the {kind} game, in rows" '
        f'src="data:image/png;base64,{base64.b64encode(sheet).decode()}">'
        for i, sheet in enumerate(sprite_sheets(frames))
    )


def _clip(world: World, match: Match) -> str:
    """What the script reads, as JSON in which no markup can begin."""
    games: dict[str, Any] = {}
    for kind, reel in match.reels.items():
        broken: dict[int, list[str]] = {}
        for law, steps in match.broken[kind].items():
            for step in np.flatnonzero(steps):
                broken.setdefault(int(step) + 1, []).append(law)
        games[kind] = {
            "score": [round(float(score), 3) for score in reel.score],
            "doubt": [None if np.isnan(doubt) else round(float(doubt), 4) for doubt in reel.doubt],
            "broken": broken,
        }
    columns, rows = sheet_grid(*match.reels["real"].frames.shape[1:3])
    described = {
        "fps": world.fps,
        "frames": len(match.likeness),
        "columns": columns,
        "per_sheet": columns * rows,
        **games,
    }
    return json.dumps(described, separators=(",", ":")).replace("<", "\\u003c")
