import json
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lake_api.errors import QueryUnavailable
from lake_api.query.rate_limit import CallCounter
from lake_api.settings import Settings, SettingsError
from tests.redis_server import running_redis

SQL = "SELECT agent_id FROM agent_run_log"


@pytest.fixture(scope="module")
def limited(start_service: Any) -> Any:
    return start_service(LAKE_CALLS_PER_CRON_RUN="10", LAKE_CALLS_PER_MINUTE="4")


def ask(service: Any, agent: str, run: str | None = None, sql: str = SQL) -> Any:
    headers = {"X-Agent-ID": agent, **({"X-Cron-Run-ID": run} if run else {})}
    return service.query(sql, headers=headers)


def test_ten_calls_in_one_cron_run(limited: Any, problem: Any) -> None:
    answers = [ask(limited, "aurora", "run-1") for _ in range(10)]
    assert [one.status_code for one in answers] == [200] * 10
    left = [int(one.headers["X-RateLimit-Remaining"]) for one in answers]
    assert left == list(range(9, -1, -1))
    assert {one.headers["X-RateLimit-Limit"] for one in answers} == {"10"}
    refused = ask(limited, "aurora", "run-1")
    body = problem(refused, 429, "rate_limited")
    assert int(refused.headers["Retry-After"]) == body["retry_after_s"] > 3600
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert int(refused.headers["X-RateLimit-Reset"]) > 3600


def test_another_run_and_another_agent_have_their_own_calls(limited: Any) -> None:
    for _ in range(10):
        ask(limited, "sage", "run-1")
    assert ask(limited, "sage", "run-1").status_code == 429
    assert ask(limited, "sage", "run-2").status_code == 200
    assert ask(limited, "iris", "run-1").status_code == 200


def test_a_new_run_with_each_call_is_stopped_by_the_cap_of_all_runs(
    open_service: Any, problem: Any
) -> None:
    with open_service(LAKE_CALLS_PER_MINUTE_OF_RUNS="3", LAKE_CALLS_PER_MINUTE="2") as service:
        answers = [ask(service, "many", f"run-{number}") for number in range(4)]
        assert [one.status_code for one in answers] == [200, 200, 200, 429]
        problem(answers[3], 429, "rate_limited")
        assert 1 <= int(answers[3].headers["Retry-After"]) <= 60
        assert ask(service, "other", "run-1").status_code == 200
        # Calls without a run have a budget of their own.
        assert [ask(service, "many").status_code for _ in range(3)] == [200, 200, 429]


def test_a_minute_has_its_own_cap_without_a_run(limited: Any, problem: Any) -> None:
    assert [ask(limited, "minute").status_code for _ in range(4)] == [200] * 4
    refused = ask(limited, "minute")
    problem(refused, 429, "rate_limited")
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


def test_refused_queries_count_and_tell_what_is_left(limited: Any) -> None:
    bad = ask(limited, "clumsy", sql="SELECT * FROM no_such_table")
    invalid = ask(limited, "clumsy", sql="short")
    assert (bad.status_code, bad.headers["X-RateLimit-Remaining"]) == (400, "3")
    assert (invalid.status_code, invalid.headers["X-RateLimit-Remaining"]) == (422, "2")


def test_the_admin_and_an_agent_called_admin_do_not_share(limited: Any) -> None:
    for _ in range(4):
        ask(limited, "admin")
    assert ask(limited, "admin").status_code == 429
    answer = limited.query(SQL, headers={"X-Internal-API-Key": "test-key-of-the-admin"})
    assert answer.status_code == 200


def test_an_unknown_store_is_refused_at_start() -> None:
    with pytest.raises(SettingsError, match="LAKE_RATE_LIMIT_STORE"):
        CallCounter(Settings.from_mapping({"LAKE_RATE_LIMIT_STORE": "floppy://a"}))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ({"sql": SQL}, {"Accept": "text/html"}, 406),
        ({"sql": SQL}, {"Accept": "text/csv"}, 200),
        ({"sql": SQL, "dry_run": True}, {}, 200),
        ({"sql": SQL, "limit": 0}, {}, 422),
        ({"sql": SQL}, {"Content-Type": "text/plain"}, 415),
        ({"sql": "x" * 70_000}, {}, 413),
    ],
)
def test_every_answer_tells_what_is_left_and_every_call_counts(
    limited: Any, body: dict[str, Any], headers: dict[str, str], status: int
) -> None:
    who = {"X-Agent-ID": f"counted-{status}-{len(headers)}", "X-Cron-Run-ID": "run"}
    for left in ("9", "8"):
        answer = limited.client.post(
            "/api/v1/internal/lake/query",
            content=json.dumps(body),
            headers={"Content-Type": "application/json", **headers, **who},
        )
        assert answer.status_code == status
        assert answer.headers["X-RateLimit-Remaining"] == left


def test_what_could_not_be_run_tells_what_is_left(limited: Any) -> None:
    limited.engine.failure = QueryUnavailable("Not now.", code="storage_unavailable")
    try:
        for form, status in (("application/json", 200), ("text/csv", 503)):
            answer = limited.query(SQL, headers={"X-Agent-ID": f"away-{status}", "Accept": form})
            assert (answer.status_code, answer.headers["X-RateLimit-Remaining"]) == (status, "3")
    finally:
        limited.engine.failure = None


def test_a_store_without_its_client_is_refused_at_start(monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SettingsError, match=r"LAKE_RATE_LIMIT_STORE.*\[redis\]"):
        CallCounter(Settings.from_mapping({"LAKE_RATE_LIMIT_STORE": "redis://127.0.0.1:1"}))


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with running_redis(tmp_path) as url:
        yield url


def test_replicas_share_the_counts_in_redis(open_service: Any, redis_url: str) -> None:
    settings = {"LAKE_RATE_LIMIT_STORE": redis_url, "LAKE_CALLS_PER_MINUTE": "3"}
    with open_service(**settings) as one, open_service(**settings) as two:
        left = [ask(which, "aurora", "run-1") for which in (one, two)]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in left] == ["9", "8"]
        answers = [ask(which, "aurora") for which in (one, two, one, two)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert 1 <= int(answers[3].headers["Retry-After"]) <= 60


def test_a_store_that_is_away_lets_nobody_in(open_service: Any, problem: Any) -> None:
    with open_service(LAKE_RATE_LIMIT_STORE="redis://127.0.0.1:9") as service:
        answer = ask(service, "aurora")
    body = problem(answer, 503, "rate_limit_unavailable")
    assert body["retry"] is True
    assert answer.headers["Retry-After"] == "5"


def test_a_store_that_hangs_is_given_up(open_service: Any, problem: Any) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}"
        with open_service(LAKE_RATE_LIMIT_STORE=url) as service:
            service.client.timeout = 30
            started = time.monotonic()
            problem(ask(service, "aurora"), 503, "rate_limit_unavailable")
            assert time.monotonic() - started < 15
