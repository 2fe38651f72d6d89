"""From catalogue and snapshot to what is told of a dataset.

Belongs here: the list's lines, and everything about one dataset but its rows.
Does not belong here: reading rows (`sample`, `profile`), HTTP (`controller`).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from typing import Literal

from msgspec import UNSET

from lake_api.datasets.calendar import Days, missing_days, runs_of
from lake_api.datasets.examples import KIND_MEANINGS, example_sql
from lake_api.datasets.schemas import (
    ColumnInfo,
    DatasetInfo,
    DatasetLine,
    DayRange,
    DaysInfo,
    ScheduleInfo,
    TopValue,
)
from lake_api.datasets.visible import VisibleCatalog
from lake_api.query.snapshot import Look, Snapshot
from lake_assets.catalog import PARTITION_COLUMN, Column, ColumnType, Dataset
from lake_assets.catalog.due import is_stale

_RANGES_TOLD = 50
_NAMED = 5


def dataset_line(
    look: Look, visible: VisibleCatalog, *, now: datetime, rows: int | None
) -> DatasetLine:
    """A dataset in the list; `rows` of all days, where they have been counted."""
    dataset = look.dataset
    snapshot = look.snapshot or Snapshot(dataset=dataset, version="", partitions=())
    possible = snapshot.possible(now.date())
    return DatasetLine(
        partition=dataset.partition,
        sql_name=dataset.sql_name,
        summary=visible.text(dataset.summary),
        kind=dataset.kind.value,
        group=dataset.group,
        newest_day=possible[-1].day if possible else None,
        days=len(possible),
        rows=rows,
        size_bytes=_size_bytes(snapshot),
        written_at=_newest_written_at(snapshot, now),
        stale=_is_stale(snapshot, now),
        listing=_listing(look),
        as_of=None if look.is_current else look.as_of,
    )


def list_warnings(looks: Iterable[Look]) -> Iterator[str]:
    """What the reader of a list should know of lines that are not current."""
    outdated, unknown = list[str](), list[str]()
    for look in looks:
        if not look.is_current:
            (outdated if look.snapshot else unknown).append(look.dataset.sql_name)
    if outdated:
        yield (
            f"{_named(outdated)}: days and sizes are as of an earlier look (`as_of`), because "
            "storage did not answer in time; ask again in a moment"
        )
    if unknown:
        yield (
            f"{_named(unknown)}: days and sizes are not known yet, because storage did not answer "
            "in time; ask again in a moment. Queries of them are not affected"
        )


def _named(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(f"`{name}`" for name in names[:_NAMED]) + (f" and {more} more" * (more > 0))


def _listing(look: Look) -> Literal["current", "outdated", "unknown"]:
    if look.snapshot is None:
        return "unknown"
    return "current" if look.is_current else "outdated"


def dataset_info(
    snapshot: Snapshot,
    visible: VisibleCatalog,
    *,
    now: datetime,
    may_trigger: bool,
    rows: int | None,
    top_values: Mapping[str, tuple[TopValue, ...]],
) -> DatasetInfo:
    """Everything about a dataset.

    Args:
        snapshot: what is stored of it.
        visible: what else the caller may see.
        now: the current time.
        may_trigger: whether the caller may know its tasks.
        rows: rows of all days, where they have been counted.
        top_values: measured values by column, where there are any.
    """
    dataset, possible = snapshot.dataset, snapshot.possible(now.date())
    return DatasetInfo(
        partition=dataset.partition,
        sql_name=dataset.sql_name,
        summary=visible.text(dataset.summary),
        description=visible.text(dataset.description.strip()),
        notes=visible.text(dataset.notes.strip()),
        kind=dataset.kind.value,
        kind_meaning=KIND_MEANINGS[dataset.kind],
        group=dataset.group,
        owner=dataset.owner,
        time_column=dataset.watermark,
        key=dataset.key,
        columns=(
            _PARTITION,
            *(_column(one, visible, top_values.get(one.name, ())) for one in dataset.columns),
        ),
        days=days_info(dataset, [one.day for one in possible], now=now),
        rows=rows,
        size_bytes=_size_bytes(snapshot),
        newest_size_bytes=possible[-1].size_bytes if possible else 0,
        written_at=_newest_written_at(snapshot, now),
        last_written_at=max((one.written_at for one in snapshot.partitions), default=None),
        stale=_is_stale(snapshot, now),
        schedule=ScheduleInfo(
            cron=dataset.schedule.cron,
            newest_lag_d=dataset.schedule.newest_lag_d,
            oldest_lag_d=dataset.schedule.oldest_lag_d,
            stale_after_h=dataset.freshness_h,
            polls=dataset.schedule.polls or UNSET,
        ),
        upstreams=tuple(name for name in dataset.upstreams if visible.find(name) is not None),
        example_sql=example_sql(dataset),
        tasks=dataset.tasks if may_trigger else UNSET,
    )


def days_info(dataset: Dataset, present: Sequence[date], *, now: datetime) -> DaysInfo:
    """Which days are there and which are not, in ranges."""
    missing = missing_days(dataset, present, now)
    present_runs, missing_runs = runs_of(present), runs_of(missing)
    return DaysInfo(
        count=len(present),
        oldest=present[0] if present else None,
        newest=present[-1] if present else None,
        present=_ranges(present_runs),
        missing_count=len(missing),
        missing=_ranges(missing_runs),
        more_ranges=sum(max(0, len(runs) - _RANGES_TOLD) for runs in (present_runs, missing_runs)),
    )


_PARTITION = ColumnInfo(
    name=PARTITION_COLUMN,
    type=ColumnType.DATE.sql,
    description="The UTC day of the partition; filter on it.",
    required=True,
)


def _column(
    column: Column, visible: VisibleCatalog, top_values: tuple[TopValue, ...]
) -> ColumnInfo:
    return ColumnInfo(
        name=column.name,
        type=column.type.sql,
        description=visible.text(column.description),
        required=column.required,
        is_json=column.type is ColumnType.JSON,
        values=column.values,
        top_values=top_values,
    )


def _ranges(runs: Iterable[Days]) -> tuple[DayRange, ...]:
    return tuple(DayRange(first=run.first, last=run.last) for run in runs)[:_RANGES_TOLD]


def _size_bytes(snapshot: Snapshot) -> int:
    return sum(one.size_bytes for one in snapshot.partitions)


def _newest_written_at(snapshot: Snapshot, now: datetime) -> datetime | None:
    possible = snapshot.possible(now.date())
    return possible[-1].written_at if possible else None


def _is_stale(snapshot: Snapshot, now: datetime) -> bool | None:
    """Whether its newest day is older than its schedule promises; None without any."""
    return is_stale(snapshot.dataset, snapshot.days, now=now)
