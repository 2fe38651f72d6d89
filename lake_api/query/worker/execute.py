"""The caller's text, run unchanged: bound only, as rows, or as an Arrow table.

Belongs here: the calls into DuckDB that run the text, and which of its errors they pass on.
Does not belong here: views and the order of steps (`session`), encoding.

An error of `cursor.execute` tells its position in the text; one of a relation does not. So what a
relation refuses is executed once more, to be refused in better words.
"""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import duckdb

from lake_api.query.value_types import Door
from lake_api.query.worker.lowering import lowered
from lake_api.query.worker.views import quoted_name

_FETCH_ROWS = 64
_WHOLE = "lake whole text"
_Derived = TypeVar("_Derived")

_REFUSALS = (duckdb.ProgrammingError, duckdb.DataError, duckdb.NotSupportedError)
"""What binding a relation raises about a text."""

_BAD_VALUES = (duckdb.InvalidInputException, duckdb.DataError)
"""What running one raises about a value, with the position in the text that ran."""

Rows = Iterator[Sequence[Any]]


_OFTEN_LOWERED = re.compile(
    r"[\[{]|\s-\s|\b(?:interval|age|time|timestamp\w*|timetz|list|array\w*|list_\w+|histogram\w*|"
    r"map\w*|struct_\w+|row|union_\w+|variant|bit|uhugeint|bignum|string_split\w*|split)\b",
    re.IGNORECASE,
)
"""Words of texts whose types often need lowering. It saves time only: binding tells the types."""


class FailedCapped(Exception):
    """The capped form of the text failed: positions are not those of the caller's text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Names and types of the columns of a text; `carried` are the types that their values have."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    carried: tuple[str, ...]


def bind(cursor: duckdb.DuckDBPyConnection, sql: str) -> tuple[list[str], list[str]]:
    """Names and types of the text's columns.

    Raises:
        Unsupported: a column has a type that can't be answered.
    """
    relation = bound(cursor, sql)
    lowered(relation.columns, relation.types, Door.ROWS)
    return list(relation.columns), [str(kind) for kind in relation.types]


def execute_rows(
    cursor: duckdb.DuckDBPyConnection,
    sql: str,
    *,
    rows: int,
    is_capped: bool,
    exact: bool = False,
) -> tuple[Shape, Rows]:
    """Names, types, and rows as they are asked for.

    Args:
        cursor: Where it runs.
        sql: The text.
        rows: Rows that will be asked for at most.
        is_capped: The engine is told how many: it need not sort those that nobody will see.
        exact: Days and moments come as text.

    Raises:
        Unsupported: a column has a type that can't be answered.
    """
    if not (is_capped or exact or _OFTEN_LOWERED.search(sql)):
        cursor.execute(sql)
        described: Sequence[Sequence[Any]] = cursor.description or ()
        names = [str(column[0]) for column in described]
        kinds = [column[1] for column in described]
        if not lowered(names, kinds, Door.ROWS).is_needed:
            return _shape(names, kinds), _chunked(cursor.fetchmany)
        # An unfinished result is in the way of what runs next.
        cursor.abort()
    relation = bound(cursor, sql)
    # A relation over another renames columns that share a name, so the names are the text's own.
    names, kinds = list(relation.columns), list(relation.types)
    change = lowered(names, kinds, Door.ROWS, exact=exact)
    if is_capped or change.is_needed:

        def fetch(whole: duckdb.DuckDBPyRelation) -> tuple[Shape, Rows]:
            capped = change.apply(whole.limit(rows))
            carried = capped.types if change.is_needed else kinds
            return _shape(names, kinds, carried), iter(_read(capped.fetchall))

        return derived(cursor, sql, relation, fetch)
    cursor.execute(sql)
    return _shape(names, kinds), _chunked(cursor.fetchmany)


def execute_table(
    cursor: duckdb.DuckDBPyConnection, sql: str, *, rows: int, text_columns: Collection[int] = ()
) -> tuple[Shape, Any]:
    """Names, types, and an Arrow table of the first rows; its own names may differ.

    Raises:
        Unsupported: a column has a type that can't be answered.
    """
    relation = bound(cursor, sql)
    names, kinds = list(relation.columns), list(relation.types)
    change = lowered(names, kinds, Door.ARROW, text_columns=text_columns)

    def fetch(whole: duckdb.DuckDBPyRelation) -> Any:
        return _read(change.apply(whole.limit(rows)).to_arrow_table)

    return _shape(names, kinds), derived(cursor, sql, relation, fetch)


def derived(
    cursor: duckdb.DuckDBPyConnection,
    sql: str,
    relation: duckdb.DuckDBPyRelation,
    derive: Callable[[duckdb.DuckDBPyRelation], _Derived],
) -> _Derived:
    """What is made of a relation over a bound text."""
    try:
        return derive(relation)
    except duckdb.ParserException:
        # A comment follows the semicolon, and a relation is put into another as text.
        cursor.execute(f"CREATE OR REPLACE TEMP VIEW {quoted_name(_WHOLE)} AS {sql}")
        return derive(cursor.sql(f"FROM {quoted_name(_WHOLE)}"))


def _shape(
    names: Sequence[str], kinds: Sequence[Any], carried: Sequence[Any] | None = None
) -> Shape:
    types = tuple(map(str, kinds))
    return Shape(
        columns=tuple(names),
        types=types,
        carried=types if carried is None else tuple(map(str, carried)),
    )


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
