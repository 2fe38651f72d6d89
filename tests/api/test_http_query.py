import json
import logging
from typing import Any

import pytest

from lake_api.errors import QueryRejected, QueryUnavailable

QUERY = "/api/v1/internal/lake/query"
SQL = "SELECT agent_id, COUNT(*) AS runs FROM agent_run_log GROUP BY agent_id"


def test_the_answer_has_the_contracts_fields_first_and_ours_after(service: Any) -> None:
    answer = service.query(SQL, limit=100)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    body = answer.json()
    assert list(body) == [
        "columns", "rows", "row_count", "source", "partition",
        "column_types", "truncated", "elapsed_ms", "query_id", "partitions", "freshness",
        "warnings", "error",
    ]  # fmt: skip
    assert body["columns"] == ["agent_id", "runs"]
    assert body["rows"] == [[f"agent-{index}", index] for index in range(5)]
    assert body["row_count"] == 5
    assert body["source"] == "lake"
    assert body["partition"] == "agent_run_log"
    assert body["column_types"] == ["VARCHAR", "BIGINT"]
    assert body["truncated"] is False
    assert body["elapsed_ms"] > 0
    assert len(body["query_id"]) == 32
    assert body["partitions"] == ["agent_run_log"]
    assert body["freshness"] == [
        {
            "partition": "agent_run_log",
            "sql_name": "agent_run_log",
            "newest_day": "2026-11-21",
            "written_at": "2026-11-22T10:30:00Z",
            "stale": True,
        }
    ]
    assert body["warnings"] == ["one warning"]
    assert body["error"] is None


def test_rows_are_the_workers_bytes(service: Any) -> None:
    service.engine.rows_json = b'[["1.10",12345678901234567890,null,{"a":[1.50]}]]'
    assert service.engine.rows_json in service.query(SQL).content


def test_partition_is_the_first_dataset_and_partitions_all_of_them(service: Any) -> None:
    body = service.query(
        "SELECT 1 FROM platform_llm_token_usage JOIN agent_run_log USING (agent_id)"
    ).json()
    assert body["partition"] == "platform/llm_token_usage"
    assert body["partitions"] == ["platform/llm_token_usage", "agent_run_log"]


def test_a_query_without_a_dataset_has_no_partition(service: Any) -> None:
    body = service.query("SELECT 1 AS one, 2 AS two").json()
    assert body["partition"] is None
    assert body["partitions"] == []


@pytest.mark.parametrize(
    ("sql", "body", "cap"),
    [
        (SQL, {}, 100),
        (SQL, {"limit": 1}, 1),
        (SQL, {"limit": 1000}, 1000),
        (f"{SQL} LIMIT 7", {"limit": 3}, 1000),
        (f"{SQL} LIMIT 5000", {}, 1000),
    ],
)
def test_the_bodys_limit_holds_where_the_sql_has_none(
    service: Any, sql: str, body: dict[str, int], cap: int
) -> None:
    assert service.query(sql, **body).status_code == 200
    assert service.engine.limits == [cap]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "sql"),
        ({"sql": "SELECT 1"[:9]}, "sql"),
        ({"sql": "SELECT 1 "}, "sql"),
        ({"sql": f"SELECT 1{' ' * 4000}"}, "sql"),
        ({"sql": 1}, "sql"),
        ({"sql": None}, "sql"),
        ({"sql": SQL, "limit": 0}, "limit"),
        ({"sql": SQL, "limit": -1}, "limit"),
        ({"sql": SQL, "limit": 1001}, "limit"),
        ({"sql": SQL, "limit": "100"}, "limit"),
        ({"sql": SQL, "limit": 1.5}, "limit"),
        ({"sql": SQL, "limit": True}, "limit"),
        ({"sql": SQL, "limits": 5}, "limits"),
    ],
)
def test_wrong_fields_are_named(
    service: Any, problem: Any, body: dict[str, Any], field: str
) -> None:
    answer = service.client.post(QUERY, json=body)
    assert problem(answer, 422, "invalid_request")["field"] == field
    assert service.engine.limits == []


@pytest.mark.parametrize("length", [10, 4000])
def test_both_ends_of_the_sql_length_are_inside(service: Any, length: int) -> None:
    sql = "SELECT 1 /*" if length > 10 else "SELECT 100"
    sql = sql if length == 10 else f"{sql}{'x' * (length - len(sql) - 2)}*/"
    assert len(sql) == length
    assert service.query(sql).status_code == 200


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"null", b"7"])
def test_a_body_that_is_no_object_is_invalid(service: Any, problem: Any, body: bytes) -> None:
    answer = service.client.post(QUERY, content=body, headers={"Content-Type": "application/json"})
    problem(answer, 422, "invalid_request")


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"{", b'{"sql": "SELECT 1 AS one"', b"sql=1", b'{"sql": "\xff\xfe"}']
)
def test_a_body_that_is_no_json_is_malformed(service: Any, problem: Any, body: bytes) -> None:
    answer = service.client.post(QUERY, content=body, headers={"Content-Type": "application/json"})
    problem(answer, 400, "malformed_json")


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_only_json_is_read(service: Any, problem: Any, media_type: str) -> None:
    answer = service.client.post(
        QUERY, content=json.dumps({"sql": SQL}), headers={"Content-Type": media_type}
    )
    problem(answer, 415, "unsupported_media_type")


def test_a_charset_beside_json_is_fine(service: Any) -> None:
    answer = service.client.post(
        QUERY,
        content=json.dumps({"sql": SQL}),
        headers={"Content-Type": "application/json; charset=utf-8"},
    )
    assert answer.status_code == 200


def test_a_long_body_is_cut_off_while_reading(service: Any, problem: Any) -> None:
    announced = service.client.post(QUERY, json={"sql": SQL, "x": "y" * 70_000})
    problem(announced, 413, "body_too_large")
    chunks = (b" " * 10_000 for _ in range(10))
    streamed = service.client.post(
        QUERY, content=chunks, headers={"Content-Type": "application/json"}
    )
    problem(streamed, 413, "body_too_large")


def test_the_guards_refusal_keeps_code_fragment_and_query_id(service: Any, problem: Any) -> None:
    body = problem(service.query("SELECT * FROM no_such_table"), 400, "unknown_table")
    assert body["fragment"] == "no_such_table"
    assert len(body["query_id"]) == 32


def test_the_binders_refusal_is_told_like_the_guards(service: Any, problem: Any) -> None:
    service.engine.failure = QueryRejected(
        "There is no column `agentid`.", code="unknown_column", hint="Did you mean `agent_id`?"
    )
    body = problem(service.query(SQL), 400, "unknown_column")
    assert body["hint"] == "Did you mean `agent_id`?"


@pytest.mark.parametrize(
    ("code", "retry"), [("storage_unavailable", True), ("query_timeout", False)]
)
def test_what_could_not_be_run_is_unavailable_with_200(
    service: Any, code: str, retry: bool
) -> None:
    service.engine.failure = QueryUnavailable("Not now.", code=code, retry=retry, hint="Wait.")
    answer = service.query(SQL)
    assert answer.status_code == 200
    body = answer.json()
    assert body["source"] == "unavailable"
    assert (body["columns"], body["rows"], body["row_count"]) == ([], [], 0)
    assert body["partition"] == "agent_run_log"
    assert body["error"] == {"code": code, "detail": "Not now.", "retry": retry, "hint": "Wait."}


def test_the_unexpected_is_told_without_its_text(
    service: Any, problem: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service.engine.failure = RuntimeError("s3://secret-bucket/key at /srv/x.py")
    answer = service.query(SQL)
    body = problem(answer, 500, "internal_error")
    assert "secret-bucket" not in answer.text
    logged = [record for record in caplog.records if record.name == "lake_api.errors"]
    assert [record.__dict__["query_id"] for record in logged] == [body["query_id"]]
    assert logged[0].exc_info is not None


def test_every_query_leaves_one_line_without_its_text(
    service: Any, caplog: pytest.LogCaptureFixture
) -> None:
    headers = {"X-Agent-ID": "aurora", "X-Cron-Run-ID": "nightly-1"}
    with caplog.at_level(logging.INFO, logger="lake_api.query"):
        answer = service.query(f"{SQL} LIMIT 4", headers=headers)
        service.query("SELECT * FROM no_such_table")
    done, refused = [one.__dict__ for one in caplog.records if one.name == "lake_api.query"]
    assert done["agent"] == "aurora"
    assert done["cron_run"] == "nightly-1"
    assert done["role"] == "agent"
    assert done["datasets"] == ("agent_run_log",)
    assert done["rows"] == 5
    assert (done["outcome"], done["code"]) == ("ok", None)
    assert done["query_id"] == answer.json()["query_id"]
    assert done["elapsed_ms"] > 0
    assert (refused["outcome"], refused["code"]) == ("rejected", "unknown_table")
    assert not any("SELECT" in str(value) for value in (*done.values(), *refused.values()))
