"""Every type of the engine through every door: the same values, exactly or as text."""

import base64
import csv
import io
import json
import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import duckdb
import fastavro
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.stack.s3 import S3Server
from tests.api.real_lake import RealLake
from tests.query.type_cases import GROUPS, query_of

LAKE = "/api/v1/internal/lake"
CSV, ARROW = "text/csv", "application/vnd.apache.arrow.stream"

pytestmark = pytest.mark.parametrize("group", list(GROUPS))


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[RealLake]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
    }
    with open_lake(**keys) as lake:
        yield lake


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(duckdb.connect()) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def sql_of(group: str) -> str:
    return query_of(GROUPS[group])


def expected_of(group: str) -> list[Any]:
    return [value for _, value in GROUPS[group]]


def asked(lake: RealLake, group: str, form: str) -> httpx.Response:
    answer = lake.ask(sql_of(group), headers={"Accept": form})
    assert answer.status_code == 200, answer.text
    return answer


def finished(lake: RealLake, route: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = lake.client.post(f"{LAKE}/{route}", json=body)
    assert answer.status_code == 202, answer.text
    return ended(lake, route, answer.json()["id"])


def ended(lake: RealLake, route: str, one: str) -> dict[str, Any]:
    end = time.monotonic() + 40
    while time.monotonic() < end:
        found = lake.client.get(f"{LAKE}/{route}/{one}").json()
        if found["state"] not in {"queued", "running"}:
            assert found["state"] == "succeeded", found
            return found
        time.sleep(0.05)
    raise AssertionError("it takes too long")


def exported(lake: RealLake, group: str, form: str) -> bytes:
    found = finished(lake, "exports", {"sql": sql_of(group), "format": form})
    return httpx.get(found["url"]).content


def test_json(lake: RealLake, group: str) -> None:
    body = asked(lake, group, "application/json").json()
    assert dict(zip(body["columns"], body["rows"][0], strict=True)) == {
        f"c{place}": value for place, value in enumerate(expected_of(group))
    }


def test_tools_of_mcp(lake: RealLake, group: str) -> None:
    call = {"name": "lake_query", "arguments": {"sql": sql_of(group)}}
    message = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    result = lake.client.post("/mcp", json=message).json()["result"]
    assert result["structuredContent"]["rows"] == [expected_of(group)]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]


def test_numbers_that_are_text_are_told(lake: RealLake, group: str) -> None:
    body = asked(lake, group, "application/json").json()
    named = {one.split("`")[1] for one in body["warnings"] if "given as text" in one}
    types = dict(zip(body["columns"], body["column_types"], strict=True))
    for place, value in enumerate(expected_of(group)):
        name = f"c{place}"
        is_wide = types[name] in {"BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"}
        if is_wide and isinstance(value, str):
            assert name in named, name
    inner = {
        f"c{place}"
        for place, (sql, _) in enumerate(GROUPS[group])
        if "9007199254740993" in sql or "12345678901234567890," in sql or "HUGEINT]" in sql
    }
    assert inner <= named


def test_csv_is_json_as_text(lake: RealLake, group: str) -> None:
    answer = asked(lake, group, CSV).content
    [_, row] = csv.reader(io.StringIO(answer.decode(), newline=""))
    for place, (text, value) in enumerate(zip(row, expected_of(group), strict=True)):
        if isinstance(value, dict | list):
            assert _texts(json.loads(text)) == _texts(value), place
        else:
            assert text.lower() == _csv(value).lower(), place
    assert exported(lake, group, "csv") == answer


def _csv(value: Any) -> str:
    if isinstance(value, float) and value == 12.5:
        return "12.50"
    return "" if value is None else str(value)


def _texts(value: Any) -> Any:
    """A JSON value with its numbers as texts."""
    match value:
        case dict():
            return {key: _texts(item) for key, item in value.items()}
        case list():
            return [_texts(item) for item in value]
        case bool() | None:
            return value
        case _:
            return str(value)


def test_json_lines(lake: RealLake, group: str) -> None:
    [line] = exported(lake, group, "jsonl").splitlines()
    row = json.loads(line, parse_float=str, parse_int=str)
    for place, value in enumerate(expected_of(group)):
        written = row[f"c{place}"]
        if value == 12.5:
            assert written == "12.50"
        elif isinstance(value, float):
            assert float(written) == value, place
        else:
            assert _texts(written) == _texts(value), place


def test_pages_of_jobs_and_files_of_them(lake: RealLake, group: str) -> None:
    job = finished(lake, "jobs", {"sql": sql_of(group)})
    body = lake.client.get(f"{LAKE}/jobs/{job['id']}/results").json()
    assert body["rows"] == [expected_of(group)]
    assert body["column_types"] == asked(lake, group, "application/json").json()["column_types"]
    for form in ("csv", "jsonl"):
        answer = lake.client.post(f"{LAKE}/jobs/{job['id']}/exports", json={"format": form})
        file = httpx.get(ended(lake, "exports", answer.json()["id"])["url"]).content
        assert file == exported(lake, group, form)


def test_arrow(lake: RealLake, group: str, engine: Any) -> None:
    answer = asked(lake, group, ARROW).content
    file = exported(lake, group, "arrow")
    for document in (answer, file):
        check_typed(engine, group, pa.ipc.open_stream(document).read_all())


def test_parquet(lake: RealLake, group: str, engine: Any) -> None:
    table = pq.read_table(io.BytesIO(exported(lake, group, "parquet")))
    check_typed(engine, group, table)


def check_typed(engine: Any, group: str, table: pa.Table) -> None:
    """Each column is the engine's own value, or the text that JSON has."""
    for place, (sql, value) in enumerate(GROUPS[group]):
        column = table.select([place])
        read = engine.from_arrow(column)
        whole = engine.sql(f"SELECT {sql} AS v")
        own = whole.project("CAST(#1 AS VARCHAR)").fetchall()
        if _without_enum(str(read.types[0])) == _without_enum(str(whole.types[0])):
            assert read.project("CAST(#1 AS VARCHAR)").fetchall() == own, sql
        elif value is None or column.column(0).to_pylist() == [value]:
            continue
        elif "MAP {[" in sql or "MAP { {" in sql:
            # A map whose keys are no texts: Python has no dictionary of them.
            [entries] = column.column(0).to_pylist()
            assert [item for _, item in entries] == list(value.values()), sql
        else:
            [found] = column.column(0).to_pylist(maps_as_pydicts="lossy")
            assert _same(found, value, own[0][0]), (sql, found)


def _without_enum(kind: str) -> str:
    return kind.replace("ENUM('a', 'b')", "VARCHAR")


def _same(found: Any, value: Any, own: str) -> bool:
    """Whether a value of another Arrow type is the same."""
    if isinstance(found, dict) and "tag" in found:
        return _same(found[found["tag"]], value, own)
    if isinstance(found, list) and isinstance(value, list):
        return all(_same(one, other, own) for one, other in zip(found, value, strict=True))
    if isinstance(found, dict) and isinstance(value, dict):
        pairs = zip(found.items(), value.items(), strict=True)
        return all(
            _same(str(key).lower(), name, own) and _same(one, other, own)
            for (key, one), (name, other) in pairs
        )
    if isinstance(found, dict) and isinstance(value, list):
        return _same(list(found.values()), value, own)
    if isinstance(found, str) and isinstance(value, dict):
        return json.loads(found) == value or "12345678901234567890" in found
    return str(found) in {str(value), own}


def test_avro(lake: RealLake, group: str, engine: Any) -> None:
    # fastavro makes Python's dates, which have neither BC nor five digits of a year.
    cases = [case for case in GROUPS[group] if "BC" not in case[0] and "12345-" not in case[0]]
    found = finished(lake, "exports", {"sql": query_of(tuple(cases)), "format": "avro"})
    [row] = fastavro.reader(io.BytesIO(httpx.get(found["url"]).content))
    for place, (sql, value) in enumerate(cases):
        read = row[f"c{place}"]
        [(own, is_same)] = engine.execute(
            f"SELECT CAST({sql} AS VARCHAR), TRY_CAST(CAST($v AS VARCHAR) AS VARCHAR)",
            {"v": read if not isinstance(read, bytes) else None},
        ).fetchall()
        if isinstance(value, dict | list):
            assert _texts(json.loads(read)) == _texts(value), sql
        elif isinstance(read, bytes):
            assert base64.b64encode(read).decode() == value
        elif isinstance(read, float):
            assert read == value
        else:
            assert (read is None and value is None) or {is_same.lower(), str(read)} & {
                own,
                str(value).lower(),
                str(value),
            }, (sql, read)
