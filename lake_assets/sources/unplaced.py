"""Rows of an event table that no day has, and rows that a day should have: counted, not read.

Belongs here: counts of a table by its watermark.
Does not belong here: reading rows (`platform`), what a count means (`orchestration`).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import cast

from lake_assets.catalog import ColumnType
from lake_assets.sources.platform import (
    PlatformExport,
    days_sql,
    moment_sql,
    quoted,
    table_name,
    table_sql,
)
from lake_assets.sources.postgres_session import rows_of

COUNTED_UP_TO = 10_000
_AHEAD_D = 2
"""A row of tomorrow may be a clock that is ahead; later ones are told of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """Rows by why no day has them; more than `COUNTED_UP_TO` are not counted to their end.

    `before_first_day` are rows older than the first partition, which may be meant.
    """

    watermark: str
    without: int
    endless: int
    after: date
    future: int
    before: date
    before_first_day: int

    @property
    def reasons(self) -> str:
        """What is wrong, for people; empty if nothing is."""
        return ", ".join(self._reasons())

    def _reasons(self) -> Iterator[str]:
        if self.without:
            yield f"{_said(self.without)} no `{self.watermark}`"
        if self.endless:
            yield f"{_said(self.endless)} it at infinity"
        if self.future:
            yield f"{_said(self.future)} it on {self.after} or later"


def _said(count: int) -> str:
    if count > COUNTED_UP_TO:
        return f"more than {COUNTED_UP_TO:,} rows have"
    return "1 row has" if count == 1 else f"{count:,} rows have"


def count_unplaced(export: PlatformExport, *, today: date) -> Unplaced:
    """Count the rows of an event table that no day of the lake has or is about to have.

    Raises:
        SourceError: by what went wrong; a locked table is one.
    """
    table, dataset = export.table, export.table.dataset
    name, after = quoted(dataset.watermark), today + timedelta(days=_AHEAD_D)
    conditions = [
        "false" if table.watermark_is_never_null else f"{name} IS NULL",
        f"{name} = 'infinity'",
        f"{name} = '-infinity'",
        f"{name} >= {moment_sql(table, after)} AND {name} < 'infinity'",
        f"{name} < {moment_sql(table, dataset.first_day)} AND {name} > '-infinity'",
    ]
    if table.watermark_is_indexed:
        counts = ", ".join(
            f"(SELECT count(*) FROM (SELECT 1 FROM {table_sql(dataset)} WHERE {condition}"  # noqa: S608 - declared names only
            f" LIMIT {COUNTED_UP_TO + 1}) AS counted)"
            for condition in conditions
        )
        statement = f"SELECT {counts}"
    else:
        counts = ", ".join(f"count(*) FILTER (WHERE {each})" for each in conditions)
        some = " OR ".join(f"({each})" for each in conditions)
        statement = f"SELECT {counts} FROM {table_sql(dataset)} WHERE {some}"  # noqa: S608
    (row,) = rows_of(export.connection, statement, table=table_name(dataset))
    without, endless, endless_past, future, early = cast(tuple[int, ...], row)
    return Unplaced(
        watermark=dataset.watermark,
        without=without,
        endless=endless + endless_past,
        after=after,
        future=future,
        before=dataset.first_day,
        before_first_day=early,
    )


def rows_by_day(export: PlatformExport, *, first: date, last: date) -> Mapping[date, int]:
    """How many rows an event table has of each UTC day from `first` to `last`; 0 of the others.

    Raises:
        SourceError: by what went wrong; a locked table is one.
    """
    table, dataset = export.table, export.table.dataset
    name = quoted(dataset.watermark)
    is_date = dataset.column(dataset.watermark).type is ColumnType.DATE
    with_zone = not is_date and table.types[dataset.watermark] == "timestamptz"
    day = f"({name} AT TIME ZONE 'UTC')::date" if with_zone else f"{name}::date"
    statement = (
        f"SELECT {day}, count(*) FROM {table_sql(dataset)}"  # noqa: S608 - declared names only
        f" WHERE {days_sql(table, first, last)} GROUP BY 1"
    )
    rows = rows_of(export.connection, statement, table=table_name(dataset))
    found = dict(cast(list[tuple[date, int]], rows))
    days = (first + timedelta(days=ahead) for ahead in range((last - first).days + 1))
    return {each: found.get(each, 0) for each in days}
