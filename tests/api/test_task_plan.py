from datetime import date, timedelta
from typing import Any

import pytest

from lake_api.errors import TaskRejected
from lake_api.tasks.plan import MAX_RANGE_D, plan_task
from lake_assets.catalog import Catalog

TODAY = date(2026, 11, 22)
EVENT = "lake.export_agent_run_log"
BACKFILL = "lake.backfill_llm_token_usage"
SNAPSHOT = "lake.export_agent_instances"


def days(catalog: Catalog, task: str, **kwargs: Any) -> tuple[date, ...]:
    return plan_task(catalog, task, kwargs, today=TODAY).days


def refusal(catalog: Catalog, task: str, **kwargs: Any) -> TaskRejected:
    with pytest.raises(TaskRejected) as caught:
        plan_task(catalog, task, kwargs, today=TODAY)
    return caught.value


@pytest.mark.parametrize(
    ("task", "day"),
    [
        (EVENT, date(2026, 11, 21)),
        (BACKFILL, date(2026, 11, 21)),
        ("lake.derive_intelligence_scores", date(2026, 11, 21)),
        ("lake.collect_slack_channel_stats", date(2026, 11, 20)),
        (SNAPSHOT, TODAY),
    ],
)
def test_without_a_date_the_newest_complete_day_is_written(
    catalog: Catalog, task: str, day: date
) -> None:
    assert days(catalog, task) == (day,)


def test_one_date_and_ranges(catalog: Catalog) -> None:
    assert days(catalog, EVENT, date="2026-11-22") == (TODAY,)
    three = tuple(date(2026, 11, day) for day in (19, 20, 21))
    for task in (EVENT, BACKFILL):
        assert days(catalog, task, start_date="2026-11-19", end_date="2026-11-21") == three
        assert days(catalog, task, start_date="2026-11-19") == three
    assert days(catalog, EVENT, start_date="2026-11-22") == (TODAY,)


def test_maintenance_takes_nothing_and_writes_no_day(catalog: Catalog) -> None:
    plan = plan_task(catalog, "lake.ensure_bucket", {}, today=TODAY)
    assert (plan.dataset, plan.days) == (None, ())
    assert refusal(catalog, "lake.ensure_bucket", date="2026-11-21").code == "invalid_kwargs"


def test_an_unknown_task_offers_the_nearest(catalog: Catalog) -> None:
    error = refusal(catalog, "lake.export_agent_runs")
    assert (error.code, error.http_status) == ("unknown_task", 400)
    assert "`lake.export_agent_run_log`" in (error.hint or "")
    assert "look like" in (refusal(catalog, "zzz").hint or "")


@pytest.mark.parametrize(
    ("task", "kwargs", "field"),
    [
        (EVENT, {"day": "2026-11-21"}, "kwargs.day"),
        (EVENT, {"date": "21.11.2026"}, "kwargs.date"),
        (EVENT, {"date": "20261121"}, "kwargs.date"),
        (EVENT, {"date": "2026-02-30"}, "kwargs.date"),
        (EVENT, {"date": 20261121}, "kwargs.date"),
        (EVENT, {"date": None}, "kwargs.date"),
        (EVENT, {"date": "2026-11-21", "end_date": "2026-11-21"}, "kwargs.date"),
        (EVENT, {"end_date": "2026-11-21"}, "kwargs.start_date"),
        (EVENT, {"start_date": "2026-11-21", "end_date": "2026-11-20"}, "kwargs.end_date"),
        (BACKFILL, {"date": "2026-11-21"}, "kwargs.date"),
    ],
)
def test_wrong_kwargs_are_named(
    catalog: Catalog, task: str, kwargs: dict[str, Any], field: str
) -> None:
    error = refusal(catalog, task, **kwargs)
    assert (error.code, error.http_status, error.field) == ("invalid_kwargs", 422, field)


@pytest.mark.parametrize(
    ("task", "kwargs", "code"),
    [
        (EVENT, {"date": "2026-11-23"}, "date_in_future"),
        (EVENT, {"start_date": "2026-11-01", "end_date": "2026-12-01"}, "date_in_future"),
        (SNAPSHOT, {"date": "2026-11-23"}, "date_in_future"),
        (EVENT, {"date": "2023-12-31"}, "date_before_start"),
        (EVENT, {"start_date": "2023-12-31", "end_date": "2024-01-02"}, "date_before_start"),
        (SNAPSHOT, {"date": "2026-11-21"}, "snapshot_past_day"),
        (SNAPSHOT, {"start_date": "2026-11-21", "end_date": "2026-11-22"}, "snapshot_past_day"),
    ],
)
def test_days_that_cant_be_written(
    catalog: Catalog, task: str, kwargs: dict[str, str], code: str
) -> None:
    error = refusal(catalog, task, **kwargs)
    assert (error.code, error.http_status) == (code, 422)


def test_a_range_has_a_longest_length(catalog: Catalog) -> None:
    today = date(2050, 1, 1)
    first = date(2024, 1, 1)
    last = first + timedelta(days=MAX_RANGE_D - 1)
    kwargs = {"start_date": first.isoformat(), "end_date": last.isoformat()}
    assert len(plan_task(catalog, EVENT, kwargs, today=today).days) == MAX_RANGE_D
    kwargs["end_date"] = (last + timedelta(days=1)).isoformat()
    with pytest.raises(TaskRejected) as caught:
        plan_task(catalog, EVENT, kwargs, today=today)
    assert caught.value.code == "range_too_long"
