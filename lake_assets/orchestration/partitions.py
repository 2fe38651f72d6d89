"""Dagster's view of a dataset's days.

Belongs here: partition definitions and the translation between days and partition keys.
Does not belong here: which days a schedule writes (`catalog.model.Schedule`).
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from functools import cache

import dagster as dg
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
)

from lake_assets.catalog import Dataset


def partitions_of(dataset: Dataset) -> dg.DailyPartitionsDefinition:
    """The daily UTC partitions of a dataset; datasets with the same days share one definition."""
    return _daily(dataset.first_day, has_today=dataset.schedule.writes_today)


@cache
def _daily(first_day: date, *, has_today: bool) -> dg.DailyPartitionsDefinition:
    # One partition more than the finished days where the running day has one of its own.
    return dg.DailyPartitionsDefinition(
        start_date=first_day.isoformat(), end_offset=1 if has_today else 0
    )


def days_of(keys: Iterable[str]) -> Sequence[date]:
    """The days of partition keys, ascending."""
    return sorted(date.fromisoformat(key) for key in keys)


def range_tags(first: date, last: date) -> Mapping[str, str]:
    """The tags of a run that writes the days from `first` to `last`."""
    return {
        ASSET_PARTITION_RANGE_START_TAG: first.isoformat(),
        ASSET_PARTITION_RANGE_END_TAG: last.isoformat(),
    }


def ranges_of(days: Iterable[date]) -> Sequence[tuple[date, date]]:
    """Ascending days as ranges without gaps, each by its first and last day."""
    ranges: list[tuple[date, date]] = []
    for day in days:
        if ranges and day == ranges[-1][1] + timedelta(days=1):
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
    return ranges
