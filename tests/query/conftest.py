"""A lake of three datasets on a real S3, and an engine that reads it."""

import asyncio
import json
import threading
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, TypeVar

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import S3Store

from lake_api.query.engine import QueryEngine
from lake_api.query.guard import Guard
from lake_api.query.reader_store import open_whole
from lake_api.query.results import QueryResult
from lake_api.settings import Settings
from lake_assets.catalog import (
    Catalog,
    Dataset,
    LakeLocation,
    data_key,
    event,
    version_key,
)
from lake_assets.storage.bucket import ensure_bucket
from tests.conftest import boto3_client, remove_bucket

T = TypeVar("T")

RUNS = event(
    "agent_run_log",
    "One row per run of an agent.",
    group="core",
    table="agent_run_log",
    tasks="lake.export_agent_run_log",
    columns="""
        run_id      string!    The run.
        agent_id    string     The agent.
        tokens      int64      Tokens used.
        cost_usd    decimal    Cost.
        created_at  timestamp! When it began.
    """,
)
USAGE = event(
    "platform/llm_token_usage",
    "Tokens by model.",
    group="platform",
    table="llm_token_usage",
    tasks="lake.export_llm_token_usage",
    columns="""
        model       string!    The model.
        agent_id    string     The agent.
        tokens      int64      Tokens used.
        created_at  timestamp! When.
    """,
)
NEVER = event(
    "never_written",
    "A dataset without data.",
    group="core",
    table="never_written",
    tasks="lake.export_never_written",
    columns="""
        id          string!    The row.
        created_at  timestamp! When.
    """,
)
CATALOG = Catalog([RUNS, USAGE, NEVER])
RUNS_SCHEMA = pa.schema(
    [
        ("run_id", pa.string()),
        ("agent_id", pa.string()),
        ("tokens", pa.int64()),
        ("cost_usd", pa.decimal128(18, 6)),
        ("created_at", pa.timestamp("us", tz="UTC")),
    ]
)


def run_rows(day: date, agents: Sequence[str], *, tokens: int = 10) -> pa.Table:
    """One run per agent."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pa.table(
        {
            "run_id": [f"{day}-{number}" for number, _ in enumerate(agents)],
            "agent_id": list(agents),
            "tokens": [tokens + number for number, _ in enumerate(agents)],
            "cost_usd": [Decimal("0.25")] * len(agents),
            "created_at": [at] * len(agents),
        },
        schema=RUNS_SCHEMA,
    )


def usage_rows(day: date, models: Sequence[str]) -> pa.Table:
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    return pa.table(
        {
            "model": list(models),
            "agent_id": ["aurora"] * len(models),
            "tokens": list(range(len(models))),
            "created_at": pa.array([at] * len(models), pa.timestamp("us", tz="UTC")),
        }
    )


class Background:
    """An event loop in a thread, so that tests are plain functions."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def start(self, work: Coroutine[Any, Any, T]):
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.start(work).result(timeout=60)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(timeout=10)
        self._loop.close()


@dataclass
class Lake:
    """A bucket of its own, and engines over it."""

    location: LakeLocation
    cache: Path
    background: Background
    catalog: Catalog = CATALOG
    guard: Guard = field(default_factory=lambda: Guard(CATALOG))
    engines: list[QueryEngine] = field(default_factory=list)

    @property
    def writer(self) -> S3Store:
        return open_whole(self.location)

    @property
    def engine(self) -> QueryEngine:
        return self.engines[-1]

    def start(self, *, location: LakeLocation | None = None, **env: str) -> QueryEngine:
        settings = Settings.from_mapping(
            {
                "LAKE_CACHE_DIR": str(self.cache),
                "LAKE_QUERY_WORKERS": "2",
                "LAKE_HEAVY_WORKERS": "0",
                "LAKE_QUERY_THREADS": "1",
                "LAKE_QUERY_MEMORY_BYTES": "300000000",
                "LAKE_QUERY_ADDRESS_SPACE_BYTES": "1500000000",
                "LAKE_QUERY_GRACE_S": "0.5",
                "LAKE_QUERY_TIMEOUT_S": "20",
                **env,
            }
        )
        engine = self.background.run(
            QueryEngine.start(
                location=location or self.location, settings=settings, catalog=self.catalog
            )
        )
        self.engines.append(engine)
        return engine

    def stop(self) -> None:
        while self.engines:
            self.background.run(self.engines.pop().close())

    def put(self, dataset: Dataset, day: date, table: pa.Table) -> None:
        """Write a day as the exporter does: the data, then the version token."""
        buffer = BytesIO()
        measured = [one.name for one in table.schema if not pa.types.is_floating(one.type)]
        pq.write_table(table, buffer, compression="snappy", write_statistics=measured)
        self.put_bytes(dataset, day, buffer.getvalue())

    def put_bytes(self, dataset: Dataset, day: date, content: bytes) -> None:
        obstore.put(self.writer, data_key(dataset, day), content)
        self.bump(dataset)

    def stored(self, dataset: Dataset, day: date) -> bytes:
        return bytes(obstore.get(self.writer, data_key(dataset, day)).bytes())

    def bump(self, dataset: Dataset) -> None:
        obstore.put(self.writer, version_key(dataset), uuid.uuid4().hex.encode())

    def query(self, sql: str, *, limit: int = 100, **options: Any) -> QueryResult:
        return self.background.run(self.engine.run(self.guard.check(sql), limit=limit, **options))

    def rows(self, sql: str, **options: Any) -> list[list[Any]]:
        return json.loads(self.query(sql, **options).rows_json)


@pytest.fixture(scope="session")
def background() -> Iterator[Background]:
    background = Background()
    yield background
    background.stop()


@pytest.fixture(scope="session")
def new_lake(s3, background, tmp_path_factory) -> Callable[[], Lake]:
    def make() -> Lake:
        location = replace(s3.writer, bucket=f"query-{uuid.uuid4().hex[:12]}")
        ensure_bucket(boto3_client(location), location.bucket)
        return Lake(
            location=location, cache=tmp_path_factory.mktemp("cache"), background=background
        )

    return make


@pytest.fixture
def lake(new_lake) -> Iterator[Lake]:
    """An empty lake; the test starts its engine."""
    lake = new_lake()
    yield lake
    lake.stop()
    remove_bucket(lake.location)


@pytest.fixture(scope="module")
def shared_lake(new_lake) -> Iterator[Lake]:
    """A lake that no test of the module writes to, with an engine: ten days of runs and usage."""
    lake = new_lake()
    for number in range(1, 11):
        day = date(2026, 11, number)
        lake.put(RUNS, day, run_rows(day, ["aurora", "sage", "nova"], tokens=number * 100))
        lake.put(USAGE, day, usage_rows(day, ["small", "large"]))
    lake.start()
    yield lake
    lake.stop()
    remove_bucket(lake.location)
