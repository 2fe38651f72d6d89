"""Every type that a Postgres column can have, as every declared type, through the real driver."""

import json
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

import dagster as dg
import numpy
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog import Catalog, Column, ColumnType, Dataset, data_key, snapshot
from lake_assets.orchestration.build import build_defs
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.platform import open_export
from lake_assets.sources.postgres_types import READINGS, policy_rows, reading_of
from lake_assets.storage.conform import SchemaMismatch, conform
from lake_assets.storage.day_facts import read_facts
from lake_assets.storage.store import LakeStore
from tests.conftest import settings_of

DAY = date(2026, 11, 23)
NUMBERS = ["0", "-1", "NaN", "Infinity", "-Infinity", "1e400", "1e-400", "0.1234567", "12.50"]
MOMENTS = [
    "2026-02-28 23:59:59.999999+00",
    "0044-03-15 12:00:00+00 BC",
    "4713-11-24 00:00:00+00 BC",
    "12345-06-07 08:09:10.000001+00",
    "294247-01-10 04:00:54.775806+00",
    "294247-01-10 04:00:54.775807+00",
    "294276-12-31 23:59:59.999999+00",
    "infinity",
    "-infinity",
]
JSONS = [
    '{"b": 1, "a": 9007199254740993, "n": 123456789012345678901234567890.5, "é": "🎧\\u0001"}',
    "[]",
    "null",
    '"text"',
]
EDGES: dict[str, Sequence[str]] = {
    "boolean": ["true", "false"],
    "smallint": ["32767", "-32768"],
    "integer": ["2147483647", "-2147483648"],
    "bigint": ["9223372036854775807", "-9223372036854775808", "999999999999", "9007199254740993"],
    "oid": ["0", "2147483648", "4294967295"],
    "xid": ["2147483648", "4294967295"],
    "cid": ["4294967295"],
    "xid8": ["5", "18446744073709551615"],
    "real": ["0.1", "NaN", "Infinity", "-0", "3.4028235e38", "1e-45", "7"],
    "double precision": [
        "0.1",
        "NaN",
        "-Infinity",
        "5e-324",
        "1.7976931348623157e308",
        "3e18",
        "8",
    ],
    "numeric": [*NUMBERS, "1" * 200, "9" * 12 + "." + "9" * 6, "7." + "0" * 60, "4.00"],
    "money": ["1234.56", "-0.05", "92233720368547758.07", "5.00"],
    "text": ["", "a\tb\n'\"\\", "Zoë 🎧", " padded "],
    "character varying": ["", "Zoë 🎧"],
    "character": ["a", ""],
    "bpchar": ["ab  ", ""],
    '"char"': ["a", "\\377"],
    "name": ["a name"],
    "json": [*JSONS, '{"a": 1, "a": 2}', '"\\u0000"', '"\\ud800"'],
    "jsonb": JSONS,
    "jsonpath": ["$.a[*]"],
    "bytea": ["\\xdeadbeef00", ""],
    "uuid": ["a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"],
    "date": [
        "2026-02-28",
        "0044-03-15 BC",
        "4714-11-24 BC",
        "5874897-12-31",
        "infinity",
        "-infinity",
    ],
    "time without time zone": ["24:00:00", "00:00:00", "23:59:59.999999"],
    "time with time zone": ["24:00:00+15:59", "12:00:00-08"],
    "timestamp with time zone": MOMENTS,
    "timestamp without time zone": [each.replace("+00", "") for each in MOMENTS],
    "interval": ["13 months -2 days 00:00:00.000001", "-178000000 years", "0"],
    "bit": ["1"],
    "bit varying": ["10110", ""],
    "inet": ["10.0.0.1/8", "::1"],
    "cidr": ["10.0.0.0/8", "2001:db8::/32"],
    "macaddr": ["08:00:2b:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "tsvector": ["'a':1A 'fat':2,4C"],
    "tsquery": ["'fat' & !'rat'"],
    "pg_lsn": ["FFFFFFFF/FFFFFFFF"],
    "tid": ["(4294967295,65535)"],
    "point": ["(1.5,-Infinity)"],
    "line": ["{1,2,3}"],
    "lseg": ["[(0,0),(1,1)]"],
    "box": ["(2,2),(1,1)"],
    "path": ["[(0,0),(1,1)]"],
    "polygon": ["((0,0),(1,1),(2,0))"],
    "circle": ["<(0,0),1>"],
    "regclass": ["pg_class", "4294967295"],
    "regtype": ["integer[]"],
    "int2vector": ["1 2 3"],
    "oidvector": ["1 4294967295"],
    "int4range": ["empty", "[1,5)", "(,)"],
    "numrange": ["[0.10,NaN]"],
    "tstzrange": ["[2026-01-01 00:00+00,infinity)"],
    "int4multirange": ["{}", "{[1,2),[5,9)}"],
    "integer[]": ["{}", "{1,NULL,3}", "{{1,2},{3,4}}", "[5:6]={1,2}"],
    "text[]": ['{"a,b","",NULL,"NULL"}'],
    "timestamp with time zone[]": ["{infinity,2026-01-01 00:00+00}"],
    "double precision[]": ["{NaN,Infinity,0.1}"],
    "jsonb[]": ['{"{\\"a\\": [1]}"}'],
}
OWN = """
CREATE TYPE {s}.mood AS ENUM ('sad', 'a "b"');
CREATE DOMAIN {s}.cents AS bigint;
CREATE DOMAIN {s}.some_cents AS {s}.cents CHECK (VALUE > 0);
CREATE DOMAIN {s}.email AS text;
CREATE DOMAIN {s}.moment AS timestamptz;
CREATE DOMAIN {s}.amounts AS numeric[];
CREATE TYPE {s}.pair AS (a bigint, "b c" text, d numeric[]);
CREATE DOMAIN {s}.pairs AS {s}.pair;
CREATE TYPE {s}.float_range AS RANGE (subtype = float8);
CREATE TYPE {s}.timestamp AS (of_my_own text);
"""
OWN_EDGES: dict[str, Sequence[str]] = {
    "mood": ["sad", 'a "b"'],
    "cents": ["-5", "9223372036854775807"],
    "some_cents": ["7"],
    "email": ["a@b.example"],
    "moment": ["infinity", "2026-01-01 00:00+00"],
    "amounts": ["{NaN,12345678901234567890.5}"],
    "pair": ['(9007199254740993,"x ""y""","{1.10,NaN}")', "(,,)"],
    "pairs": ["(1,,)"],
    "float_range": ["[0.1,Infinity)"],
    "timestamp": ["(x)"],
    "mood[]": ["{sad,NULL}"],
    "pair[]": ['{"(1,a,{})",NULL}'],
    "float_multirange": ["{[0.1,0.2)}"],
}


@dataclass
class Zoo:
    """A view with a column of each type, `types` by its name; the rows are in tables."""

    url: str
    schema: str
    types: dict[str, str]
    bases: dict[str, str]
    rows: int

    def dataset(self, columns: Sequence[Column]) -> Dataset:
        made = snapshot(
            "zoo/animals",
            "Animals.",
            group="Zoo",
            table=f"{self.schema}.animals",
            tasks="lake.export_animals",
            key="id",
            columns="id int64! Id.\nupdated_at timestamp!",
        )
        return Dataset(
            **{
                name: getattr(made, name)
                for name in (
                    "partition", "description", "kind", "group", "source", "tasks", "schedule",
                    "watermark", "key",
                )
            },
            columns=(*made.columns, *columns),
        )  # fmt: skip

    def ask(self, sql: str) -> list[tuple]:
        with psycopg.connect(self.url, options="-c timezone=UTC -c extra_float_digits=3") as one:
            return one.execute(sql).fetchall()

    def of(self, declared: ColumnType) -> list[str]:
        """The columns that are read as a declared type."""
        readings = READINGS[declared]
        return [name for name in self.types if "other" in readings or self.bases[name] in readings]

    def put(self, name: str, at: int, text: str | None) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute(
                f"UPDATE {self.schema}.{part_of(name)} SET {name} = "
                + ("NULL" if text is None else f"$x${text}$x$")
                + f" WHERE id = {at}"
            )

    def export(self, dataset: Dataset) -> tuple[pa.Table, dict[str, int]]:
        with open_export(self.url, dataset) as source:
            with closing(source.day(DAY)) as batches:
                table = pa.Table.from_batches([conform(batch, dataset) for batch in batches])
            return table, {name: one.count for name, one in source.nulled[DAY].items()}


def part_of(name: str) -> str:
    """The table that a column of the view comes from: a row of all of them is too long for one."""
    return f"animals_{int(name.removeprefix('c')) // 150 if name != 'written' else 0}"


def column(name: str, declared: ColumnType) -> Column:
    return Column(name=name, type=declared, description="One.")


@pytest.fixture(scope="module")
def zoo(postgres) -> Iterator[Zoo]:
    schema = f"zoo_{uuid.uuid4().hex[:8]}"
    types: dict[str, str] = {}
    bases: dict[str, str] = {}
    edges: dict[str, Sequence[str]] = {}
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {schema}")
        connection.execute(OWN.format(s=schema))
        found = connection.execute(
            """
            WITH RECURSIVE base AS (
              SELECT oid AS of, oid AS typid FROM pg_type
              UNION ALL
              SELECT b.of, t.typbasetype FROM base b JOIN pg_type t ON t.oid = b.typid
              WHERE t.typtype = 'd'
            )
            SELECT format_type(t.oid, NULL), n.nspname,
              CASE WHEN bn.nspname = 'pg_catalog' THEN bt.typname ELSE 'other' END,
              coalesce((SELECT relnatts FROM pg_class c WHERE c.oid = t.typrelid), 0),
              t.typcategory
            FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
            JOIN base b ON b.of = t.oid JOIN pg_type bt ON bt.oid = b.typid AND bt.typtype <> 'd'
            JOIN pg_namespace bn ON bn.oid = bt.typnamespace
            WHERE t.typtype <> 'p' AND n.nspname IN ('pg_catalog', 'information_schema', %s)
            ORDER BY t.oid
            """,
            (schema,),
        ).fetchall()
        for shown, namespace, base, attributes, category in found:
            name = f"c{len(types)}"
            table = f"{schema}.{part_of(name)}"
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (id bigint PRIMARY KEY)")
            try:
                connection.execute(f"ALTER TABLE {table} ADD COLUMN {name} {shown}")
            except psycopg.Error:
                # A row type over pseudo-types: no column can be of it.
                assert category in {"C", "A", "Z"}, shown
                continue
            own = shown.removeprefix(f"{schema}.").replace('"', "") if namespace == schema else ""
            types[name], bases[name] = shown, base
            edges[name] = OWN_EDGES[own] if own in OWN_EDGES else EDGES.get(shown, ())
            if not edges[name] and attributes:
                edges[name] = [f"({',' * (attributes - 1)})"]
            if not edges[name] and category == "A":
                edges[name] = ["{}", "{NULL}"]
        rows = max(map(len, edges.values()))
        parts = sorted({part_of(name) for name in types})
        for part in parts:
            of_part = {name: texts for name, texts in edges.items() if part_of(name) == part}
            for at in range(rows):
                filled = {name: texts[at] for name, texts in of_part.items() if at < len(texts)}
                values = [f"$x${text}$x$::{types[name]}" for name, text in filled.items()]
                connection.execute(
                    f"INSERT INTO {schema}.{part} ({', '.join(['id', *filled])}) "
                    f"VALUES ({', '.join([str(at), *values])})"
                )
        connection.execute(f"ALTER TABLE {schema}.animals_0 ADD COLUMN written text")
        joined = f"{schema}.{parts[0]} " + " ".join(
            f"JOIN {schema}.{part} USING (id)" for part in parts[1:]
        )
        connection.execute(
            f"CREATE VIEW {schema}.animals AS SELECT id, now() AS updated_at, written, "
            f"{', '.join(types)} FROM {joined}"
        )
    yield Zoo(postgres.url, schema, types, bases, rows)
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


def postgres_has(zoo: Zoo, columns: Sequence[str], form: str) -> dict[str, list]:
    listed = ", ".join(form.format(name) for name in columns)
    rows = zoo.ask(f"SELECT {listed} FROM {zoo.schema}.animals ORDER BY id")
    return dict(zip(columns, map(list, zip(*rows, strict=True)), strict=True))


def exported(zoo: Zoo, columns: Sequence[str], declared: ColumnType):
    dataset = zoo.dataset([column(name, declared) for name in columns])
    table, nulled = zoo.export(dataset)
    table = table.sort_by("id")
    return {name: table[name] for name in columns}, nulled


def test_the_zoo_has_every_kind_and_edge(zoo):
    shown = set(zoo.types.values())
    assert set(EDGES) - {"bpchar"} <= shown
    assert {f"{zoo.schema}.{own}" for own in OWN_EDGES} <= {one.replace('"', "") for one in shown}
    assert len(shown) > 300


def test_every_type_declared_string_is_the_text_of_postgres(zoo):
    columns = zoo.of(ColumnType.STRING)
    assert columns == list(zoo.types)
    ours, nulled = exported(zoo, columns, ColumnType.STRING)
    theirs = postgres_has(zoo, columns, "{}::text")
    wrong = {zoo.types[name]: (ours[name].to_pylist(), theirs[name]) for name in columns
             if ours[name].to_pylist() != theirs[name]}  # fmt: skip
    assert not wrong
    assert not nulled


def test_every_type_declared_json_is_json(zoo):
    texts = {"text", "varchar", "bpchar"}
    columns = [name for name in zoo.of(ColumnType.JSON) if zoo.bases[name] not in texts]
    ours, nulled = exported(zoo, columns, ColumnType.JSON)
    theirs = postgres_has(zoo, columns, "to_json({})::text")
    for name in columns:
        for mine, other in zip(ours[name].to_pylist(), theirs[name], strict=True):
            assert (mine is None) == (other is None), zoo.types[name]
            if mine is not None:
                exact = {"parse_float": Decimal, "object_pairs_hook": list}
                assert json.loads(mine, **exact) == json.loads(other, **exact), zoo.types[name]
    assert not nulled
    pair = next(name for name, shown in zoo.types.items() if shown.endswith(".pair"))
    assert ours[pair][0].as_py() == '{"a":9007199254740993,"b c":"x \\"y\\"","d":[1.10,"NaN"]}'


# Not `extract(epoch …)`, which rounds at the end of time.
MICROSECONDS = """
CASE WHEN isfinite({0}) AND {0} < '294247-01-10 04:00:54.775807+00' THEN
  extract(day FROM {0} - '1970-01-01')::numeric * 86400000000
  + extract(hour FROM {0} - '1970-01-01') * 3600000000
  + extract(minute FROM {0} - '1970-01-01') * 60000000
  + extract(microseconds FROM {0} - '1970-01-01')
END
"""


@pytest.mark.parametrize("declared", [ColumnType.TIMESTAMP, ColumnType.DATE])
def test_moments_and_days_are_exact_or_null_and_counted(zoo, declared):
    columns = zoo.of(declared)
    ours, nulled = exported(zoo, columns, declared)
    theirs = postgres_has(
        zoo,
        columns,
        MICROSECONDS
        if declared is ColumnType.TIMESTAMP
        else "CASE WHEN isfinite({0}) THEN {0} - DATE '1970-01-01' END",
    )
    filled = postgres_has(zoo, columns, "{} IS NOT NULL")
    width = pa.int64() if declared is ColumnType.TIMESTAMP else pa.int32()
    for name in columns:
        mine = pc.cast(ours[name], width).to_pylist()
        kept = [None if value is None else int(value) for value in theirs[name]]
        assert mine == kept, zoo.types[name]
        lost = sum(there for there, value in zip(filled[name], kept, strict=True) if value is None)
        assert nulled.get(name, 0) == lost, zoo.types[name]
    assert nulled


NUMERIC = [ColumnType.INT64, ColumnType.FLOAT64, ColumnType.DECIMAL]


def fits(declared: ColumnType, text: str) -> bool:
    """Whether a number, as Postgres writes it, is one of a declared type; by the books."""
    number = Decimal(text)
    match declared:
        case ColumnType.INT64:
            return number.is_finite() and number == int(number) and -(2**63) <= number < 2**63
        case ColumnType.DECIMAL:
            scaled = number.scaleb(6) if number.is_finite() else number
            return number.is_finite() and scaled == int(scaled) and abs(scaled) < 10**18
        case _:
            return not number.is_finite() or abs(number) < Decimal("1.8e308")


@pytest.mark.parametrize("declared", NUMERIC)
def test_every_number_is_exact_or_its_row_is_named(zoo, declared):
    """Each value of each type by itself: those that fit in one export, the others one by one."""
    texts = {"text", "varchar", "bpchar"}
    columns = [name for name in zoo.of(declared) if zoo.bases[name] not in texts]
    form = {"money": "{}::numeric::text", "regclass": "{}::oid::text"}
    good: dict[str, list[str]] = {}
    for name in columns:
        base = zoo.bases[name]
        shape = form["regclass"] if base.startswith("reg") else form.get(base, "{}::text")
        good[name] = postgres_has(zoo, [name], shape)[name]
    refused = [
        (name, at)
        for name in columns
        for at, text in enumerate(good[name])
        if text is not None
        and (
            not fits(declared, text)
            or (declared is ColumnType.FLOAT64 and zoo.bases[name] == "int8"
                and abs(int(text)) > 2**53)
        )
    ]  # fmt: skip
    for name, at in refused:
        dataset = zoo.dataset([column(name, declared)])
        with pytest.raises(SchemaMismatch) as told:
            zoo.export(dataset)
        said = f"column `{name}` is declared {declared.value}"
        assert said in str(told.value)
        assert f"the row with id={at} has" in str(told.value), (zoo.types[name], str(told.value))
        zoo.put(name, at, None)
    try:
        ours, nulled = exported(zoo, columns, declared)
        for name in columns:
            left = [None if (name, at) in refused else text for at, text in enumerate(good[name])]
            mine = ours[name].to_pylist()
            assert [value is None for value in mine] == [text is None for text in left]
            for value, text in zip(mine, left, strict=True):
                if text is None:
                    continue
                if declared is ColumnType.FLOAT64:
                    single = zoo.bases[name] == "float4"
                    wanted = float(numpy.float32(text)) if single else float(text)
                    assert repr(value) == repr(wanted), (zoo.types[name], text)
                else:
                    assert Decimal(value) == Decimal(text), (zoo.types[name], text)
        assert not nulled
    finally:
        for name, at in refused:
            own = zoo.types[name].rpartition(".")[2]
            zoo.put(name, at, (EDGES.get(zoo.types[name]) or OWN_EDGES[own])[at])


def test_a_type_that_is_not_read_as_declared_is_refused_before_any_row(zoo):
    for declared, readings in READINGS.items():
        if "other" in readings:
            continue
        unread = [name for name in zoo.types if zoo.bases[name] not in readings]
        for name in unread[:8]:
            dataset = zoo.dataset([column(name, declared)])
            with pytest.raises(SourceMismatch, match=f"column `{name}` is declared") as told:
                zoo.export(dataset)
            assert f"is `{zoo.types[name]}" in str(told.value)
        # The rest by the table alone: a session for each of thousands of pairs takes minutes.
        assert all(reading_of(zoo.bases[name], declared) is None for name in unread)


@pytest.mark.parametrize(
    ("declared", "good", "bad"),
    [
        (ColumnType.JSON, ['{"a": 1, "a": 2}', " [] ", "12345678901234567890"], ["", "{a}", "01"]),
        (ColumnType.INT64, ["5", "-9223372036854775808"], ["", " 5", "9223372036854775808", "x"]),
        (ColumnType.DECIMAL, ["1.5", "1e5"], ["", "NaN", "9" * 200, "0.0000001"]),
        (ColumnType.FLOAT64, ["NaN", "0.1", "inf"], ["", "1e999", "one"]),
    ],
)
def test_text_is_read_as_declared_or_its_row_is_named(zoo, declared, good, bad):
    dataset = zoo.dataset([column("written", declared)])
    for at, text in enumerate(good):
        zoo.put("written", at, text)
    table, _ = zoo.export(dataset)
    assert table["written"].null_count == zoo.rows - len(good)
    for text in bad:
        zoo.put("written", 4, text)
        with pytest.raises(SchemaMismatch, match="the row with id=4 has"):
            zoo.export(dataset)
    for at in range(zoo.rows):
        zoo.put("written", at, None)


def test_a_required_column_names_the_row_without_a_value(zoo):
    (name,) = [name for name, shown in zoo.types.items() if shown == "timestamp with time zone"]
    dataset = zoo.dataset(
        [Column(name=name, type=ColumnType.TIMESTAMP, description="One.", required=True)]
    )
    with pytest.raises(SchemaMismatch, match=r"the row with id=\d+ has (-?infinity|null|a time)"):
        zoo.export(dataset)


def test_policies_are_sentences_about_every_declared_type():
    rows = list(policy_rows())
    assert {row[0] for row in rows} == {f"`{declared.value}`" for declared in ColumnType}
    assert all(row[1] and row[2] for row in rows)


_OWN_TYPE = {
    "timestamptz": ColumnType.TIMESTAMP,
    "timestamp": ColumnType.TIMESTAMP,
    "date": ColumnType.DATE,
    "json": ColumnType.JSON,
    "jsonb": ColumnType.JSON,
    "bool": ColumnType.BOOL,
    "float8": ColumnType.FLOAT64,
    "float4": ColumnType.FLOAT64,
}


def test_a_run_stores_every_column_as_it_was_read_and_tells_what_became_null(zoo, bucket):
    """From Postgres through Dagster, Parquet and S3: every type, declared as close as it can be."""
    dataset = zoo.dataset(
        [column(name, _OWN_TYPE.get(base, ColumnType.STRING)) for name, base in zoo.bases.items()]
    )
    read, nulled = zoo.export(dataset)
    env = settings_of(bucket) | {"PLATFORM_DATABASE_URL": zoo.url}
    now = datetime(DAY.year, DAY.month, DAY.day, 5, tzinfo=UTC)
    defs = build_defs(catalog=Catalog([dataset]), env=env, clock=lambda: now)
    with dg.DagsterInstance.ephemeral() as instance:
        result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=instance, partition_key=DAY.isoformat(), raise_on_error=False
        )

    assert result.success
    with LakeStore(bucket).open(data_key(dataset, DAY)) as file:
        stored = pq.read_table(file).sort_by("id")
    read = read.sort_by("id")
    for name in zoo.bases:
        mine, other = stored[name], read[name]
        if pa.types.is_floating(mine.type):
            # A NaN is not the same as itself.
            mine, other = pc.cast(mine, pa.string()), pc.cast(other, pa.string())
        assert mine.equals(other), zoo.types[name]
    assert nulled
    (event,) = result.get_asset_materialization_events()
    assert event.materialization.metadata["unfit_values"].value == nulled
    (told,) = [
        one for one in result.get_asset_check_evaluations() if one.check_name == "unfit_values"
    ]
    assert not told.passed
    assert all(f"`{name}` has {count} value" in told.description for name, count in nulled.items())
    facts = read_facts(LakeStore(bucket), dataset)[DAY]
    assert all(f"`{name}`" in facts.failed["unfit_values"] for name in nulled)
