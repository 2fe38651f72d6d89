"""Samples and profiles over a real S3: repeatable, measured once, new after a write."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from lake_api.errors import QueryUnavailable
from tests.api.conftest import ADMIN

DATASETS = "/api/v1/internal/lake/datasets"
USAGE = "platform/llm_token_usage"
TODAY = datetime.now(UTC).date()
DAYS = [TODAY - timedelta(days=age) for age in (3, 2, 1)]


@pytest.fixture(scope="module")
def lake(open_lake: Any) -> Iterator[Any]:
    with open_lake() as opened:
        for day in DAYS:
            opened.write(USAGE, day, [f"agent-{number}" for number in range(40)])
        yield opened


def sample(lake: Any, name: str = USAGE, **params: Any) -> dict[str, Any]:
    answer = lake.client.get(f"{DATASETS}/{name}/sample", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def profile(lake: Any, name: str = USAGE) -> dict[str, Any]:
    answer = lake.client.get(f"{DATASETS}/{name}/profile")
    assert answer.status_code == 200, answer.text
    return answer.json()


def columns(profiled: dict[str, Any]) -> dict[str, Any]:
    return {column["name"]: column for column in profiled["columns"]}


def days_of(body: dict[str, Any]) -> list[str]:
    assert body["columns"][0] == "date"
    return [row[0] for row in body["rows"]]


def test_the_first_rows_are_of_the_newest_day(lake: Any) -> None:
    body = sample(lake, rows=3)
    assert [row[2] for row in body["rows"]] == ["agent-0", "agent-1", "agent-2"]
    assert days_of(body) == [DAYS[-1].isoformat()] * 3
    assert body["days"] == {"first": DAYS[-1].isoformat(), "last": DAYS[-1].isoformat()}
    assert body["truncated"] is False
    assert body["rows"] == sample(lake, "platform_llm_token_usage", rows=3)["rows"]


def test_a_day_of_ones_own(lake: Any) -> None:
    for mode in ("first", "random", "per_day"):
        body = sample(lake, rows=2, date=DAYS[0].isoformat(), mode=mode)
        assert days_of(body) == [DAYS[0].isoformat()] * 2
    away = sample(lake, date="2020-01-01")
    assert away["rows"] == []
    [warning] = away["warnings"]
    assert f"it has {DAYS[0]} to {DAYS[-1]}" in warning


def test_a_seed_picks_the_same_rows_again(lake: Any) -> None:
    first = sample(lake, mode="random", seed=7, rows=20)
    assert first["rows"] == sample(lake, mode="random", seed=7, rows=20)["rows"]
    assert first["rows"] != sample(lake, mode="random", seed=8, rows=20)["rows"]
    assert len({row[1] for row in first["rows"]}) == 20
    assert set(days_of(first)) == {day.isoformat() for day in DAYS}
    assert first["rows"][:5] == sample(lake, mode="random", seed=7, rows=5)["rows"]


def test_some_rows_of_each_day(lake: Any) -> None:
    body = sample(lake, mode="per_day", rows=4, seed=1)
    newest_first = [day.isoformat() for day in reversed(DAYS) for _ in range(4)]
    assert days_of(body) == newest_first
    assert body["rows"] == sample(lake, mode="per_day", rows=4, seed=1)["rows"]


def test_a_full_state_is_drawn_from_one_day(lake: Any) -> None:
    name = "platform/agent_instances"
    for day in DAYS:
        lake.write(name, day, ["aurora", "sage"])
    lake.poll(lambda: sample(lake, name)["row_count"] == 2)
    body = sample(lake, name, mode="random", rows=100)
    assert days_of(body) == [DAYS[-1].isoformat()] * 2
    profiled = profile(lake, name)
    assert (profiled["rows"], profiled["day_count"], profiled["is_whole"]) == (2, 1, False)


def test_an_empty_newest_day_is_passed_over(lake: Any) -> None:
    lake.write("agent_run_log", DAYS[0], ["aurora"])
    lake.write("agent_run_log", DAYS[1], [])
    lake.poll(lambda: sample(lake, "agent_run_log")["row_count"] == 1)
    assert days_of(sample(lake, "agent_run_log")) == [DAYS[0].isoformat()]


def test_no_data_yet(lake: Any) -> None:
    for mode in ("first", "random", "per_day"):
        body = sample(lake, "external/slack", mode=mode)
        assert (body["rows"], body["days"]) == ([], None)
        assert body["columns"][:2] == ["date", "run_id"]
        assert body["warnings"] == ["`external_slack` has no data yet"]
    profiled = profile(lake, "external/slack")
    assert (profiled["rows"], profiled["days"], profiled["is_whole"]) == (0, None, True)
    run_id = columns(profiled)["run_id"]
    assert (run_id["nulls"], run_id["distinct"], run_id["min"]) == (0, 0, None)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("rows", "0"), ("rows", "101"), ("mode", "last"), ("seed", "-1"), ("seed", str(2**31)),
        ("date", "yesterday"), ("date", "2026-02-30"),
    ],
)  # fmt: skip
def test_wrong_parameters_are_named(lake: Any, problem: Any, name: str, value: str) -> None:
    answer = lake.client.get(f"{DATASETS}/{USAGE}/sample", params={name: value})
    assert problem(answer, 422, "invalid_request")["field"] == name


def test_a_profile_measures_every_column(open_lake: Any) -> None:
    with open_lake() as lake:
        lake.write(USAGE, DAYS[0], [f"a-{number}" for number in range(40)], metadata=None)
        lake.write(
            USAGE, DAYS[1], ["b"] * 10, cost_usd=Decimal("3.500000"), status=None, updated_at=None
        )
        body = profile(lake)
        assert body["days"] == {"first": DAYS[0].isoformat(), "last": DAYS[1].isoformat()}
        assert (body["rows"], body["day_count"], body["is_whole"]) == (50, 2, True)
        found = columns(body)
        assert list(found) == [column.name for column in lake.catalog[USAGE].columns]
        assert found["status"]["nulls"] == 10
        assert found["status"]["distinct"] == 1
        assert found["status"]["top_values"] == [{"value": "succeeded", "rows": 40}]
        assert (found["run_id"]["min"], found["run_id"]["max"]) == (f"{DAYS[0]}-0", f"{DAYS[1]}-9")
        assert 45 <= found["run_id"]["distinct"] <= 50
        assert len(found["agent_id"]["top_values"]) == 10
        assert found["agent_id"]["top_values"][0] == {"value": "b", "rows": 10}
        cost = found["cost_usd"]
        assert (cost["min"], cost["max"]) == (0.1, 3.5)
        assert cost["mean"] == pytest.approx((40 * 0.1 + 10 * 3.5) / 50)
        assert cost["quantiles"]["p5"] == pytest.approx(0.1)
        assert cost["quantiles"]["p95"] == pytest.approx(3.5)
        assert found["metadata"] == {
            "name": "metadata", "type": "VARCHAR", "nulls": 40, "distinct": None, "min": None,
            "max": None, "mean": None, "quantiles": None, "top_values": [],
        }  # fmt: skip
        assert found["created_at"]["min"] == f"{DAYS[0]}T12:00:00Z"
        assert found["updated_at"]["nulls"] == 10
        described = lake.client.get(f"{DATASETS}/{USAGE}").json()
        assert described["rows"] == 50
        listed = lake.client.get(DATASETS, params={"q": USAGE}).json()["datasets"]
        assert [line["rows"] for line in listed] == [50]
        assert columns(described)["status"]["top_values"] == [{"value": "succeeded", "rows": 40}]


def test_a_profile_is_measured_once_until_a_day_is_written_again(lake: Any) -> None:
    name = "derived/intelligence_scores"
    lake.write(name, DAYS[0], ["aurora"])
    lake.poll(lambda: profile(lake, name)["rows"] == 1)
    first = profile(lake, name)
    assert profile(lake, "derived_intelligence_scores") == first
    lake.write(name, DAYS[0], ["sage", "sage"])
    lake.poll(lambda: profile(lake, name)["rows"] == 2)
    second = profile(lake, name)
    assert second["measured_at"] > first["measured_at"]
    assert columns(second)["agent_id"]["top_values"] == [{"value": "sage", "rows": 2}]


def test_samples_and_profiles_are_query_calls_and_the_rest_is_not(
    open_lake: Any, problem: Any
) -> None:
    with open_lake(LAKE_CALLS_PER_CRON_RUN="2") as lake:
        headers = {"X-Agent-ID": "aurora", "X-Cron-Run-ID": "run-1"}
        for tail in ("/sample", "", "/profile", ""):
            answer = lake.client.get(f"{DATASETS}/{USAGE}{tail}", headers=headers)
            assert answer.status_code == 200
            if tail:
                left = answer.headers["X-RateLimit-Remaining"]
        assert left == "0"
        for tail in ("/sample", "/profile"):
            answer = lake.client.get(f"{DATASETS}/{USAGE}{tail}", headers=headers)
            problem(answer, 429, "rate_limited")
        assert lake.client.get(DATASETS, headers=headers).status_code == 200


def test_storage_away_is_a_503(service: Any, problem: Any) -> None:
    service.engine.failure = QueryUnavailable("No.", code="storage_unavailable", retry=True)
    for path in ("", "/agent_run_log", "/agent_run_log/sample", "/agent_run_log/profile"):
        body = problem(service.client.get(f"{DATASETS}{path}"), 503, "storage_unavailable")
        assert body["retry"] is True


def test_the_list_is_a_request_of_a_token(service: Any, problem: Any) -> None:
    body = {"kind": "agent", "name": "slow", "limits": {"requests_per_hour": 3}}
    made = service.client.post("/api/v1/internal/lake/tokens", json=body, headers=ADMIN)
    headers = {"Authorization": f"Bearer {made.json()['token']}"}
    for path in ("", "/agent_run_log", ""):
        assert service.client.get(f"{DATASETS}{path}", headers=headers).status_code == 200
    for path in ("", "/agent_run_log", "/agent_run_log/sample"):
        answer = service.client.get(f"{DATASETS}{path}", headers=headers)
        problem(answer, 429, "rate_limited")
        assert int(answer.headers["Retry-After"]) > 0
