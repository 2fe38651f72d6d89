"""Two processes of the service over one Postgres, one S3 and one Redis: they are one service."""

import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit

import httpx
import obstore
import psycopg
import pytest
from psycopg import sql

from lake_api.query.reader_store import open_small
from lake_api.stack.postgres import PostgresServer
from lake_api.stack.s3 import S3Server
from lake_assets.catalog import LakeLocation
from tests.api.conftest import ADMIN, KEY, own_bucket
from tests.api.test_jobs_survive import poll
from tests.conftest import settings_of
from tests.redis_server import running_redis

LAKE = "/api/v1/internal/lake"
JOBS, EXPORTS, ARTIFACTS = f"{LAKE}/jobs", f"{LAKE}/exports", f"{LAKE}/artifacts"
ENDLESS = {"sql": "SELECT count(*) FROM range(1000000) a, range(1000000) b"}
ASK = {"sql": "SELECT i FROM range(3) r(i)"}
OUTSIDE = {"X-Forwarded-For": "203.0.113.9"}
JOBS_AT_A_TIME = 3
QUOTA_BYTES = 10_000

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Replica:
    process: subprocess.Popen[bytes]
    client: httpx.Client
    log: Path

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2_000:]
        try:
            return self.client.get("/healthz").status_code == 200
        except httpx.TransportError:
            return False


@dataclass(frozen=True, kw_only=True)
class Pair:
    replicas: tuple[Replica, Replica]
    database: str
    bucket: LakeLocation

    @property
    def clients(self) -> tuple[httpx.Client, httpx.Client]:
        here, there = (one.client for one in self.replicas)
        return here, there

    def rows(self, statement: sql.SQL, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(statement, values).fetchall()

    def objects(self) -> Counter[str]:
        """The owners of all objects below `exports/`, each as often as it has one."""
        listed = obstore.list(open_small(self.bucket), "exports/").collect()
        return Counter(item["path"].rpartition("/")[2][:36] for item in listed)


def start(env: dict[str, str], log: Path) -> tuple[subprocess.Popen[bytes], str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "lake_api.serve", "--port", str(port)], env=env, stderr=file
        )
    return process, f"http://127.0.0.1:{port}"


@contextmanager
def pair_of(env: dict[str, str], folder: Path, bucket: LakeLocation) -> Generator[Pair]:
    """Two that start at the same moment, on a database without any table."""
    with ExitStack() as stack:
        replicas: list[Replica] = []
        for name in ("here", "there"):
            log = folder / f"{name}.log"
            process, url = start({**env, "LAKE_CACHE_DIR": str(folder / name)}, log)
            stack.callback(process.wait)
            stack.callback(process.kill)
            client = httpx.Client(base_url=url, trust_env=False, timeout=30)
            replicas.append(Replica(process=process, client=stack.enter_context(client), log=log))
        poll(lambda: all(one.answers() for one in replicas), deadline_s=60)
        here, there = replicas
        yield Pair(replicas=(here, there), database=env["LAKE_DATABASE_URL"], bucket=bucket)


@pytest.fixture(scope="module")
def pair(
    postgres: PostgresServer, s3: S3Server, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("replicas")
    path = f"replicas_{uuid.uuid4().hex[:12]}"
    name = sql.Identifier(path)
    with psycopg.connect(postgres.url, autocommit=True) as connection, ExitStack() as stack:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        stack.callback(connection.execute, sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))
        bucket = stack.enter_context(own_bucket(s3))
        database = urlunsplit(
            urlsplit(postgres.url)._replace(path=f"/{name.as_string(None)[1:-1]}")
        )
        env = {
            "PATH": os.environ["PATH"],
            **settings_of(bucket),
            "AINATIVE_INTERNAL_API_KEY": KEY,
            "LAKE_EXPORT_ACCESS_KEY": bucket.access_key,
            "LAKE_EXPORT_SECRET_KEY": bucket.secret_key,
            "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
            "LAKE_DATABASE_URL": database,
            "LAKE_RATE_LIMIT_STORE": stack.enter_context(running_redis(folder)),
            "LAKE_CALLS_PER_MINUTE": "100000",
            "LAKE_JOB_CONCURRENCY": "1",
            "LAKE_JOBS_PER_AGENT": str(JOBS_AT_A_TIME),
            "LAKE_ARTIFACT_QUOTA_BYTES": str(QUOTA_BYTES),
            "LAKE_QUERY_WORKERS": "1",
            "LAKE_QUERY_THREADS": "1",
        }
        yield stack.enter_context(pair_of(env, folder, bucket))


def at_once(calls: Sequence[Callable[[], _T]]) -> list[_T]:
    with ThreadPoolExecutor(max_workers=len(calls)) as pool:
        return [one.result() for one in [pool.submit(call) for call in calls]]


def on_both(pair: Pair, call: Callable[[httpx.Client], _T], *, times: int) -> list[_T]:
    """What a call gives that reaches both replicas at the same moment, so often each."""

    def bound(client: httpx.Client) -> Callable[[], _T]:
        return lambda: call(client)

    return at_once([bound(client) for _ in range(times) for client in pair.clients])


def make(client: httpx.Client, **body: Any) -> tuple[str, dict[str, str]]:
    """The id of a new token, and the headers that show it."""
    wanted = {"kind": "agent", "name": "aurora", **body}
    maker = body.pop("maker", ADMIN)
    wanted.pop("maker", None)
    answer = client.post(f"{LAKE}/tokens", json=wanted, headers=maker)
    assert answer.status_code == 201, answer.text
    return answer.json()["id"], {**OUTSIDE, "Authorization": f"Bearer {answer.json()['token']}"}


def named(agent: str) -> dict[str, str]:
    return {"X-Agent-ID": agent}


def states(client: httpx.Client, agent: str) -> Counter[str]:
    listed = client.get(JOBS, params={"page_size": 200}, headers=named(agent)).json()["jobs"]
    return Counter(one["state"] for one in listed)


def test_both_made_the_tables_once(pair: Pair) -> None:
    assert pair.rows(sql.SQL("SELECT count(*) FROM deployment")) == [(1,)]
    heads = pair.rows(sql.SQL("SELECT count(*), count(DISTINCT version_num) FROM alembic_version"))
    assert heads[0][0] == heads[0][1] > 1


def test_a_key_that_reaches_both_at_once_is_one_job(pair: Pair) -> None:
    for number in range(5):
        headers = {**named(f"repeats-{number}"), "Idempotency-Key": "once"}
        answers = on_both(
            pair,
            lambda client, headers=headers: client.post(JOBS, json=ASK, headers=headers),
            times=4,
        )
        assert {answer.status_code for answer in answers} == {202}
        assert len({answer.json()["id"] for answer in answers}) == 1
        body = pair.clients[0].get(JOBS, headers=named(f"repeats-{number}")).json()
        assert body["total"] == 1


def test_both_take_jobs_and_each_job_runs_once(pair: Pair) -> None:
    here, there = pair.clients
    agents = [f"many-{number}" for number in range(4)]
    jobs = [
        here.post(JOBS, json={"sql": f"SELECT i + {number} AS n FROM range(20000) r(i)"},
                  headers=named(agents[number % 4])).json()["id"]
        for number in range(12)
    ]  # fmt: skip
    for number, job in enumerate(jobs):
        headers = named(agents[number % 4])
        poll(
            lambda job=job, headers=headers: (
                there.get(f"{JOBS}/{job}", headers=headers).json()["state"] == "succeeded"
            ),
            deadline_s=60,
        )
        state = here.get(f"{JOBS}/{job}", headers=headers).json()
        assert (state["attempt"], state["row_count"]) == (1, 20_000)
        for client in pair.clients:
            page = client.get(f"{JOBS}/{job}/results", params={"page_size": 1}, headers=headers)
            assert page.json()["rows"] == [[number]]
    assert not pair.objects() - Counter([*jobs, *finished_jobs(pair)])


def finished_jobs(pair: Pair) -> list[str]:
    found = pair.rows(sql.SQL("SELECT id::text FROM jobs WHERE state = 'succeeded'"))
    return [row[0] for row in found]


def test_what_is_cancelled_at_one_stops_at_the_other(pair: Pair) -> None:
    # Each runs one at a time: two that run are one on each, and both are cancelled at one of them.
    here, there = pair.clients
    for agent in ("stops-1", "stops-2"):
        jobs = [here.post(JOBS, json=ENDLESS, headers=named(agent)).json()["id"] for _ in range(2)]
        poll(lambda agent=agent: states(here, agent) == Counter(running=2), deadline_s=30)
        for job in jobs:
            answer = there.post(f"{JOBS}/{job}/cancel", headers=named(agent))
            assert answer.json()["state"] == "cancelled"
        assert states(here, agent) == Counter(cancelled=2)


def test_jobs_of_one_caller_are_bounded_over_both(pair: Pair) -> None:
    asked = on_both(
        pair, lambda client: client.post(JOBS, json=ENDLESS, headers=named("greedy")), times=5
    )
    assert Counter(answer.status_code for answer in asked) == {202: JOBS_AT_A_TIME, 429: 7}
    for answer in asked:
        if answer.status_code == 202:
            pair.clients[1].delete(f"{JOBS}/{answer.json()['id']}", headers=named("greedy"))


def test_what_is_sent_to_both_is_bounded_by_one_quota(pair: Pair) -> None:
    content = b"x" * (QUOTA_BYTES // 3)
    answers = on_both(
        pair,
        lambda client: client.post(
            ARTIFACTS, params={"name": "a.txt"}, content=content, headers=named("keeper")
        ),
        times=2,
    )
    assert Counter(answer.status_code for answer in answers) == {201: 3, 409: 1}


def test_calls_are_counted_over_both(pair: Pair) -> None:
    _, token = make(pair.clients[0], limits={"requests_per_hour": 5})
    answers = on_both(
        pair, lambda client: client.post(f"{LAKE}/query", json=ASK, headers=token), times=4
    )
    assert Counter(answer.status_code for answer in answers) == {200: 5, 429: 3}


def test_a_token_that_one_revokes_opens_nothing_at_the_other(pair: Pair) -> None:
    here, there = pair.clients
    swarm_id, swarm = make(here, kind="swarm", name="fleet")
    agent_id, agent = make(there, name="one", maker=swarm)
    _, other = make(there, name="two", maker=swarm)
    for client in pair.clients:
        for token in (agent, other):
            assert client.post(f"{LAKE}/query", json=ASK, headers=token).status_code == 200
    assert here.delete(f"{LAKE}/tokens/{agent_id}", headers=swarm).json()["state"] == "revoked"
    refused = there.post(f"{LAKE}/query", json=ASK, headers=agent)
    assert (refused.status_code, refused.json()["code"]) == (401, "invalid_token")
    assert there.post(f"{LAKE}/query", json=ASK, headers=other).status_code == 200
    there.delete(f"{LAKE}/tokens/{swarm_id}", headers=ADMIN)
    assert here.post(f"{LAKE}/query", json=ASK, headers=other).status_code == 401


def test_a_link_of_one_opens_its_file_at_both_until_its_token_is_revoked(pair: Pair) -> None:
    here = pair.clients[0]
    token_id, token = make(here, name="linker")
    made = here.post(ARTIFACTS, params={"name": "a.txt"}, content=b"mine", headers=token).json()
    path = urlsplit(made["url"]).path
    for client in pair.clients:
        assert (client.get(path).content, client.head(path).status_code) == (b"mine", 200)
    here.delete(f"{LAKE}/tokens/{token_id}", headers=ADMIN)
    for client in pair.clients:
        assert (client.get(path).status_code, client.head(path).status_code) == (404, 404)


def test_a_command_that_reaches_both_at_once_begins_once(pair: Pair) -> None:
    headers = {**ADMIN, "operation-id": "drop-once"}
    answers = on_both(
        pair,
        lambda client: client.post(
            f"{LAKE}/services/engine/commands/drop-caches/run", json={}, headers=headers
        ),
        times=3,
    )
    assert {answer.status_code for answer in answers} == {202}, answers[0].text
    assert {answer.json()["id"] for answer in answers} == {"drop-once"}
    found = pair.rows(sql.SQL("SELECT count(*) FROM operations WHERE operation_id = 'drop-once'"))
    assert found == [(1,)]


def test_both_write_the_audit(pair: Pair) -> None:
    answers = on_both(pair, lambda client: client.post(f"{LAKE}/query", json=ASK), times=5)
    ids = [answer.json()["query_id"] for answer in answers]
    found = pair.rows(sql.SQL("SELECT call_id FROM audit WHERE call_id = ANY(%s)"), ids)
    assert Counter(row[0] for row in found) == Counter(ids)


def test_both_sweep_without_a_fault(pair: Pair) -> None:
    here = pair.clients[0]
    ids = [
        here.post(JOBS, json=ASK, headers=named(f"swept-{number}")).json()["id"]
        for number in range(8)
    ]
    for number, job in enumerate(ids):
        poll(
            lambda job=job, number=number: (
                here.get(f"{JOBS}/{job}", headers=named(f"swept-{number}")).json()["state"]
                == "succeeded"
            ),
            deadline_s=60,
        )
    at_once([
        lambda client=client, job=job, number=number: client.delete(
            f"{JOBS}/{job}", headers=named(f"swept-{number}")
        )
        for number, job in enumerate(ids)
        for client in pair.clients
    ])  # fmt: skip
    poll(lambda: not set(ids) & set(pair.objects()), deadline_s=30)
    for replica in pair.replicas:
        assert '"exception"' not in replica.log.read_text()


def test_what_a_killed_one_ran_the_other_brings_to_its_end(pair: Pair) -> None:
    here, there = pair.clients
    large = {"sql": "SELECT i, hash(i) AS h, uuid() FROM range(600000) r(i)", "format": "csv"}
    exports = [
        there.post(EXPORTS, json=large, headers=named(f"left-{number}")).json()["id"]
        for number in range(4)
    ]

    def told(client: httpx.Client) -> list[dict[str, Any]]:
        return client.get(EXPORTS, params={"page_size": 200}, headers=ADMIN).json()["exports"]

    process = pair.replicas[0].process
    wanted = sql.SQL("SELECT id::text FROM jobs WHERE kind = 'export' AND state = 'running'")
    seen: list[str] = []

    def is_caught() -> bool:
        """Stop the process; it goes on again unless it has one of two exports that run."""
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED)
        # What it has sent already reaches the database.
        time.sleep(0.1)
        seen[:] = [row[0] for row in pair.rows(wanted)]
        if len(seen) < 2:
            process.send_signal(signal.SIGCONT)
        return len(seen) == 2

    # Each runs one at a time: one of two that run is the other's.
    poll(lambda: len(pair.rows(wanted)) == 2 and is_caught(), deadline_s=60)
    process.kill()
    process.wait()
    with pytest.raises(httpx.TransportError):
        here.get("/healthz")
    poll(lambda: {one["state"] for one in told(there)} == {"succeeded"}, deadline_s=180)
    assert {one["row_count"] for one in told(there)} == {600_000}
    attempts = dict(pair.rows(sql.SQL("SELECT id::text, attempt FROM jobs WHERE kind = 'export'")))
    # Begun again is the one that it had, and no other.
    assert sorted(attempts.pop(one) for one in seen) == [1, 2]
    assert set(attempts.values()) == {1}
    objects = pair.objects()
    assert {export: objects[export] for export in exports} == dict.fromkeys(exports, 1)
