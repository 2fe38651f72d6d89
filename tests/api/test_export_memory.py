"""A large export passes through the service: neither the API nor a worker holds the result."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.memory import memory_of, watched
from lake_api.stack.ports import free_ports
from lake_assets.catalog import LakeLocation
from tests.conftest import settings_of

EXPORTS = "/api/v1/internal/lake/exports"
ROWS = 1_000_000
# Some 120 MB in Arrow's form, and more than that in the engine's.
SQL = (
    "SELECT i AS n, uuid()::VARCHAR AS one, uuid()::VARCHAR AS two, uuid()::VARCHAR AS three "
    "FROM range(1000000) r(i)"
)
MB = 1024 * 1024
HELD_MB = 64
ROOT = Path(__file__).parents[2]
API_MB, WORKER_MB = 40, 60
"""What each may grow by; the file has more than twice the larger one."""


@pytest.fixture
def service(bucket: LakeLocation, tmp_path: Path) -> Iterator[tuple[int, httpx.Client]]:
    """The service's process, and a client of it."""
    (port,) = free_ports(1)
    env = {
        "PATH": os.environ["PATH"],
        **settings_of(bucket),
        "LAKE_EXPORT_ACCESS_KEY": bucket.access_key,
        "LAKE_EXPORT_SECRET_KEY": bucket.secret_key,
        "LAKE_CACHE_DIR": str(tmp_path / "cache"),
        "LAKE_DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
        "LAKE_QUERY_WORKERS": "1",
        "LAKE_HEAVY_WORKERS": "0",
    }
    command = [sys.executable, "-m", "lake_api.serve", "--port", str(port)]
    url = f"http://127.0.0.1:{port}"
    with (
        subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL) as process,
        closing(httpx.Client(base_url=url, trust_env=False, timeout=60)) as client,
    ):
        try:
            wait(lambda: answers(client))
            yield process.pid, client
        finally:
            process.terminate()


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/healthz").status_code == 200
    except httpx.TransportError:
        return False


def wait(found: Any, *, deadline_s: float = 120) -> None:
    end = time.monotonic() + deadline_s
    while not found():
        assert time.monotonic() < end
        time.sleep(0.05)


# Holds memory, locked as a worker is, until its input ends.
_HOLDER = f"""
import sys
from lake_api.query.worker.sandbox import limit_resources
limit_resources(address_space_bytes={200 * MB})
held = bytearray(b"x") * {HELD_MB * MB}
print(flush=True)
sys.stdin.read()
"""
# Tells what another process has, as a user who may not look into it.
_READER = """
import dataclasses, json, os, sys
from benchmarks.memory import memory_of
if os.getuid() == 0:
    os.setgroups([])
    os.setuid(65534)
pid = int(sys.argv[1])
print(json.dumps(dataclasses.asdict(memory_of(pid)[pid])))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
def test_a_process_that_may_not_be_looked_into_is_counted() -> None:
    holder = [sys.executable, "-c", _HOLDER]
    with subprocess.Popen(holder, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as held:
        assert held.stdin is not None
        assert held.stdout is not None
        held.stdout.readline()
        reader = [sys.executable, "-c", _READER, str(held.pid)]
        told = json.loads(
            subprocess.run(reader, stdout=subprocess.PIPE, check=True, cwd=ROOT).stdout
        )
        held.stdin.close()
    assert HELD_MB * MB <= told["anonymous"] <= told["rss"] < 2 * HELD_MB * MB
    assert told["pss"] is None


@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
def test_what_an_export_takes_does_not_grow_with_its_rows(
    service: tuple[int, httpx.Client],
) -> None:
    pid, client = service

    def export(sql: str) -> dict[str, Any]:
        answer = client.post(EXPORTS, json={"sql": sql, "format": "arrow"})
        assert answer.status_code == 202, answer.text
        state = {"state": "queued"}

        def is_over() -> bool:
            state.update(client.get(f"{EXPORTS}/{answer.json()['id']}").json())
            return state["state"] not in {"queued", "running"}

        wait(is_over)
        assert state["state"] == "succeeded", state
        return state

    # What the first of all exports loads is not what a large one takes.
    export("SELECT i AS n FROM range(10) r(i)")
    idle = memory_of(pid)
    with watched(pid) as peaks:
        done = export(SQL)
    assert done["row_count"] == ROWS
    assert done["bytes"] > 2 * WORKER_MB * MB
    [worker] = set(idle) - {pid}
    grown = {one: (peaks.each[one].anonymous - idle[one].anonymous) / MB for one in (pid, worker)}
    assert grown[pid] < API_MB, grown
    assert grown[worker] < WORKER_MB, grown
