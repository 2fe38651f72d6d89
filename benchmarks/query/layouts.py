"""`python -m benchmarks layouts`: the same rows, laid out for the engine in several ways.

Belongs here: what the files themselves cost, with the engine in this process and nothing around
it: no HTTP, no guard, no worker. It tells which bars are bounded by daily files.
Does not belong here: our endpoint (`main`).
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import duckdb

from benchmarks.query import report
from benchmarks.query.embedded import copy_lake
from benchmarks.query.lake import DATASETS, LakeSpec, serve_lake
from benchmarks.query.measure import fresh
from benchmarks.query.queries import QUERIES, Query
from lake_assets.catalog import dataset_prefix

_DIRECTORY = Path(__file__).parents[2] / ".lake" / "bench"
_PACK_DAYS = 30
_CALLS = 7
_DAYS_NEEDED = {
    "one day": (12, 11),
    "one week": (18, 11),
    "one month": (30, 0),
    "top n, join": (30, 0),
    "LIMIT 50": (4, 0),
}
"""By query, the days that a plan keeps: from so many before the end to so many."""

Files = Mapping[str, Sequence[str]]


def main(arguments: Sequence[str]) -> int:
    """Measure each layout in turn and show the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks layouts", description=__doc__)
    parser.add_argument("--days", type=int, default=1_000)
    options = parser.parse_args(arguments)
    _DIRECTORY.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=_DIRECTORY, prefix="layouts-") as name:
        home = Path(name)
        with serve_lake(LakeSpec(days=options.days), _DIRECTORY) as lake:
            copy_lake(lake.server.reader, home)
        days = {
            dataset.sql_name: sorted(map(str, (home / dataset_prefix(dataset)).rglob("*.parquet")))
            for dataset in DATASETS
        }
        found = {
            "daily Parquet": _daily(days),
            "Parquet of 30 days": _packed(days, home),
            "native file": _native(days, home),
            "memory table": _memory(days),
        }
    report.show_times(
        f"Layouts of {options.days} days, in-process, two threads (p50 / p99 ms)",
        found,
        [query.name for query in QUERIES],
    )
    return 0


def _connect(database: str = ":memory:", *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(database, read_only=read_only)
    for setting in (
        "threads = 2",
        "TimeZone = 'UTC'",
        "parquet_metadata_cache = true",
        "validate_external_file_cache = 'NO_VALIDATION'",
    ):
        connection.execute(f"SET GLOBAL {setting}")
    return connection


def _times(
    connection: duckdb.DuckDBPyConnection,
    view_of: Callable[[str, Query], str] | None = None,
) -> Mapping[str, Sequence[float]]:
    """Milliseconds by query, the making of the views included, as the worker does it."""
    found: dict[str, list[float]] = {}
    for query in QUERIES:
        taken: list[float] = []
        for _ in range(_CALLS):
            sql = fresh(query)
            started = time.perf_counter()
            with connection.cursor() as cursor:
                for dataset in DATASETS:
                    if view_of is not None and dataset.sql_name in sql:
                        name = dataset.sql_name
                        cursor.execute(f"CREATE TEMP VIEW {name} AS {view_of(name, query)}")
                cursor.execute(sql).fetchall()
            taken.append((time.perf_counter() - started) * 1_000)
        found[query.name] = taken[1:]
    connection.close()
    print(f"  {sum(map(statistics.median, found.values())):,.0f} ms for all queries", flush=True)
    return found


def _needed(files: Sequence[str], query: Query) -> Sequence[str]:
    first, last = _DAYS_NEEDED.get(query.name, (len(files), 0))
    return files[len(files) - first : len(files) - last]


def _rows_of(files: Sequence[str]) -> str:
    listed = ", ".join(f"'{file}'" for file in files)
    return (
        f"SELECT * FROM read_parquet([{listed}], "
        "hive_partitioning = true, hive_types = {'date': DATE})"
    )


def _daily(days: Files) -> Mapping[str, Sequence[float]]:
    return _times(_connect(), lambda name, query: _rows_of(_needed(days[name], query)))


def _packed(days: Files, home: Path) -> Mapping[str, Sequence[float]]:
    """Whole packs where a query needs all of their days, daily files else."""
    connection = _connect()
    packs: dict[str, list[tuple[int, str]]] = {}
    for name, files in days.items():
        for start in range(0, len(files) - _PACK_DAYS + 1, _PACK_DAYS):
            pack = str(home / f"{name}-{start}.parquet")
            rows = _rows_of(files[start : start + _PACK_DAYS])
            connection.execute(f"COPY ({rows}) TO '{pack}' (COMPRESSION snappy)")
            packs.setdefault(name, []).append((start, pack))

    def view_of(name: str, query: Query) -> str:
        wanted = set(_needed(days[name], query))
        chosen: list[str] = []
        for start, pack in packs.get(name, ()):
            members = set(days[name][start : start + _PACK_DAYS])
            if members <= wanted:
                wanted -= members
                chosen.append(pack)
        listed = ", ".join(f"'{pack}'" for pack in chosen)
        parts = [f"SELECT * FROM read_parquet([{listed}])"] if chosen else []
        return " UNION ALL ".join(parts + ([_rows_of(sorted(wanted))] if wanted else []))

    return _times(connection, view_of)


def _fill(connection: duckdb.DuckDBPyConnection, days: Files) -> None:
    for name, files in days.items():
        connection.execute(f"CREATE TABLE {name} AS {_rows_of(files)}")


def _native(days: Files, home: Path) -> Mapping[str, Sequence[float]]:
    """One database file of the engine's own, opened read-only."""
    path = str(home / "lake.duckdb")
    with duckdb.connect(path) as connection:
        _fill(connection, days)
    return _times(_connect(path, read_only=True), lambda name, _: f"SELECT * FROM lake.main.{name}")


def _memory(days: Files) -> Mapping[str, Sequence[float]]:
    connection = _connect()
    _fill(connection, days)
    return _times(connection)
