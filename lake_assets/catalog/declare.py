"""The short forms in which datasets are declared, and the reader of their column tables.

Belongs here: constructors that fill in what every dataset of a kind shares (schedule, days,
first partition), and the parser of column tables.
Does not belong here: any single dataset (`lake_assets.datasets`).

A column table has one line per column: name, type, then a sentence. `!` after the type means
that the column is never null, `~` that its values come and go while a row lives; `{a|b}` at the
end lists its accepted values. A column without a sentence takes it from `fields.COMMON`:

    run_id      string!   One id per run.
    status      string!   How the run ended. {succeeded|failed|cancelled}
    created_at  timestamp!
"""

from datetime import date

from lake_assets.catalog.fields import COMMON
from lake_assets.catalog.model import (
    DEFAULT_FIRST_DAY,
    CatalogError,
    Column,
    ColumnType,
    Dataset,
    ExternalSource,
    Failures,
    Kind,
    LakeSource,
    PostgresSource,
    Reference,
    Schedule,
    ServiceSource,
    Shrink,
    ShrinkPolicy,
)

_TYPES = {
    "string": ColumnType.STRING,
    "int64": ColumnType.INT64,
    "float64": ColumnType.FLOAT64,
    "bool": ColumnType.BOOL,
    "timestamp": ColumnType.TIMESTAMP,
    "date": ColumnType.DATE,
    "decimal": ColumnType.DECIMAL,
    "json": ColumnType.JSON,
}

EVENT_SCHEDULE = Schedule(cron="30 0 * * *", newest_lag_d=1, oldest_lag_d=2)
"""Half past midnight UTC: yesterday, and the day before once more for late rows."""

SNAPSHOT_SCHEDULE = Schedule(cron="10 0 * * *")
"""Ten past midnight UTC: the state as of the new day."""

DERIVED_SCHEDULE = Schedule(cron="0 3 * * *", newest_lag_d=1, oldest_lag_d=1)
"""Three in the morning UTC, after the inputs of yesterday are written."""


def parse_columns(text: str) -> tuple[Column, ...]:
    """The columns of a column table (see the module's docstring).

    Raises:
        CatalogError: a line has no type, an unknown type, or no description anywhere.
    """
    return tuple(_parse_column(line) for line in text.strip().splitlines() if line.strip())


def _parse_column(line: str) -> Column:
    name, _, rest = line.strip().partition(" ")
    type_word, _, sentence = rest.strip().partition(" ")
    required, transient = type_word.endswith("!"), type_word.endswith("~")
    column_type = _TYPES.get(type_word.removesuffix("!").removesuffix("~"))
    if column_type is None:
        raise CatalogError(
            f"column `{name}`: unknown type `{type_word}`; use one of {', '.join(_TYPES)}"
        )
    sentence = sentence.strip()
    values: tuple[str, ...] = ()
    if sentence.endswith("}") and "{" in sentence:
        sentence, _, listed = sentence[:-1].rpartition("{")
        values = tuple(value.strip() for value in listed.split("|"))
    description = sentence.strip() or COMMON.get(name, "")
    return Column(
        name=name,
        type=column_type,
        description=description,
        required=required,
        values=values,
        transient=transient,
    )


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _references(text: str) -> tuple[Reference, ...]:
    found: list[Reference] = []
    for each in text.split():
        column, _, target = each.partition("=")
        partition, _, to_column = target.rpartition(".")
        found.append(Reference(column=column, partition=partition, to_column=to_column))
    return tuple(found)


def _failures(text: str) -> Failures | None:
    column, _, values = text.partition("=")
    return Failures(column=column, values=tuple(values.split("|"))) if text else None


def _shrink(text: str) -> Shrink | None:
    """`mirror`, `keep`, or the share of a day's rows that may go, as `25%`; nothing: the kind's."""
    if not text:
        return None
    if text in {ShrinkPolicy.MIRROR.value, ShrinkPolicy.KEEP.value}:
        return Shrink(policy=ShrinkPolicy(text), share=0.0)
    number = text.removesuffix("%")
    if number == text or not number.isdigit():
        raise CatalogError(f"shrink `{text}`: it is `mirror`, `keep`, or a share such as `25%`")
    return Shrink(share=int(number) / 100)


def _table(text: str) -> PostgresSource:
    schema, _, table = text.rpartition(".")
    return PostgresSource(schema=schema or "public", table=table)


def event(
    partition: str,
    description: str,
    *,
    group: str,
    table: str,
    tasks: str,
    columns: str,
    key: str = "",
    watermark: str = "created_at",
    expect_rows: bool = False,
    failures: str = "",
    shrink: str = "",
    proposed: bool = False,
    owner: str = "team:data-platform",
    notes: str = "",
) -> Dataset:
    """Rows of a Postgres table whose `watermark` falls into the UTC day.

    `table` is `name` or `schema.name`; `tasks` and `key` are names with spaces between; `failures`
    is `status=failed|timed_out`, or `success=false` of a flag.
    """
    return Dataset(
        partition=partition,
        description=description,
        kind=Kind.EVENT,
        group=group,
        source=_table(table),
        columns=parse_columns(columns),
        tasks=_names(tasks),
        schedule=EVENT_SCHEDULE,
        watermark=watermark,
        key=_names(key),
        owner=owner,
        expect_rows=expect_rows,
        failures=_failures(failures),
        declared_shrink=_shrink(shrink),
        proposed=proposed,
        notes=notes,
    )


def recorded(
    partition: str,
    description: str,
    *,
    group: str,
    table: str,
    tasks: str,
    columns: str,
    watermark: str,
    key: str = "",
    shrink: str = "",
    proposed: bool = False,
    owner: str = "team:data-platform",
    notes: str = "",
) -> Dataset:
    """Rows of a table of the query service whose `watermark` falls into the UTC day."""
    return Dataset(
        partition=partition,
        description=description,
        kind=Kind.EVENT,
        group=group,
        source=ServiceSource(table=table),
        columns=parse_columns(columns),
        tasks=_names(tasks),
        schedule=EVENT_SCHEDULE,
        watermark=watermark,
        key=_names(key),
        owner=owner,
        declared_shrink=_shrink(shrink),
        proposed=proposed,
        notes=notes,
    )


def snapshot(
    partition: str,
    description: str,
    *,
    group: str,
    table: str,
    tasks: str,
    columns: str,
    key: str = "",
    watermark: str = "updated_at",
    expect_rows: bool = False,
    references: str = "",
    shrink: str = "",
    proposed: bool = False,
    owner: str = "team:data-platform",
    notes: str = "",
) -> Dataset:
    """The whole of a Postgres table as it stands on the day of the run.

    `references` are written `stage_id=business/crm/pipeline.stage_id`, with spaces between.
    """
    return Dataset(
        partition=partition,
        description=description,
        kind=Kind.SNAPSHOT,
        group=group,
        source=_table(table),
        columns=parse_columns(columns),
        tasks=_names(tasks),
        schedule=SNAPSHOT_SCHEDULE,
        watermark=watermark,
        key=_names(key),
        owner=owner,
        expect_rows=expect_rows,
        references=_references(references),
        declared_shrink=_shrink(shrink),
        proposed=proposed,
        notes=notes,
    )


def external(
    partition: str,
    description: str,
    *,
    group: str,
    upstream: str,
    tasks: str,
    columns: str,
    watermark: str,
    schedule: Schedule,
    key: str = "",
    pool: str = "",
    collect: str = "",
    first_day: date = DEFAULT_FIRST_DAY,
    freshness_h: int = 36,
    shrink: str = "",
    proposed: bool = False,
    owner: str = "team:data-platform",
    notes: str = "",
) -> Dataset:
    """What an outside source published for, or was seen with on, the day.

    `collect` names the collector, as `lake_assets.sources.fred:COLLECTOR`.
    """
    return Dataset(
        partition=partition,
        description=description,
        kind=Kind.EXTERNAL,
        group=group,
        source=ExternalSource(upstream=upstream, pool=pool, collect=collect),
        columns=parse_columns(columns),
        tasks=_names(tasks),
        schedule=schedule,
        watermark=watermark,
        key=_names(key),
        owner=owner,
        first_day=first_day,
        freshness_h=freshness_h,
        declared_shrink=_shrink(shrink),
        proposed=proposed,
        notes=notes,
    )


def derived(
    partition: str,
    description: str,
    *,
    group: str,
    upstreams: str,
    tasks: str,
    columns: str,
    compute: str = "",
    schedule: Schedule = DERIVED_SCHEDULE,
    watermark: str = "generated_at",
    key: str = "",
    shrink: str = "",
    proposed: bool = False,
    owner: str = "team:data-science",
    notes: str = "",
) -> Dataset:
    """A dataset computed from other datasets of the lake, named by partition.

    `compute` names the derivation, as `lake_assets.models.scores:DERIVATION`.
    """
    return Dataset(
        partition=partition,
        description=description,
        kind=Kind.DERIVED,
        group=group,
        source=LakeSource(upstreams=_names(upstreams), compute=compute),
        columns=parse_columns(columns),
        tasks=_names(tasks),
        schedule=schedule,
        watermark=watermark,
        key=_names(key),
        owner=owner,
        declared_shrink=_shrink(shrink),
        proposed=proposed,
        notes=notes,
    )
