"""Which days a dataset should have by now, from its schedule alone.

Belongs here: schedules of the form `minute hour * * weekdays`, the days that their ticks write,
from when on a dataset is stale.
Does not belong here: which days the lake has, running anything.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from lake_assets.catalog.model import CatalogError, Dataset, Kind, Schedule


def ticks(schedule: Schedule, first: date, last: date) -> tuple[datetime, ...]:
    """The moments from `first` to `last`, both inclusive, at which a schedule ticks.

    Raises:
        CatalogError: the cron is not of the form `minute hour * * weekdays`.
    """
    moment, weekdays = _parse(schedule.cron)
    days = (first + timedelta(days=offset) for offset in range((last - first).days + 1))
    ticking = (day for day in days if day.isoweekday() % 7 in weekdays)
    return tuple(datetime.combine(day, moment, tzinfo=UTC) for day in ticking)


def due_days(dataset: Dataset, *, first: date, last: date, now: datetime) -> tuple[date, ...]:
    """The days from `first` to `last` that ticks before `now` should have written, oldest first.

    What shows the state of its day can't be had later: of that only the running day is due.
    """
    schedule = dataset.schedule
    today = now.astimezone(UTC).date()
    if is_of_its_day(dataset):
        first = max(first, today)
    first = max(first, dataset.first_day)
    found = {
        day
        for tick in ticks(schedule, first + timedelta(days=schedule.newest_lag_d), today)
        if tick <= now
        for day in schedule.days(tick.date())
        if first <= day <= last
    }
    return tuple(sorted(found))


def due_at(dataset: Dataset, day: date) -> datetime:
    """The tick that writes a day first, or would have been the first to do so."""
    schedule = dataset.schedule
    first = day + timedelta(days=schedule.newest_lag_d)
    try:
        return ticks(schedule, first, first + timedelta(days=6))[0]
    except CatalogError:
        # Schedules that name days or months say nothing of single days.
        return datetime.combine(first + timedelta(days=1), time(), tzinfo=UTC)


def newest_day_of(dataset: Dataset, days: Sequence[date], *, now: datetime) -> date | None:
    """The newest of some ascending stored days that can be there by now; None without any.

    A day that has not begun, which somebody else may have put there, makes nothing fresh.
    """
    last = dataset.newest_day(now.astimezone(UTC).date())
    return next((day for day in reversed(days) if day <= last), None)


def stale_from(dataset: Dataset, newest: date) -> datetime:
    """From when on a dataset is stale whose newest day is `newest`, whenever that was written.

    A day is as old as the tick that should have written it: a backfill of old days makes nothing
    fresh, and a day that was written late is no younger for it.
    """
    return due_at(dataset, newest) + timedelta(hours=dataset.freshness_h)


def is_stale(dataset: Dataset, days: Sequence[date], *, now: datetime) -> bool | None:
    """Whether the newest stored day is older than the dataset allows; None without any day."""
    newest = newest_day_of(dataset, days, now=now)
    return None if newest is None else now > stale_from(dataset, newest)


def poll_days(schedule: Schedule, tick: datetime) -> tuple[date, ...]:
    """The days that a poll at `tick` writes, oldest first.

    Until the tick of the day, rows of the days that it will write may still come and go.
    """
    moment = tick.astimezone(UTC)
    today = moment.date()
    daily, _ = _parse(schedule.cron)
    before = schedule.days(today) if moment.time() < daily else ()
    return tuple(sorted({*before, today}))


def is_of_its_day(dataset: Dataset) -> bool:
    """Whether a day can only be written while it lasts."""
    outside = dataset.kind is Kind.EXTERNAL and dataset.schedule.newest_lag_d == 0
    return dataset.kind is Kind.SNAPSHOT or outside


def _parse(cron: str) -> tuple[time, frozenset[int]]:
    fields = cron.split()
    if len(fields) != 5 or fields[2:4] != ["*", "*"] or not (fields[0] + fields[1]).isdigit():
        raise CatalogError(f"schedule `{cron}`: only `minute hour * * weekdays` is known")
    return time(int(fields[1]), int(fields[0])), _weekdays(cron, fields[4])


def _weekdays(cron: str, text: str) -> frozenset[int]:
    """Days of the week as cron counts them, Sunday as 0."""
    if text == "*":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        low, _, high = part.partition("-")
        if not (low + high).isdigit():
            raise CatalogError(f"schedule `{cron}`: `{part}` is no day of the week")
        found |= {day % 7 for day in range(int(low), int(high or low) + 1)}
    return frozenset(found)
