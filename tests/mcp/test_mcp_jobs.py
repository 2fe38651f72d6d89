"""Long queries over MCP: started, waited for, read by page, by their owner only."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lake_api.errors import Problem
from lake_api.mcp.calls import job_result
from lake_api.mcp.inside import RouteCall, RouteRefused
from lake_api.stack.s3 import S3Server
from tests.api.conftest import ADMIN
from tests.mcp.conftest import McpClient

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
SQL = "SELECT agent_id FROM external_slack ORDER BY agent_id"
UNKNOWN_JOB = "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11"


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[Any]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
    }
    with open_lake(**keys, LAKE_MCP_ANSWER_CHARS="2000") as opened:
        opened.write("external/slack", YESTERDAY, [f"agent-{place:03}" for place in range(250)])
        yield opened


def client_of(lake: Any, name: str) -> McpClient:
    wanted = {
        "kind": "agent", "name": name, "datasets": ["external/*"], "operations": ["query", "jobs"],
    }  # fmt: skip
    answer = lake.client.post("/api/v1/internal/lake/tokens", json=wanted, headers=ADMIN)
    headers: Mapping[str, str] = {"Authorization": f"Bearer {answer.json()['token']}"}
    return McpClient(str(lake.client.base_url), headers)


@pytest.fixture(scope="module")
def client(lake: Any) -> McpClient:
    return client_of(lake, "aurora")


def test_a_job_is_read_by_page_once_it_is_over(client: McpClient):
    failed, job = client.call("start_job", sql=SQL)
    assert (failed, job["datasets"]) == (False, ["external/slack"])
    assert job["state"] in {"queued", "running"}
    failed, page = client.call("job_result", job_id=job["id"], page=13, page_size=20, wait_s=30)
    assert not failed
    assert page["rows"] == [[f"agent-{place:03}"] for place in range(240, 250)]
    assert (page["row_count"], page["pages"], page["truncated"]) == (250, 13, False)


def test_a_page_that_does_not_fit_says_so_and_still_counts_all_rows(client: McpClient):
    _, job = client.call("start_job", sql=SQL)
    failed, page = client.call("job_result", job_id=job["id"], page_size=200, wait_s=30)
    assert not failed
    assert 0 < len(page["rows"]) < 200
    assert (page["row_count"], page["truncated"]) == (250, False)
    assert "smaller page_size" in page["note"]


def test_nobody_waits_longer_than_wanted(client: McpClient):
    _, job = client.call("start_job", sql=SQL)
    failed, answer = client.call("job_result", job_id=job["id"], wait_s=0)
    assert not failed
    assert answer.get("state") in {"queued", "running", None}
    assert ("rows" in answer) == ("state" not in answer)


def test_why_a_job_failed_is_a_failure_of_the_tool(client: McpClient):
    _, job = client.call("start_job", sql="SELECT agent_id::int FROM external_slack")
    failed, answer = client.call("job_result", job_id=job["id"], wait_s=30)
    assert failed
    assert answer["code"]
    assert answer["status"] == 400


def test_what_the_guard_refuses_is_refused_at_once(client: McpClient):
    failed, answer = client.call("start_job", sql="SELECT agent_id FROM agent_run_log")
    assert (failed, answer["code"]) == (True, "unknown_table")


@pytest.mark.parametrize(
    "arguments",
    [{"job_id": "../jobs"}, {"job_id": UNKNOWN_JOB, "wait_s": 31}, {"job_id": None}],
)
def test_wrong_arguments_are_refused(client: McpClient, arguments: dict[str, Any]):
    failed, answer = client.call("job_result", **arguments)
    assert (failed, answer["code"]) == (True, "invalid_request")


def test_a_job_of_another_does_not_exist(lake: Any, client: McpClient):
    _, job = client.call("start_job", sql=SQL)
    other = client_of(lake, "sage")
    refused = [other.call("job_result", job_id=one) for one in (job["id"], UNKNOWN_JOB)]
    assert refused[0] == refused[1]
    assert (refused[0][0], refused[0][1]["status"]) == (True, 404)


def test_waiting_does_not_use_up_what_asking_needs():
    running = b'{"state": "running", "error": null}'
    asked: list[RouteCall] = []

    async def ask(call: RouteCall) -> bytes:
        asked.append(call)
        if len(asked) > 2:
            raise RouteRefused(Problem(status=429, code="rate_limited", title="", detail="Many."))
        return running

    assert asyncio.run(job_result(ask, {"job_id": UNKNOWN_JOB, "wait_s": 30})) == running
    assert len(asked) == 3
