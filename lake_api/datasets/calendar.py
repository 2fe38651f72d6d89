"""Which days a dataset should have by its schedule, and runs of days.

Belongs here: counting days. Does not belong here: which days are stored (`query.snapshot`).

A weekly dataset has no days between its ticks, so a gap there is none. Of a cron text, the minute,
the hour and the days of the week are read; schedules that name days or months have no expectation.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from lake_assets.catalog import Dataset

_RUN_TAKES = timedelta(hours=1)
"""How long after its tick a day is not yet missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Days:
    """Consecutive days, first and last included."""

    first: date
    last: date


def runs_of(days: Iterable[date]) -> tuple[Days, ...]:
    """Ascending days as runs of consecutive ones, newest run first."""
    runs: list[Days] = []
    for day in days:
        if runs and day - runs[-1].last == timedelta(days=1):
            runs[-1] = Days(first=runs[-1].first, last=day)
        else:
            runs.append(Days(first=day, last=day))
    return tuple(reversed(runs))


def missing_days(dataset: Dataset, present: Sequence[date], now: datetime) -> tuple[date, ...]:
    """The days since the oldest present one that the schedule has written by now, and are not.

    Empty where nothing is stored yet, or where the schedule can't be read.
    """
    if not present:
        return ()
    expected = expected_days(dataset, present[0], now)
    return tuple(sorted(expected.difference(present)))


def expected_days(dataset: Dataset, since: date, now: datetime) -> frozenset[date]:
    """The days from `since` on that the schedule's ticks have written by now."""
    read = _read_cron(dataset.schedule.cron)
    if read is None:
        return frozenset()
    weekdays, at = read
    last = (now - _RUN_TAKES).date()
    if datetime.combine(last, at, tzinfo=UTC) + _RUN_TAKES > now:
        last -= timedelta(days=1)
    # A tick writes earlier days: those of the ticks after `since` may still be wanted.
    ticks = (since + timedelta(days=number) for number in range(max(0, (last - since).days + 1)))
    days = (
        day
        for tick in ticks
        if tick.isoweekday() % 7 in weekdays
        for day in dataset.schedule.days(tick)
    )
    return frozenset(day for day in days if day >= since)


def _read_cron(cron: str) -> tuple[frozenset[int], time] | None:
    """The days of the week (0 is Sunday) and the time of the ticks, where they can be told."""
    fields = cron.split()
    if len(fields) != 5 or fields[2:4] != ["*", "*"]:
        return None
    try:
        at = time(int(fields[1]), int(fields[0]))
        return frozenset(_weekdays(fields[4])), at
    except ValueError:
        return None


def _weekdays(field: str) -> Iterable[int]:
    if field == "*":
        yield from range(7)
        return
    for part in field.split(","):
        first, _, last = part.partition("-")
        for number in range(int(first), int(last or first) + 1):
            yield number % 7
