"""Stored days that can't be, and days that should be stored and are not.

Belongs here: which days of a bucket's listing the lake can have written, and gaps between them.
Does not belong here: listing (`snapshot`), which days a query needs (`plan`), warnings
(`file_book`).

Anybody with a key to the bucket can put an object under `date=9999-12-31`. Its rows are read as any
others, but such a day says nothing about how new a dataset is, or what it lacks.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

from lake_assets.catalog import CatalogError, Dataset
from lake_assets.catalog.due import ticks


def utc_today() -> date:
    """The current UTC day."""
    return datetime.now(tz=UTC).date()


def last_possible_day(today: date) -> date:
    """The last day that a writer can have written, whose clock may be ahead of ours."""
    return today + timedelta(days=1)


def possible_days(dataset: Dataset, days: Sequence[date], *, today: date) -> Sequence[date]:
    """Those of ascending `days` that the lake can have written."""
    first = bisect_left(days, dataset.first_day)
    return days[first : bisect_right(days, last_possible_day(today))]


def missing_days(dataset: Dataset, days: Sequence[date], *, today: date) -> tuple[date, ...]:
    """Days between the first and the last of ascending `days` that were due, and are not there.

    None where the schedule can't be read, as of one that names days of the month.
    """
    possible = possible_days(dataset, days, today=today)
    if len(possible) < 2 or len(possible) == (possible[-1] - possible[0]).days + 1:
        return ()
    schedule, first, last = dataset.schedule, possible[0], possible[-1]
    try:
        moments = ticks(schedule, first, min(today, last + timedelta(days=schedule.oldest_lag_d)))
    except CatalogError:
        return ()
    due = {day for moment in moments for day in schedule.days(moment.date()) if first < day < last}
    return tuple(sorted(due.difference(possible)))
