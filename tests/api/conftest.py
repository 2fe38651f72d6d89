"""The service as agents meet it: over a socket, with a small catalogue and a scripted engine."""

import asyncio
import json
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import obstore
import pytest
import uvicorn
from litestar import Litestar, post
from litestar.params import JSONBody

from lake_api.app import create_app
from lake_api.clock import Clock, utc_now
from lake_api.query.guard import CheckedQuery
from lake_api.query.messages import Form
from lake_api.query.reader_store import open_small
from lake_api.query.results import Freshness, QueryPreview, QueryResult
from lake_api.query.snapshot import Look, Snapshot
from lake_api.query.stats import EngineStats
from lake_api.settings import Settings
from lake_api.stack.s3 import S3Server
from lake_api.web.front_door import DoorLimits, bounded_protocol
from lake_assets.catalog import (
    Catalog,
    Dataset,
    LakeLocation,
    Schedule,
    Task,
    derived,
    event,
    external,
    snapshot,
)
from lake_assets.storage.bucket import ensure_bucket
from tests.api.real_lake import RealLake
from tests.conftest import boto3_client

KEY = "test-key-of-the-admin"
NOW = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
ADMIN = {"X-Internal-API-Key": KEY}
QUERY = "/api/v1/internal/lake/query"
TOOL = "/api/v1/internal/lake/tool-definition"
TRIGGER = "/api/v1/internal/tasks/trigger"
TASKS = "/api/v1/internal/tasks"

COLUMNS = """
    run_id      string!   One id per run.
    agent_id    string
    status      string    How it ended. {succeeded|failed}
    cost_usd    decimal   What it cost.
    metadata    json      More.
    created_at  timestamp!
    updated_at  timestamp
"""


@pytest.fixture(scope="session")
def catalog() -> Catalog:
    return Catalog(
        [
            event(
                "agent_run_log",
                "Daily agent execution logs; one row per run",
                group="Core",
                table="agent_run_logs",
                tasks="lake.export_agent_run_log",
                columns=COLUMNS,
                key="run_id",
            ),
            event(
                "platform/llm_token_usage",
                "LLM token consumption and costs",
                group="Platform",
                table="llm_token_usage",
                tasks="lake.export_llm_token_usage lake.backfill_llm_token_usage",
                columns=COLUMNS,
            ),
            snapshot(
                "platform/agent_instances",
                "Agent instance registry",
                group="Platform",
                table="agent_instances",
                tasks="lake.export_agent_instances",
                columns=COLUMNS,
            ),
            external(
                "external/slack",
                "Slack channel statistics",
                group="External",
                upstream="slack",
                tasks="lake.collect_slack_channel_stats",
                columns=COLUMNS,
                watermark="created_at",
                schedule=Schedule(cron="0 4 * * *", newest_lag_d=2, oldest_lag_d=2),
            ),
            derived(
                "derived/intelligence_scores",
                "Scores of agents",
                group="Derived",
                upstreams="agent_run_log",
                tasks="lake.derive_intelligence_scores",
                columns=COLUMNS,
                watermark="created_at",
            ),
        ],
        [Task(name="lake.ensure_bucket", partition=None, description="Create the bucket.")],
    )


class ScriptedEngine:
    """Runs nothing: answers rows up to the limit it is given, or raises what it was told to."""

    def __init__(self) -> None:
        self.limits: list[int] = []
        self.agents: list[str] = []
        self.failure: Exception | None = None
        self.parts = {"storage": True, "workers": True, "cache": True}
        self.rows_json: bytes | None = None
        self.available_rows = 5

    async def run(
        self,
        checked: CheckedQuery,
        *,
        limit: int,
        timeout_s: float | None = None,  # noqa: ARG002 - part of the engine's contract
        agent: str = "",
        form: Form = Form.JSON,
    ) -> QueryResult:
        await asyncio.sleep(0)
        self.limits.append(limit)
        self.agents.append(agent)
        if self.failure is not None:
            raise self.failure
        count = min(limit, self.available_rows)
        rows = [[f"agent-{index}", index] for index in range(count)]
        return QueryResult(
            columns=("agent_id", "runs"),
            column_types=("VARCHAR", "BIGINT"),
            rows_json=self.rows_json or msgspec.json.encode(rows),
            document=b"" if form is Form.JSON else b"rows",
            row_count=count,
            truncated=count < self.available_rows,
            freshness=tuple(
                Freshness(
                    partition=one.partition,
                    sql_name=one.sql_name,
                    newest_day=date(2026, 11, 21),
                    written_at=NOW,
                    stale_from=NOW,
                )
                for one in checked.datasets
            ),
            warnings=("one warning",),
            stages_ms={"execute": 1.0},
        )

    async def preview(
        self,
        checked: CheckedQuery,  # noqa: ARG002 - part of the engine's contract
        *,
        limit: int,
        timeout_s: float | None = None,  # noqa: ARG002
        agent: str = "",
    ) -> QueryPreview:
        await asyncio.sleep(0)
        self.limits.append(limit)
        self.agents.append(agent)
        if self.failure is not None:
            raise self.failure
        return QueryPreview(
            reads=(), exact=True, from_memory=False, freshness=(), warnings=(), stages_ms={}
        )

    async def snapshots(self, datasets: Sequence[Dataset], *, max_age_s: float) -> list[Snapshot]:
        del max_age_s
        await asyncio.sleep(0)
        if self.failure is not None:
            raise self.failure
        return [Snapshot(dataset=one, version="", partitions=()) for one in datasets]

    async def survey(
        self, datasets: Sequence[Dataset], *, max_age_s: float, wait_s: float
    ) -> list[Look]:
        del wait_s
        found = await self.snapshots(datasets, max_age_s=max_age_s)
        return [
            Look(dataset=one.dataset, snapshot=one, as_of=NOW, is_current=True) for one in found
        ]

    async def status(self) -> Mapping[str, bool]:
        return self.parts

    def stats(self) -> EngineStats:
        return EngineStats(
            workers=2,
            workers_alive=2,
            workers_busy=1,
            worker_respawns=3,
            queue_length=4,
            cache_bytes=5,
            cache_budget_bytes=6,
            cache_hits=7,
            cache_misses=8,
            cache_fetched_bytes=9,
            cache_damaged=0,
            answers_bytes=10,
            answers_hits=11,
            answers_misses=12,
            segment_bytes=13,
            segment_builds=14,
            segments_building=1,
        )

    async def close(self) -> None:
        return None


@dataclass
class StubDagster:
    """A GraphQL server on loopback that answers what a test scripts and keeps what it was asked."""

    answers: dict[str, Callable[[Mapping[str, Any]], Any]] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    url: str = ""

    def app(self) -> Litestar:
        @post("/graphql", status_code=200, sync_to_thread=False)
        def graphql(data: JSONBody[dict[str, Any]]) -> dict[str, Any]:
            operation = data["query"].split("(")[0].split()[1]
            self.asked.append((operation, data["variables"]))
            return {"data": self.answers[operation](data["variables"])}

        return Litestar([graphql], openapi_config=None, logging_config=None)

    def say(self, operation: str, answer: Any) -> None:
        """Answer an operation with data, or with what a function makes of its variables."""
        self.answers[operation] = answer if callable(answer) else lambda _: answer


@contextmanager
def serving(app: Litestar) -> Iterator[str]:
    """Serve an application on a free port until the block ends."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=bounded_protocol(DoorLimits()),
        proxy_headers=False,
        log_config=None,
        access_log=False,
        lifespan="on",
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    listener.listen(128)
    thread.start()
    try:
        # The socket listens already: a first request waits until the application has started.
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)
        listener.close()
        assert not thread.is_alive()


@dataclass
class Service:
    """A running service and what it was built of."""

    client: httpx.Client
    engine: ScriptedEngine
    dagster: StubDagster
    settings: Settings
    app: Litestar

    def query(self, sql: str = "SELECT agent_id FROM agent_run_log", **more: Any) -> httpx.Response:
        headers = more.pop("headers", {})
        return self.client.post(QUERY, json={"sql": sql, **more}, headers=headers)

    def trigger(self, task: str, **kwargs: Any) -> httpx.Response:
        return self.client.post(TRIGGER, json={"task": task, "kwargs": kwargs}, headers=ADMIN)


@pytest.fixture(scope="session")
def serve() -> Callable[[Litestar], AbstractContextManager[str]]:
    return serving


StartService = Callable[..., Service]


def database_in(folder: Path) -> str:
    """The URL of a database of the service's own."""
    return f"sqlite:///{folder}/service.db"


@pytest.fixture(scope="session")
def open_service(
    catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[Service]]:
    """Services with chosen settings, each running until its block ends."""

    @contextmanager
    def opened(
        *,
        dagster_url: str | None = None,
        dagster_transport: httpx.AsyncBaseTransport | None = None,
        **env: str,
    ) -> Iterator[Service]:
        engine, dagster = ScriptedEngine(), StubDagster()
        with ExitStack() as stack:
            dagster.url = dagster_url or stack.enter_context(serving(dagster.app()))
            settings = Settings.from_mapping(
                {
                    "AINATIVE_INTERNAL_API_KEY": KEY,
                    "LAKE_DAGSTER_URL": dagster.url,
                    "LAKE_DATABASE_URL": database_in(tmp_path_factory.mktemp("database")),
                    "LAKE_CALLS_PER_MINUTE": "100000",
                    **env,
                }
            )
            app = create_app(
                settings=settings,
                catalog=catalog,
                engine=engine,
                clock=lambda: NOW,
                dagster_transport=dagster_transport,
            )
            url = stack.enter_context(serving(app))
            client = stack.enter_context(httpx.Client(base_url=url, trust_env=False))
            yield Service(client=client, engine=engine, dagster=dagster, settings=settings, app=app)

    return opened


@pytest.fixture(scope="module")
def start_service(
    open_service: Callable[..., AbstractContextManager[Service]],
) -> Iterator[StartService]:
    """The same; all of them stop with the module's last test."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(open_service(**options))


@pytest.fixture(scope="module")
def shared_service(start_service: StartService) -> Service:
    return start_service()


@pytest.fixture
def service(shared_service: Service) -> Service:
    """The module's service, with its script blank again."""
    fresh = ScriptedEngine()
    vars(shared_service.engine).update(vars(fresh))
    shared_service.dagster.answers.clear()
    shared_service.dagster.asked.clear()
    return shared_service


@contextmanager
def own_bucket(s3: S3Server) -> Iterator[LakeLocation]:
    """An empty bucket until the block ends; the server has room for some, not for one a test."""
    location = replace(s3.writer, bucket=f"api-{uuid.uuid4().hex[:12]}")
    client = boto3_client(location)
    ensure_bucket(client, location.bucket)
    try:
        yield location
    finally:
        store = open_small(location)
        obstore.delete(store, [item["path"] for item in obstore.list(store).collect()])
        client.delete_bucket(Bucket=location.bucket)


@pytest.fixture
def bucket(s3: S3Server) -> Iterator[LakeLocation]:
    with own_bucket(s3) as location:
        yield location


StartLake = Callable[..., RealLake]


@pytest.fixture(scope="session")
def open_lake(
    s3: S3Server, catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., AbstractContextManager[RealLake]]:
    """The service with its own engine over a bucket of its own, until the block ends."""
    usual = catalog

    @contextmanager
    def opened(
        *, catalog: Catalog = usual, clock: Clock = utc_now, **env: str
    ) -> Iterator[RealLake]:
        cache = tmp_path_factory.mktemp("cache")
        settings = Settings.from_mapping(
            {
                "AINATIVE_INTERNAL_API_KEY": KEY,
                "LAKE_CACHE_DIR": str(cache),
                "LAKE_DATABASE_URL": database_in(cache),
                "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
                "LAKE_CALLS_PER_MINUTE": "100000",
                "LAKE_QUERY_WORKERS": "1",
                "LAKE_HEAVY_WORKERS": "0",
                "LAKE_SNAPSHOT_CHECK_S": "0.1",
                **env,
            }
        )
        with own_bucket(s3) as location:
            app = create_app(settings=settings, catalog=catalog, location=location, clock=clock)
            with serving(app) as url:
                client = httpx.Client(base_url=url, trust_env=False, timeout=60)
                with client:
                    yield RealLake(client=client, bucket=location, catalog=catalog, cache=cache)

    return opened


@pytest.fixture
def start_lake(open_lake: Callable[..., AbstractContextManager[RealLake]]) -> Iterator[StartLake]:
    """The same; all of them stop with the test."""
    with ExitStack() as stack:
        yield lambda **env: stack.enter_context(open_lake(**env))


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The one error shape, and nothing of the inside of the service in it."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["code"] == code
    assert body["title"]
    assert body["detail"]
    assert set(body) <= {
        "status", "code", "title", "detail", "hint", "fragment", "position", "field", "retry",
        "retry_after_s", "query_id", "state", "parts",
    }  # fmt: skip
    for inner in ("Traceback", "site-packages", ".py", KEY):
        assert inner not in json.dumps(body)
    return body


@pytest.fixture(scope="session")
def problem() -> Callable[[httpx.Response, int, str], dict[str, Any]]:
    return assert_problem


@pytest.fixture
def lake_env(tmp_path: Any) -> dict[str, str]:
    # Nothing listens on port 9 (discard): the service starts and says that storage is away.
    return {
        "MINIO_URL": "http://127.0.0.1:9",
        "LAKE_READER_ACCESS_KEY": "a",
        "LAKE_READER_SECRET_KEY": "b",
        "LAKE_DAGSTER_URL": "http://127.0.0.1:9",
        "LAKE_CACHE_DIR": str(tmp_path / "cache"),
        "LAKE_DATABASE_URL": f"sqlite:///{tmp_path}/service.db",
    }
