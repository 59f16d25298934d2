"""The standing of every world: figures as JSON, and the page that is written from them.

A command that measures leaves one JSON file a table; `docs/results.md` is always written from all
of them, never by hand.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

PAGE = "results.md"
TABLES = "results"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """One table of measured figures.

    Attributes:
        name: File name, unique, e.g. `breakout-laws`; tables appear in the order of their names.
        title: Heading.
        columns: Heads of the columns.
        rows: Cells, as text.
        note: What a reader must know to read it.
        command: The command that measured it; none where each row names its own.
        picture: File beside the table's own that the page shows with it, if there is one.
    """

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    command: str = ""
    picture: str = ""


def record_table(docs: Path, table: Table) -> None:
    """Keeps a table in `docs/results/` and writes `docs/results.md` anew from all tables there."""
    folder = docs / TABLES
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / f"{table.name}.json", json.dumps(asdict(table), indent=1) + "\n")
    tables = [Table(**json.loads(path.read_text())) for path in sorted(folder.glob("*.json"))]
    head = "# Results\n\nWritten by the commands below; not edited by hand.\n"
    _replace(docs / PAGE, "\n".join([head, *map(_section, tables)]))


def record_picture(docs: Path, name: str, svg: str) -> None:
    """Keeps a picture in `docs/results/`, for a table that names it."""
    folder = docs / TABLES
    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / name, svg)


def record_row(docs: Path, table: Table) -> None:
    """Keeps a table as `record_table` does, with those rows of the one before whose names differ.

    A row's name is its first cell.
    """
    path = docs / TABLES / f"{table.name}.json"
    before = json.loads(path.read_text())["rows"] if path.exists() else []
    named = {row[0]: row for row in [*before, *table.rows]}
    record_table(docs, replace(table, rows=list(named.values())))


def as_markdown(table: Table) -> str:
    """Renders a table with its heading, command and note."""
    lines = [f"## {table.title}", ""]
    if table.command:
        lines += [f"`{table.command}`", ""]
    ruler = ["---"] * len(table.columns)
    lines += ["| " + " | ".join(row) + " |" for row in (table.columns, ruler, *table.rows)]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def _section(table: Table) -> str:
    """A table as the page has it."""
    picture = f"\n![{table.title}]({TABLES}/{table.picture})\n" if table.picture else ""
    return as_markdown(table) + picture


def _replace(path: Path, text: str) -> None:
    temporary = path.with_suffix(path.suffix + ".tmp")
    temporary.write_text(text)
    os.replace(temporary, path)


def without_nan(value: Any) -> Any:
    """JSON knows no nan: null stands for it."""
    if isinstance(value, dict):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and np.isnan(value) else value
