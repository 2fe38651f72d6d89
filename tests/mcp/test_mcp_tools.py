"""Tools and resources over the official client: what they answer, and to whom."""

import json
import logging
from collections.abc import Callable, Mapping

import msgspec
import pytest
from mcp.shared.exceptions import McpError

from lake_api.errors import QueryUnavailable
from tests.api.conftest import Service
from tests.mcp.conftest import McpClient

SQL = "SELECT agent_id FROM agent_run_log"
TOOLS_WITHOUT_JOBS = {"lake_query", "list_datasets", "describe_dataset", "sample_dataset"}
QUERIES_COUNTED = "lake_query_seconds_count"
Mint = Callable[..., Mapping[str, str]]


def test_the_server_says_who_it_is_and_how_it_is_used(client: McpClient):
    told = client.run(lambda session: session.initialize())
    assert told.serverInfo.name == "ainative-lake"
    assert told.instructions is not None
    assert "describe_dataset" in told.instructions
    assert told.capabilities.tools is not None
    assert told.capabilities.resources is not None


def test_every_tool_says_what_it_takes_within_what_clients_show(client: McpClient):
    tools = client.tools()
    assert set(tools) == TOOLS_WITHOUT_JOBS
    for tool in tools.values():
        assert 20 < len(tool.description) < 1024
        assert tool.inputSchema["type"] == "object"
        assert tool.inputSchema["additionalProperties"] is False
        assert all("description" in one for one in tool.inputSchema["properties"].values())
    guide = tools["lake_query"].inputSchema["properties"]["sql"]["description"]
    assert "- platform_llm_token_usage (e) LLM token consumption and costs" in guide


def test_a_query_answers_its_rows(client: McpClient, service: Service):
    failed, answer = client.call("lake_query", sql=SQL, limit=2)
    assert not failed
    assert answer["columns"] == ["agent_id", "runs"]
    assert answer["rows"] == [["agent-0", 0], ["agent-1", 1]]
    assert answer["truncated"] is True
    assert answer["warnings"] == ["one warning"]
    assert service.engine.limits == [2]


def test_a_query_leaves_the_line_and_the_count_of_its_route(
    client: McpClient, service: Service, caplog: pytest.LogCaptureFixture
):
    def counted() -> float:
        lines = service.client.get("/metrics").text.splitlines()
        return sum(float(one.split()[1]) for one in lines if one.startswith(QUERIES_COUNTED))

    before = counted()
    caplog.set_level(logging.INFO, logger="lake_api.query")
    _, answer = McpClient(client.url, {"X-Agent-ID": "aurora"}).call("lake_query", sql=SQL)
    [line] = [one for one in caplog.records if one.name == "lake_api.query"]
    told = vars(line)
    assert (told["agent"], told["outcome"]) == ("aurora", "ok")
    assert told["query_id"] == answer["query_id"]
    assert counted() == before + 1


def test_a_refused_query_says_what_http_says(client: McpClient, service: Service):
    failed, answer = client.call("lake_query", sql="SELECT 1 FROM agent_run_logs")
    assert failed
    over_http = service.query("SELECT 1 FROM agent_run_logs").json()
    assert over_http["code"] == "unknown_table"
    for told in (answer, over_http):
        assert told.pop("query_id")
    assert answer == over_http


@pytest.mark.parametrize(
    ("arguments", "code", "field"),
    [
        ({"sql": SQL, "limit": 0}, "invalid_request", "limit"),
        ({"sql": "short"}, "invalid_request", "sql"),
        ({"sql": SQL, "more": 1}, "invalid_request", "more"),
        ({}, "invalid_request", "sql"),
    ],
)
def test_wrong_arguments_are_refused_by_the_route(
    client: McpClient, arguments: dict[str, object], code: str, field: str
):
    failed, answer = client.call("lake_query", **arguments)
    assert (failed, answer["code"], answer["field"]) == (True, code, field)


@pytest.mark.parametrize(
    "arguments",
    [{"page": 0}, {"page_size": "10"}, {"q": "x" * 129}, {"unknown": 1}],
)
def test_wrong_arguments_are_refused_by_the_tool(client: McpClient, arguments: dict[str, object]):
    failed, answer = client.call("list_datasets", **arguments)
    assert (failed, answer["code"]) == (True, "invalid_request")
    assert answer["field"] == next(iter(arguments))


def test_what_could_not_be_run_is_a_failure_of_the_tool(client: McpClient, service: Service):
    service.engine.failure = QueryUnavailable("Too slow.", code="query_timeout", hint="Less days.")
    failed, answer = client.call("lake_query", sql=SQL)
    assert failed
    assert (answer["code"], answer["hint"]) == ("query_timeout", "Less days.")
    assert answer["query_id"]


def test_a_fault_of_the_service_tells_nothing_of_its_inside(client: McpClient, service: Service):
    service.engine.failure = RuntimeError("s3://bucket/key secret")
    failed, answer = client.call("lake_query", sql=SQL)
    assert (failed, answer["code"]) == (True, "internal_error")
    assert "secret" not in json.dumps(answer)
    assert "Traceback" not in json.dumps(answer)


def test_calls_of_a_cron_run_are_counted_over_mcp_and_http_together(
    open_service: Callable[..., object],
):
    with open_service(LAKE_CALLS_PER_CRON_RUN="2") as service:
        headers = {"X-Agent-ID": "aurora", "X-Cron-Run-ID": "run-1"}
        client = McpClient(str(service.client.base_url), headers)
        assert not client.call("lake_query", sql=SQL)[0]
        assert service.query(headers=headers).status_code == 200
        failed, answer = client.call("lake_query", sql=SQL)
        assert (failed, answer["code"]) == (True, "rate_limited")
        assert answer["retry_after_s"] > 0
        assert service.query(headers=headers).status_code == 429


def test_a_long_answer_is_cut_at_a_row_and_says_so(open_service: Callable[..., object]):
    with open_service(LAKE_MCP_ANSWER_CHARS="3000") as service:
        service.engine.available_rows = 1000
        rows = [[f"agent-{index}-é", index] for index in range(1000)]
        service.engine.rows_json = msgspec.json.encode(rows)
        client = McpClient(str(service.client.base_url))
        failed, answer = client.call("lake_query", sql=SQL, limit=1000)
        assert not failed
        assert 2400 < len(msgspec.json.encode(answer).decode()) <= 3000
        assert answer["rows"] == rows[: answer["row_count"]]
        assert answer["truncated"] is True
        assert f"Only {answer['row_count']} of 1000 rows fit" in answer["note"]
        service.engine.rows_json = msgspec.json.encode([["x" * 5000, 1]])
        failed, answer = client.call("lake_query", sql=SQL, limit=1)
        assert (failed, answer["rows"], answer["row_count"]) == (False, [], 0)
        assert "select fewer columns" in answer["note"]


def test_what_can_not_be_cut_is_an_error(open_service: Callable[..., object]):
    with open_service(LAKE_MCP_ANSWER_CHARS="10") as service:
        client = McpClient(str(service.client.base_url))
        failed, answer = client.call("lake_query", sql=SQL)
        assert (failed, answer["code"]) == (True, "result_too_large")


def test_an_unknown_tool_is_named_with_those_there_are(client: McpClient):
    with pytest.raises(McpError, match="lake_query, list_datasets"):
        client.call("drop_everything")
