"""`dry_run: true` over real objects: what would be read, and what would be refused."""

from datetime import date, timedelta
from typing import Any

import pytest

FIRST = date(2026, 11, 1)
SQL = "SELECT agent_id, count(*) AS runs FROM agent_run_log GROUP BY agent_id"


@pytest.fixture
def lake(start_lake: Any) -> Any:
    """Eight days of runs, and nothing cached."""
    lake = start_lake()
    for number in range(8):
        lake.write("agent_run_log", FIRST + timedelta(days=number), ["aurora", "sage"])
    return lake


def plan(lake: Any, sql: str, **more: Any) -> dict[str, Any]:
    answer = lake.ask(sql, dry_run=True, **more)
    assert answer.status_code == 200, answer.text
    return answer.json()["plan"]


def test_it_tells_datasets_days_objects_and_bytes_without_reading(lake: Any) -> None:
    sizes = lake.object_sizes("agent_run_log")
    body = lake.ask(SQL, dry_run=True).json()
    assert (body["columns"], body["rows"], body["row_count"]) == ([], [], 0)
    assert (body["source"], body["partition"], body["error"]) == ("lake", "agent_run_log", None)
    assert body["freshness"][0]["newest_day"] == "2026-11-08"
    assert body["plan"] == {
        "datasets": [
            {
                "partition": "agent_run_log",
                "sql_name": "agent_run_log",
                "first_day": "2026-11-01",
                "last_day": "2026-11-08",
                "days": 8,
                "objects": 8,
                "bytes": sum(sizes.values()),
                "cached_objects": 0,
                "cached_bytes": 0,
            }
        ],
        "objects": 8,
        "bytes": sum(sizes.values()),
        "cached_objects": 0,
        "cached_bytes": 0,
        "exact": True,
        "from_memory": False,
    }
    assert lake.cached_files() == []


def test_an_answer_with_rows_has_no_plan(lake: Any) -> None:
    assert "plan" not in lake.ask(SQL).json()
    assert "plan" not in lake.ask(SQL, dry_run=False).json()


def test_what_it_tells_is_what_is_read(lake: Any) -> None:
    week = f"{SQL} HAVING max(date) > DATE '2000-01-01'"
    sql = week.replace("GROUP BY", "WHERE date BETWEEN '2026-11-02' AND '2026-11-04' GROUP BY")
    told = plan(lake, sql)["datasets"][0]
    assert (told["first_day"], told["last_day"], told["days"]) == ("2026-11-02", "2026-11-04", 3)
    lake.ask(sql)
    assert len(lake.cached_files()) == told["objects"]
    assert sum(path.stat().st_size for path in lake.cached_files()) == told["bytes"]
    again = plan(lake, SQL)
    assert (again["cached_objects"], again["cached_bytes"]) == (3, told["bytes"])
    assert again["objects"] == 8


def test_the_same_question_again_would_read_nothing(lake: Any) -> None:
    assert plan(lake, SQL)["from_memory"] is False
    lake.ask(SQL)
    assert plan(lake, SQL)["from_memory"] is True
    assert plan(lake, SQL, limit=7)["from_memory"] is False
    lake.write("agent_run_log", FIRST, ["iris"])
    lake.poll(lambda: plan(lake, SQL)["from_memory"] is False)


def test_any_rows_begin_with_the_newest_days(lake: Any) -> None:
    told = plan(lake, "SELECT run_id FROM agent_run_log LIMIT 3")
    assert told["exact"] is False
    assert (told["objects"], told["datasets"][0]["first_day"]) == (4, "2026-11-05")
    one_day = plan(lake, "SELECT run_id FROM agent_run_log WHERE date = '2026-11-01' LIMIT 3")
    assert (one_day["exact"], one_day["objects"]) == (True, 1)


def test_each_dataset_has_its_own_line(lake: Any) -> None:
    lake.write("platform/llm_token_usage", FIRST, ["aurora"])
    told = plan(
        lake,
        "SELECT count(*) FROM platform_llm_token_usage u JOIN agent_run_log r USING (agent_id) "
        "WHERE r.date = '2026-11-03'",
    )
    assert [(one["partition"], one["objects"]) for one in told["datasets"]] == [
        ("platform/llm_token_usage", 1),
        ("agent_run_log", 1),
    ]
    assert told["bytes"] == sum(one["bytes"] for one in told["datasets"])


def test_no_day_and_no_data_are_told(lake: Any) -> None:
    body = lake.ask(f"{SQL} HAVING 1 = 1", dry_run=True).json()
    assert body["warnings"] == []
    answer = lake.ask("SELECT * FROM agent_run_log WHERE date > '2030-01-01'", dry_run=True).json()
    assert "2026-11-01 to 2026-11-08" in answer["warnings"][0]
    assert answer["plan"]["datasets"][0]["first_day"] is None
    never = lake.ask("SELECT * FROM platform_llm_token_usage", dry_run=True).json()
    assert never["warnings"] == ["`platform_llm_token_usage` has no data yet"]


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM no_such_table", "unknown_table"),
        ("DROP TABLE agent_run_log", "blocked_statement"),
        ("SELECT agentid FROM agent_run_log", "unknown_column"),
        ("SELECT sum(agent_id) FROM agent_run_log", "type_mismatch"),
        ("SELECT agent_id, count(*) FROM agent_run_log", "not_grouped"),
    ],
)
def test_what_would_be_refused_is_refused_alike(
    lake: Any, problem: Any, sql: str, code: str
) -> None:
    refused = lake.ask(sql)
    dry = lake.ask(sql, dry_run=True)
    told = [{**problem(one, 400, code), "query_id": ""} for one in (refused, dry)]
    assert told[0] == told[1]


def test_more_than_the_cache_holds_is_told_before(start_lake: Any) -> None:
    lake = start_lake(LAKE_CACHE_BYTES="100")
    lake.write("agent_run_log", FIRST, ["aurora"])
    body = lake.ask(SQL, dry_run=True).json()
    assert (body["source"], body["error"]["code"]) == ("unavailable", "object_too_large")


@pytest.mark.parametrize("value", ["true", 1])
def test_it_is_a_boolean(lake: Any, problem: Any, value: Any) -> None:
    assert problem(lake.ask(SQL, dry_run=value), 422, "invalid_request")["field"] == "dry_run"
