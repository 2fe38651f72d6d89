"""Each allowed query, through guard and worker over real S3, beside bare DuckDB on the same files.

The bare side is an in-memory DuckDB with one plain view per dataset over its Parquet files: no
guard, no pruning, no cache, no row cap. Column names, types and rows must be the same; rows in the
same order where the query orders them by values without ties.
"""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import msgspec
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlglot import exp

from lake_api.errors import QueryRejected
from lake_api.query.engine import MAX_ROWS, QueryEngine
from lake_api.query.guard import CheckedQuery, Guard
from lake_api.query.plan import rows_wanted
from lake_api.query.value_types import Door
from lake_api.query.worker.encode import encode_rows
from lake_api.query.worker.lowering import lowered
from lake_api.settings import Settings
from lake_assets.catalog import Catalog, data_key, load_catalog, version_key
from tests.query.conftest import Lake
from tests.query.every_dataset import rows_of
from tests.query.guard_cases import ALLOWED, Case

# Answers that differ from run to run by their nature: names, types and the number of rows count.
_SHAPE_ONLY = frozenset({"sample percent", "bernoulli sample"})
_NO_VALUES = _SHAPE_ONLY | {
    "clocks", "random order", "sample rows", "tablesample", "uuid",
}  # fmt: skip


_LOSSY = ("INTERVAL", "TIMESTAMP", "DATE", "TIME")
_SHARES = re.compile(r"BERNOULLI|SYSTEM \(|SAMPLE \d+ ?(%|PERCENT)", re.IGNORECASE)
_CHANGES = re.compile(
    r"SAMPLE|\bnow\(|current_timestamp|current_time\b|current_localtime|transaction_timestamp",
    re.IGNORECASE,
)


def _days() -> list[date]:
    today = datetime.now(tz=UTC).date()
    fixed = [date(2026, 10, 30), date(2026, 11, 1), date(2026, 11, 21)]
    # Not at the edges of the corpus' spans, so that a midnight between two runs changes nothing.
    near = [today - timedelta(days=back) for back in (1, 10)]
    return sorted({*fixed, *near})


@dataclass(frozen=True)
class Sides:
    """The engine, and bare DuckDB over the same files."""

    lake: Lake
    engine: QueryEngine
    bare: duckdb.DuckDBPyConnection
    guard: Guard


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog()


@pytest.fixture(scope="module")
def sides(
    new_lake: Callable[[], Lake], catalog: Catalog, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Sides]:
    lake = new_lake()
    files = tmp_path_factory.mktemp("files")
    lake.background.run(_write(lake, catalog, files))
    settings = Settings.from_mapping(
        {
            "LAKE_CACHE_DIR": str(lake.cache),
            "LAKE_QUERY_WORKERS": "1",
            # One thread on both sides: sums of floats depend on who adds what.
            "LAKE_QUERY_THREADS": "1",
            "LAKE_RESULT_BYTES": "50000000",
            "LAKE_SNAPSHOT_CHECK_S": "600",
        }
    )
    engine = lake.background.run(
        QueryEngine.start(location=lake.location, settings=settings, catalog=catalog)
    )
    bare = _bare(catalog, files)
    yield Sides(lake=lake, engine=engine, bare=bare, guard=Guard(catalog))
    bare.close()
    lake.background.run(engine.close())


async def _write(lake: Lake, catalog: Catalog, files: Path) -> None:
    """The same bytes into the lake and into local files."""
    objects: dict[str, bytes] = {}
    for dataset in catalog:
        objects[version_key(dataset)] = uuid.uuid4().hex.encode()
        for day in _days():
            path = files / data_key(dataset, day)
            path.parent.mkdir(parents=True)
            rows = pa.Table.from_batches([rows_of(dataset, day)])
            measured = [one.name for one in rows.schema if not pa.types.is_floating(one.type)]
            pq.write_table(rows, path, write_statistics=measured)
            objects[data_key(dataset, day)] = path.read_bytes()
    at_once = asyncio.Semaphore(16)

    async def put(key: str, content: bytes) -> None:
        async with at_once:
            await obstore.put_async(lake.writer, key, content)

    await asyncio.gather(*(put(key, content) for key, content in objects.items()))


def _bare(catalog: Catalog, files: Path) -> duckdb.DuckDBPyConnection:
    bare = duckdb.connect(config={"threads": "1"})
    bare.execute("SET TimeZone = 'UTC'")
    for dataset in catalog:
        pattern = files / data_key(dataset, date(2026, 11, 1)).replace("2026-11-01", "*")
        bare.execute(
            f"CREATE TEMP VIEW {dataset.sql_name} AS SELECT * FROM read_parquet('{pattern}', "
            "hive_partitioning = true, hive_types = {'date': DATE})"
        )
    return bare


def _ask_bare(bare: duckdb.DuckDBPyConnection, sql: str, *, rows: int) -> tuple[Any, Any, Any]:
    cursor = bare.execute(sql)
    names = tuple(column[0] for column in cursor.description)
    types = tuple(str(column[1]) for column in cursor.description)
    if not any(word in kind for kind in types for word in _LOSSY):
        plain = cursor.fetchmany(rows)
        encoded = encode_rows(plain, columns=names, types=types, byte_cap=10**9)
        return names, types, msgspec.json.decode(encoded.json)
    cursor.abort()
    # A relation is part of a larger text, where a comment or a semicolon at the end would be wrong.
    bare.execute(f"CREATE OR REPLACE TEMP MACRO asked() AS TABLE {sql}")
    relation = bare.sql("FROM asked()")
    # Python's own types lose months of intervals, infinities and more.
    lossless = lowered(relation.columns, relation.types, Door.ROWS, exact=True).apply(relation)
    encoded = encode_rows(
        lossless.limit(rows).fetchall(), columns=names, types=types, byte_cap=10**9
    )
    return names, types, msgspec.json.decode(encoded.json)


def _fails(bare: duckdb.DuckDBPyConnection, sql: str) -> bool:
    try:
        bare.execute(sql).fetchall()
    except duckdb.Error:
        return True
    return False


def _bag(rows: list[Any]) -> list[bytes]:
    return sorted(map(msgspec.json.encode, rows))


def _without_limit(checked: CheckedQuery) -> str:
    tree = checked.tree.copy()
    tree.set("limit", None)
    return str(tree.sql(dialect="duckdb"))


def _sort_keys(checked: CheckedQuery, names: Sequence[str], rows: list[Any]) -> list[Any]:
    """The values that the rows are ordered by, as far as they are columns of the answer.

    Rows that tie may stand in any order.
    """
    folded = [name.lower() for name in names]
    places: list[int] = []
    for term in checked.tree.args["order"].expressions:
        key = term.this
        if isinstance(key, exp.Literal) and key.is_int:
            places.append(int(key.name) - 1)
        elif key.name.lower() in folded and isinstance(key, exp.Column):
            places.append(folded.index(key.name.lower()))
        elif key.name.upper() == "ALL":
            places.extend(range(len(names)))
        else:
            break
    return [[row[place] for place in places] for row in rows] if places else rows


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_the_engine_answers_as_bare_duckdb(sides: Sides, case: Case) -> None:
    checked = sides.guard.check(case.sql)
    if case.label.startswith("honest") and _fails(sides.bare, case.sql):
        # The guard has nothing against it, and neither engine can run it.
        with pytest.raises(QueryRejected):
            sides.lake.background.run(sides.engine.run(checked, limit=MAX_ROWS))
        return

    result = sides.lake.background.run(sides.engine.run(checked, limit=MAX_ROWS))

    assert result.warnings == () or not [w for w in result.warnings if "can't be read" in w]
    names, types, expected = _ask_bare(sides.bare, case.sql, rows=MAX_ROWS)
    rows = msgspec.json.decode(result.rows_json)
    assert result.columns == names
    assert result.column_types == types
    if case.label in _SHAPE_ONLY or _SHARES.search(case.sql):
        return
    assert result.row_count == len(rows) == len(expected)
    if case.label in _NO_VALUES or _CHANGES.search(case.sql):
        return
    if checked.tree.args.get("limit") and rows_wanted(checked, row_cap=MAX_ROWS) is not None:
        # Any rows will do: those of the engine must be among all that there are.
        _, _, all_rows = _ask_bare(sides.bare, _without_limit(checked), rows=10**6)
        assert set(_bag(rows)) <= set(_bag(all_rows))
        return
    assert _bag(rows) == _bag(expected)
    if checked.tree.args.get("order"):
        assert _sort_keys(checked, names, rows) == _sort_keys(checked, names, expected)


def test_the_corpus_touches_every_dataset_and_mostly_has_rows(
    sides: Sides, catalog: Catalog
) -> None:
    checked = [sides.guard.check(case.sql) for case in ALLOWED]
    touched = {dataset.partition for one in checked for dataset in one.datasets}
    assert touched == {dataset.partition for dataset in catalog}
    # An answer that is empty on both sides proves little.
    runs = [one for one in checked[::4] if not _fails(sides.bare, one.sql)]
    with_rows = [one for one in runs if sides.bare.execute(one.sql).fetchone() is not None]
    assert len(with_rows) > 0.9 * len(checked[::4])
