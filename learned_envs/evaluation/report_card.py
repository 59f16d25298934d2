"""The measured figures of a model card as HTML."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from learned_envs.evaluation.card import MEASURED


def html_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    caption: str = "",
    label: str = "",
    words: Sequence[int] = (),
) -> str:
    """A table whose first column names its rows, in a box that scrolls on narrow screens.

    Args:
        columns: Heads; text, to be escaped.
        rows: Cells; text, to be escaped. Short rows are filled up, long ones cut.
        caption: A line above.
        label: Names the table for screen readers where there is no caption.
        words: Columns of running text: wrapped, and to the left.
    """

    def cell(tag: str, i: int, text: str, scope: str = "") -> str:
        style = ' class="words"' if i in words else ""
        return f"<{tag}{scope}{style}>{inline(text)}</{tag}>"

    head = "".join(
        cell("th", i, text, ' scope="col"') if text.strip() else cell("td", i, "")
        for i, text in enumerate(columns)
    )
    body = []
    for row in rows:
        first, *cells = [*row, *[""] * len(columns)][: len(columns)]
        line = cell("th", 0, first, ' scope="row"')
        line += "".join(cell("td", i, text) for i, text in enumerate(cells, 1))
        body.append(f"<tr>{line}</tr>")
    name = escape(caption or label or "Table")
    titled = f"<caption>{inline(caption)}</caption>" if caption else ""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table>{titled}\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(body) + "\n</tbody></table></div>"
    )


def measured_html(card: str) -> str:
    """The measured part of a model card: its headings, paragraphs and tables, all else escaped.

    Args:
        card: Markdown, as `card.write_measured` leaves it. It comes with the weights and is not
            trusted: no markup in it survives.

    Returns:
        HTML; empty if the card has no measured part.
    """
    _, _, measured = card.partition(MEASURED)
    parts: list[str] = []
    heading, table = "", []
    for line in [*measured.splitlines(), ""]:
        text = line.strip()
        if text.startswith("|"):
            table.append([cell.strip() for cell in text[1:].removesuffix("|").split("|")])
            continue
        if table:
            columns, *rows = table
            parts.append(html_table(columns, [r for r in rows if not _ruler(r)], label=heading))
            table = []
        if text.startswith("### "):
            heading = text.removeprefix("### ")
            parts.append(f"<h3>{inline(heading)}</h3>")
        elif text:
            parts.append(f'<p class="note">{inline(text)}</p>')
    return "\n".join(parts)


def inline(text: str) -> str:
    """Text as HTML, with `code` in backticks as the only markup."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text))


def _ruler(row: Sequence[str]) -> bool:
    return all(re.fullmatch(r":?-+:?", cell) for cell in row)
