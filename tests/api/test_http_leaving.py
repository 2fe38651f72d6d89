"""A caller who closes the connection has its query stopped at once, on every route that reads."""

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlsplit

import pytest

from lake_api.query.engine import QueryEngine
from lake_api.stack.s3 import S3Server
from tests.api.conftest import ADMIN, QUERY
from tests.api.real_lake import RealLake

DAY = date(2026, 11, 20)
DATASET = "/api/v1/internal/lake/datasets/agent_run_log"
JOBS = "/api/v1/internal/lake/jobs"
ENDLESS = """
    SELECT count(*) AS pairs FROM range(300000) a, range(300000) b
    WHERE (a.range * 7 + b.range) % 1000003 = 1 AND (SELECT count(*) FROM agent_run_log) >= 0
"""
SOON_S = 3.0
"""How long a worker may take to be free: an interrupt, or the grace and another process."""


@pytest.fixture(scope="module")
def one_worker(open_lake, s3: S3Server) -> Iterator[RealLake]:
    """A service with one worker, whose queries may take longer than any test."""
    env = {
        "LAKE_QUERY_TIMEOUT_S": "50",
        "LAKE_QUERY_GRACE_S": "0.5",
        "LAKE_EXPORT_ACCESS_KEY": s3.writer.access_key,
        "LAKE_EXPORT_SECRET_KEY": s3.writer.secret_key,
    }
    with open_lake(**env) as lake:
        lake.write("agent_run_log", DAY, ["aurora", "nova"])
        yield lake


def request(method: str, path: str, body: object = None, **headers: str) -> bytes:
    content = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(content)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json"] if content else []
    return "\r\n".join([*lines, "", ""]).encode() + content


def connect(lake: RealLake) -> socket.socket:
    address = urlsplit(str(lake.client.base_url))
    return socket.create_connection((address.hostname, address.port), timeout=10)


def gauge(lake: RealLake, name: str) -> float:
    text = lake.client.get("/metrics", headers=ADMIN).text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} "))


def until(holds: Callable[[], bool], *, within_s: float = 10.0) -> float:
    """The seconds until it holds."""
    started = time.monotonic()
    while not holds():
        assert time.monotonic() - started < within_s, "it never came"
        time.sleep(0.02)
    return time.monotonic() - started


def leave_while_it_runs(lake: RealLake, sent: bytes) -> float:
    """Ask, leave once a worker has it; the seconds until the worker is free."""
    with closing(connect(lake)) as connection:
        connection.sendall(sent)
        until(lambda: gauge(lake, "lake_workers_busy") == 1)
    return until(lambda: gauge(lake, "lake_workers_busy") == 0, within_s=SOON_S)


def mcp(tool: str, **arguments: object) -> bytes:
    call = {"name": tool, "arguments": arguments}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call}
    return request("POST", "/mcp", body, Accept="application/json, text/event-stream")


ASKED = {
    "json": request("POST", QUERY, {"sql": ENDLESS}),
    "csv": request("POST", QUERY, {"sql": ENDLESS}, Accept="text/csv"),
    "arrow": request("POST", QUERY, {"sql": ENDLESS}, Accept="application/vnd.apache.arrow.stream"),
    "mcp": mcp("lake_query", sql=ENDLESS),
}


@pytest.mark.parametrize("asked", ASKED.values(), ids=ASKED.keys())
def test_a_query_ends_with_its_caller(one_worker, asked):
    leave_while_it_runs(one_worker, asked)
    answer = one_worker.ask("SELECT count(*) AS runs FROM agent_run_log")
    assert answer.json()["rows"] == [[2]]


def cancelled_rows(lake: RealLake) -> list[tuple[str, str, str | None]]:
    with closing(sqlite3.connect(lake.cache / "service.db")) as connection:
        return connection.execute(
            "SELECT action, outcome, code FROM audit WHERE outcome = 'cancelled'"
        ).fetchall()


def test_its_audit_row_and_its_metric_say_so(one_worker):
    before = len(cancelled_rows(one_worker))
    leave_while_it_runs(one_worker, ASKED["json"])
    until(lambda: len(cancelled_rows(one_worker)) > before)
    assert cancelled_rows(one_worker)[-1] == ("query", "cancelled", "caller_left")
    counted = 'lake_queries_refused_total{code="caller_left",outcome="cancelled"}'
    assert gauge(one_worker, counted) >= before + 1


def test_one_who_waits_for_a_worker_leaves_the_queue(one_worker):
    with closing(connect(one_worker)) as first, closing(connect(one_worker)) as second:
        first.sendall(ASKED["json"])
        until(lambda: gauge(one_worker, "lake_workers_busy") == 1)
        second.sendall(ASKED["csv"])
        until(lambda: gauge(one_worker, "lake_query_queue_length") == 1)
        second.close()
        until(lambda: gauge(one_worker, "lake_query_queue_length") == 0, within_s=SOON_S)
        assert gauge(one_worker, "lake_workers_busy") == 1
    until(lambda: gauge(one_worker, "lake_workers_busy") == 0, within_s=SOON_S)


def test_one_who_stays_gets_the_answer_beside_one_who_leaves(one_worker):
    with closing(connect(one_worker)) as staying:
        leave_while_it_runs(one_worker, ASKED["json"])
        staying.sendall(request("POST", QUERY, {"sql": "SELECT count(*) n FROM agent_run_log"}))
        assert b'"rows":[[2]]' in staying.recv(65_536)
        staying.sendall(
            request("POST", QUERY, {"sql": "SELECT max(agent_id) m FROM agent_run_log"})
        )
        assert b'"rows":[["nova"]]' in staying.recv(65_536)


def test_a_body_that_no_route_reads_hides_nobody(one_worker, monkeypatch):
    """A GET that announces a body and never sends it."""
    begun, ended = [], []

    async def held(*_args: object, **_options: object) -> None:
        begun.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    monkeypatch.setattr(QueryEngine, "snapshots", held)
    sent = request("GET", DATASET).replace(b"Content-Length: 0", b"Content-Length: 1000")
    with closing(connect(one_worker)) as connection:
        connection.sendall(sent + b"only this")
        until(lambda: bool(begun))
    until(lambda: bool(ended), within_s=SOON_S)


def test_a_caller_who_leaves_before_its_body_is_whole(one_worker):
    with closing(connect(one_worker)) as connection:
        connection.sendall(ASKED["json"][:-20])
    answer = one_worker.ask("SELECT count(*) AS runs FROM agent_run_log")
    assert answer.json()["rows"] == [[2]]


SLOW = {
    "dry run": request("POST", QUERY, {"sql": ENDLESS, "dry_run": True}),
    "sample": request("GET", f"{DATASET}/sample?mode=random"),
    "profile": request("GET", f"{DATASET}/profile"),
    "describe": request("GET", DATASET),
    "list": request("GET", "/api/v1/internal/lake/datasets"),
    "mcp sample": mcp("sample_dataset", name="agent_run_log", mode="random"),
    "mcp describe": mcp("describe_dataset", name="agent_run_log"),
}
"""Routes whose own work is short; here they wait behind what is held up."""


@pytest.mark.parametrize("asked", SLOW.values(), ids=SLOW.keys())
def test_every_route_that_reads_is_left_at_once(one_worker, asked, monkeypatch):
    """What they do inside the engine is held until it is cancelled."""
    begun, ended = [], []

    async def held(*_args: object, **_options: object) -> None:
        begun.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    for name in ("run", "preview", "snapshots", "survey"):
        monkeypatch.setattr(QueryEngine, name, held)
    with closing(connect(one_worker)) as connection:
        connection.sendall(asked)
        until(lambda: bool(begun))
        assert not ended
    until(lambda: bool(ended), within_s=SOON_S)


def test_a_page_of_a_job_is_left_at_once(one_worker, monkeypatch):
    asked = {"sql": "SELECT agent_id FROM agent_run_log ORDER BY agent_id"}
    job = one_worker.client.post(JOBS, json=asked).json()
    state = f"{JOBS}/{job['id']}"
    until(lambda: one_worker.client.get(state).json()["state"] == "succeeded")
    begun, ended = [], []

    async def held(*_args: object, **_options: object) -> None:
        begun.append(1)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(1)

    with monkeypatch.context() as patched, closing(connect(one_worker)) as connection:
        patched.setattr(QueryEngine, "page", held)
        connection.sendall(request("GET", f"{state}/results"))
        until(lambda: bool(begun))
        connection.close()
        until(lambda: bool(ended), within_s=SOON_S)
    assert one_worker.client.get(f"{state}/results").json()["rows"] == [["aurora"], ["nova"]]
    until(lambda: ("read_job", "cancelled", "caller_left") in cancelled_rows(one_worker))


def test_what_changes_something_is_done_to_its_end(one_worker):
    """A job that was asked for is there, also when its caller did not wait to hear of it."""
    now = datetime.now(tz=UTC)
    sql = f"SELECT agent_id, '{now.isoformat()}' AS asked FROM agent_run_log"
    for sent in (request("POST", JOBS, {"sql": sql}), mcp("start_job", sql=sql)):
        with closing(connect(one_worker)) as connection:
            connection.sendall(sent)

    def asked() -> int:
        listed = one_worker.client.get(JOBS).json()["jobs"]
        return sum(one["sql"] == sql for one in listed)

    until(lambda: asked() == 2)
    assert now + timedelta(minutes=1) > datetime.now(tz=UTC)
