"""Limits that hold: the service as a process over real S3, asked what it must stop.

Every heavy text here passes the guard. While each runs, another agent asks light questions all the
time; none of them may fail or wait long. What the guard would refuse is in `test_pool.py`.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from io import BytesIO
from typing import Any

import httpx
import obstore
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_api.stack.ports import free_ports
from lake_assets.catalog import data_key, load_catalog, version_key
from tests.conftest import settings_of
from tests.query.conftest import Lake
from tests.query.every_dataset import rows_of

TIMEOUT_S = 2.0
WORKERS = 2
QUEUE = 6
ADDRESS_SPACE_BYTES = 1_000_000_000
# What a process is before its first query, as `LAKE_QUERY_ADDRESS_SPACE_BYTES` says it.
BASE_BYTES = 250_000_000
QUERY = "/api/v1/internal/lake/query"


def grown(steps: int, last: str) -> str:
    """A text of 1,000 characters, four times as long with each step."""
    parts = ["c0 AS (SELECT repeat('a', 1000) AS s)"]
    parts += [f"c{n + 1} AS (SELECT s || s || s || s AS s FROM c{n})" for n in range(steps)]
    return f"WITH {', '.join(parts)} SELECT {last} FROM c{steps}"


ENDLESS = "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
HEAVY = {
    "one call that ignores interrupts": (
        grown(7, "levenshtein(left(s, 200), s)"),
        "query_timeout",
    ),
    "a regular expression over a long text": (
        grown(7, "length(regexp_extract_all(s, 'a*b|a')::VARCHAR)"),
        "query_timeout",
    ),
    "a recursion without end": (ENDLESS, "query_timeout"),
    "a join without end": (
        "SELECT count(*) FROM range(999999) a, range(999999) b WHERE hash(a.range, b.range) = 1",
        "query_timeout",
    ),
    "a recursion that doubles": (
        "WITH RECURSIVE r AS (SELECT 'a' AS s UNION ALL SELECT s || s FROM r) "
        "SELECT max(length(s)) FROM r",
        "out_of_memory",
    ),
    "a text that grows from step to step": (grown(18, "length(s)"), "out_of_memory"),
    "a replacement that grows": (
        "WITH " + ", ".join(
            ["c0 AS (SELECT repeat('a', 1000) AS s)"]
            + [f"c{n + 1} AS (SELECT replace(s, 'a', repeat('a', 400)) AS s FROM c{n})"
               for n in range(3)]
        ) + " SELECT length(s) FROM c3",
        "out_of_memory",
    ),
    "a list of everything": (
        "SELECT list(a.range::VARCHAR || repeat('x', 100)) FROM range(999999) a, range(100) b",
        "out_of_memory",
    ),
    "days from the first to the last year": (
        "SELECT count(*) FROM (SELECT unnest(generate_series(min(d), max(d), INTERVAL 1 DAY)) "
        "FROM (SELECT make_date(-200000, 1, 1) AS d UNION ALL SELECT make_date(200000, 1, 1)))",
        "out_of_memory|query_timeout",  # as fast as the machine is
    ),
    "a row that is larger than an answer": (grown(6, "s"), "result_too_large"),
}  # fmt: skip


@dataclass
class Service:
    """The running service, and the most memory that it was seen with."""

    process: psutil.Process
    client: httpx.Client
    peak_bytes: int = 0
    stopped: threading.Event = field(default_factory=threading.Event)

    def ask(self, sql: str, *, agent: str = "heavy") -> dict[str, Any]:
        body = {"sql": sql, "limit": 100}
        answer = self.client.post(QUERY, json=body, headers={"X-Agent-ID": agent})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def workers(self) -> list[psutil.Process]:
        return [one for one in self.process.children() if "lake_api.query.worker" in one.cmdline()]

    def watch(self) -> None:
        while not self.stopped.wait(0.05):
            total = 0
            for one in (self.process, *self.process.children(recursive=True)):
                try:
                    total += one.memory_info().rss
                except psutil.NoSuchProcess:
                    continue
            self.peak_bytes = max(self.peak_bytes, total)


def poll(condition: Callable[[], bool], *, deadline_s: float = 60) -> None:
    until = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def service(new_lake: Callable[[], Lake]) -> Iterator[Service]:
    lake = new_lake()
    dataset = load_catalog()["agent_run_log"]
    for day in (date(2026, 11, 1), date(2026, 11, 2)):
        buffer = BytesIO()
        pq.write_table(pa.Table.from_batches([rows_of(dataset, day)]), buffer)
        obstore.put(lake.writer, data_key(dataset, day), buffer.getvalue())
    obstore.put(lake.writer, version_key(dataset), b"1")
    (port,) = free_ports(1)
    env = {
        **settings_of(lake.location),
        "PATH": os.environ["PATH"],
        "LAKE_CACHE_DIR": str(lake.cache),
        "LAKE_DATABASE_URL": f"sqlite:///{lake.cache}/service.db",
        "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
        "LAKE_QUERY_WORKERS": str(WORKERS),
        "LAKE_HEAVY_WORKERS": "0",
        "LAKE_QUERY_THREADS": "1",
        "LAKE_QUERY_MEMORY_BYTES": "200000000",
        "LAKE_QUERY_ADDRESS_SPACE_BYTES": str(ADDRESS_SPACE_BYTES),
        "LAKE_QUERY_TIMEOUT_S": str(TIMEOUT_S),
        "LAKE_QUERY_QUEUE": str(QUEUE),
        "LAKE_CALLS_PER_MINUTE": "1000000",
    }
    started = subprocess.Popen(
        [sys.executable, "-m", "lake_api.serve", f"--port={port}"],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30) as client:
        service = Service(process=psutil.Process(started.pid), client=client)
        watcher = threading.Thread(target=service.watch)
        watcher.start()
        try:
            poll(lambda: is_ready(client))
            service.ask("SELECT count(*) FROM agent_run_log", agent="light")

            yield service
        finally:
            service.stopped.set()
            started.terminate()
            started.wait(timeout=20)
            watcher.join(timeout=10)


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").json()["parts"]["workers"]["ok"] is True
    except httpx.TransportError:
        return False


@contextmanager
def light_questions(service: Service) -> Iterator[list[float]]:
    """Ask as another agent until the block ends; the seconds that each answer took.

    Raises:
        AssertionError: one was not answered from the lake.
    """
    taken_s: list[float] = []
    done = threading.Event()

    def ask() -> None:
        number = 0
        while not done.is_set() or not taken_s:
            number += 1
            started = time.monotonic()
            # A text of its own, so that no result is reused.
            sql = f"SELECT count(*) AS n, {number} AS i FROM agent_run_log"
            answer = service.ask(sql, agent="light")
            assert answer["source"] == "lake", answer["error"]
            assert answer["rows"] == [[24, number]]
            taken_s.append(time.monotonic() - started)

    with ThreadPoolExecutor(1) as pool:
        asking: Future[None] = pool.submit(ask)
        try:
            yield taken_s
        finally:
            done.set()
            asking.result(timeout=30)


def assert_healed(service: Service) -> None:
    poll(lambda: len(service.workers()) == WORKERS and is_ready(service.client))
    answer = service.ask("SELECT 40 + 2 AS n", agent=f"after-{time.monotonic_ns()}")
    assert answer["rows"] == [[42]]


@pytest.mark.parametrize("what", HEAVY)
def test_a_heavy_query_gets_its_own_answer_while_others_are_served(
    service: Service, what: str
) -> None:
    sql, code = HEAVY[what]
    with light_questions(service) as taken_s:
        started = time.monotonic()
        answer = service.ask(sql)
        seconds = time.monotonic() - started
    assert (answer["source"], answer["rows"]) == ("unavailable", [])
    assert answer["error"]["code"] in code.split("|")
    assert answer["error"]["hint"]
    assert seconds < TIMEOUT_S + 2
    assert max(taken_s) < 1.5, "a light question waited"
    assert_healed(service)


def test_a_million_rows_are_sorted(service: Service) -> None:
    with light_questions(service) as taken_s:
        answer = service.ask("SELECT range AS n FROM range(999999) ORDER BY hash(range), range")
    assert answer["source"] == "lake", answer["error"]
    assert (answer["row_count"], answer["truncated"]) == (100, True)
    assert max(taken_s) < 1.5


def busiest(service: Service, before: dict[int, float]) -> psutil.Process | None:
    """The worker that has worked for a while since `before`."""
    for worker in service.workers():
        if worker.cpu_times().user - before.get(worker.pid, 0.0) > 0.3:
            return worker
    return None


def test_a_worker_that_is_killed_in_mid_query_is_replaced(service: Service) -> None:
    before = {one.pid: one.cpu_times().user for one in service.workers()}
    with ThreadPoolExecutor(1) as pool:
        asking = pool.submit(service.ask, ENDLESS)
        poll(lambda: busiest(service, before) is not None)
        victim = busiest(service, before)
        assert victim is not None
        victim.send_signal(signal.SIGKILL)
        error = asking.result(timeout=10)["error"]
    assert (error["code"], error["retry"]) == ("worker_lost", True)
    assert_healed(service)
    assert victim.pid not in {one.pid for one in service.workers()}


def test_one_agent_s_heavy_queries_do_not_starve_another_s_light_ones(service: Service) -> None:
    with ThreadPoolExecutor(6) as pool, light_questions(service) as taken_s:
        started = time.monotonic()
        heavy = [pool.submit(service.ask, f"{ENDLESS} WHERE n <> -{n}") for n in range(6)]
        answers = [one.result(timeout=30)["error"] for one in heavy]
        assert time.monotonic() - started < TIMEOUT_S + 2
    codes = sorted(one["code"] for one in answers)
    # Four may be there at once, and one of them runs; the others are refused at once.
    # (A waiting one may get the worker in the moment in which its own time is over.)
    assert codes[0] == "query_timeout"
    assert codes[-2:] == ["too_busy"] * 2
    assert set(codes) == {"query_timeout", "too_busy"}
    assert max(taken_s) < 1.5
    assert len(taken_s) > 10
    assert_healed(service)


def test_a_full_queue_refuses_at_once(service: Service) -> None:
    too_many = 4

    def ask(number: int) -> tuple[float, dict[str, Any]]:
        started = time.monotonic()
        answer = service.ask(f"{ENDLESS} WHERE n <> -{number}", agent=f"agent-{number}")
        return time.monotonic() - started, answer["error"]

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(ask, range(WORKERS + QUEUE + too_many)))
    # Two run and six wait until their time is over; the others are refused, whoever asks.
    refused = [error for seconds, error in answers if seconds < TIMEOUT_S / 2]
    assert [(one["code"], one["retry"]) for one in refused] == [("too_busy", True)] * too_many
    assert {error["code"] for _, error in answers} == {"query_timeout", "too_busy"}
    assert max(seconds for seconds, _ in answers) < TIMEOUT_S + 2
    assert_healed(service)


def test_memory_stayed_below_the_stated_bound(service: Service) -> None:
    """The last test of this module: it looks back on all the others."""
    idle_bytes = service.process.memory_info().rss
    result_cache_bytes = 67_108_864
    bound = WORKERS * (ADDRESS_SPACE_BYTES + BASE_BYTES) + BASE_BYTES + result_cache_bytes
    assert idle_bytes < service.peak_bytes < bound
    assert idle_bytes < BASE_BYTES + result_cache_bytes
