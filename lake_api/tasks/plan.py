"""From a task and its kwargs to the days that it shall write. Pure.

Belongs here: which kwargs a task takes, and which days can be written.
Does not belong here: launching anything (`dagster`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from lake_api.errors import TaskRejected
from lake_api.nearest import did_you_mean
from lake_assets.catalog import Catalog, Dataset, Kind, Task

MAX_RANGE_D = 3660
"""Ten years: one backfill carries each of its days by name."""

_ONE_DAY = ("date",)
_RANGE = ("start_date", "end_date")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskPlan:
    """What a trigger shall launch; maintenance has no dataset and no days."""

    task: Task
    dataset: Dataset | None = None
    first: date | None = None
    last: date | None = None

    @property
    def days(self) -> tuple[date, ...]:
        """Every day that it writes, oldest first."""
        if self.first is None or self.last is None:
            return ()
        count = (self.last - self.first).days + 1
        return tuple(self.first + timedelta(days=offset) for offset in range(count))


def plan_task(catalog: Catalog, name: str, kwargs: Mapping[str, Any], *, today: date) -> TaskPlan:
    """The plan of a trigger request; `today` is the current UTC day.

    Raises:
        TaskRejected: there is no such task, or it can't be run with these kwargs.
    """
    task = catalog.tasks.get(name)
    if task is None:
        raise TaskRejected(
            f"There is no task `{name[:128]}`.",
            code="unknown_task",
            status=400,
            field="task",
            hint=did_you_mean(
                name, catalog.tasks, otherwise="Task names look like `lake.export_agent_run_log`."
            ),
        )
    if task.partition is None:
        _refuse_unknown(task, kwargs, ())
        return TaskPlan(task=task)
    dataset = catalog[task.partition]
    first, last = _days(task, dataset, kwargs, today)
    _check_days(dataset, first, last, today)
    return TaskPlan(task=task, dataset=dataset, first=first, last=last)


def newest_complete_day(dataset: Dataset, today: date) -> date:
    """The newest day that a trigger without dates writes."""
    if dataset.kind is Kind.SNAPSHOT:
        return today
    return today - timedelta(days=dataset.schedule.newest_lag_d)


def _days(
    task: Task, dataset: Dataset, kwargs: Mapping[str, Any], today: date
) -> tuple[date, date]:
    _refuse_unknown(task, kwargs, _RANGE if task.backfill else (*_ONE_DAY, *_RANGE))
    days = {name: _parse(name, value) for name, value in kwargs.items()}
    if "date" in days and len(days) > 1:
        raise TaskRejected(
            "Send either `date`, or `start_date` and `end_date`.", field="kwargs.date"
        )
    if "date" in days:
        return days["date"], days["date"]
    newest = newest_complete_day(dataset, today)
    if not days:
        return newest, newest
    if "start_date" not in days:
        raise TaskRejected(
            "`end_date` needs a `start_date`.",
            field="kwargs.start_date",
            hint="Send both, or `start_date` alone for everything since.",
        )
    first, last = days["start_date"], days.get("end_date", max(newest, days["start_date"]))
    if last < first:
        raise TaskRejected(
            f"`end_date` {last} is before `start_date` {first}.", field="kwargs.end_date"
        )
    return first, last


def _refuse_unknown(task: Task, kwargs: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in kwargs:
        if name not in known:
            takes = f"takes {', '.join(f'`{one}`' for one in known)}" if known else "takes none"
            raise TaskRejected(
                f"`{task.name}` has no argument `{name[:128]}`.",
                field=f"kwargs.{name[:128]}",
                hint=f"It {takes}.",
            )


def _parse(name: str, value: Any) -> date:
    # fromisoformat also takes 20261121 and week dates; a partition has one spelling.
    if isinstance(value, str):
        try:
            day = date.fromisoformat(value)
        except ValueError:
            day = None
        if day is not None and day.isoformat() == value:
            return day
    raise TaskRejected(
        f"`{name}` must be a day like 2026-11-21.",
        field=f"kwargs.{name}",
        fragment=str(value)[:64],
    )


def _check_days(dataset: Dataset, first: date, last: date, today: date) -> None:
    if last > today:
        raise TaskRejected(
            f"{last} is in the future: the current UTC day is {today}.",
            code="date_in_future",
            hint=f"Send a date up to {today}, or none for the day that the schedule would write.",
        )
    if dataset.kind is Kind.SNAPSHOT and (first, last) != (today, today):
        raise TaskRejected(
            f"{dataset.partition} is a snapshot: only the current UTC day, {today}, can be "
            "written, because the state of a past day is gone.",
            code="snapshot_past_day",
            hint="Leave the date out: the current day is written.",
        )
    if first < dataset.first_day:
        raise TaskRejected(
            f"{dataset.partition} starts on {dataset.first_day}; {first} is before it.",
            code="date_before_start",
            hint=f"Begin with {dataset.first_day}, or with a later day.",
        )
    if (last - first).days + 1 > MAX_RANGE_D:
        raise TaskRejected(
            f"{(last - first).days + 1} days are more than {MAX_RANGE_D} in one range.",
            code="range_too_long",
            hint="Split the range.",
        )
