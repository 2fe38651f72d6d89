"""Who may send messages to `/mcp`, and which messages."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import pytest

from tests.api.conftest import ADMIN, Service, assert_problem
from tests.mcp.conftest import McpClient

PING = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
ACCEPT = {"Accept": "application/json, text/event-stream"}


def post(service: Service, body: Any = None, **headers: str) -> httpx.Response:
    content = {"content": body} if isinstance(body, bytes) else {"json": body or PING}
    sent = {"Content-Type": "application/json", **ACCEPT, **headers}
    return service.client.post("/mcp", headers=sent, **content)


def test_a_message_is_answered_with_json(service: Service):
    answer = post(service)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"jsonrpc": "2.0", "id": 1, "result": {}}


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"X-Forwarded-For": "10.0.0.1"}, 401, "not_authenticated"),
        ({"Forwarded": "for=10.0.0.1"}, 401, "not_authenticated"),
        ({"Authorization": "Bearer lake_agent_nobody"}, 401, "invalid_token"),
        ({"X-Internal-API-Key": "wrong"}, 401, "invalid_api_key"),
        ({"Host": "rebound.example.com"}, 421, "unknown_host"),
        ({"Origin": "https://elsewhere.example.com"}, 403, "foreign_origin"),
        ({"Origin": "null"}, 403, "foreign_origin"),
    ],
)
def test_who_is_not_let_in_gets_a_problem(
    service: Service, headers: Mapping[str, str], status: int, code: str
):
    answer = post(service, **headers)
    assert_problem(answer, status, code)
    assert ("www-authenticate" in answer.headers) == (status == 401)


def test_a_page_of_this_service_may_call(service: Service):
    assert post(service, Origin=str(service.client.base_url)).status_code == 200


def test_behind_a_proxy_a_token_is_enough_and_its_headers_reach_the_route(
    service: Service, mint: Callable[..., Mapping[str, str]]
):
    headers = {**mint(), "X-Forwarded-For": "10.0.0.1"}
    client = McpClient(str(service.client.base_url), headers)
    assert not client.call("lake_query", sql="SELECT agent_id FROM agent_run_log")[0]
    assert service.engine.agents[0].startswith("token:")


def test_the_key_makes_an_admin(service: Service):
    client = McpClient(str(service.client.base_url), {**ADMIN, "X-Forwarded-For": "10.0.0.1"})
    assert not client.call("lake_query", sql="SELECT agent_id FROM agent_run_log")[0]
    assert service.engine.agents == ["admin:admin"]


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_there_is_no_session_to_listen_to_or_to_end(service: Service, method: str):
    answer = service.client.request(method, "/mcp", headers={"Accept": "text/event-stream"})
    assert_problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff\xfe", b'{"a": "\\ud800"}', b"[" * 30_000, b'{"a": NaN}'],
)
def test_what_is_no_json_is_a_fault_of_the_caller(service: Service, body: bytes):
    assert_problem(post(service, body), 400, "malformed_json")


def test_a_long_body_is_refused(service: Service):
    long = b'"' + b"x" * service.settings.body_bytes + b'"'
    assert_problem(post(service, long), 413, "body_too_large")


@pytest.mark.parametrize(
    ("body", "code", "field", "told"),
    [
        ([PING], "invalid_message", None, "one message per request"),
        ([], "invalid_message", None, "one message per request"),
        (1, "invalid_message", None, "no JSON object"),
        ({"jsonrpc": "2.0"}, "invalid_message", "method", "`method`"),
        ({"jsonrpc": "1.0", "id": 1}, "invalid_message", "jsonrpc", '"2.0"'),
        ({**PING, "id": None}, "invalid_message", "id", "`id`"),
        ({**PING, "id": [1]}, "invalid_message", "id", "`id`"),
        ({**PING, "id": True}, "invalid_message", "id", "`id`"),
        ({**PING, "method": 5}, "invalid_message", "method", "`method`"),
        ({**PING, "params": []}, "invalid_params", "params", "no object"),
        ({**PING, "method": "tools/call"}, "invalid_params", "params.name", "lake_query"),
        (
            {**PING, "method": "tools/call", "params": {"name": 5}},
            "invalid_params",
            "params.name",
            "Expected `str`",
        ),
        (
            {**PING, "method": "tools/call", "params": {"name": "lake_query", "arguments": "x"}},
            "invalid_params",
            "params.arguments",
            "Expected `object | null`",
        ),
        (
            {**PING, "method": "resources/read", "params": {"uri": "no uri"}},
            "invalid_params",
            "params.uri",
            "lake://datasets/",
        ),
        (
            {**PING, "method": "tools/list", "params": {"cursor": 7}},
            "invalid_params",
            "params.cursor",
            "Expected `str | null`",
        ),
        (
            {**PING, "method": "initialize", "params": {"protocolVersion": "2025-06-18"}},
            "invalid_params",
            "params.capabilities",
            "clientInfo",
        ),
    ],
)
def test_what_is_no_message_is_a_fault_of_the_caller(
    service: Service, body: Any, code: str, field: str | None, told: str
):
    content = json.dumps(body).encode()
    answer = post(service, content)
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert answer.json()["id"] in {1, None}
    assert error["code"] == -32602
    assert told in error["message"]
    assert "pydantic" not in answer.text
    problem = error["data"]
    assert (problem["code"], problem["status"]) == (code, 400)
    assert problem.get("field") == field
    assert problem["detail"]


def test_an_unknown_method_is_refused_by_the_protocol(service: Service):
    answer = post(service, {**PING, "method": "tools/unknown"})
    assert answer.status_code == 200
    assert "error" in answer.json()


def test_other_media_types_are_refused(service: Service):
    refused = post(service, **{"Content-Type": "text/plain"})
    assert_problem(refused, 415, "unsupported_media_type")
    assert post(service, Accept="text/html").status_code == 406


def test_lists_are_requests_of_a_token_and_the_rest_is_counted_by_routes(service: Service):
    body = {"kind": "agent", "name": "few", "limits": {"requests_per_hour": 2}}
    made = service.client.post("/api/v1/internal/lake/tokens", json=body, headers=ADMIN).json()
    held = {"Authorization": f"Bearer {made['token']}"}
    listing = {**PING, "method": "tools/list"}
    call = {"name": "lake_query", "arguments": {"sql": "SELECT agent_id FROM agent_run_log"}}
    calling = {**PING, "method": "tools/call", "params": call}
    assert post(service, **held).status_code == 200
    assert "tools" in post(service, listing, **held).json()["result"]
    # A tool call is one request, of its route.
    assert not post(service, calling, **held).json()["result"]["isError"]
    answer = post(service, listing, **held)
    assert_problem(answer, 429, "rate_limited")
    assert int(answer.headers["Retry-After"]) >= 1
    assert post(service, calling, **held).json()["result"]["isError"]
