"""What the columns of a dataset hold, measured: the SQL, and reading its answers.

Belongs here: which measures a type has, the texts of the queries, their rows as a profile.
Does not belong here: running them (`discovery`), keeping profiles (`profile_store`).
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec import structs

from lake_api.datasets.calendar import Days
from lake_api.datasets.sample import day_filter, newest_within, quoted
from lake_api.datasets.schemas import ColumnProfile, Quantiles, TopValue
from lake_api.query.snapshot import Snapshot, StoredPartition
from lake_api.query.stored_days import utc_today
from lake_assets.catalog import Column, ColumnType, Dataset, Kind

MAX_DAYS = 30
"""Days that a profile covers, at most."""

_BYTES = 64_000_000
"""Stored bytes that a profile covers, at most, unless one day alone has more."""

_COLUMNS_PER_QUERY = 12
_TOP_VALUES = 10
_MAX_DISTINCT = 500
"""A column with more values than this has no telling ones; ids would be counted for nothing."""

_VALUE_CHARS = 100
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_NUMBERS = frozenset({ColumnType.INT64, ColumnType.FLOAT64, ColumnType.DECIMAL})
_COUNTED = frozenset({ColumnType.STRING, ColumnType.BOOL, ColumnType.INT64, ColumnType.DATE})
_TEXTS = frozenset({ColumnType.STRING})


def covered(snapshot: Snapshot) -> Sequence[StoredPartition]:
    """The days that a profile of this snapshot is about: of a full state, the newest alone."""
    days = 1 if snapshot.dataset.kind is Kind.SNAPSHOT else MAX_DAYS
    return newest_within(snapshot.possible(utc_today()), days=days, size_bytes=_BYTES)


def measure_queries(dataset: Dataset, days: Days) -> Iterator[tuple[Sequence[Column], str]]:
    """Queries of one row, each with the columns that it measures."""
    for start in range(0, len(dataset.columns), _COLUMNS_PER_QUERY):
        columns = dataset.columns[start : start + _COLUMNS_PER_QUERY]
        measures = ["count(*)", *(text for one in columns for text in _measures(one))]
        yield columns, _select(dataset, days, ", ".join(measures))


def read_measures(
    columns: Sequence[Column], row: Sequence[Any]
) -> tuple[int, tuple[ColumnProfile, ...]]:
    """The rows of the dataset, and the profiles of the columns, from the one row of a query."""
    rows = int(row[0])
    values = iter(row[1:])
    return rows, tuple(_read_column(column, rows, values) for column in columns)


def has_telling_values(column: Column, measured: ColumnProfile) -> bool:
    """Whether the most frequent values of a column are worth counting."""
    distinct = measured.distinct or 0
    return column.type in _COUNTED and 0 < distinct <= _MAX_DISTINCT


def top_values_queries(dataset: Dataset, columns: Sequence[Column], days: Days) -> Iterator[str]:
    """Queries for the most frequent values: rows of column name, value as text, rows with it."""
    for start in range(0, len(columns), _COLUMNS_PER_QUERY):
        yield " UNION ALL ".join(
            f"({_select(dataset, days, _counted(one))} AND {quoted(one.name)} IS NOT NULL "
            f"GROUP BY ALL ORDER BY 3 DESC, 2 LIMIT {_TOP_VALUES})"
            for one in columns[start : start + _COLUMNS_PER_QUERY]
        )


def with_top_values(
    measured: Sequence[ColumnProfile], rows: Sequence[Sequence[Any]]
) -> tuple[ColumnProfile, ...]:
    """The profiles with the most frequent values of those columns that rows are about."""
    values: dict[str, list[TopValue]] = {}
    for name, value, count in sorted(rows, key=lambda row: (-row[2], row[1])):
        values.setdefault(name, []).append(TopValue(value=value, rows=count))
    return tuple(_with(one, values[one.name]) if one.name in values else one for one in measured)


def _with(measured: ColumnProfile, values: Sequence[TopValue]) -> ColumnProfile:
    # Fewer than were asked for are all that there are.
    distinct = len(values) if len(values) < _TOP_VALUES else measured.distinct
    return structs.replace(measured, top_values=tuple(values), distinct=distinct)


def _select(dataset: Dataset, days: Days, columns: str) -> str:
    return " ".join(("SELECT", columns, "FROM", dataset.sql_name, "WHERE", day_filter(days)))


def _counted(column: Column) -> str:
    value = f"CAST({quoted(column.name)} AS VARCHAR)"
    return f"'{column.name}' AS name, left({value}, {_VALUE_CHARS}) AS value, count(*) AS n"


def _measures(column: Column) -> Iterator[str]:
    name = quoted(column.name)
    yield f"count({name})"
    if column.type is ColumnType.JSON:
        return
    yield f"approx_count_distinct({name})"
    for function in ("min", "max"):
        found = f"{function}({name})"
        yield f"left({found}, {_VALUE_CHARS})" if column.type in _TEXTS else found
    if column.type in _NUMBERS:
        number = f"CAST({name} AS DOUBLE)"
        yield f"avg({number})"
        yield f"approx_quantile({number}, {list(_QUANTILES)})"


def _read_column(column: Column, rows: int, values: Iterator[Any]) -> ColumnProfile:
    measured = ColumnProfile(name=column.name, type=column.type.sql, nulls=rows - int(next(values)))
    if column.type is ColumnType.JSON:
        return measured
    distinct, low, high = int(next(values)), next(values), next(values)
    # The sketch can't know fewer than one value, nor more than there are.
    distinct = min(distinct, rows - measured.nulls)
    measured = structs.replace(measured, distinct=distinct, min=low, max=high)
    if column.type not in _NUMBERS:
        return measured
    mean, found = next(values), next(values)
    return structs.replace(
        measured, mean=mean, quantiles=Quantiles(*found) if found is not None else None
    )
