"""The measured part of a model card: the figures of the weights beside it."""

import os
from collections.abc import Sequence
from pathlib import Path

from learned_envs.evaluation.results import Table, as_markdown
from learned_envs.models.checkpoint import CARD

MEASURED = "## Measured"


def write_measured(checkpoint: Path, tables: Sequence[Table]) -> None:
    """Puts `tables` into the measured part of a model card, each in place of the one so titled."""
    path = checkpoint / CARD
    text = path.read_text() if path.exists() else ""
    head, _, measured = text.partition(MEASURED)
    sections = {part.partition("\n")[0]: part for part in measured.split("\n### ")[1:]}
    for table in tables:
        sections[table.title] = as_markdown(table).removeprefix("## ")
    parts = [f"### {part.strip()}\n" for part in sections.values()]
    temporary = path.with_suffix(".tmp")
    temporary.write_text("\n".join([head.rstrip(), "", MEASURED, "", *parts]))
    os.replace(temporary, path)
