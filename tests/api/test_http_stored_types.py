"""Stored values at the ends of their types: the same by query, sample, profile and MCP."""

import io
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.query.reader_store import open_small
from lake_assets.catalog import Catalog, data_key, event, version_key
from tests.api.real_lake import RealLake

DATASETS = "/api/v1/internal/lake/datasets"
NAME = "agent_run_log"
DAY = date(2026, 11, 20)
ENDS = event(
    NAME,
    "Values at the ends of their types.",
    group="Core",
    table="agent_run_logs",
    tasks="lake.export_agent_run_log",
    key="id",
    columns="""
        id          string!    Which.
        whole       int64      A whole number.
        number      float64    A number.
        flag        bool       A flag.
        moment      timestamp  A moment.
        day         date       A day.
        money       decimal    An amount.
        document    json       A document.
        created_at  timestamp! When.
    """,
)
NAMES = ("id", "whole", "number", "flag", "moment", "day", "money", "document")
EPOCH_INFINITY = 2**63 - 1
ROWS: dict[str, pa.Array] = {
    "id": pa.array(["high", "low", "usual", "none"]),
    "whole": pa.array([2**63 - 1, -(2**63), 7, None], pa.int64()),
    "number": pa.array([float("nan"), float("-inf"), -0.0, None]),
    "flag": pa.array([True, False, True, None]),
    "moment": pa.array([EPOCH_INFINITY, -EPOCH_INFINITY, 1_700_000_000_000_000, None], pa.int64()),
    "day": pa.array([2**31 - 1, -(2**31 - 1), 20_000, None], pa.int32()),
    "money": pa.array(
        [Decimal("999999999999.999999"), Decimal("-999999999999.999999"), Decimal("12.5"), None],
        pa.decimal128(18, 6),
    ),
    "document": pa.array(['{"a": 12345678901234567890}', "[1, NaN", "5", None]),
    "created_at": pa.array([datetime(2026, 11, 20, 12, tzinfo=UTC)] * 4, pa.timestamp("us", "UTC")),
}


@pytest.fixture(scope="module")
def lake(open_lake: Any) -> Iterator[RealLake]:
    columns = {
        **ROWS,
        "moment": ROWS["moment"].view(pa.timestamp("us", "UTC")),
        "day": ROWS["day"].view(pa.date32()),
    }
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, write_statistics=False)
    with open_lake(catalog=Catalog([ENDS])) as lake:
        store = open_small(lake.bucket)
        obstore.put(store, data_key(ENDS, DAY), buffer.getvalue())
        obstore.put(store, version_key(ENDS), b"1")
        yield lake


def asked(lake: RealLake, sql: str) -> dict[str, Any]:
    answer = lake.ask(sql)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["error"] is None, body
    return body


def by_mcp(lake: RealLake, tool: str, **arguments: Any) -> dict[str, Any]:
    message = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": tool, "arguments": arguments},
    }
    result = lake.client.post("/mcp", json=message).json()["result"]
    assert not result["isError"], result
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    return result["structuredContent"]


def test_samples_and_tools_have_what_queries_have(lake: RealLake) -> None:
    sql = f"SELECT date, {', '.join(ENDS.column_names)} FROM {NAME} LIMIT 10"
    queried = asked(lake, sql)
    rows = [dict(zip(queried["columns"], row, strict=True)) for row in queried["rows"]]
    high, low, usual, none = rows
    assert [high["whole"], low["whole"], usual["whole"]] == [str(2**63 - 1), str(-(2**63)), "7"]
    assert [high["number"], low["number"], usual["number"]] == [None, None, 0.0]
    assert [high["moment"], low["moment"]] == ["infinity", "-infinity"]
    assert [high["day"], low["day"], usual["day"]] == ["infinity", "-infinity", "2024-10-04"]
    assert high["money"] == "999999999999.999999"
    assert high["document"] == '{"a": 12345678901234567890}'
    assert {none[name] for name in NAMES if name != "id"} == {None}
    for mode in ("first", "random", "per_day"):
        sampled = lake.client.get(f"{DATASETS}/{NAME}/sample", params={"mode": mode}).json()
        place = sampled["columns"].index("id")
        assert sampled["columns"] == queried["columns"]
        assert sorted(map(str, sampled["rows"])) == sorted(map(str, queried["rows"])), mode
        assert sampled["rows"][0][place] in {"high", "low", "usual", "none"}
        told = by_mcp(lake, "sample_dataset", name=NAME, mode=mode)
        assert told["rows"] == sampled["rows"]
    assert by_mcp(lake, "lake_query", sql=sql)["rows"] == queried["rows"]


def test_profiles_have_what_queries_have(lake: RealLake) -> None:
    answer = lake.client.get(f"{DATASETS}/{NAME}/profile")
    assert answer.status_code == 200, answer.text
    profiled = {column["name"]: column for column in answer.json()["columns"]}
    for name in ENDS.column_names:
        [low, high], nulls = (
            asked(lake, f"SELECT min({name}) AS low, max({name}) AS high FROM {NAME}")["rows"][0],
            asked(lake, f"SELECT count(*) - count({name}) AS n FROM {NAME}")["rows"][0][0],
        )
        assert profiled[name]["nulls"] == nulls, name
        if name != "document":
            assert [profiled[name]["min"], profiled[name]["max"]] == [low, high], name
