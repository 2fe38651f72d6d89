"""Servers that are asked over HTTP: our endpoint, and ROAPI.

Belongs here: starting them over a given S3, asking them.
Does not belong here: HTTP itself (`wire`).
"""

import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa

from benchmarks.query.contender import Answer, AskFailed, Contender, Load, in_threads
from benchmarks.query.lake import DATASETS
from benchmarks.query.venvs import PeerMissing, peer_environment
from benchmarks.query.wire import HttpClient, Reply
from lake_api.stack.errors import StackError
from lake_api.stack.ports import free_ports, http_status
from lake_api.stack.process import Child, Launch, child_environment
from lake_assets.catalog import LakeLocation, dataset_prefix

_ROOT = Path(__file__).parents[2]
_START_S = 120.0
_SETTLE_S = 300.0
_QUIET_S = 1.0
_calls = itertools.count()
"""Numbers the calls of all clients, so that no cron run has more than ten."""


class OverHttp(Contender):
    """A server in a process of its own."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._child: Child | None = None
        self._port = 0
        self._client: HttpClient | None = None

    def _launch(self, argv: Sequence[str], env: Mapping[str, str], ready_path: str) -> None:
        try:
            self._child = Child(
                Launch(
                    name=self.name.split()[0],
                    argv=argv,
                    env=child_environment({"PATH": os.environ.get("PATH", "")}, env),
                    cwd=_ROOT,
                    log=self.directory / f"{self.name.split()[0]}.log",
                )
            )
            self._child.wait_until(
                lambda: http_status(self._port, ready_path) == 200, timeout_s=_START_S
            )
        except StackError as error:
            raise PeerMissing(f"it does not start: {error}") from error
        self._client = HttpClient(self._port)

    def stop(self) -> None:
        """Stop the server."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
        child, self._child = self._child, None
        if child is not None:
            child.stop()

    @abstractmethod
    def _send(self, client: HttpClient, sql: str, *, who: str, count: int) -> Reply: ...

    @abstractmethod
    def _answer(self, reply: Reply) -> Answer: ...

    def ask(self, sql: str) -> Answer:
        """One query over HTTP, on a kept connection."""
        if self._client is None:
            raise AskFailed("it is not running")
        return self._answer(self._send(self._client, sql, who="one", count=next(_calls)))

    def load(
        self, clients: Sequence[Sequence[str]], seconds: float, *, pauses_s: Sequence[float] = ()
    ) -> Load:
        """Each client is a thread with a connection of its own."""
        taken: list[tuple[int, int, float]] = []
        failures: list[str] = []
        until = time.perf_counter() + seconds

        def work(number: int, texts: Sequence[str]) -> None:
            client = HttpClient(self._port)
            pause_s = pauses_s[number] if pauses_s else 0.0
            # Clients that pause begin at different moments of it, not all at once.
            time.sleep(pause_s * number / len(clients))
            for index, sql in enumerate(texts):
                if time.perf_counter() > until:
                    break
                reply = self._send(client, sql, who=f"c{number}", count=next(_calls))
                try:
                    taken.append((number, index, self._answer(reply).taken_ms))
                except AskFailed as error:
                    failures.append(str(error))
                time.sleep(pause_s)
            client.close()

        started = time.perf_counter()
        in_threads(
            [lambda one=one, texts=texts: work(one, texts) for one, texts in enumerate(clients)]
        )
        return Load(taken=taken, failures=failures, seconds=time.perf_counter() - started)


class Endpoint(OverHttp):
    """Our endpoint: the service's process with its default settings.

    Each call names an agent, and a cron run that makes ten calls, as agents do. Only how many runs
    an agent may have in a minute is set higher, since one client here asks without a pause.
    """

    name = "lake endpoint"

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self._cache: Path | None = None

    def start(self, location: LakeLocation) -> None:
        """Start it on an empty object cache; ready is what `/readyz` says."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self._cache = Path(tempfile.mkdtemp(prefix="cache-", dir=self.directory))
        (self._port,) = free_ports(1)
        self._launch(
            [sys.executable, "-m", "benchmarks.query.serve", "--port", str(self._port)],
            {
                "MINIO_URL": location.endpoint,
                "MINIO_ACCESS_KEY": location.access_key,
                "MINIO_SECRET_KEY": location.secret_key,
                "LAKE_ALLOW_WRITER_KEY": "on",
                "LAKE_BUCKET": location.bucket,
                "LAKE_CACHE_DIR": str(self._cache),
                "LAKE_DATABASE_URL": f"sqlite:///{self._cache}/service.db",
                "LAKE_CALLS_PER_MINUTE_OF_RUNS": "1000000",
            },
            "/readyz",
        )

    def stop(self) -> None:
        """Stop the service and throw its object cache away."""
        super().stop()
        if self._cache is not None:
            shutil.rmtree(self._cache, ignore_errors=True)

    def settle(self) -> None:
        """Wait until no segment has been in the making for a while."""
        client = HttpClient(self._port)
        quiet_since = time.monotonic()
        until = quiet_since + _SETTLE_S
        while time.monotonic() - quiet_since < _QUIET_S and time.monotonic() < until:
            metrics = client.get("/metrics", {"X-Agent-ID": "bench"}).decode()
            if "lake_segments_building 0.0" not in metrics.splitlines():
                quiet_since = time.monotonic()
            time.sleep(0.1)
        client.close()

    def _send(self, client: HttpClient, sql: str, *, who: str, count: int) -> Reply:
        return client.post(
            "/api/v1/internal/lake/query",
            json.dumps({"sql": sql, "limit": 1_000}).encode(),
            {
                "Content-Type": "application/json",
                "X-Agent-ID": f"bench-{who}",
                "X-Cron-Run-ID": f"run-{count // 10}",
            },
        )

    def _answer(self, reply: Reply) -> Answer:
        body = reply.json()
        if reply.status != 200 or body["error"] is not None:
            problem = body.get("error") or body
            raise AskFailed(f"{reply.status} {problem.get('code')}: {problem.get('detail')}")
        return Answer(taken_ms=reply.taken_ms, rows=body["rows"], server_ms=body["elapsed_ms"])


class Roapi(OverHttp):
    """ROAPI over the files where they are, answering in Arrow."""

    name = "ROAPI"
    keeps = False

    def prepare(self) -> None:
        """Make the environment that has its program."""
        self._binary = peer_environment("roapi", self.directory / "venvs") / "roapi"

    def start(self, location: LakeLocation) -> None:
        """Start it; it lists the objects and infers their schema before it listens."""
        self._port, *others = free_ports(3)
        config = self.directory / "roapi.yml"
        config.write_text(
            # JSON is YAML, too.
            json.dumps(
                {
                    # All three, or it takes ports of its own choice.
                    "addr": {
                        name: f"127.0.0.1:{port}"
                        for name, port in zip(
                            ("http", "postgres", "flight_sql"), (self._port, *others), strict=True
                        )
                    },
                    "tables": [
                        {
                            "name": dataset.sql_name,
                            "uri": f"s3://{location.bucket}/{dataset_prefix(dataset)}",
                            "option": {"format": "parquet", "use_memory_table": False},
                            "partition_columns": [{"name": "date", "data_type": "Date32"}],
                        }
                        for dataset in DATASETS
                    ],
                }
            ),
            encoding="utf-8",
        )
        self._launch(
            [str(self._binary), "--config", str(config)],
            {
                "AWS_ENDPOINT_URL": location.endpoint,
                "AWS_ACCESS_KEY_ID": location.access_key,
                "AWS_SECRET_ACCESS_KEY": location.secret_key,
                "AWS_DEFAULT_REGION": location.region,
                "AWS_REGION": location.region,
                "AWS_ALLOW_HTTP": "true",
            },
            "/api/schema",
        )

    def _send(self, client: HttpClient, sql: str, *, who: str, count: int) -> Reply:
        del who, count
        return client.post(
            "/api/sql", sql.encode(), {"Accept": "application/vnd.apache.arrow.stream"}
        )

    def _answer(self, reply: Reply) -> Answer:
        if reply.status != 200:
            raise AskFailed(reply.body.decode(errors="replace")[:300])
        table = pa.ipc.open_stream(reply.body).read_all()
        columns = [column.to_pylist() for column in table.columns]
        return Answer(taken_ms=reply.taken_ms, rows=list(zip(*columns, strict=True)))
