"""Jobs and exports as operations: the same three shapes, and only for those who see them."""

import time
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest

from lake_api.stack.s3 import S3Server
from tests.api.conftest import ADMIN

LAKE = "/api/v1/internal/lake"
SQL = "SELECT run_id, agent_id FROM agent_run_log ORDER BY run_id"
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b"
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}
MINE = {"X-Agent-ID": "aurora"}


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[Any]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        # Nothing listens there: jobs are told of without asking Dagster.
        "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
    }
    with open_lake(**keys) as lake:
        lake.write("agent_run_log", date(2026, 11, 20), ["aurora", "sage"])
        yield lake


def start(lake: Any, what: str, sql: str, headers: Any = None, **more: Any) -> str:
    answer = lake.client.post(f"{LAKE}/{what}", json={"sql": sql, **more}, headers=headers or MINE)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


def told(lake: Any, operation_id: str, headers: Any = None) -> Any:
    return lake.client.get(f"{LAKE}/operations/{operation_id}", headers=headers or MINE)


def ended(lake: Any, operation_id: str) -> dict[str, Any]:
    end = time.monotonic() + 30
    while (found := told(lake, operation_id).json())["status"] == "pending":
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(
    ("what", "kind", "more"),
    [("jobs", "run-job", {}), ("exports", "create-export", {"format": "csv"})],
)
def test_one_that_succeeds(lake: Any, what: str, kind: str, more: Any):
    job_id = start(lake, what, SQL, **more)
    done = ended(lake, job_id)
    assert (done["id"], done["kind"], done["status"]) == (job_id, kind, "succeeded")
    assert done["result"]["row_count"] == 2
    assert done["result"]["truncated"] is False
    stored = lake.client.get(done["result"]["location"], headers=MINE).json()
    assert stored["id"] == job_id


def test_one_that_is_cancelled_and_one_that_can_not_work(lake: Any):
    job_id = start(lake, "jobs", ENDLESS)
    pending = {"id": job_id, "kind": "run-job", "status": "pending"}
    assert told(lake, job_id).json() == pending
    assert lake.client.post(f"{LAKE}/jobs/{job_id}/cancel", headers=MINE).status_code == 200
    cancelled = ended(lake, job_id)
    assert (cancelled["status"], cancelled["error"]["code"]) == ("failed", "job_cancelled")
    wrong = ended(lake, start(lake, "jobs", "SELECT missing_column FROM agent_run_log"))
    assert wrong["status"] == "failed"
    assert wrong["error"]["code"] == "unknown_column"


def test_those_of_others_do_not_exist(lake: Any, problem: Any):
    job_id = start(lake, "jobs", SQL)
    ended(lake, job_id)

    def holder(**body: Any) -> dict[str, str]:
        made = lake.client.post(
            f"{LAKE}/tokens", json={"kind": "agent", "name": "n", **body}, headers=ADMIN
        ).json()
        return {**OUTSIDE, "Authorization": f"Bearer {made['token']}"}

    assert told(lake, job_id, ADMIN).status_code == 200
    mine = holder()
    own = start(lake, "jobs", SQL, mine)
    assert told(lake, own, mine).status_code == 200
    for headers, operation_id in (
        ({"X-Agent-ID": "sage"}, job_id),
        (holder(), job_id),
        (holder(), own),
        (MINE, own),
        (MINE, job_id.upper()),
    ):
        problem(told(lake, operation_id, headers), 404, "unknown_operation")


def test_a_token_sees_only_what_it_may_ask_for(lake: Any, problem: Any):
    made = lake.client.post(
        f"{LAKE}/tokens", json={"kind": "swarm", "name": "org"}, headers=ADMIN
    ).json()
    swarm = {**OUTSIDE, "Authorization": f"Bearer {made['token']}"}
    body = {"kind": "agent", "name": "inner"}
    agent = lake.client.post(f"{LAKE}/tokens", json=body, headers=swarm).json()
    job_id = start(lake, "jobs", SQL, {**OUTSIDE, "Authorization": f"Bearer {agent['token']}"})
    assert told(lake, job_id, swarm).json()["id"] == job_id
    other = {"kind": "swarm", "name": "queries", "operations": ["query"]}
    only_queries = lake.client.post(f"{LAKE}/tokens", json=other, headers=ADMIN).json()
    headers = {**OUTSIDE, "Authorization": f"Bearer {only_queries['token']}"}
    problem(told(lake, job_id, headers), 404, "unknown_operation")
