"""How fast a query's rows become a file in S3, and how much memory the whole service takes for it.

Belongs here: exports of one large query in each form, over the service's HTTP routes.
Does not belong here: leaving Postgres (`benchmarks.export`), answers of queries
(`benchmarks.query`).

The service is `lake_api.serve` with its default settings, in a process of its own beside a real S3.
Each form is asked of a fresh service with an empty object cache, so that its peak is its own and
has the fetching in it. What the S3 server takes is not counted.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from benchmarks.memory import Memory, Peaks, memory_of, watched
from benchmarks.query.lake import LakeSpec, serve_lake
from lake_api.stack.ports import free_ports, http_status
from lake_api.stack.process import Child, Launch, child_environment
from lake_assets.catalog import LakeLocation

MEMORY_BAR_MB = 500
"""Anonymous memory of the API process and all workers together, idle memory included."""

_ROOT = Path(__file__).parents[1]
_ROUTE = "/api/v1/internal/lake/exports"
_FORMS = ("csv", "csv.gzip", "jsonl", "parquet", "arrow", "arrow.zstd", "avro")
_SETTLE_S = 2.0
_DEADLINE_S = 3_000.0
_MB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One export. Memory in bytes: `idle` before it, and the peaks while it ran."""

    form: str
    rows: int
    size_bytes: int
    seconds: float
    idle: Memory
    together: Memory
    api: Memory
    worker: Memory


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and write JSON where asked; 1 when the bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks export-query", description=__doc__)
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--rows-per-day", type=int, default=1_000_000)
    parser.add_argument(
        "--form", action="append", choices=_FORMS, help="may be given several times"
    )
    parser.add_argument("--sql", default="SELECT * FROM agent_run_log")
    parser.add_argument("--directory", type=Path, default=_ROOT / ".lake" / "bench")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args(arguments)
    spec = LakeSpec(days=options.days, rows_per_day=options.rows_per_day)
    with serve_lake(spec, options.directory) as lake:
        measured = [
            _measure(lake.server.writer, form, options.sql) for form in options.form or _FORMS
        ]
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=2))
    return _report(measured)


def _measure(location: LakeLocation, form: str, sql: str) -> Measured:
    with _service(location) as (pid, client):
        idle = memory_of(pid)
        with watched(pid) as peaks:
            started = time.perf_counter()
            export = _export(client, form, sql)
            seconds = time.perf_counter() - started
        client.delete(f"{_ROUTE}/{export['id']}").raise_for_status()
    print(
        f"{form}: {seconds:.0f} s, {peaks.together.anonymous / _MB:.0f} MB anonymous at most",
        file=sys.stderr,
    )
    return Measured(
        form=form,
        rows=export["row_count"],
        size_bytes=export["bytes"],
        seconds=seconds,
        idle=sum(idle.values(), Memory()),
        together=peaks.together,
        api=peaks.each[pid],
        worker=_busiest(peaks, pid),
    )


def _busiest(peaks: Peaks, api: int) -> Memory:
    workers = [memory for pid, memory in peaks.each.items() if pid != api]
    return max(workers, key=lambda memory: memory.anonymous)


def _export(client: httpx.Client, form: str, sql: str) -> dict[str, Any]:
    kind, _, compression = form.partition(".")
    body = {"sql": sql, "format": kind, "compression": compression or "none"}
    answer = client.post(_ROUTE, json=body).raise_for_status()
    export = answer.json()
    deadline = time.monotonic() + _DEADLINE_S
    while export["state"] in {"queued", "running"} and time.monotonic() < deadline:
        time.sleep(0.2)
        export = client.get(f"{_ROUTE}/{export['id']}").raise_for_status().json()
    if export["state"] != "succeeded":
        raise SystemExit(f"the export to {form} is {export['state']}: {export['error']}")
    return export


@contextmanager
def _service(location: LakeLocation) -> Generator[tuple[int, httpx.Client]]:
    home = Path(tempfile.mkdtemp(prefix="lake-export-query-"))
    (port,) = free_ports(1)
    env = {
        "MINIO_URL": location.endpoint,
        "MINIO_ACCESS_KEY": location.access_key,
        "MINIO_SECRET_KEY": location.secret_key,
        "LAKE_ALLOW_WRITER_KEY": "on",
        "LAKE_BUCKET": location.bucket,
        "LAKE_EXPORT_ACCESS_KEY": location.access_key,
        "LAKE_EXPORT_SECRET_KEY": location.secret_key,
        "LAKE_CACHE_DIR": str(home / "cache"),
        "LAKE_DATABASE_URL": f"sqlite:///{home}/service.db",
    }
    child = Child(
        Launch(
            name="service",
            argv=[sys.executable, "-m", "benchmarks.query.serve", "--port", str(port)],
            env=child_environment({"PATH": os.environ.get("PATH", "")}, env),
            cwd=_ROOT,
            log=home / "service.log",
        )
    )
    try:
        child.wait_until(lambda: http_status(port, "/readyz") == 200, timeout_s=60)
        time.sleep(_SETTLE_S)
        with httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60
        ) as client:
            yield child.pid, client
    finally:
        child.stop()
        shutil.rmtree(home, ignore_errors=True)


def _report(measured: Sequence[Measured]) -> int:
    table = Table(title=f"Exports of {measured[0].rows:,} rows; memory in MB")
    headings = ("", "file MB", "seconds", "rows/s", "idle", "peak", "API", "worker", "PSS", "RSS")
    for heading in headings:
        table.add_column(heading, justify="left" if not heading else "right")
    for one in measured:
        table.add_row(
            one.form,
            f"{one.size_bytes / _MB:,.0f}",
            f"{one.seconds:.1f}",
            f"{one.rows / one.seconds:,.0f}",
            *(
                "?" if size is None else f"{size / _MB:.0f}"
                for size in (
                    one.idle.anonymous,
                    one.together.anonymous,
                    one.api.anonymous,
                    one.worker.anonymous,
                    one.together.pss,
                    one.together.rss,
                )
            ),
        )
    most = max(one.together.anonymous for one in measured) / _MB
    console = Console()
    console.print(table)
    console.print(
        "idle, peak, API, worker: anonymous memory; PSS and RSS: of all processes, with the pages "
        "of files that are mapped; PSS is told to root only"
    )
    console.print(f"memory: {most:.0f} MB anonymous in all (bar: under {MEMORY_BAR_MB} MB)")
    return 0 if most < MEMORY_BAR_MB else 1
