"""Whatever can be declared can be filled: generated declarations, in a real database."""

import re
import uuid
from collections.abc import Callable

import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lake_assets.catalog import (
    Catalog,
    Column,
    ColumnType,
    Dataset,
    Kind,
    PostgresSource,
    Reference,
    Schedule,
)
from lake_assets.sample_data import SampleSpec, load_sample_data
from lake_assets.sample_data.frame import Frames
from lake_assets.sample_data.load import batch
from lake_assets.sample_data.resolve import make
from lake_assets.sample_data.rules import money, numbers, times, words
from lake_assets.sample_data.tables import sample_tables
from lake_assets.storage.conform import conform
from tests.sample_data.conftest import LAST_DAY

SPEC = SampleSpec(last_day=LAST_DAY, days=2, rows_per_day=300)

KEYWORDS = (
    "select", "from", "where", "order", "group", "user", "table", "end", "limit", "offset",
    "primary", "check", "references", "desc", "all", "null", "default", "window", "values",
)  # fmt: skip
_RULES = (
    *money._DECIMALS.by_name, *numbers._COUNTS.by_name, *numbers._MEASURES.by_name,
    *times._TIMESTAMPS.by_name, *times._DATES.by_name, *words._RULES.by_name,
)  # fmt: skip
KNOWN = sorted(
    {name for pattern, _ in _RULES for name in re.findall(r"[a-z][a-z0-9_]{2,}", pattern.pattern)}
)
"""Names that rules look for: declared with any type, they must not mislead the rule of another."""
OTHERS = (
    "id", "uuid", "agent_id", "user_id", "org_id", "project_id", "pipeline_id", "session_id",
    "parent_id", "thing_id", "thing_hash", "status", "outcome", "model", "provider", "line_items",
    "error_code", "agent_name", "steps", "x", "a1",
)  # fmt: skip
ENUMS = st.sampled_from([(), (), (), ("on", "off"), ("succeeded", "failed", "running"), ("one",)])


@st.composite
def datasets(draw: st.DrawFn, *, number: int, others: tuple[Dataset, ...]) -> Dataset:
    """A declaration: any columns, any key of them, references to what is declared before it."""
    names = draw(
        st.lists(st.sampled_from((*KEYWORDS, *KNOWN, *OTHERS)), min_size=1, max_size=7, unique=True)
    )
    columns = [
        Column(
            name=name,
            type=kind,
            description="A column.",
            required=draw(st.booleans()),
            values=draw(ENUMS) if kind is ColumnType.STRING else (),
        )
        for name in names
        for kind in [draw(st.sampled_from(ColumnType))]
    ]
    moments = [one.name for one in columns if one.type in {ColumnType.TIMESTAMP, ColumnType.DATE}]
    if moments and draw(st.booleans()):
        watermark = draw(st.sampled_from(moments))
    else:
        watermark = "seen_at"
        columns.append(
            Column(name="seen_at", type=ColumnType.TIMESTAMP, description="W.", required=True)
        )
    key = draw(st.lists(st.sampled_from([one.name for one in columns]), max_size=3, unique=True))
    references: list[Reference] = []
    for other in others:
        targets = [name for name in other.key if len(other.key) == 1]
        fitting = [
            (one, target)
            for one in columns
            for target in targets
            if one.type is other.column(target).type and not one.values and one.name != watermark
            and not other.column(target).values and one.name not in {r.column for r in references}
        ]  # fmt: skip
        if fitting and draw(st.booleans()):
            one, target = draw(st.sampled_from(fitting))
            references.append(
                Reference(column=one.name, partition=other.partition, to_column=target)
            )
    kind = draw(st.sampled_from([Kind.EVENT, Kind.SNAPSHOT]))
    return Dataset(
        partition=f"made/t{number}",
        description="Made up.",
        kind=kind,
        group="Made",
        source=PostgresSource(
            schema="made", table=draw(st.sampled_from(["order", "t"])) + str(number)
        ),
        columns=tuple(columns),
        tasks=(f"lake.export_made_{number}",),
        schedule=Schedule(cron="0 0 * * *"),
        watermark=watermark,
        key=tuple(key),
        expect_rows=draw(st.booleans()),
        references=tuple(references),
    )


@st.composite
def catalogs(draw: st.DrawFn) -> Catalog:
    made: tuple[Dataset, ...] = ()
    for number in range(draw(st.integers(1, 3))):
        made = (*made, draw(datasets(number=number, others=made)))
    return Catalog(made)


def days_of(catalog: Catalog) -> list[tuple[Dataset, pa.Table]]:
    """Every day of every table, as the lake would take it."""
    tables = sample_tables(catalog)
    frames = Frames(tables, SPEC, make)
    found: list[tuple[Dataset, pa.Table]] = []
    for table in tables.values():
        for day in frames.days(table):
            parts = [
                conform(batch(frames.frame(table, day, part)), table.dataset)
                for part, rows in enumerate(frames.parts(table, day))
                if rows
            ]
            assert parts or not table.dataset.expect_rows or table.links, table.partition
            if parts:
                found.append((table.dataset, pa.Table.from_batches(parts)))
                watermark = parts[0].column(table.dataset.watermark).drop_null()
                if not table.is_snapshot:
                    on = watermark.cast(pa.date32()) if len(watermark) else watermark
                    assert set(on.to_pylist()) <= {day}
    return found


@given(catalog=catalogs())
@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
def test_rows_fit_their_declaration(catalog: Catalog):
    """Types, required columns, accepted values, keys of the day, and references."""
    found = days_of(catalog)
    by_partition: dict[str, list[pa.Table]] = {}
    for dataset, rows in found:
        by_partition.setdefault(dataset.partition, []).append(rows)
        for column in dataset.columns:
            if column.values:
                given_values = set(rows.column(column.name).to_pylist())
                assert given_values <= {*column.values, None}, (dataset, column)
        if dataset.key:
            keys = list(zip(*(rows.column(name).to_pylist() for name in dataset.key), strict=True))
            assert len(set(keys)) == len(keys), dataset
            assert not [key for key in keys if None in key], dataset
    for dataset, rows in found:
        for reference in dataset.references:
            theirs = {
                value
                for table in by_partition.get(reference.partition, ())
                for value in table.column(reference.to_column).to_pylist()
            }
            ours = set(rows.column(reference.column).to_pylist()) - {None}
            if ours and reference.column not in dataset.key and theirs:
                assert ours <= theirs, (dataset, reference)


@given(catalog=catalogs())
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_postgres_takes_them(any_url: str, catalog: Catalog):
    with psycopg.connect(any_url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS made CASCADE")
    report = load_sample_data(any_url, catalog, SPEC)
    assert {table.partition for table in report.tables} == {one.partition for one in catalog}


@pytest.fixture(scope="module")
def any_url(new_database: Callable[[str], str]) -> str:
    return new_database(f"any_{uuid.uuid4().hex[:6]}")
