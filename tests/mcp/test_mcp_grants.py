"""What a caller with a narrow token meets over MCP: its own, and no trace of the rest."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from mcp.shared.exceptions import McpError
from mcp.types import TextResourceContents
from pydantic import AnyUrl

from tests.api.conftest import ADMIN
from tests.mcp.conftest import McpClient

YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)
HIDDEN = ("agent_run_log", "platform_llm_token_usage", "agent_instances", "intelligence_scores")


@pytest.fixture(scope="module")
def lake(open_lake: Any) -> Iterator[Any]:
    with open_lake() as opened:
        opened.write("external/slack", YESTERDAY, ["aurora", "sage"])
        opened.write("agent_run_log", YESTERDAY, ["aurora"])
        yield opened


@pytest.fixture(scope="module")
def connect(lake: Any) -> Callable[..., McpClient]:
    def connected(*datasets: str, operations: tuple[str, ...] = ("query", "jobs")) -> McpClient:
        wanted = {
            "kind": "agent", "name": "narrow", "datasets": datasets, "operations": operations,
        }  # fmt: skip
        answer = lake.client.post("/api/v1/internal/lake/tokens", json=wanted, headers=ADMIN)
        assert answer.status_code == 201, answer.text
        headers: Mapping[str, str] = {"Authorization": f"Bearer {answer.json()['token']}"}
        return McpClient(str(lake.client.base_url), headers)

    return connected


@pytest.fixture(scope="module")
def narrow(connect: Callable[..., McpClient]) -> McpClient:
    return connect("external/*")


def read(client: McpClient, uri: str) -> str:
    [contents] = client.run(lambda session: session.read_resource(AnyUrl(uri))).contents
    assert isinstance(contents, TextResourceContents)
    assert contents.mimeType == "text/markdown"
    return contents.text


def test_its_own_is_there(narrow: McpClient):
    failed, answer = narrow.call("lake_query", sql="SELECT agent_id FROM external_slack ORDER BY 1")
    assert (failed, answer["rows"]) == (False, [["aurora"], ["sage"]])
    failed, answer = narrow.call("list_datasets")
    assert [one["sql_name"] for one in answer["datasets"]] == ["external_slack"]
    for name in ("external_slack", "external/slack"):
        failed, answer = narrow.call("describe_dataset", name=name)
        assert (failed, answer["days"]["newest"]) == (False, YESTERDAY.isoformat())
        assert {"succeeded", "failed"} in [set(column["values"]) for column in answer["columns"]]
    page = read(narrow, "lake://datasets/external_slack").splitlines()
    told = [line.split(" | ")[0].removeprefix("| ") for line in page if line.startswith("| ")]
    assert told[2:] == [column["name"] for column in answer["columns"]]


def test_the_page_of_a_dataset_tells_columns_and_days(narrow: McpClient):
    listed = narrow.run(lambda session: session.list_resources()).resources
    assert [str(one.uri) for one in listed] == ["lake://datasets/external_slack"]
    page = read(narrow, str(listed[0].uri))
    assert page.startswith("# external_slack\n")
    assert f"from {YESTERDAY} to {YESTERDAY}" in page
    assert "| status | VARCHAR | How it ended. One of: succeeded, failed. |" in page
    assert "| metadata | VARCHAR | More. JSON text. |" in page
    templates = narrow.run(lambda session: session.list_resource_templates()).resourceTemplates
    assert [one.uriTemplate for one in templates] == ["lake://datasets/{name}"]


def test_the_rest_is_not_there(narrow: McpClient):
    told = [
        narrow.run(lambda session: session.list_tools()).model_dump_json(),
        narrow.run(lambda session: session.list_resources()).model_dump_json(),
        narrow.run(lambda session: session.initialize()).model_dump_json(),
        str(narrow.call("list_datasets", q="run")),
        str(narrow.call("lake_query", sql="SELECT count(*) FROM external_slacks")),
        str(narrow.call("lake_query", sql="SELECT count(*) FROM agent_run_logs")),
        read(narrow, "lake://datasets/external_slack"),
    ]
    for text in told:
        assert not [name for name in HIDDEN if name in text.replace("agent_run_logs", "")]


@pytest.mark.parametrize(
    "name", ["agent_run_log", "../tokens", "a?b", "x/../../tokens", "é", "%2e"]
)
def test_what_may_not_be_read_is_what_does_not_exist(narrow: McpClient, name: str):
    def refused(asked: str) -> tuple[bool, str, str]:
        failed, answer = narrow.call("describe_dataset", name=asked)
        return failed, answer["code"], answer["detail"]

    detail = "There is no dataset of this name that you may read."
    assert refused("no_such_dataset") == (True, "unknown_dataset", detail)
    assert refused(name) == refused("no_such_dataset")


def test_pages_that_may_not_be_read_do_not_exist(narrow: McpClient):
    found = set()
    for uri in ("lake://datasets/agent_run_log", "lake://datasets/nothing", "file:///etc/passwd"):
        with pytest.raises(McpError) as raised:
            read(narrow, uri)
        assert raised.value.error.code == -32002
        found.add(raised.value.error.message)
    assert found == {
        "There is no dataset of this name that you may read.",
        "There is no such resource.",
    }


def test_only_tools_that_the_token_allows_are_listed_or_run(connect: Callable[..., McpClient]):
    client = connect("external/*", operations=("exports",))
    assert client.tools() == {}
    assert client.run(lambda session: session.list_resources()).resources == []
    with pytest.raises(McpError, match="you have none"):
        client.call("lake_query", sql="SELECT agent_id FROM external_slack")
    with pytest.raises(McpError, match="does not allow"):
        read(client, "lake://datasets/external_slack")


def test_a_revoked_token_is_refused_at_once(lake: Any, connect: Callable[..., McpClient]):
    client = connect("external/*")
    assert client.tools()
    tokens = lake.client.get("/api/v1/internal/lake/tokens", headers=ADMIN).json()["tokens"]
    lake.client.delete(f"/api/v1/internal/lake/tokens/{tokens[0]['id']}", headers=ADMIN)
    ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
    answer = lake.client.post("/mcp", json=ping, headers=client.headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_token")
