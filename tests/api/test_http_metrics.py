"""What every query leaves behind: one line of log, and numbers at `/metrics`."""

import logging
from collections.abc import Mapping
from datetime import date
from typing import Any

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.metrics.metrics import QueryMetrics
from lake_api.query.call_log import Outcome, QueryCall
from lake_api.query.stats import EngineStats

KEY = "test-key-of-the-admin"
SQL = "SELECT agent_id, count(*) AS runs FROM agent_run_log GROUP BY agent_id"
DAY = date(2026, 11, 21)

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def read(text: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    return samples.get((name, frozenset(labels.items())), 0.0)


def scrape(client: Any) -> Samples:
    answer = client.get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return read(answer.text)


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [one.__dict__ for one in caplog.records if one.name == "lake_api.query"]


# --- over a scripted engine: how calls end -----------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "outcome", "code"),
    [
        (None, "ok", None),
        (QueryRejected("No.", code="unknown_column"), "rejected", "unknown_column"),
        (QueryUnavailable("No.", code="query_timeout"), "unavailable", "query_timeout"),
        (RuntimeError("no"), "error", "internal_error"),
    ],
)
def test_every_end_is_counted_and_logged(
    service: Any,
    caplog: pytest.LogCaptureFixture,
    failure: Exception | None,
    outcome: str,
    code: str | None,
) -> None:
    before = scrape(service.client)
    service.engine.failure = failure
    with caplog.at_level(logging.INFO, logger="lake_api.query"):
        answer = service.query(SQL)
    after = scrape(service.client)
    (line,) = lines(caplog)
    assert (line["outcome"], line["code"]) == (outcome, code)
    assert line["query_id"] == answer.json()["query_id"]
    assert line["answer_bytes"] == len(answer.content)
    counted = [value(one, "lake_query_seconds_count", outcome=outcome) for one in (before, after)]
    assert counted[1] - counted[0] == 1
    if code is not None:
        labels = {"outcome": outcome, "code": code}
        assert (
            value(after, "lake_queries_refused_total", **labels)
            - value(before, "lake_queries_refused_total", **labels)
            == 1
        )


@pytest.mark.parametrize(
    ("body", "headers", "code"),
    [
        ({"sql": "short"}, {}, "invalid_request"),
        ({"sql": SQL}, {"Accept": "text/html"}, "not_acceptable"),
        ({"sql": SQL}, {"X-Internal-API-Key": "wrong"}, "invalid_api_key"),
        ({"sql": SQL}, {"X-Forwarded-For": "8.8.8.8"}, "not_authenticated"),
    ],
)
def test_calls_that_reach_no_engine_leave_a_line_too(
    service: Any,
    caplog: pytest.LogCaptureFixture,
    body: dict[str, str],
    headers: dict[str, str],
    code: str,
) -> None:
    before = scrape(service.client)
    with caplog.at_level(logging.INFO, logger="lake_api.query"):
        answer = service.client.post("/api/v1/internal/lake/query", json=body, headers=headers)
    after = scrape(service.client)
    (line,) = lines(caplog)
    assert (line["outcome"], line["code"]) == ("invalid", code)
    assert line["query_id"] == answer.json()["query_id"]
    labels = {"outcome": "invalid", "code": code}
    grown = value(after, "lake_queries_refused_total", **labels) - value(
        before, "lake_queries_refused_total", **labels
    )
    assert grown == 1


def test_a_call_too_many_is_counted(start_service: Any, caplog: pytest.LogCaptureFixture) -> None:
    service = start_service(LAKE_CALLS_PER_MINUTE="1")
    with caplog.at_level(logging.INFO, logger="lake_api.query"):
        assert [service.query(SQL).status_code for _ in range(2)] == [200, 429]
    assert [line["outcome"] for line in lines(caplog)] == ["ok", "limited"]
    assert lines(caplog)[1]["agent"] == "internal"
    refused = scrape(service.client)
    labels = {"outcome": "limited", "code": "rate_limited"}
    assert value(refused, "lake_queries_refused_total", **labels) == 1


def test_the_text_is_logged_only_where_it_is_asked_for(
    start_service: Any, service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    talkative = start_service(LAKE_LOG_SQL="on")
    with caplog.at_level(logging.INFO, logger="lake_api.query"):
        talkative.query(SQL)
        service.query(SQL)
    told, quiet = lines(caplog)
    assert told["sql"] == SQL
    assert "sql" not in quiet
    assert told["sql_sha256"] == quiet["sql_sha256"]


def test_only_internal_peers_and_the_key_may_read_metrics(service: Any, problem: Any) -> None:
    outside = {"X-Forwarded-For": "8.8.8.8"}
    problem(service.client.get("/metrics", headers=outside), 401, "not_authenticated")
    problem(service.client.get("/metrics", headers={"X-Internal-API-Key": "x"}), 401,
            "invalid_api_key")  # fmt: skip
    with_key = service.client.get("/metrics", headers={**outside, "X-Internal-API-Key": KEY})
    assert with_key.status_code == 200
    problem(service.client.get("/metrics", headers={"Host": "evil.example"}), 421, "unknown_host")


def test_the_engines_numbers_are_there(service: Any) -> None:
    samples = scrape(service.client)
    expected = {
        "lake_workers": 2,
        "lake_workers_alive": 2,
        "lake_workers_busy": 1,
        "lake_worker_respawns_total": 3,
        "lake_query_queue_length": 4,
        "lake_object_cache_bytes": 5,
        "lake_object_cache_budget_bytes": 6,
        "lake_object_cache_hits_total": 7,
        "lake_object_cache_misses_total": 8,
        "lake_fetched_bytes_total": 9,
        "lake_answer_cache_bytes": 10,
        "lake_answer_cache_hits_total": 11,
        "lake_answer_cache_misses_total": 12,
        "lake_segment_bytes": 13,
        "lake_segment_builds_total": 14,
        "lake_segments_building": 1,
    }
    assert {name: value(samples, name) for name in expected} == expected
    assert value(samples, "process_resident_memory_bytes") > 0


def test_names_from_a_worker_cant_fill_the_memory() -> None:
    metrics = QueryMetrics()
    for number in range(500):
        call = QueryCall(sql="x", outcome=Outcome.UNAVAILABLE, code=f"code-{number}")
        call.stages_ms = {f"stage-{number}": 1.0}
        metrics.observe(call)
    samples = read(metrics.text(_no_stats()).decode())
    codes = {dict(labels)["code"] for name, labels in samples if name.endswith("refused_total")}
    stages = {dict(labels)["stage"] for name, labels in samples if "stage_seconds_count" in name}
    assert len(codes) == len(stages) == 65
    assert value(samples, "lake_query_stage_seconds_count", stage="other") == 436


def _no_stats() -> Any:
    return EngineStats(**dict.fromkeys(EngineStats.__slots__, 0))


# --- over a real engine: what the numbers are ---------------------------------------------------


def test_a_real_querys_line_and_numbers(start_lake: Any, caplog: pytest.LogCaptureFixture) -> None:
    lake = start_lake()
    lake.write("agent_run_log", DAY, ["aurora", "sage"])
    (size,) = lake.object_sizes("agent_run_log").values()
    headers = {"X-Agent-ID": "aurora", "X-Cron-Run-ID": "nightly-1"}
    with caplog.at_level(logging.INFO, logger="lake_api.query"):
        lake.ask(SQL, headers=headers)
        lake.ask(f"{SQL} ORDER BY 1", headers={**headers, "Accept": "text/csv"})
        lake.ask(SQL, headers=headers)
        lake.ask(SQL, headers=headers, dry_run=True)
    first, other, again, dry = lines(caplog)
    assert (first["agent"], first["cron_run"], first["role"]) == ("aurora", "nightly-1", "agent")
    assert first["datasets"] == ("agent_run_log",)
    assert (first["rows"], first["form"], first["dry_run"]) == (2, "json", False)
    assert (first["read_bytes"], first["fetched_bytes"], first["from_memory"]) == (
        size, size, False,
    )  # fmt: skip
    assert set(first["stages_ms"]) >= {"snapshot", "plan", "fetch", "queue", "bind", "run"}
    assert 0 < sum(first["stages_ms"].values()) <= first["elapsed_ms"] + 1
    assert (other["form"], other["read_bytes"], other["fetched_bytes"]) == ("csv", size, 0)
    assert (again["from_memory"], again["read_bytes"]) == (True, 0)
    assert "run" not in again["stages_ms"]
    assert (dry["dry_run"], dry["rows"], dry["from_memory"]) == (True, 0, True)
    with caplog.at_level(logging.INFO, logger="lake_api.query"):
        lake.ask("SELECT nonsense FROM agent_run_log")
    refused = lines(caplog)[-1]
    assert set(refused["stages_ms"]) == {"snapshot", "plan", "fetch", "failed", "audit"}
    samples = scrape(lake.client)
    assert value(samples, "lake_query_seconds_count", outcome="ok") == 4
    assert value(samples, "lake_query_stage_seconds_count", stage="run") == 2
    assert value(samples, "lake_answer_cache_hits_total") == 1
    assert value(samples, "lake_object_cache_misses_total") == 1
    assert value(samples, "lake_object_cache_hits_total") == 2
    assert value(samples, "lake_fetched_bytes_total") == size
    assert value(samples, "lake_object_cache_bytes") == size
    assert (value(samples, "lake_workers"), value(samples, "lake_workers_alive")) == (1, 1)


def test_a_lost_worker_is_counted(start_lake: Any) -> None:
    lake = start_lake()
    assert value(scrape(lake.client), "lake_worker_respawns_total") == 0
    (worker,) = [
        child for child in psutil.Process().children() if "lake_api.query.worker" in child.cmdline()
    ]
    worker.kill()
    lake.poll(lambda: value(scrape(lake.client), "lake_worker_respawns_total") == 1, deadline_s=20)
    samples = scrape(lake.client)
    assert value(samples, "lake_workers_alive") == 1
    assert value(samples, "lake_workers_busy") == 0
    assert lake.ask("SELECT 42 AS n").json()["rows"] == [[42]]
