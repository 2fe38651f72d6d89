"""How fast one large day leaves Postgres, and how much memory that takes.

Belongs here: the export of one day beside a bare ADBC-to-pyarrow loop, in one run.
Does not belong here: queries (`benchmarks.query`).

Each contender is a process of its own, so that its peak memory is its own. The bare loop reads the
same statement in batches and drops them; the export conforms, encodes, measures and uploads.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from lake_api.stack.postgres import EmbeddedPostgres
from lake_api.stack.s3 import EmbeddedS3
from lake_assets.catalog import LakeLocation, load_catalog
from lake_assets.sources.platform import open_export, select_statement
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter

DAY = date(2026, 11, 20)
DATASET = load_catalog()["agent_run_log"]
MEMORY_BAR_MB = 700
RATE_BAR = 0.6
_CREATE = """
CREATE UNLOGGED TABLE agent_run_logs AS SELECT
  md5(i::text) AS run_id, 'agent-' || i % 12 AS agent_id, 'Aurora' AS agent_name,
  'schedule' AS trigger_type, 'succeeded' AS status, 'research' AS task_type, 'gpt-4o' AS model,
  moment AS started_at, moment + interval '40 s' AS finished_at, (i % 5000)::int8 AS duration_ms,
  (i % 30)::int8 AS steps, (i % 10)::int8 AS tool_calls, (i % 9000)::int8 AS total_tokens,
  (i % 1000 / 1000.0)::numeric(18,6) AS cost_usd,
  CASE WHEN i % 20 = 0 THEN 'timeout' END AS error_code,
  CASE WHEN i % 20 = 0 THEN 'the upstream did not answer in time' END AS error_message,
  'user-' || i % 500 AS user_id, 'org-' || i % 20 AS org_id,
  '{"tags": ["a", "b"]}'::jsonb AS metadata, moment AS created_at
FROM generate_series(0, %(rows)s - 1) AS i, LATERAL (
  SELECT timestamptz '2026-11-20 00:00+00' + i * interval '1 day' / %(rows)s AS moment
) AS moments
"""


def main(arguments: Sequence[str]) -> int:
    """Measure, print a table, and write JSON where asked; 1 when a bar is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks export", description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000_000)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contender", choices=["bare", "export"], help=argparse.SUPPRESS)
    parser.add_argument("--parts", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.contender:
        print(json.dumps(_measure(options.contender, json.loads(options.parts))))
        return 0
    results = _run(options.rows, options.repeat)
    if options.json:
        options.json.write_text(json.dumps(results, indent=2))
    return _report(results, options.rows)


def _run(rows: int, repeat: int) -> dict[str, dict[str, float]]:
    with tempfile.TemporaryDirectory() as folder:
        embedded = EmbeddedPostgres(Path(folder) / "postgres")
        postgres = embedded.start(port=0)
        s3 = EmbeddedS3(Path(folder) / "s3").start(port=0)
        try:
            started = time.monotonic()
            with psycopg.connect(postgres.url, autocommit=True) as connection:
                connection.execute(_CREATE.replace("%(rows)s", str(rows)).encode())
                connection.execute("CREATE INDEX ON agent_run_logs (created_at)")
                connection.execute("ANALYZE agent_run_logs")
            print(f"{rows:,} rows made in {time.monotonic() - started:.0f} s", file=sys.stderr)
            parts = {
                "url": postgres.url,
                "endpoint": s3.endpoint,
                "access_key": s3.writer.access_key,
                "secret_key": s3.writer.secret_key,
            }
            runs = [
                {name: _contender(name, parts) for name in ("bare", "export")}
                for _ in range(repeat)
            ]
        finally:
            s3.stop()
            postgres.stop()
            embedded.discard()
    # The median run by the ratio that is judged.
    runs.sort(key=lambda run: run["export"]["rows_per_s"] / run["bare"]["rows_per_s"])
    return runs[len(runs) // 2]


def _contender(name: str, parts: dict[str, str]) -> dict[str, float]:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "benchmarks", "export"),
            *("--contender", name, "--parts", json.dumps(parts)),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def _measure(contender: str, parts: dict[str, str]) -> dict[str, float]:
    started = time.perf_counter()
    rows = _bare(parts["url"]) if contender == "bare" else _export(parts)
    seconds = time.perf_counter() - started
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "rows": rows,
        "seconds": seconds,
        "rows_per_s": rows / seconds,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_memory_mb": usage.ru_maxrss / 1024,
    }


def _bare(url: str) -> int:
    with open_export(url, DATASET) as export:
        statement = select_statement(export.table, DAY)
        with export.connection.cursor() as cursor:
            cursor.execute(statement)
            return sum(batch.num_rows for batch in cursor.fetch_record_batch())


def _export(parts: dict[str, str]) -> int:
    location = LakeLocation(
        endpoint=parts["endpoint"], access_key=parts["access_key"], secret_key=parts["secret_key"]
    )
    writer = PartitionWriter(LakeStore(location), run_id="bench", code_version="bench")
    with open_export(parts["url"], DATASET) as export:
        return writer.write(DATASET, DAY, export.day(DAY)).rows


def _report(results: dict[str, dict[str, float]], rows: int) -> int:
    table = Table(title=f"One day of {rows:,} rows × {len(DATASET.columns)} columns")
    for heading in ("", "seconds", "rows/s", "CPU s", "peak memory MB"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, result in results.items():
        table.add_row(
            name,
            f"{result['seconds']:.1f}",
            f"{result['rows_per_s']:,.0f}",
            f"{result['cpu_s']:.1f}",
            f"{result['peak_memory_mb']:.0f}",
        )
    rate = results["export"]["rows_per_s"] / results["bare"]["rows_per_s"]
    memory = results["export"]["peak_memory_mb"]
    console = Console()
    console.print(table)
    console.print(f"rate: {rate:.0%} of the bare loop (bar: {RATE_BAR:.0%} or more)")
    console.print(f"memory: {memory:.0f} MB (bar: under {MEMORY_BAR_MB} MB)")
    return 0 if rate >= RATE_BAR and memory < MEMORY_BAR_MB else 1
