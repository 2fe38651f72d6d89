"""Stored values that a declared column can't hold: which dataset, which day, which column.

Belongs here: finding them after a conversion has failed, and saying so.
Does not belong here: the views that convert (`views`), errors of the caller's own casts
(`failures`).

A file whose column has another type than the declared one is cast as it is read. Where a value
does not convert, the engine's error is the same as for a cast in the caller's text, but for its
place: that is the view's cast. The files of that cast alone are looked at once more, for a fraction
of a second, for the day.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence

import duckdb

from lake_api.query.messages import FileFacts, FileGroup, View
from lake_api.query.worker.failures import Explained
from lake_api.query.worker.views import (
    DATE_COLUMN,
    cast_sql,
    quoted_name,
    quoted_text,
    stored_sql,
    view_sql,
    with_facts,
)

_BUDGET_S = 0.5


def stored_mismatch(
    cursor: duckdb.DuckDBPyConnection,
    views: Sequence[View],
    facts: Sequence[FileFacts],
    *,
    span: tuple[int, int] | None,
) -> Explained | None:
    """What the caller is told when stored values do not convert; None when it was another cast.

    Args:
        cursor: A connection with nothing running on it.
        views: What the failed query read.
        facts: What it learned of files on the way.
        span: First byte and length of the cast that failed, in the statement it stands in;
            None when the engine does not tell.
    """
    if span is None:
        return None
    # Interrupts a statement that runs; between two it is forgotten.
    timer = threading.Timer(_BUDGET_S, cursor.interrupt)
    timer.start()
    try:
        return next(_found(cursor, (_as_read(view, facts) for view in views), span), None)
    except (duckdb.Error, MemoryError):
        return None  # too much to look at: the engine's own words stand
    finally:
        timer.cancel()


def _as_read(view: View, facts: Sequence[FileFacts]) -> View:
    """The view as the query had it: the facts are those of all views."""
    return with_facts(view, [fact for fact in facts if fact.file in view.new_files])


def _found(
    cursor: duckdb.DuckDBPyConnection, views: Iterable[View], span: tuple[int, int]
) -> Iterator[Explained]:
    start, length = span
    for view in views:
        cast = view_sql(view).encode()[start : start + length].decode(errors="replace")
        for group in view.groups:
            for name, stored, declared in _converted(view, group):
                if cast != cast_sql(name, declared, group):
                    continue
                statement = _first_day(group, name, declared)
                for (day,) in cursor.execute(statement).fetchall():
                    yield _explained(view.name, name, stored, declared, str(day))


def _converted(view: View, group: FileGroup) -> Iterator[tuple[str, str, str]]:
    """Columns of the files that are cast: their name, the stored type, the declared one."""
    declared = {name.lower(): kind for name, kind in view.columns}
    for name, stored in group.columns:
        kind = declared.get(name.lower())
        if kind is not None and kind != stored:
            yield name, stored, kind


def _first_day(group: FileGroup, name: str, kind: str) -> str:
    column, day = stored_sql(name, group), quoted_name(DATE_COLUMN)
    files = ", ".join(quoted_text(file) for file in group.files)
    return (
        f"SELECT {day} FROM read_parquet([{files}], hive_partitioning = true, "  # noqa: S608
        f"hive_types = {{'{DATE_COLUMN}': DATE}}) "
        f"WHERE {column} IS NOT NULL AND TRY_CAST({column} AS {kind}) IS NULL LIMIT 1"
    )


def _explained(dataset: str, column: str, stored: str, declared: str, day: str) -> Explained:
    return Explained(
        rejected=False,
        code="stored_type_mismatch",
        detail=(
            f"`{dataset}` has values of `{column}` on {day} that were stored as {stored} and are "
            f"no {declared}."
        ),
        hint=(
            f"Leave `{column}` out, or the day: WHERE date <> DATE '{day}'. TRY_CAST does not "
            "help; whoever writes the dataset must write the day again."
        ),
    )
