"""The service is killed in the middle of jobs and exports, and started again: nothing is lost."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import obstore
import pytest

from lake_api.query.reader_store import open_small
from lake_assets.catalog import LakeLocation
from tests.conftest import boto3_client, settings_of

JOBS = "/api/v1/internal/lake/jobs"
EXPORTS = "/api/v1/internal/lake/exports"
_JOBS = 20
_EXPORTS = 5
_EXPORT_ROWS = 400_000


@pytest.fixture
def env(bucket: LakeLocation, tmp_path: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        **settings_of(bucket),
        "LAKE_EXPORT_ACCESS_KEY": bucket.access_key,
        "LAKE_EXPORT_SECRET_KEY": bucket.secret_key,
        "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
        "LAKE_CACHE_DIR": str(tmp_path / "cache"),
        "LAKE_DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "LAKE_CALLS_PER_MINUTE": "100000",
        "LAKE_JOB_CONCURRENCY": "2",
        "LAKE_QUERY_WORKERS": "1",
        "LAKE_QUERY_THREADS": "1",
    }


@contextmanager
def running(env: dict[str, str]) -> Generator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-m", "lake_api.serve", "--port", str(port)],
        env=env,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=url, trust_env=False, timeout=30) as client:
            poll(lambda: _answers(client), deadline_s=60)
            yield process, client
    finally:
        process.kill()
        process.wait()


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def poll(found: Callable[[], bool], *, deadline_s: float) -> None:
    end = time.monotonic() + deadline_s
    while not found():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)


def _listed(client: httpx.Client, route: str) -> list[dict[str, Any]]:
    body = client.get(route, params={"page_size": 200}).json()
    return body[route.rpartition("/")[2]]


def _states(client: httpx.Client) -> Counter[str]:
    return Counter(one["state"] for route in (JOBS, EXPORTS) for one in _listed(client, route))


def test_killed_in_the_middle_everything_ends_once_with_the_right_rows(
    env: dict[str, str], bucket: LakeLocation
) -> None:
    with running(env) as (process, client):
        for number in range(_JOBS):
            sql = f"SELECT i + {number} AS n, hash(i) AS h FROM range({20_000 + number}) r(i)"
            answer = client.post(JOBS, json={"sql": sql}, headers={"Idempotency-Key": f"j{number}"})
            assert answer.status_code == 202
        for number in range(_EXPORTS):
            sql = f"SELECT i + {number} AS n, hash(i) AS h, uuid() FROM range({_EXPORT_ROWS}) r(i)"
            answer = client.post(EXPORTS, json={"sql": sql, "format": "csv"})
            assert answer.status_code == 202
        # In the middle: some are over, an export is being uploaded, others wait.
        poll(
            lambda: any(
                one["state"] == "running" and one["progress"]["bytes"]
                for one in _listed(client, EXPORTS)
            ),
            deadline_s=90,
        )
        before = {one["id"]: one["state"] for one in _listed(client, JOBS)}
        process.send_signal(signal.SIGKILL)
        process.wait()

    with running(env) as (_, client):
        poll(lambda: not {"queued", "running"} & set(_states(client)), deadline_s=120)
        assert _states(client) == Counter(succeeded=_JOBS + _EXPORTS)
        assert {one["id"] for one in _listed(client, JOBS)} == set(before)
        for job in _listed(client, JOBS):
            number = job["row_count"] - 20_000
            url = f"{JOBS}/{job['id']}/results"
            rows = client.get(url, params={"page": 101, "page_size": 200}).json()["rows"]
            assert [row[0] for row in rows] == [20_000 + n + number for n in range(number)]
        for number in range(_JOBS):
            sql = f"SELECT i + {number} AS n, hash(i) AS h FROM range({20_000 + number}) r(i)"
            again = client.post(JOBS, json={"sql": sql}, headers={"Idempotency-Key": f"j{number}"})
            assert again.json()["id"] in before
        exports = _listed(client, EXPORTS)
        for one in exports:
            link = client.get(f"{EXPORTS}/{one['id']}").json()["url"]
            content = httpx.get(link, trust_env=False, timeout=60).content
            assert content.count(b"\r\n") == one["row_count"] + 1 == _EXPORT_ROWS + 1
        assert any(one["progress"]["rows"] for one in exports)
        listed = obstore.list(open_small(bucket), "exports/").collect()
        ids = Counter(item["path"].rpartition("/")[2][:36] for item in listed)
        wanted = [one["id"] for one in (*_listed(client, JOBS), *exports)]
        assert ids == Counter(wanted)
        assert not _uploads(bucket)


def _uploads(bucket: LakeLocation) -> list[Any]:
    """Uploads in parts that nobody has completed or dropped."""
    found = boto3_client(bucket).list_multipart_uploads(Bucket=bucket.bucket)
    return found.get("Uploads", [])


def test_what_runs_when_the_service_is_told_to_stop_waits_for_the_next(
    env: dict[str, str], bucket: LakeLocation
) -> None:
    sql = "SELECT i, hash(i) AS h, uuid() FROM range(900000) r(i)"
    with running(env) as (process, client):
        export = client.post(EXPORTS, json={"sql": sql, "format": "csv"}).json()
        path = f"{EXPORTS}/{export['id']}"
        poll(lambda: client.get(path).json()["progress"]["bytes"] > 0, deadline_s=30)
        process.terminate()
        process.wait(timeout=30)
    assert not _uploads(bucket)
    with running(env) as (_, client):
        poll(lambda: client.get(path).json()["state"] == "succeeded", deadline_s=60)
        assert client.get(path).json()["row_count"] == 900_000
