"""The caller's text, run unchanged: bound only, as rows, or as an Arrow table.

Belongs here: the calls into DuckDB that run the text, and which of its errors they pass on.
Does not belong here: views and the order of steps (`session`), encoding.

An error of `cursor.execute` tells its position in the text; one of a relation does not. So what a
relation refuses is executed once more, to be refused in better words.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import duckdb

_FETCH_ROWS = 64

_REFUSALS = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError)
"""What binding a relation raises about a text."""

_BAD_VALUES = (duckdb.InvalidInputException, duckdb.DataError)
"""What running one raises about a value, with the position in the text that ran."""

Rows = Iterator[Sequence[Any]]


class FailedCapped(Exception):
    """The capped form of the text failed: positions are not those of the caller's text."""


def bind(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[str]]:
    """Names and types of the text's columns."""
    relation = bound(cursor, sql)
    return list(relation.columns), [str(kind) for kind in relation.types]


def execute_rows(
    cursor: duckdb.DuckDBPyConnection, sql: str, *, capped_at: int | None
) -> tuple[list[str], list[str], Rows]:
    """Names, types, and rows as they are asked for.

    With `capped_at` the engine is told how many rows will be asked for at most: it need not sort
    those that nobody will see.
    """
    if capped_at is not None:
        # The capped relation renames columns that share a name, so the names are the text's own.
        relation = bound(cursor, sql)
        names, types = list(relation.columns), [str(kind) for kind in relation.types]
        # What does not parse is only the capped form, when a comment follows the semicolon.
        with contextlib.suppress(duckdb.ParserException):
            return names, types, iter(_read(relation.limit(capped_at).fetchall))
    cursor.execute(sql)
    described: Sequence[Sequence[Any]] = cursor.description or ()
    names = [str(column[0]) for column in described]
    return names, [str(column[1]) for column in described], _chunked(cursor.fetchmany)


def execute_table(
    cursor: duckdb.DuckDBPyConnection, sql: str, *, rows: int
) -> tuple[list[str], list[str], Any]:
    """Names, types, and an Arrow table of the first rows; its own names may differ."""
    relation = bound(cursor, sql)
    names, types = list(relation.columns), [str(kind) for kind in relation.types]
    try:
        table = _read(relation.limit(rows).to_arrow_table)
    except duckdb.ParserException:
        table = _read(relation.to_arrow_table).slice(0, rows)
    return names, types, table


def bound(cursor: duckdb.DuckDBPyConnection, sql: str) -> duckdb.DuckDBPyRelation:
    """The text, bound; it runs when it is read."""
    try:
        return cursor.sql(sql)
    except _REFUSALS:
        cursor.execute(sql)
        raise


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except _BAD_VALUES as error:
        raise FailedCapped(str(error)) from error


def _chunked(fetch: Callable[[int], Sequence[Sequence[Any]]]) -> Rows:
    while chunk := fetch(_FETCH_ROWS):
        yield from chunk


class BoundedRows:
    """At most `cap` of the rows, whose iterator is used again after it; keeps the first."""

    def __init__(self, rows: Iterator[Sequence[Any]], cap: int) -> None:
        self._rows = rows
        self._cap = cap
        self.first: Sequence[Any] | None = None

    def __iter__(self) -> Iterator[Sequence[Any]]:
        for _ in range(self._cap):
            row = next(self._rows, None)
            if row is None:
                return
            if self.first is None:
                self.first = row
            yield row
