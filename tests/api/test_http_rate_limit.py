from typing import Any

import pytest

from lake_api.query.rate_limit import CallCounter
from lake_api.settings import Settings, SettingsError

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
