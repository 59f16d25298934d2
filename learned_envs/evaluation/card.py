"""The measured part of a model card: the figures of the weights beside it."""

import os
from collections.abc import Sequence
from pathlib import Path

from learned_envs.evaluation.results import Table, as_markdown
from learned_envs.models.checkpoint import CARD

MEASURED = "## Measured"


def write_measured(checkpoint: Path, tables: Sequence[Table]) -> None:
    """Replaces the measured part of a checkpoint's model card with `tables`."""
    path = checkpoint / CARD
    text = path.read_text() if path.exists() else ""
    head = text.partition(MEASURED)[0].rstrip()
    parts = [as_markdown(table).replace("## ", "### ", 1) for table in tables]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("\n".join([head, "", MEASURED, "", *parts]))
    os.replace(temporary, path)
