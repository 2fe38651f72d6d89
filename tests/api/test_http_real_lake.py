"""The service with its own engine over a real S3 server: rows that were written, over HTTP."""

import io
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import httpx
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.app import create_app
from lake_api.query.reader_store import open_whole
from lake_api.settings import Settings
from lake_assets.catalog import Catalog, LakeLocation, data_key
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter
from tests.api.conftest import database_in

DAY = date(2026, 11, 21)
COUNT = "SELECT agent_id, count(*) AS runs FROM agent_run_log GROUP BY agent_id ORDER BY agent_id"


@pytest.fixture
def client(bucket: LakeLocation, catalog: Catalog, serve: Any, tmp_path: Any) -> Iterator[Any]:
    settings = Settings.from_mapping(
        {
            "LAKE_CACHE_DIR": str(tmp_path),
            "LAKE_DATABASE_URL": database_in(tmp_path),
            "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
        }
    )
    app = create_app(settings=settings, catalog=catalog, location=bucket)
    with serve(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as http:
        yield http


@pytest.fixture
def write(bucket: LakeLocation, catalog: Catalog) -> Any:
    dataset = catalog["agent_run_log"]
    store = LakeStore(bucket)
    writer = PartitionWriter(store, run_id="run-1", code_version="1", allow_shrink=True)

    def put(*agents: str) -> None:
        at = datetime(2026, 11, 21, 12, tzinfo=UTC)
        rows = [
            {
                "run_id": f"run-{place}",
                "agent_id": agent,
                "status": "succeeded",
                "cost_usd": Decimal("0.100000"),
                "metadata": '{"k": 1}',
                "created_at": at,
                "updated_at": at,
            }
            for place, agent in enumerate(agents)
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(dataset))
        writer.write(dataset, DAY, [batch])
        store.bump_version(dataset, [DAY])

    return put


def ask(client: httpx.Client, sql: str, **more: Any) -> httpx.Response:
    return client.post("/api/v1/internal/lake/query", json={"sql": sql, **more})


def test_written_rows_are_answered_and_rewritten_rows_too(client: Any, write: Any) -> None:
    write("aurora", "aurora", "sage")
    first = ask(client, COUNT).json()
    assert first["source"] == "lake"
    assert first["columns"] == ["agent_id", "runs"]
    assert first["rows"] == [["aurora", 2], ["sage", 1]]
    assert (first["row_count"], first["truncated"]) == (2, False)
    assert first["partition"] == "agent_run_log"
    assert first["freshness"][0]["newest_day"] == "2026-11-21"
    write("iris")
    written = time.monotonic()
    while ask(client, COUNT).json()["rows"] != [["iris", 1]]:
        # A second is promised; a loaded machine gets more before this is a fault.
        assert time.monotonic() - written < 5
        time.sleep(0.05)


def test_limits_over_real_rows(client: Any, write: Any) -> None:
    write(*(f"agent-{place:04}" for place in range(1500)))
    every = "SELECT agent_id FROM agent_run_log ORDER BY agent_id"
    for sql, body, count, truncated in (
        (every, {}, 100, True),
        (every, {"limit": 7}, 7, True),
        (every, {"limit": 1000}, 1000, True),
        (f"{every} LIMIT 3", {"limit": 1}, 3, False),
        (f"{every} LIMIT 1200", {}, 1000, True),
        (f"{every} LIMIT 1000", {}, 1000, False),
        ("SELECT agent_id FROM agent_run_log WHERE agent_id < 'agent-0005'", {}, 5, False),
    ):
        answer = ask(client, sql, **body).json()
        assert (answer["row_count"], answer["truncated"]) == (count, truncated), (sql, body)
        assert len(answer["rows"]) == count


def test_a_dataset_without_data_answers_its_columns_and_a_warning(client: Any) -> None:
    answer = ask(client, "SELECT * FROM platform_llm_token_usage").json()
    assert answer["source"] == "lake"
    assert (answer["rows"], answer["row_count"]) == ([], 0)
    assert {"run_id", "agent_id", "cost_usd", "date"} <= set(answer["columns"])
    assert answer["warnings"]
    assert answer["freshness"][0]["newest_day"] is None


@pytest.mark.parametrize(
    ("sql", "status"),
    [
        ("SELECT agentid FROM agent_run_log", 400),
        ("SELECT * FROM agent_runs_log", 400),
        ("DROP TABLE agent_run_log", 400),
        ("SELECT * FROM read_parquet('s3://ainative-lake/raw/x')", 400),
        ("SELECT agent_id + FROM WHERE", 400),
        ("SELECT 1 AS a; SELECT 2 AS b", 400),
        ("SELECT sum(agent_id) FROM agent_run_log", 400),
    ],
)
def test_refusals_say_why_in_the_one_shape(
    client: Any, write: Any, problem: Any, sql: str, status: int
) -> None:
    write("aurora")
    answer = ask(client, sql)
    body = problem(answer, status, answer.json()["code"])
    assert body["code"] not in {"internal_error", "query_rejected"}
    assert body["query_id"]
    assert "s3://" not in body["detail"]


def test_a_day_of_another_type_is_no_fault_of_the_caller(
    client: Any, bucket: LakeLocation, catalog: Catalog
) -> None:
    dataset = catalog["agent_run_log"]
    foreign = io.BytesIO()
    pq.write_table(pa.table({"run_id": ["a"], "cost_usd": ["many"]}), foreign)
    obstore.put(open_whole(bucket), data_key(dataset, DAY), foreign.getvalue())
    LakeStore(bucket).bump_version(dataset, [DAY])

    answer = ask(client, "SELECT sum(cost_usd) AS cost FROM agent_run_log")
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["source"], body["rows"]) == ("unavailable", [])
    error = body["error"]
    assert (error["code"], error["retry"]) == ("stored_type_mismatch", False)
    assert "`agent_run_log` has values of `cost_usd` on 2026-11-21" in error["detail"]
    assert "Leave `cost_usd` out" in error["hint"]
    assert not [word for word in ("parquet", "/tmp", bucket.bucket) if word in answer.text]
    assert ask(client, "SELECT run_id FROM agent_run_log").json()["rows"] == [["a"]]


def test_the_parts_are_ready(client: Any) -> None:
    parts = client.get("/readyz").json()["parts"]
    assert parts["storage"] == {"ok": True, "reason": None}
    assert parts["workers"] == {"ok": True, "reason": None}


def test_storage_that_is_away_is_unavailable_with_200(
    catalog: Catalog, serve: Any, tmp_path: Any
) -> None:
    settings = Settings.from_mapping(
        {"LAKE_CACHE_DIR": str(tmp_path), "LAKE_DATABASE_URL": database_in(tmp_path)}
    )
    nowhere = LakeLocation(endpoint="http://127.0.0.1:9", access_key="a", secret_key="b")
    app = create_app(settings=settings, catalog=catalog, location=nowhere)
    with serve(app) as url, closing(httpx.Client(base_url=url, timeout=60)) as client:
        answer = ask(client, COUNT)
    assert answer.status_code == 200
    body = answer.json()
    assert (body["source"], body["rows"], body["partition"]) == (
        "unavailable",
        [],
        "agent_run_log",
    )
    assert body["error"]["code"] == "storage_unavailable"
    assert body["error"]["retry"] is True
    assert "127.0.0.1" not in answer.text
