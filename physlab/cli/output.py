"""What the commands print: tables, on a terminal and in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def show(title: str, table: pd.DataFrame | Sequence[Mapping[str, object]]) -> None:
    """Print a table, or rows with the same keys; wide where the output is not a terminal, so that nothing is cut in a
    file or a pipe."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = table.to_dict("records") if hasattr(table, "to_dict") else list(table)
    columns = list(table.columns) if hasattr(table, "columns") else list(rows[0] if rows else ())
    console = Console(width=None if sys.stdout.isatty() else 200, highlight=False)
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        numeric = all(isinstance(row[column], int | float) or text(row[column]) == "" for row in rows)
        drawn.add_column(str(column).replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        drawn.add_row(*(escape(text(row[column])) for column in columns))
    console.print(drawn)


def show_numbers(title: str, numbers: dict[str, float]) -> None:
    """Print named numbers as a table of two columns."""
    show(title, [{"quantity": name, "value": text(value)} for name, value in numbers.items()])


def text(value: object) -> str:
    """A cell: floats with four significant digits, yes and no, nothing for what is missing."""
    if isinstance(value, bool) or type(value).__name__ == "bool":
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    return "" if value is None or str(value) in ("<NA>", "nan") else str(value)
