"""What models and analysts write by habit: each is answered, or told what to write in its place."""

import gzip
import json
from typing import Any

import pytest

from lake_api.doors import Door, in_words_of
from tests.api.conftest import ADMIN, QUERY

COUNT = "SELECT count(*) AS n FROM agent_run_log"
LIST = "GET /api/v1/internal/lake/datasets lists the datasets that you may read"
DESCRIBE = "GET /api/v1/internal/lake/datasets/agent_run_log describes agent_run_log"


def ask(service: Any, **body: Any) -> Any:
    return service.client.post(QUERY, json=body)


@pytest.mark.parametrize(
    ("sql", "hint"),
    [
        ("SHOW TABLES", f"{LIST}: agent_run_log, platform_llm_token_usage"),
        ("DESCRIBE agent_run_log", f"{DESCRIBE}. Its columns are run_id, agent_id"),
        ("PRAGMA table_info('agent_run_log')", "Its columns are run_id"),
        ("SHOW COLUMNS FROM agent_run_log", "Its columns are run_id"),
        ("SELECT * FROM information_schema.tables", LIST),
        (
            "SELECT * FROM information_schema.columns WHERE table_name = 'agent_run_log'",
            "Its columns are run_id",
        ),
        ("SELECT * FROM sqlite_master", LIST),
        ("SELECT * FROM duckdb_tables()", LIST),
        ("SELECT * FROM (SHOW TABLES)", LIST),
        ("SELECT count(*) FROM platform.llm_token_usage", "Write platform_llm_token_usage."),
        ('SELECT count(*) FROM "platform/llm_token_usage"', "Write platform_llm_token_usage."),
        ("SELECT 1 AS a FROM p.platform.llm_token_usage", "Write platform_llm_token_usage."),
        ("SELECT count(*) FROM `agent_run_log`", "without backticks: agent_run_log"),
        (f"```sql\n{COUNT}\n```", "without the Markdown fence"),
        ("SELECT TOP 5 * FROM agent_run_log", "Write LIMIT 5"),
        ("SELECT TOP (5) * FROM agent_run_log", "LIMIT 5"),
        (f"{COUNT} WHERE status = ‘failed’", "typographic quote"),
        ("SELECT\u00a0count(*) FROM agent_run_log", "ordinary space"),
        ("SELECT count(*) AS zähler FROM agent_run_log", '"zähler"'),
        ("SELECT getenv('HOME') FROM agent_run_log", "no environment"),
        ("SELECT NVL(status, 'x') FROM agent_run_log", "coalesce(a, b)"),
        ("SELECT GETDATE() FROM agent_run_log", "now()"),
        ("EXPLAIN SELECT * FROM agent_run_log", "dry_run"),
        ("VALUES (1, 'a'), (2, 'b')", "SELECT * FROM (VALUES"),
        ("SELECT 0xFF FROM agent_run_log", "255"),
        ("SELECT E'a' FROM agent_run_log", "plain '…' string"),
        ("SELECT * FROM agent_run_log FOR UPDATE", "only reads"),
        ("INSERT INTO agent_run_log VALUES (1)", "read-only"),
        ("SELEC count(*) FROM agent_run_log", "Did you mean SELECT?"),
    ],
)
def test_a_refusal_says_what_to_write(service: Any, sql: str, hint: str) -> None:
    answer = ask(service, sql=sql)
    assert answer.status_code == 400, answer.text
    assert hint in answer.json()["hint"]


def test_a_short_text_is_told_what_passes(service: Any, problem: Any) -> None:
    body = problem(ask(service, sql="SELECT 1"), 422, "invalid_request")
    passing = body["hint"].partition(" passes")[0]
    assert ask(service, sql=passing).status_code == 200


@pytest.mark.parametrize("name", ["query", "statement", "sqls"])
def test_another_name_of_the_field_is_told_the_right_one(
    service: Any, problem: Any, name: str
) -> None:
    body = problem(ask(service, **{name: COUNT}), 422, "invalid_request")
    assert "Did you mean `sql`?" in body["hint"]


def test_null_is_not_given_and_a_whole_float_is_a_number(service: Any, problem: Any) -> None:
    assert ask(service, sql=COUNT, limit=None, dry_run=None).status_code == 200
    assert service.engine.limits[-1] == 100
    assert ask(service, sql=COUNT, limit=10.0).status_code == 200
    assert service.engine.limits[-1] == 10
    body = problem(ask(service, sql=COUNT, limit=10.5), 422, "invalid_request")
    assert (body["field"], body["hint"]) == ("limit", "Send a whole number, such as 10.")
    problem(ask(service, sql=None), 422, "invalid_request")


@pytest.mark.parametrize("number", ["1e999", "9" * 5_000, "-" + "9" * 5_000])
def test_a_number_that_no_type_holds_is_a_fault_of_the_caller(
    service: Any, problem: Any, number: str
) -> None:
    answer = service.client.post(
        "/api/v1/internal/lake/query",
        content=f'{{"sql": "{COUNT}", "limit": {number}}}',
        headers={"Content-Type": "application/json"},
    )
    assert problem(answer, 422, "invalid_request")["field"] == "limit"


def test_a_byte_order_mark_is_no_part_of_the_text(service: Any, problem: Any) -> None:
    assert ask(service, sql=f"\ufeff{COUNT}").status_code == 200
    body = problem(ask(service, sql="\ufeffSELECT count(*) FROM nothing"), 400, "unknown_table")
    assert body["position"]["offset"] == 22


@pytest.mark.parametrize(
    ("door", "words"),
    [
        (Door.HTTP, LIST),
        (Door.MCP, "list_datasets lists the datasets that you may read"),
        (Door.COMMAND, "`lake datasets` lists the datasets that you may read"),
    ],
)
def test_each_door_has_its_own_words(door: Door, words: str) -> None:
    assert in_words_of(door, LIST) == words
    told = in_words_of(door, DESCRIBE)
    assert ("/api/" in told) is (door is Door.HTTP)
    assert told.endswith("describes agent_run_log")


# --- around the query: compression, origins, the document --------------------------------------


def test_answers_are_compressed_where_that_is_asked_for(service: Any) -> None:
    path = "/schema/openapi.json"
    plain = service.client.get(path, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    with service.client.stream("GET", path, headers={"Accept-Encoding": "gzip"}) as packed:
        content = b"".join(packed.iter_raw())
    kinds = {"application/json", "application/vnd.oai.openapi+json"}
    assert packed.headers["content-type"].partition(";")[0] in kinds
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(content) < len(plain.content) / 3
    assert gzip.decompress(content) == plain.content
    refused = service.client.get(path, headers={"Accept-Encoding": "gzip;q=0"})
    assert "content-encoding" not in refused.headers


def test_what_is_short_or_an_arrow_stream_stays_as_it_is(service: Any) -> None:
    for accept in ("application/json", "application/vnd.apache.arrow.stream"):
        answer = service.client.post(
            QUERY, json={"sql": COUNT}, headers={"Accept": accept, "Accept-Encoding": "gzip"}
        )
        assert answer.status_code == 200
        assert "content-encoding" not in answer.headers


def test_pages_of_allowed_origins_may_call(start_service: Any) -> None:
    service = start_service(LAKE_ALLOWED_ORIGINS="https://app.example.com")
    own = {"Origin": "https://app.example.com"}
    answer = service.client.post(QUERY, json={"sql": COUNT}, headers=own)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == own["Origin"]
    shown = answer.headers["access-control-expose-headers"].lower().split(", ")
    rows = service.client.post(QUERY, json={"sql": COUNT}, headers={**own, "Accept": "text/csv"})
    sent = {name for name in rows.headers if name.startswith(("x-lake-", "x-ratelimit-"))}
    assert sent
    assert sent <= set(shown)
    asked = {**own, "Access-Control-Request-Method": "POST"}
    assert service.client.options(QUERY, headers=asked).status_code == 204
    foreign = {"Origin": "https://other.example.com"}
    refused = service.client.post(QUERY, json={"sql": COUNT}, headers=foreign)
    assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
    assert "access-control-allow-origin" not in refused.headers


def test_the_document_names_who_may_call(service: Any) -> None:
    document = service.client.get("/schema/openapi.json").json()
    operations = {
        operation["operationId"]: operation
        for path in document["paths"].values()
        for operation in path.values()
    }
    for name in ("query_lake", "list_datasets", "start_job", "get_metrics"):
        headers = {one["name"] for one in operations[name]["parameters"] if one["in"] == "header"}
        assert "X-Agent-ID" in headers, name
        assert {} in operations[name]["security"], name
    assert operations["trigger_task"]["security"] == [{"InternalApiKey": []}]
    assert "security" not in operations["get_health"]
    known = set(document["components"]["securitySchemes"])
    named = {one for op in operations.values() for way in op.get("security", ()) for one in way}
    assert named == known


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/*", None])
def test_mcp_answers_whatever_a_client_accepts(service: Any, accept: str | None) -> None:
    request = service.client.build_request(
        "POST", "/mcp", json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    )
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    answer = service.client.send(request)
    assert answer.status_code == 200, answer.text
    tools = answer.json()["result"]["tools"]
    assert all(tool["outputSchema"]["type"] == "object" for tool in tools)


def test_metrics_have_one_charset_and_know_routes_jobs_and_datasets(service: Any) -> None:
    ask(service, sql=COUNT)
    answer = service.client.get("/metrics", headers=ADMIN)
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    text = answer.text
    assert "_created" not in text
    route = json.dumps(QUERY)
    assert f'lake_http_seconds_count{{method="POST",route={route},status="200"}}' in text
    assert "lake_audit_rows_total" in text
