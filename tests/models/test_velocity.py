from datetime import UTC, date, datetime, timedelta

import pytest

from lake_assets.catalog import load_catalog
from tests.datasets.test_other_declarations import evaluate, formulas

VELOCITY = "derived/velocity_metrics"
MONDAY = date(2026, 11, 23)


def at(days_ago: float, day: date = MONDAY) -> datetime:
    return datetime.combine(day, datetime.min.time(), tzinfo=UTC) - timedelta(days=days_ago)


def item(project: str = "apollo", *, done: float | None = None, took_h: float = 24, **rest) -> dict:
    """An item of a ten-day sprint of which eight days are over; `done` is days ago."""
    completed = None if done is None else at(done)
    return {
        "project_id": project,
        "status": "todo" if done is None else "done",
        "story_points": 2.0,
        "sprint_start": MONDAY - timedelta(days=8),
        "sprint_end": MONDAY + timedelta(days=1),
        "completed_at": completed,
        "created_at": (completed or at(9)) - timedelta(hours=took_h),
        "date": MONDAY,
    } | rest


def session(name: str, *, ended: float, updated: float | None = None, **rest) -> dict:
    return {
        "session_id": name,
        "project_id": "apollo",
        "lines_added": 10,
        "lines_deleted": 4,
        "ended_at": at(ended),
        "duration_ms": 1_800_000,
        "updated_at": at(ended if updated is None else updated),
        "date": at(ended).date(),
    } | rest


OLD_SPRINT = {
    "sprint_start": MONDAY - timedelta(days=30),
    "sprint_end": MONDAY - timedelta(days=8),
}


def test_a_row_worked_by_hand(derived):
    found = derived(
        VELOCITY,
        MONDAY,
        {
            "platform/sprint_plans": [
                item(done=1, took_h=10),
                item(done=7, took_h=30, story_points=None),
                item(done=7.1, took_h=50, **OLD_SPRINT),  # the day before the week
                item(done=20, took_h=40, story_points=6.0, **OLD_SPRINT),
                item(done=36, **OLD_SPRINT),  # before the usual weeks
                item(done=-0.1),  # the day of the snapshot itself
                item(),
                item(status="cancelled"),
            ],
            "platform/coding_sessions": [
                session("s1", ended=2, lines_added=1, updated=2.5),
                session("s1", ended=2),
                session("s2", ended=8, updated=1),
                session("s3", ended=1, duration_ms=None, lines_added=None),
                session("s4", ended=1, project_id=None),
            ],
            "platform/project_executions": [
                {"project_id": "apollo", "status": "succeeded", "date": MONDAY},
                {"project_id": "apollo", "status": "failed", "date": MONDAY},
            ],
        },
    )

    row = found["apollo"]
    assert (row["week_start"], row["week_end"]) == (date(2026, 11, 16), date(2026, 11, 22))
    assert row["is_calendar_week"] is True
    assert (row["items_completed"], row["points_completed"]) == (2, 3)
    assert row["usual_points"] == 2  # 2 and 6 in four weeks
    assert row["throughput_index"] == 150
    assert (row["lead_time_mean_h"], row["lead_time_median_h"]) == (20, 20)
    assert row["lead_time_p90_h"] == pytest.approx(28)
    assert row["usual_lead_time_h"] == 45
    assert row["lead_time_index"] == 200, "225 is above the cap"
    assert (row["items_planned"], row["items_planned_completed"]) == (4, 2)
    assert (row["completion_rate"], row["sprint_elapsed"]) == (0.5, 0.8)
    assert row["completion_index"] == pytest.approx(62.5)
    assert row["velocity_index"] == pytest.approx((150 + 200 + 62.5) / 3)
    assert (row["coding_sessions"], row["coding_hours"]) == (2, 0.5)
    assert (row["lines_added"], row["lines_deleted"]) == (10, 8)
    assert (row["executions"], row["executions_succeeded"]) == (2, 1)


def test_documented_formulas_hold_below_the_cap(derived):
    found = derived(
        VELOCITY,
        MONDAY,
        {
            "platform/sprint_plans": [
                *(item(done=day, took_h=20 + day) for day in (1, 3, 5)),
                *(item(done=day, took_h=25, **OLD_SPRINT) for day in range(10, 34, 2)),
                item(),
            ]
        },
    )

    row = found["apollo"]
    numbers = {k: float(v) for k, v in row.items() if isinstance(v, int | float)}
    documented = formulas(load_catalog()[VELOCITY].notes)
    assert len(documented) == 4
    for name, expression in documented.items():
        assert row[name] == pytest.approx(evaluate(expression, numbers)), name
        assert row[name] < 200


def test_an_index_without_a_divisor_is_null(derived):
    found = derived(VELOCITY, MONDAY, {"platform/sprint_plans": [item("new")]})

    row = found["new"]
    assert (row["throughput_index"], row["lead_time_index"]) == (None, None)
    assert row["velocity_index"] == row["completion_index"] == 0


def test_a_project_of_which_only_work_is_known(derived):
    found = derived(
        VELOCITY,
        MONDAY + timedelta(days=1),
        {
            "platform/sprint_plans": [item("other")],
            "platform/coding_sessions": [session("s1", ended=2)],
        },
    )

    row = found["apollo"]
    assert (row["items_planned"], row["velocity_index"], row["coding_sessions"]) == (0, None, 1)
    assert row["is_calendar_week"] is False


def test_without_plans_there_are_no_rows(derived):
    only_work = {"platform/coding_sessions": [session("s1", ended=2)]}
    assert derived(VELOCITY, MONDAY, only_work) == {}
