"""Tables on a terminal, and rows as CSV.

Belongs here: how values look, which columns fit.
Does not belong here: where rows come from; what is said above and below a table.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lake_api.cli.text import cell_width, visible

_NUMERIC = re.compile(r"(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DOUBLE|FLOAT|BIGNUM|DECIMAL\(.*\))")
_CELL_WIDTH = 40
_BETWEEN_COLUMNS = 3


def stdout() -> Console:
    """The console for answers. Into a file or a pipe, nothing is cut to a width."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 1_000_000
    return console


def stderr() -> Console:
    """The console for what is said beside an answer."""
    return Console(highlight=False, markup=False, emoji=False, stderr=True, soft_wrap=True)


def is_numeric(column_type: str) -> bool:
    """Whether values of a DuckDB type are numbers, which are aligned right."""
    return _NUMERIC.fullmatch(column_type) is not None


def print_rows(
    console: Console,
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    *,
    column_types: Sequence[str] = (),
) -> None:
    """A table of as many columns as fit, and a line about those that don't."""
    limit = _CELL_WIDTH if console.is_terminal else None
    names = [visible(name) for name in columns]
    cells = [[_cell(value) for value in row] for row in rows]
    fitting = _fitting(names, cells, width=console.width, limit=limit)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for index, name in enumerate(names[:fitting]):
        numeric = index < len(column_types) and is_numeric(column_types[index])
        table.add_column(
            Text(name), justify="right" if numeric else "left", no_wrap=True,
            overflow="ellipsis", max_width=limit,
        )  # fmt: skip
    for row in cells:
        table.add_row(*row[:fitting])
    console.print(table)
    if fitting < len(names):
        hidden = names[fitting:]
        console.print(
            f"{len(hidden)} more columns don't fit here ({', '.join(hidden)}); "
            "name those you want, or use --json or --csv",
            style="dim",
        )


def print_facts(console: Console, facts: Iterable[tuple[str, str]]) -> None:
    """Names and values below each other."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in facts:
        grid.add_row(Text(name), Text(value))
    console.print(grid)


def as_csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header; null is an empty field, a nested value its JSON."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if value is None else _plain(value) for value in row] for row in rows)
    return text.getvalue()


def _cell(value: Any) -> Text:
    if value is None:
        return Text("null", style="dim")
    return Text(visible(_plain(value)))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _fitting(
    names: Sequence[str], cells: Sequence[Sequence[Text]], *, width: int, limit: int | None
) -> int:
    """How many columns, from the left, have room; one at least."""
    used = -_BETWEEN_COLUMNS
    for index, name in enumerate(names):
        widest = max((row[index].cell_len for row in cells), default=0)
        widest = max(cell_width(name), widest)
        used += min(widest, limit or widest) + _BETWEEN_COLUMNS
        if used > width:
            return max(index, 1)
    return len(names)
