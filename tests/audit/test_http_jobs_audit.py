"""Jobs and exports are recorded and held to the limits of tokens like queries are."""

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from lake_api.stack.s3 import S3Server
from tests.api.conftest import open_lake
from tests.api.real_lake import RealLake
from tests.audit.test_http_audit import rows_of
from tests.usage.asking import Asker, bearer

__all__ = ["open_lake"]

JOBS = "/api/v1/internal/lake/jobs"
EXPORTS = "/api/v1/internal/lake/exports"
SQL = {"sql": "SELECT run_id FROM agent_run_log ORDER BY run_id"}


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[RealLake]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_QUERY_WORKERS": "1",
        "LAKE_HEAVY_WORKERS": "1",
    }
    with open_lake(**keys) as lake:
        lake.write("agent_run_log", date(2026, 11, 20), ["aurora", "sage", "nova"])
        yield lake


def results(lake: RealLake, job_id: str, token: str) -> Any:
    until = time.monotonic() + 30
    while True:
        answer = lake.client.get(f"{JOBS}/{job_id}/results", headers=bearer(token))
        if answer.status_code != 409:
            return answer
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_job_and_its_rows_are_recorded_and_count_for_the_day(
    lake: RealLake, problem: Any
) -> None:
    asker = Asker(lake.client)
    token = asker.make(limits={"rows_per_day": 3})["token"]
    job = lake.client.post(JOBS, json=SQL, headers=bearer(token)).json()
    answer = results(lake, job["id"], token)
    assert answer.json()["row_count"] == 3
    assert asker.usage(token).json()["today"]["rows"] == 3
    for refused in (
        lake.client.get(f"{JOBS}/{job['id']}/results", headers=bearer(token)),
        lake.client.post(JOBS, json=SQL, headers=bearer(token)),
        lake.client.post(EXPORTS, json={**SQL, "format": "csv"}, headers=bearer(token)),
        asker.query(token),
    ):
        problem(refused, 429, "quota_exceeded")
    rows = [row for row in rows_of(lake.cache / "service.db") if row["caller"] == "aurora"]
    started = rows[0]
    assert (started["action"], started["subject"]) == ("start_job", job["id"])
    assert started["datasets"] == ["agent_run_log"]
    assert len(started["sql_sha256"]) == 64
    [read] = [row for row in rows if row["action"] == "read_job" and row["outcome"] == "ok"]
    assert (read["subject"], read["row_count"]) == (job["id"], 3)
    assert read["answer_bytes"] > 0
    assert [row["code"] for row in rows[-4:]] == ["quota_exceeded"] * 4


def test_an_export_is_recorded_and_a_request_of_its_token(lake: RealLake, problem: Any) -> None:
    token = Asker(lake.client).make(name="sage", limits={"requests_per_hour": 1})["token"]
    body = {**SQL, "format": "parquet"}
    export = lake.client.post(EXPORTS, json=body, headers=bearer(token))
    assert export.status_code == 202, export.text
    limited = lake.client.post(EXPORTS, json=body, headers=bearer(token))
    problem(limited, 429, "rate_limited")
    rows = [row for row in rows_of(lake.cache / "service.db") if row["caller"] == "sage"]
    assert [(row["action"], row["form"], row["outcome"]) for row in rows] == [
        ("start_export", "parquet", "ok"),
        ("start_export", None, "refused"),
    ]
    assert rows[0]["subject"] == export.json()["id"]
