"""The lake that is measured: two datasets of ten columns, so many days, on an S3 of its own.

Belongs here: the two declarations, their rows, writing them through the product's own writer.
Does not belong here: asking for them (`queries`).

Rows follow from the day alone. A lake is kept between runs, in a directory named by what it is
made of; a lake that was not finished is thrown away.
"""

import concurrent.futures
import hashlib
import json
import shutil
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import boto3
import numpy as np
import pyarrow as pa

from lake_api.stack.s3 import EmbeddedS3, S3Server
from lake_assets.catalog import Catalog, Dataset, event, load_catalog
from lake_assets.storage.bucket import ensure_bucket
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter, WrittenPartition

NEWEST_DAY = date(2026, 10, 31)
ROWS_PER_DAY = 5_000
_RECIPE = 1
"""Raised whenever the rows change, so that a kept lake is not taken for the new one."""

_WRITERS = 4
_AGENTS = [f"agent-{number:03d}" for number in range(60)]
_MODELS = [f"model-{name}" for name in ("haze", "larch", "opal", "pine", "quartz", "reed", "vale")]
_PROVIDERS = ["north", "south", "west"]
_STATUSES = ["succeeded", "failed", "cancelled", "timed_out", "running"]
_ERRORS = [f"E{number:04d}" for number in range(4_000)]

RUNS = event(
    "agent_run_log",
    "One row per run of an agent.",
    group="core",
    table="agent_run_logs",
    tasks="lake.export_agent_run_log",
    key="run_id",
    columns="""
        run_id        string!    The run.
        agent_id      string!    The agent.
        status        string!    How it stands.
        model         string     Its main model.
        user_id       string     For whom.
        error_code    string     Why it failed.
        duration_ms   int64      How long it took.
        total_tokens  int64      Tokens of all calls.
        cost_usd      decimal    Cost of all calls.
        created_at    timestamp! When it began.
    """,
)
USAGE = event(
    "platform/llm_token_usage",
    "One row per call of a model.",
    group="platform",
    table="llm_token_usage",
    tasks="lake.export_llm_token_usage lake.backfill_llm_token_usage",
    key="id",
    columns="""
        id                 string!    The call.
        request_id         string     The run that it belongs to.
        agent_id           string     The agent.
        provider           string!    Who serves the model.
        model              string!    The model.
        prompt_tokens      int64!     Tokens read.
        completion_tokens  int64!     Tokens written.
        total_tokens       int64!     Both.
        cost_usd           decimal!   Cost.
        created_at         timestamp! When.
    """,
)
DATASETS = (RUNS, USAGE)


def bench_catalog() -> Catalog:
    """The real catalogue with the two datasets in their measured form of ten columns."""
    own = {dataset.partition: dataset for dataset in DATASETS}
    return Catalog(own.get(dataset.partition, dataset) for dataset in load_catalog())


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeSpec:
    """What a lake is made of."""

    days: int
    rows_per_day: int = ROWS_PER_DAY

    @property
    def name(self) -> str:
        """The directory of the lake."""
        text = f"{_RECIPE} {self.rows_per_day} {NEWEST_DAY}"
        return f"lake-{self.days}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"

    @property
    def dates(self) -> Sequence[date]:
        """The days, oldest first."""
        return [NEWEST_DAY - timedelta(days=back) for back in range(self.days - 1, -1, -1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchLake:
    """A lake that is being served. `build_s` is None when it was there already."""

    spec: LakeSpec
    server: S3Server
    objects: int
    size_bytes: int
    build_s: float | None


@contextmanager
def serve_lake(spec: LakeSpec, directory: Path) -> Generator[BenchLake]:
    """Serve the lake, writing it first where it is not there yet."""
    home = directory / spec.name
    finished = home / "finished.json"
    if home.exists() and not finished.exists():
        shutil.rmtree(home)
    server = EmbeddedS3(home).start(port=18_333)
    try:
        build_s = None
        if not finished.exists():
            started = time.perf_counter()
            facts = _write(spec, server)
            build_s = time.perf_counter() - started
            finished.write_text(json.dumps(facts), encoding="utf-8")
        facts = json.loads(finished.read_text(encoding="utf-8"))
        yield BenchLake(spec=spec, server=server, build_s=build_s, **facts)
    finally:
        server.stop()


def _write(spec: LakeSpec, server: S3Server) -> dict[str, int]:
    where = server.writer
    client = boto3.client(
        "s3",
        endpoint_url=where.endpoint,
        aws_access_key_id=where.access_key,
        aws_secret_access_key=where.secret_key,
        region_name=where.region,
    )
    ensure_bucket(client, where.bucket)
    store = LakeStore(where)
    writer = PartitionWriter(store, run_id="bench", code_version=str(_RECIPE))
    objects = [(dataset, day) for dataset in DATASETS for day in spec.dates]

    def write(dataset: Dataset, day: date) -> WrittenPartition:
        return writer.write(dataset, day, [rows_of(dataset, day, count=spec.rows_per_day)])

    with concurrent.futures.ThreadPoolExecutor(_WRITERS) as threads:
        written = list(threads.map(write, *zip(*objects, strict=True)))
    for dataset in DATASETS:
        store.bump_version(dataset, spec.dates)
    return {"objects": len(written), "size_bytes": sum(one.size_bytes for one in written)}


def rows_of(dataset: Dataset, day: date, *, count: int) -> pa.RecordBatch:
    """The rows of one day of one of the two datasets."""
    number = day.toordinal()
    # The ids of a day's runs do not depend on the dataset: calls are joined to runs by them.
    run_ids = _hex(np.random.default_rng([number, 0]), count)
    rng = np.random.default_rng([number, 1 + DATASETS.index(dataset)])
    made = _runs(rng, run_ids, count) if dataset is RUNS else _usage(rng, run_ids, count)
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1_000_000)
    at = start + np.sort(rng.integers(0, 86_400_000_000, count))
    made["created_at"] = pa.array(at).cast(pa.timestamp("us", tz="UTC"))
    schema = arrow_schema(dataset)
    return pa.RecordBatch.from_arrays([made[name] for name in schema.names], schema=schema)


def _runs(rng: np.random.Generator, run_ids: pa.Array, count: int) -> dict[str, pa.Array]:
    failed = rng.random(count) < 0.08
    tokens = rng.gamma(2.0, 3_000.0, count).astype(np.int64) + 1
    users = rng.integers(0, 20_000, count)
    return {
        "run_id": run_ids,
        "agent_id": _pick(_AGENTS, _skewed(rng, len(_AGENTS), count)),
        "status": _pick(_STATUSES, np.where(failed, 1, np.where(rng.random(count) < 0.9, 0, 2))),
        "model": _pick(_MODELS, rng.integers(0, len(_MODELS), count)),
        "user_id": pa.array([f"user-{user:05d}" for user in users]),
        "error_code": _pick(_ERRORS, rng.integers(0, len(_ERRORS), count), null=~failed),
        "duration_ms": pa.array(rng.gamma(1.5, 20_000.0, count).astype(np.int64)),
        "total_tokens": pa.array(tokens),
        "cost_usd": _money(tokens * rng.integers(1, 30, count)),
    }


def _usage(rng: np.random.Generator, run_ids: pa.Array, count: int) -> dict[str, pa.Array]:
    read = rng.gamma(2.0, 900.0, count).astype(np.int64) + 1
    wrote = rng.gamma(2.0, 250.0, count).astype(np.int64)
    return {
        "id": _hex(rng, count),
        "request_id": run_ids.take(pa.array(rng.integers(0, count, count))),
        "agent_id": _pick(_AGENTS, _skewed(rng, len(_AGENTS), count)),
        "provider": _pick(_PROVIDERS, rng.integers(0, len(_PROVIDERS), count)),
        "model": _pick(_MODELS, rng.integers(0, len(_MODELS), count)),
        "prompt_tokens": pa.array(read),
        "completion_tokens": pa.array(wrote),
        "total_tokens": pa.array(read + wrote),
        "cost_usd": _money((read + 3 * wrote) * rng.integers(1, 30, count)),
    }


def _pick(values: Sequence[str], index: np.ndarray, null: np.ndarray | None = None) -> pa.Array:
    keys = pa.array(index.astype(np.int32), mask=null)
    return pa.DictionaryArray.from_arrays(keys, pa.array(values)).dictionary_decode()


def _skewed(rng: np.random.Generator, kinds: int, count: int) -> np.ndarray:
    """Few values that are frequent and many that are not."""
    return (rng.beta(1.0, 2.5, count) * kinds).astype(np.int64)


def _hex(rng: np.random.Generator, count: int) -> pa.Array:
    """Strings of 16 hexadecimal digits."""
    text = rng.bytes(8 * count).hex().encode()
    offsets = np.arange(0, 16 * (count + 1), 16, dtype=np.int32)
    return pa.Array.from_buffers(
        pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    )


def _money(millionths: np.ndarray) -> pa.Array:
    """Millionths as decimal(18, 6): the low halves of 128-bit integers."""
    words = np.zeros((len(millionths), 2), dtype=np.int64)
    words[:, 0] = millionths
    return pa.Array.from_buffers(pa.decimal128(18, 6), len(millionths), [None, pa.py_buffer(words)])
