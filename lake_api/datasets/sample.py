"""Which rows of a dataset are shown as a sample, and the SQL that picks them.

Belongs here: the modes, the days that are drawn from, the text of the query.
Does not belong here: running it (`discovery`), HTTP.

A row's place in a random sample is a hash of the seed and of all its values: the same seed gives
the same rows for as long as the data is the same, however many threads read it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum

from lake_api.datasets.calendar import Days
from lake_api.query.snapshot import Snapshot, StoredPartition
from lake_api.query.stored_days import utc_today
from lake_assets.catalog import PARTITION_COLUMN, Dataset, Kind

MAX_ROWS = 100
"""Rows of a sample; of one day, where every day has its own."""

MAX_SEED = 2**31 - 1

_DAYS = 7
"""Days that a sample is drawn from, at most."""

_BYTES = 64_000_000
"""Stored bytes that a sample is drawn from, at most, unless one day alone has more."""


class SampleMode(Enum):
    """How rows are picked."""

    FIRST = "first"
    """As they are stored, from the newest day that has any."""
    RANDOM = "random"
    """From all of the newest days alike."""
    PER_DAY = "per_day"
    """At random, so many from each of the newest days."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOrder:
    """What is wanted; `day` is the one to draw from, instead of the newest ones."""

    rows: int = 10
    mode: SampleMode = SampleMode.FIRST
    seed: int = 0
    day: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleQuery:
    """One text to run, and the days that it reads (None: there are none)."""

    sql: str
    days: Days | None


def sample_queries(snapshot: Snapshot, order: SampleOrder) -> Iterator[SampleQuery]:
    """The queries to try, in this order, until one has rows; at least one."""
    drawn = _drawn_days(snapshot, order)
    if order.mode is SampleMode.FIRST and len(drawn) > 1:
        # A day may be empty, and a sample of nothing helps nobody.
        for day in reversed(drawn):
            yield _query(snapshot.dataset, order, [day])
    else:
        yield _query(snapshot.dataset, order, drawn)


def newest_within(
    partitions: Sequence[StoredPartition], *, days: int, size_bytes: int
) -> Sequence[StoredPartition]:
    """The newest days that are within both bounds, ascending; one at least, if there is any."""
    taken, left_bytes = 0, size_bytes
    for one in reversed(partitions[-days:]):
        left_bytes -= one.size_bytes
        if taken and left_bytes < 0:
            break
        taken += 1
    return partitions[len(partitions) - taken :]


def day_filter(days: Days) -> str:
    """The condition that keeps these days; pruning reads it."""
    return (
        f"{PARTITION_COLUMN} BETWEEN DATE '{days.first.isoformat()}' "
        f"AND DATE '{days.last.isoformat()}'"
    )


def quoted(name: str) -> str:
    """A column's name as an identifier; a name of the catalogue has no quotes in it."""
    return f'"{name}"'


def _drawn_days(snapshot: Snapshot, order: SampleOrder) -> Sequence[date]:
    if order.day is not None:
        return [order.day]
    # The full state of a thing on several days is several rows of one thing.
    partitions = snapshot.possible(utc_today())
    once = snapshot.dataset.kind is Kind.SNAPSHOT and order.mode is SampleMode.RANDOM
    drawn = newest_within(partitions, days=1 if once else _DAYS, size_bytes=_BYTES)
    return [one.day for one in drawn]


def _query(dataset: Dataset, order: SampleOrder, drawn: Sequence[date]) -> SampleQuery:
    days = Days(first=drawn[0], last=drawn[-1]) if drawn else None
    columns = ", ".join(quoted(one) for one in (PARTITION_COLUMN, *dataset.column_names))
    chance = f"hash({order.seed}, {columns})"
    parts = ["SELECT", columns, "FROM", dataset.sql_name]
    if days is not None:
        parts += ["WHERE", day_filter(days)]
    match order.mode:
        case SampleMode.FIRST:
            parts.append(f"LIMIT {order.rows}")
        case SampleMode.RANDOM:
            parts.append(f"ORDER BY {chance} LIMIT {order.rows}")
        case SampleMode.PER_DAY:
            number = f"row_number() OVER (PARTITION BY {PARTITION_COLUMN} ORDER BY {chance})"
            parts.append(f"QUALIFY {number} <= {order.rows}")
            parts.append(f"ORDER BY {PARTITION_COLUMN} DESC, {number} LIMIT {_DAYS * MAX_ROWS}")
    return SampleQuery(sql=" ".join(parts), days=days)
