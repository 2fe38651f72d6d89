"""Why nothing was found: texts that a column does not have, and the ones that it has.

Belongs here: deciding that an answer has nothing in it, and wording the warning.
Does not belong here: which comparisons a query makes (`lake_api.query.value_filters`).

Declared values are told as they are declared. Other columns are looked at in the days that the
query read, within a fraction of a second: a hint is not worth more.
"""

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import duckdb

from lake_api.nearest import nearest
from lake_api.query.messages import ValueFilter

MAX_VALUES = 20
_BUDGET_S = 0.3
_MAX_CHARS = 80

_Values = Sequence[tuple[str, int]]


def found_nothing(first_row: Sequence[Any] | None, count: int) -> bool:
    """Whether there are no rows, or only the one that aggregates of no rows have."""
    if count == 0 or first_row is None:
        return True
    return count == 1 and all(value is None or value == 0 for value in first_row)


def value_hints(
    cursor: duckdb.DuckDBPyConnection, filters: Sequence[ValueFilter]
) -> tuple[str, ...]:
    """A warning for each column that has none of the texts it is compared with."""
    # Interrupts a statement that runs; between two it is forgotten.
    timer = threading.Timer(_BUDGET_S, cursor.interrupt)
    timer.start()
    try:
        return tuple(_hints(cursor, filters))
    finally:
        timer.cancel()


def _hints(cursor: duckdb.DuckDBPyConnection, filters: Sequence[ValueFilter]) -> Iterator[str]:
    for one in filters:
        if one.accepted:
            yield from _declared(one)
            continue
        # Too slow, too large: no hint, and the answer stands.
        with contextlib.suppress(duckdb.Error, MemoryError):
            yield from _seen(one, _values(cursor, one))


def _declared(one: ValueFilter) -> Iterator[str]:
    unknown = [text for text in one.texts if text not in one.accepted]
    if unknown:
        yield (
            f"{_no_value(one, unknown)}; its values are {_listed(one.accepted[:MAX_VALUES])}"
            f"{_meant(unknown, one.accepted)}"
        )


def _seen(one: ValueFilter, values: _Values) -> Iterator[str]:
    known = [value for value, _ in values]
    unknown = [text for text in one.texts if text not in known]
    if not values or not unknown:
        return
    total = values[0][1]
    words = "its values are" if total <= MAX_VALUES else f"the nearest of its {total:,} values are"
    yield (
        f"{_no_value(one, unknown)} in the days that were read; {words} "
        f"{_listed(known[:MAX_VALUES])}{_meant(unknown, known)}"
    )


def _values(cursor: duckdb.DuckDBPyConnection, one: ValueFilter) -> _Values:
    """Values of the column, those first that look most like the texts, and how many there are."""
    column, view = _name(one.column), _name(one.view)
    # The texts themselves come first where they exist, and are asked for beyond the sample.
    statement = f"""
        SELECT value, count(*) OVER () AS total
        FROM (
            SELECT {column} AS value, count(*) AS rows_with_it FROM {view}
            WHERE {column} IS NOT NULL GROUP BY 1
        )
        ORDER BY
            list_max(list_transform(
                $texts, lambda text: jaro_winkler_similarity(lower(value), lower(text))
            )) DESC,
            rows_with_it DESC, value
        LIMIT $limit
    """  # noqa: S608 - names are quoted, texts are parameters
    parameters = {"texts": list(one.texts), "limit": MAX_VALUES + len(one.texts)}
    return cursor.execute(statement, parameters).fetchall()


def _no_value(one: ValueFilter, unknown: Sequence[str]) -> str:
    return f"`{one.view}`.`{one.column}` has no value {_listed(unknown)}"


def _meant(unknown: Sequence[str], known: Sequence[str]) -> str:
    """The one value that was probably meant; a mismatch of case is pointed out."""
    for text in unknown:
        for value in known:
            if value.lower() == text.lower():
                return f". Upper and lower case differ: did you mean {_listed([value])}?"
    found = [value for text in unknown for value in nearest(text, known, count=1)]
    return f". Did you mean {_listed(found[:1])}?" if found else ""


def _listed(values: Sequence[str]) -> str:
    return ", ".join(_quoted(value) for value in values)


def _quoted(value: str) -> str:
    shown = value if len(value) <= _MAX_CHARS else f"{value[:_MAX_CHARS]}…"
    return "'" + shown.replace("'", "''") + "'"


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
