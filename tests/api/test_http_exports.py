"""Exports over HTTP, on a real lake: files behind links, and who may have them."""

import csv
import gzip
import io
import json
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import fastavro
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lake_api.exports.objects import PART_BYTES
from lake_api.exports.signing import signed_url
from lake_api.stack.s3 import S3Server
from lake_assets.catalog import LakeLocation
from tests.api.conftest import ADMIN
from tests.api.real_lake import RealLake
from tests.conftest import boto3_client

EXPORTS = "/api/v1/internal/lake/exports"
JOBS = "/api/v1/internal/lake/jobs"
DAY = date(2026, 11, 20)
SQL = "SELECT run_id, agent_id, cost_usd FROM agent_run_log ORDER BY run_id"
LARGE = "SELECT i, hash(i) AS h, hash(i + 1) AS h2, uuid() AS u FROM range(900000) r(i)"


@pytest.fixture(scope="module")
def lake(open_lake: Any, s3: S3Server) -> Iterator[RealLake]:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_EXPORT_LINK_S": "600",
    }
    with open_lake(**keys) as lake:
        lake.write("agent_run_log", DAY, ["aurora", "sage", "nova"])
        yield lake


def start(lake: RealLake, sql: str = SQL, *, headers: Any = None, **more: Any) -> dict[str, Any]:
    body = {"sql": sql, "format": "csv", **more}
    answer = lake.client.post(EXPORTS, json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    return answer.json()


def finished(lake: RealLake, one: dict[str, Any], *, route: str = EXPORTS) -> dict[str, Any]:
    end = time.monotonic() + 40
    while True:
        found = lake.client.get(f"{route}/{one['id']}", headers=ADMIN).json()
        if found["state"] not in {"queued", "running"}:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)


def download(export: dict[str, Any]) -> httpx.Response:
    answer = httpx.get(export["url"], trust_env=False)
    assert answer.status_code == 200, answer.text
    return answer


def rows_of(form: str, data: bytes) -> list[str]:
    source = io.BytesIO(data)
    match form:
        case "csv":
            return [row["run_id"] for row in csv.DictReader(io.StringIO(data.decode()))]
        case "jsonl":
            return [json.loads(line)["run_id"] for line in data.splitlines()]
        case "parquet":
            return pq.read_table(source).column("run_id").to_pylist()
        case "arrow":
            return pa.ipc.open_stream(source).read_all().column("run_id").to_pylist()
        case _:
            return [dict(row)["run_id"] for row in fastavro.reader(source) if isinstance(row, dict)]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet", "arrow", "avro"])
@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_a_file_behind_a_link(lake: RealLake, form: str, compression: str) -> None:
    export = finished(lake, start(lake, format=form, compression=compression))
    assert (export["state"], export["row_count"]) == ("succeeded", 3)
    answer = download(export)
    assert len(answer.content) == export["bytes"]
    ending = form + ({"none": "", "gzip": ".gz", "zstd": ".zst"}[compression])
    if form == "parquet":
        ending = form
    assert export["file_name"].endswith(f".{ending}")
    assert answer.headers["content-disposition"] == f'attachment; filename="{export["file_name"]}"'
    data = answer.content
    if compression == "gzip" and form != "parquet":
        data = gzip.decompress(data)
    elif compression == "zstd" and form != "parquet":
        data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    assert rows_of(form, data) == [f"{DAY}-{place}" for place in range(3)]


def test_a_large_file_comes_in_parts(lake: RealLake) -> None:
    export = finished(lake, start(lake, LARGE))
    assert (export["state"], export["row_count"]) == ("succeeded", 900_000)
    assert export["bytes"] > 3 * PART_BYTES
    lines = download(export).content.splitlines()
    assert len(lines) == 900_001
    numbers = [int(line.partition(b",")[0]) for line in lines[1:]]
    assert numbers == list(range(900_000))


def test_the_rows_of_a_job_become_a_file_without_asking_again(lake: RealLake) -> None:
    job = lake.client.post(JOBS, json={"sql": "SELECT uuid() AS run_id FROM range(5)"}).json()
    assert finished(lake, job, route=JOBS)["state"] == "succeeded"
    answer = lake.client.post(f"{JOBS}/{job['id']}/exports", json={"format": "parquet"})
    assert answer.status_code == 202
    export = finished(lake, answer.json())
    assert export["job_id"] == job["id"]
    kept = lake.client.get(f"{JOBS}/{job['id']}/results").json()["rows"]
    assert [[one] for one in rows_of("parquet", download(export).content)] == kept


def test_a_job_without_rows_is_not_exported(lake: RealLake, problem: Any) -> None:
    job = lake.client.post(JOBS, json={"sql": "SELECT nothing FROM agent_run_log"}).json()
    assert finished(lake, job, route=JOBS)["state"] == "failed"
    answer = lake.client.post(f"{JOBS}/{job['id']}/exports", json={"format": "csv"})
    problem(answer, 409, "job_failed")


def test_an_old_link_opens_nothing(bucket: LakeLocation) -> None:
    boto3_client(bucket).put_object(Bucket=bucket.bucket, Key="exports/a", Body=b"rows")
    fresh = signed_url(bucket, "GET", "exports/a", expires_s=60)
    assert httpx.get(fresh, trust_env=False).content == b"rows"
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    old = signed_url(bucket, "GET", "exports/a", expires_s=60, now=long_ago)
    assert httpx.get(old, trust_env=False).status_code == 403


def test_a_signature_is_the_one_of_the_reference_library(
    bucket: LakeLocation, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda: moment)
    query = {"partNumber": "1", "uploadId": "a/="}
    ours = signed_url(
        bucket, "GET", "exports/sql/a b+ü~.csv", expires_s=60, query=query, now=moment
    )
    address = f"{bucket.endpoint}{urlsplit(ours).path}"
    request = AWSRequest("GET", address, params=query)
    credentials = Credentials(bucket.access_key, bucket.secret_key)
    S3SigV4QueryAuth(credentials, "s3", bucket.region, expires=60).add_auth(request)
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(request.url or "").query)


def test_a_removed_export_and_its_link_are_gone(lake: RealLake, problem: Any) -> None:
    export = finished(lake, start(lake))
    assert download(export).status_code == 200
    removed = lake.client.delete(f"{EXPORTS}/{export['id']}")
    assert (removed.status_code, removed.json()["url"]) == (200, None)
    problem(lake.client.get(f"{EXPORTS}/{export['id']}"), 404, "unknown_export")
    problem(httpx.get(export["url"], trust_env=False), 404, "unknown_file")
    lake.poll(lambda: not any(export["id"] in key for key in lake.export_keys()))


def test_exports_of_others_are_not_there(lake: RealLake, problem: Any) -> None:
    mine = start(lake, headers={"X-Agent-ID": "one"})
    other = {"X-Agent-ID": "two"}
    for method in ("GET", "DELETE"):
        answer = lake.client.request(method, f"{EXPORTS}/{mine['id']}", headers=other)
        problem(answer, 404, "unknown_export")
    assert lake.client.get(EXPORTS, headers=other).json()["total"] == 0
    listed = lake.client.get(EXPORTS, headers={"X-Agent-ID": "one"}).json()
    assert [one["id"] for one in listed["exports"]] == [mine["id"]]
    assert listed["exports"][0]["url"] is None
    # An export is no job.
    problem(lake.client.get(f"{JOBS}/{mine['id']}", headers=ADMIN), 404, "unknown_job")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"sql": SQL, "format": "xml"}, "format"),
        ({"sql": SQL, "format": "csv", "compression": "rar"}, "compression"),
        ({"sql": SQL}, "format"),
        ({"sql": SQL, "format": "csv", "to": "s3://mine/"}, "to"),
    ],
)
def test_a_request_that_makes_no_sense(
    lake: RealLake, problem: Any, body: dict[str, Any], field: str
) -> None:
    answer = lake.client.post(EXPORTS, json=body)
    assert problem(answer, 422, "invalid_request")["field"] == field


def test_exports_end_when_their_time_is_over(open_lake: Any, s3: S3Server) -> None:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_EXPORT_TTL_S": "2",
    }
    with open_lake(**keys) as lake:
        export = finished(lake, start(lake, "SELECT i AS run_id FROM range(3) r(i)"))
        # The link does not outlive the file.
        assert export["url_expires_at"] == export["expires_at"]
        lake.poll(
            lambda: lake.client.get(f"{EXPORTS}/{export['id']}", headers=ADMIN).status_code == 404
        )


def test_links_lead_where_callers_find_s3(open_lake: Any, s3: S3Server) -> None:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
        "LAKE_EXPORT_URL": "https://files.example.com",
    }
    with open_lake(**keys) as lake:
        export = finished(lake, start(lake, "SELECT i AS run_id FROM range(3) r(i)"))
        assert export["url"].startswith("https://files.example.com/")
        assert "X-Amz-Expires=300&" in export["url"]


def test_an_identity_that_may_not_write_makes_no_file(open_lake: Any) -> None:
    keys = {
        "LAKE_EXPORT_ACCESS_KEY": "nobody",
        "LAKE_EXPORT_SECRET_KEY": "knows",
        "LAKE_JOB_RETRIES": "0",
    }
    with open_lake(**keys) as lake:
        export = finished(lake, start(lake, "SELECT i AS run_id FROM range(3) r(i)"))
        assert (export["state"], export["error"]["code"]) == ("failed", "storage_unavailable")
        assert "knows" not in json.dumps(export)


def test_without_an_identity_there_are_none(service: Any, problem: Any) -> None:
    answer = service.client.post(EXPORTS, json={"sql": SQL, "format": "csv"})
    problem(answer, 503, "exports_disabled")
