"""Floats of every kind answer alike from Parquet, a segment, an exported file and memory."""

import itertools
import math
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lake_api.query.messages import CompactJob, Compression, FileForm, View
from lake_api.query.worker.compact import build
from lake_api.query.worker.files import open_file
from lake_api.query.worker.views import inspect_files, rows_sql, with_facts

NAN, INF = math.nan, math.inf
FIRST = date(2026, 10, 1)
COLUMNS = (("f", "DOUBLE"), ("g", "DOUBLE"), ("h", "DOUBLE"), ("k", "BIGINT"), ("t", "VARCHAR"))
"""As declared; files have `g` in 32 bits, `h` in 16 and `t` as a list, as from elsewhere."""

STORED = pa.schema(
    [
        ("f", pa.float64()),
        ("g", pa.float32()),
        ("h", pa.float16()),
        ("k", pa.int64()),
        ("t", pa.list_(pa.float64())),
    ]
)
TESTS = (
    "{c} = {x}",
    "{c} <> {x}",
    "{c} < {x}",
    "{c} <= {x}",
    "{c} > {x}",
    "{c} >= {x}",
    "NOT ({c} < {x})",
    "{c} BETWEEN {x} AND {y}",
    "{c} NOT BETWEEN {x} AND {y}",
    "{c} IN ({x}, {y}, 3)",
    "{c} NOT IN ({x}, {y})",
    "{c} IS DISTINCT FROM {x}",
    "{c} IS NOT DISTINCT FROM {x}",
    "isnan({c})",
    "NOT isnan({c})",
    "isinf({c})",
    "isfinite({c})",
    "{c} IS NULL",
    "{c} IS NOT NULL",
    "coalesce({c}, {x}) = {x}",
    "CASE WHEN {c} > {x} THEN true ELSE {c} = {y} END",
    "nullif({c}, {x}) IS NULL",
    "abs({c}) > abs({x})",
    "{c}::VARCHAR = 'nan'",
    "{c} > {x} OR isnan({c})",
    "{c} > {x} AND k > 1",
    "{c} = (SELECT max({c}) FROM rows)",
    "{c} IN (SELECT g FROM rows WHERE k < 2)",
    "t = '[3.0]'",
)
WHOLES = (
    "SELECT min({c}), max({c}), count({c}), count(*), count(DISTINCT {c}) FROM rows",
    "SELECT max({c}) FROM rows",
    "SELECT min({c}) FROM rows",
    "SELECT {c} + 0.0, count(*) FROM rows GROUP BY 1 ORDER BY 1",
    "SELECT DISTINCT isnan({c}), {c} > {x} FROM rows ORDER BY ALL",
    "SELECT {c} + 0.0 FROM rows ORDER BY {c} DESC NULLS LAST, k",
    "SELECT k FROM rows ORDER BY {c}, k LIMIT 3",
    "SELECT arg_max(k, ({c}, k)), arg_min(k, ({c}, k)) FROM rows",
    "SELECT count(*) FILTER (WHERE {c} >= {x}), count_if({c} <> {y}) FROM rows",
    "SELECT count(*) FROM rows a JOIN rows b ON a.{c} = b.g",
    "SELECT count(*) FROM rows a JOIN rows b ON a.{c} < b.{c} AND a.k <> b.k",
    "SELECT a.k FROM rows a ANTI JOIN (FROM rows WHERE {c} < {x}) b ON a.{c} = b.{c} ORDER BY 1",
)
VALUES = st.sampled_from([3.0, 1.5, 0.0, -0.0, NAN, INF, -INF, 5e-324, -5e-324, 1e308, 7.0])
"""Few, so that minimum and maximum are often equal, and often those of a predicate."""


def literal(value: float) -> str:
    return f"'{value!r}'::DOUBLE"


def files_of(days: Sequence[Sequence[float | None]], folder: Path) -> list[str]:
    """One file a day, with statistics of all columns and small row groups, as pyarrow writes."""
    numbers = itertools.count()
    files = []
    for offset, values in enumerate(days):
        small = [v if v is None or abs(v) < 1e4 or not math.isfinite(v) else 7.0 for v in values]
        narrow = pa.array([None if v is None else v for v in small], pa.float32())
        rows = pa.Table.from_arrays(
            [
                pa.array(values, pa.float64()),
                narrow,
                narrow.cast(pa.float16()),
                pa.array([next(numbers) for _ in values], pa.int64()),
                pa.array([None if v is None else [v] for v in values], pa.list_(pa.float64())),
            ],
            schema=STORED,
        )
        place = folder / f"date={FIRST + timedelta(days=offset)}"
        place.mkdir()
        files.append(str(place / "data.parquet"))
        pq.write_table(rows, files[-1], row_group_size=2)
    return files


def connect(*, optimizer: bool = True) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(config={"threads": "1"})
    connection.execute("SET parquet_metadata_cache = true")
    if not optimizer:
        connection.execute("PRAGMA disable_optimizer")
    return connection


@dataclass
class Doors:
    """The same rows behind each door; `truth` is memory, read without an optimizer."""

    truth: duckdb.DuckDBPyConnection
    engine: duckdb.DuckDBPyConnection

    def put(self, files: Sequence[str], folder: Path) -> None:
        stored = [pq.read_table(file, partitioning=None) for file in files]
        days = [FIRST + timedelta(days=number) for number in range(len(files))]
        rows = pa.concat_tables(
            [
                table.append_column("date", pa.repeat(pa.scalar(day), len(table)))
                for day, table in zip(days, stored, strict=True)
            ]
        )
        self.truth.register("arrow", rows.set_column(2, "h", rows["h"].cast(pa.float32())))
        casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in COLUMNS)
        self.truth.execute(f"CREATE OR REPLACE TABLE rows AS SELECT {casts}, date FROM arrow")

        self.engine.register("arrow", self.truth.sql("FROM rows").to_arrow_table())
        self.engine.execute("CREATE OR REPLACE TABLE memory AS FROM arrow")
        view = View(name="rows", columns=COLUMNS, groups=(), new_files=tuple(files))
        facts = inspect_files(self.engine.cursor(), view)
        assert not any(fact.columns is None for fact in facts)
        view = with_facts(view, facts)
        self.engine.execute(f"CREATE OR REPLACE TEMP VIEW parquet AS {rows_sql(view)}")

        segment, readable = str(folder / "segment.duckdb"), [str(folder)]
        build(CompactJob(view=view, target=segment, readable=readable, memory_bytes=300_000_000))
        self.engine.execute("DETACH DATABASE IF EXISTS s")
        self.engine.execute(f"ATTACH '{segment}' AS s (READ_ONLY)")
        self.engine.execute("CREATE OR REPLACE TEMP VIEW segment AS FROM s.main.rows")

        exported = folder / "exported.parquet"
        exported.write_bytes(export(self.truth, "FROM rows"))
        self.engine.execute(f"CREATE OR REPLACE TEMP VIEW exported AS FROM '{exported}'")

    def close(self) -> None:
        self.truth.close()
        self.engine.close()


@pytest.fixture(scope="module")
def doors() -> Iterator[Doors]:
    found = Doors(truth=connect(optimizer=False), engine=connect())
    yield found
    found.close()


def export(connection: duckdb.DuckDBPyConnection, sql: str) -> bytes:
    relation = connection.sql(sql)
    sink = BytesIO()
    reader = relation.to_arrow_reader(1_000)
    with open_file(
        sink,
        FileForm.PARQUET,
        Compression.NONE,
        columns=relation.columns,
        column_types=[str(kind) for kind in relation.types],
        schema=reader.schema,
    ) as file:
        for batch in reader:
            file.write(batch)
    return sink.getvalue()


def answer(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    try:
        rows = connection.execute(sql).fetchall()
    except duckdb.Error as error:
        return type(error).__name__
    # Of -0.0 and 0.0, which are equal, an aggregate may give either.
    if "WHERE" in sql and sql.startswith("SELECT f,"):
        return repr(sorted(map(bits, rows), key=repr))
    return repr([tuple(0.0 if one == 0.0 else one for one in row) for row in rows])


def bits(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(
        struct.pack("<d", one) if isinstance(one, float) and not math.isnan(one) else one
        for one in row
    )


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_the_same_question_has_one_answer_everywhere(
    tmp_path_factory: pytest.TempPathFactory, doors: Doors, data: st.DataObject
) -> None:
    day = st.lists(VALUES | st.none(), max_size=5)
    days = data.draw(st.lists(day, min_size=1, max_size=3))
    names = {
        "c": data.draw(st.sampled_from(["f", "f", "g", "h"])),
        "x": literal(data.draw(VALUES)),
        "y": literal(data.draw(VALUES)),
    }
    tests = data.draw(st.lists(st.sampled_from(TESTS), min_size=8, max_size=8, unique=True))
    wholes = data.draw(st.lists(st.sampled_from(WHOLES), min_size=4, max_size=4, unique=True))
    folder = tmp_path_factory.mktemp("floats")
    doors.put(files_of(days, folder), folder)
    for text in (*(f"SELECT f, g, k FROM rows WHERE {test}" for test in tests), *wholes):
        sql = text.format(**names)
        expected = answer(doors.truth, sql)
        for door in ("memory", "parquet", "segment", "exported"):
            found = answer(doors.engine, re.sub(r"\brows\b", door, sql))
            assert (door, sql, found) == (door, sql, expected)


@pytest.mark.parametrize("sql", [
    "SELECT unnest([3.0::DOUBLE, 'nan', 3.0]) AS f",
    "SELECT unnest([3.0::FLOAT, 'nan', 3.0]) AS f",
    "SELECT {'a': unnest([3.0::DOUBLE, 'nan', 3.0])} AS f",
    "SELECT [unnest([3.0::DOUBLE, 'nan', 3.0])] AS f",
    "SELECT MAP {'k': unnest([3.0::DOUBLE, 'nan', 3.0])} AS f",
    "SELECT [{'a': {'b': unnest([3.0::FLOAT, 'nan', 3.0])}}] AS f",
    "SELECT unnest([3.0::DOUBLE, 'nan', 3.0]) AS \"f.a\", {'a': 1} AS f",
])  # fmt: skip
def test_exported_floats_have_no_statistics_and_the_rest_does(sql: str) -> None:
    content = export(connect(), f"SELECT *, 7 AS n, DATE '2026-11-01' AS d, 'x' AS s FROM ({sql})")
    metadata = pq.read_metadata(BytesIO(content))
    chunks = [metadata.row_group(0).column(place) for place in range(metadata.num_columns)]
    for chunk in chunks:
        if chunk.physical_type in {"FLOAT", "DOUBLE"}:
            assert not chunk.is_stats_set
    measured = {chunk.path_in_schema for chunk in chunks if chunk.is_stats_set}
    assert {"n", "d", "s"} <= measured


def test_an_exported_file_is_read_right_by_another_reader() -> None:
    content = export(connect(), "SELECT unnest([3.0::DOUBLE, 'nan', 3.0]) AS f")
    # Which skips row groups by statistics, as many do.
    found = pq.read_table(BytesIO(content), filters=[("f", "!=", 3.0)])
    assert str(found["f"].to_pylist()) == "[nan]"
