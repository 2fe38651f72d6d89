"""What jobs and exports take of the day of a token and its swarm, on a real lake."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from typing import Any

import httpx
import pytest

from lake_api.clock import utc_now
from lake_api.stack.s3 import S3Server
from tests.api.conftest import ADMIN
from tests.api.real_lake import RealLake
from tests.usage.asking import Asker, bearer

EXPORTS = "/api/v1/internal/lake/exports"
JOBS = "/api/v1/internal/lake/jobs"
ROWS = "SELECT i AS run_id FROM range({}) r(i)"
FROM_NOON = timedelta(hours=12 - utc_now().hour)
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b"


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[RealLake]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
    }
    # Its day is in its middle: at midnight what was used is used no more.
    with open_lake(clock=lambda: utc_now() + FROM_NOON, **keys) as lake:
        lake.write("agent_run_log", date(2026, 11, 20), ["aurora", "sage", "nova"])
        yield lake


@pytest.fixture(scope="module")
def asker(lake: RealLake) -> Asker:
    return Asker(lake.client)


def ended(lake: RealLake, token: str, sql: str, *, route: str = EXPORTS) -> dict[str, Any]:
    """What came of a job or an export that a token asked for."""
    body = {"sql": sql, **({"format": "csv"} if route == EXPORTS else {})}
    answer = lake.client.post(route, json=body, headers=bearer(token))
    assert answer.status_code == 202, answer.text
    return over(lake, f"{route}/{answer.json()['id']}")


def over(lake: RealLake, path: str) -> dict[str, Any]:
    end = time.monotonic() + 30
    while True:
        found = lake.client.get(path, headers=ADMIN).json()
        if found["state"] not in {"queued", "running"}:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)


def recorded(lake: RealLake, subject: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        return connection.execute(
            "SELECT action, caller, outcome, code, row_count, answer_bytes, token_id, sql_sha256"
            " FROM audit WHERE subject = ? AND action LIKE 'run_%'",
            [subject],
        ).fetchall()


def test_an_export_takes_rows_bytes_and_seconds_of_a_token_and_its_swarm(
    lake: RealLake, asker: Asker, problem: Any
) -> None:
    swarm = asker.make(kind="swarm", name="org", limits={"rows_per_day": 500_000})
    inner = asker.make(by=swarm["token"], name="inner")
    export = ended(lake, inner["token"], ROWS.format(500_000))
    assert (export["row_count"], export["truncated"]) == (500_000, False)
    for one in (inner, swarm):
        today = asker.usage(one["token"]).json()["today"]
        assert (today["rows"], today["bytes"]) == (500_000, export["bytes"])
        assert today["seconds"] > 0
    [(action, caller, outcome, code, rows, size, token_id, sha)] = recorded(lake, export["id"])
    assert (action, caller, outcome, code) == ("run_export", "inner", "ok", None)
    assert (rows, size, token_id) == (500_000, export["bytes"], inner["id"])
    assert len(sha) == 64
    body = {"sql": ROWS.format(1), "format": "csv"}
    refused = lake.client.post(EXPORTS, json=body, headers=bearer(inner["token"]))
    told = problem(refused, 429, "quota_exceeded")
    assert told["field"] == "rows_per_day"
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    # What was paid for is still there to be had.
    found = lake.client.get(f"{EXPORTS}/{export['id']}", headers=bearer(inner["token"]))
    assert httpx.get(found.json()["url"], trust_env=False).status_code == 200


def test_an_export_is_cut_where_the_rows_of_the_day_end(lake: RealLake, asker: Asker) -> None:
    swarm = asker.make(kind="swarm", name="org", limits={"rows_per_day": 1_000})
    inner = asker.make(by=swarm["token"], limits={"rows_per_day": 5_000})
    export = ended(lake, inner["token"], ROWS.format(20_000))
    assert (export["state"], export["row_count"], export["truncated"]) == ("succeeded", 1_000, True)
    [warning] = export["warnings"]
    assert "day of this swarm" in warning
    assert "rows_per_day: 1000" in warning
    assert asker.usage(inner["token"]).json()["today"]["rows"] == 1_000


def test_an_export_is_cut_where_the_bytes_of_the_day_end(lake: RealLake, asker: Asker) -> None:
    token = asker.make(limits={"bytes_per_day": 1_000_000})["token"]
    export = ended(lake, token, ROWS.format(1_000_000))
    assert export["truncated"]
    # To a batch of rows.
    assert 1_000_000 <= export["bytes"] < 3_000_000
    assert any("bytes_per_day" in warning for warning in export["warnings"])


def test_a_job_is_charged_for_seconds_and_its_pages_for_rows(lake: RealLake, asker: Asker) -> None:
    token = asker.make(limits={"rows_per_day": 50})["token"]
    job = ended(lake, token, ROWS.format(1_000), route=JOBS)
    assert (job["row_count"], job["truncated"]) == (1_000, False)
    today = asker.usage(token).json()["today"]
    assert (today["rows"], today["bytes"]) == (0, 0)
    assert today["seconds"] > 0
    assert [one[:5] for one in recorded(lake, job["id"])] == [
        ("run_job", "aurora", "ok", None, 1_000)
    ]
    page = {"page_size": 50}
    path = f"{JOBS}/{job['id']}/results"
    read = lake.client.get(path, params=page, headers=bearer(token))
    assert read.status_code == 200
    assert asker.usage(token).json()["today"]["rows"] == 50
    assert lake.client.get(path, params=page, headers=bearer(token)).status_code == 429


def test_what_has_too_few_seconds_left_says_so(lake: RealLake, asker: Asker) -> None:
    token = asker.make(limits={"seconds_per_day": 2})["token"]
    job = ended(lake, token, ENDLESS, route=JOBS)
    assert (job["state"], job["error"]["code"]) == ("failed", "quota_exceeded")
    assert job["error"]["field"] == "seconds_per_day"
    assert "used up: 2 of 2" in job["error"]["detail"]
    # A little of its time it waited for a worker, which costs nothing.
    assert asker.usage(token).json()["today"]["seconds"] > 1.5
    assert [one[2:4] for one in recorded(lake, job["id"])] == [("error", "quota_exceeded")]


def test_what_waited_until_the_day_was_used_up_does_not_run(lake: RealLake, asker: Asker) -> None:
    token = asker.make(limits={"rows_per_day": 10})["token"]
    # One runs at a time: the second waits while the first takes all there is.
    body = {"sql": ROWS.format(300_000), "format": "csv"}
    first, second = (
        lake.client.post(EXPORTS, json=body, headers=bearer(token)).json() for _ in range(2)
    )
    assert over(lake, f"{EXPORTS}/{first['id']}")["row_count"] == 10
    late = over(lake, f"{EXPORTS}/{second['id']}")
    assert (late["state"], late["error"]["code"]) == ("failed", "quota_exceeded")
    assert late["error"]["retry_after_s"] > 0


def test_a_cancelled_job_is_charged_for_what_it_ran(lake: RealLake, asker: Asker) -> None:
    token = asker.make()["token"]
    asked = lake.client.post(JOBS, json={"sql": ENDLESS}, headers=bearer(token)).json()
    path = f"{JOBS}/{asked['id']}"
    lake.poll(
        lambda: lake.client.get(path, headers=ADMIN).json()["progress"]["stage"] == "running",
        deadline_s=20,
    )
    assert lake.client.post(f"{path}/cancel", headers=bearer(token)).status_code == 200
    lake.poll(lambda: recorded(lake, asked["id"]) != [], deadline_s=20)
    assert recorded(lake, asked["id"])[0][2] == "cancelled"
    assert asker.usage(token).json()["today"]["seconds"] > 0


def test_every_link_that_is_handed_out_is_recorded(lake: RealLake, asker: Asker) -> None:
    token = asker.make(name="linked")["token"]
    export = ended(lake, token, ROWS.format(1))
    path = f"{EXPORTS}/{export['id']}"
    for _ in range(70):
        assert lake.client.get(path, headers=bearer(token)).json()["url"]
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        [(count, form)] = connection.execute(
            "SELECT count(*), max(form) FROM audit WHERE caller = 'linked' "
            "AND action = 'read_export' AND outcome = 'ok'"
        ).fetchall()
    # More than the looks of a minute that are recorded.
    assert (count, form) == (70, "csv")
