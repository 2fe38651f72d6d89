"""The guide: what a model reads before its first query.

Belongs here: the texts, and how they fit into a number of characters.
Does not belong here: the forms in which servers take a tool (`definition`), HTTP (`controller`).

The fullest of these that fits is given: column tables with meanings and whole notes; every column
with its type, accepted values, and notes in short; the same without notes; the most useful
columns, one more for each dataset in turn while they fit. What room the notes leave goes to the
meanings of columns, dataset by dataset: first where no name tells what was computed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lake_api.datasets.examples import KIND_MEANINGS, example_sql, useful_columns
from lake_api.datasets.visible import VisibleCatalog
from lake_api.query.schemas import DEFAULT_ROWS, MAX_ROWS, MAX_SQL_CHARS, MIN_SQL_CHARS
from lake_api.tool.notes import notes_of
from lake_assets.catalog import PARTITION_COLUMN, Column, ColumnType, Dataset, Kind

GUIDE_CHARS = 64_000
"""Characters into which the whole catalogue fits, with every column."""

MIN_GUIDE_CHARS = 12_000
"""Characters of the guide unless asked otherwise, and the least that may be asked for.

The name of a dataset is never left out to save characters.
"""

_MAX_USEFUL = 12
_EXAMPLES_SHOWN = 4
_NOTE_CHARS = (480, 320, 160)
"""How long a dataset's note may be, the fullest that fits."""

_MARKS = {Kind.EVENT: "e", Kind.SNAPSHOT: "s", Kind.EXTERNAL: "x", Kind.DERIVED: "d"}
_MEANINGS_FIRST = (Kind.DERIVED, Kind.EXTERNAL, Kind.EVENT, Kind.SNAPSHOT)
_TYPE_MARKS = {
    ColumnType.STRING: "",
    ColumnType.INT64: " int",
    ColumnType.FLOAT64: " dbl",
    ColumnType.BOOL: " bool",
    ColumnType.TIMESTAMP: " ts",
    ColumnType.DATE: " day",
    ColumnType.DECIMAL: " dec",
    ColumnType.JSON: " json",
}

_DIALECT = f"""\
SQL is DuckDB SQL; ONE SELECT statement (WITH, FROM-first, UNION, window functions, QUALIFY, \
FILTER, GROUP BY ALL, PIVOT work). Nothing can be written.
- Tables are the dataset names below, with underscores, no schema, no quotes, no file functions.
- Every table also has the column `{PARTITION_COLUMN}` (type DATE, the UTC day of the partition). \
Filter on it unless a note says otherwise: `WHERE {PARTITION_COLUMN} >= DATE '2026-11-01'`, \
`WHERE {PARTITION_COLUMN} >= current_date - 7` or \
`WHERE {PARTITION_COLUMN} BETWEEN DATE '2026-10-01' AND DATE '2026-10-31'`. Fewer days are faster. \
Months: `date_trunc('month', {PARTITION_COLUMN})`; weeks begin on Monday.
- The newest complete day is usually yesterday (UTC): `current_date - 1`. The answer's `freshness` \
says which days are there; its `warnings` are worth reading.
- Timestamps are TIMESTAMP WITH TIME ZONE in UTC: `date_trunc('hour', created_at)`, \
`created_at >= TIMESTAMPTZ '2026-11-01 00:00:00+00'`, `extract(hour FROM created_at)`, \
`CAST(created_at AS DATE)`, `strftime(created_at, '%Y-%m')`, \
`date_diff('minute', started_at, ended_at)`.
- Money and ratios are DECIMAL(18,6). `/` divides to a fraction, `//` to a whole number; avoid \
dividing by zero: `a / nullif(b, 0)`.
- JSON columns are VARCHAR text: `json_extract_string(metadata, '$.key')`.
- Shares: `count(*) FILTER (WHERE status = 'failed') / count(*)`. Percentiles: \
`quantile_cont(latency_ms, 0.95)`. Newest value: `arg_max(status, updated_at)`. Newest row per \
key: `QUALIFY row_number() OVER (PARTITION BY id ORDER BY updated_at DESC) = 1`, \
with `<= 3` for three.
- Lambdas are written `lambda x: x + 1`, as in `list_transform(l, lambda x: x + 1)`; `->` is not.
- Strings in single quotes, compared exactly; `ILIKE '%text%'` ignores case. Nulls are in no `=` \
and no `<>`: `coalesce(a, '')`.
- Limits: {MIN_SQL_CHARS} to {MAX_SQL_CHARS} characters; a LIMIT of yours counts up to {MAX_ROWS} \
rows, without one there are `limit` rows ({DEFAULT_ROWS}). Aggregate in SQL rather than fetching \
rows. `truncated: true` means that there were more.
- An error has a `code`, a `detail` and often a `hint` with the right name: correct, ask again."""  # noqa: S608 - a text for people and models; it is never run

_SHORT_TYPES = (
    "After the colon stand the columns, the time column first. Types: int BIGINT, dbl DOUBLE, "
    "dec DECIMAL(18,6), bool BOOLEAN, ts TIMESTAMP WITH TIME ZONE, day DATE, json JSON in VARCHAR, "
    "none VARCHAR."
)
_VALUES = " `*` marks what tells the rows of a day apart. {a|b} are all values that a column has."
_MEANINGS = " (text) is what a column means."
_NOTES = " A note in brackets stands here:"
_SOME_COLUMNS = (
    " These are the most useful columns, not all. To see every column of a table, select "
    f"`*` for one `{PARTITION_COLUMN}` with LIMIT 1; whoever registers this tool can ask for it "
    "with `?datasets=name,name` (or `?columns=all`) to have them listed here with meanings."
)


@dataclass(frozen=True, slots=True)
class Example:
    """A question over several columns or datasets, and its answer in SQL."""

    question: str
    sql: str
    partitions: tuple[str, ...]


EXAMPLES = (
    Example(
        "Runs and failures by agent over the last 7 days",
        "SELECT agent_id, count(*) AS runs, count(*) FILTER (WHERE status = 'failed') AS failed "
        "FROM agent_run_log WHERE date >= current_date - 7 GROUP BY agent_id ORDER BY runs DESC",
        ("agent_run_log",),
    ),
    Example(
        "Cost by model and day",
        "SELECT date, model, sum(total_tokens) AS tokens, sum(cost_usd) AS cost "
        "FROM platform_llm_token_usage WHERE date >= current_date - 30 "
        "GROUP BY date, model ORDER BY date, cost DESC",
        ("platform/llm_token_usage",),
    ),
    Example(
        "Runs with their token cost, by agent, on one day",
        "WITH runs AS (SELECT agent_id, count(*) AS runs FROM agent_run_log "
        "WHERE date = current_date - 1 GROUP BY agent_id), cost AS (SELECT agent_id, "
        "sum(cost_usd) AS cost FROM platform_llm_token_usage WHERE date = current_date - 1 "
        "GROUP BY agent_id) SELECT * FROM runs LEFT JOIN cost USING (agent_id) ORDER BY cost DESC",
        ("agent_run_log", "platform/llm_token_usage"),
    ),
    Example(
        "State of a snapshot on its newest day",
        "SELECT status, count(*) AS instances FROM platform_agent_instances "
        "WHERE date >= current_date - 14 AND date = (SELECT max(date) FROM "
        "platform_agent_instances WHERE date >= current_date - 14) GROUP BY status",
        ("platform/agent_instances",),
    ),
)
"""Questions that show what one SELECT can do; a caller is shown those that it may ask."""


@lru_cache(maxsize=64)
def guide(
    visible: VisibleCatalog,
    *,
    with_columns: tuple[Dataset, ...] = (),
    max_chars: int = GUIDE_CHARS,
) -> str:
    """The guide to what a caller sees.

    Args:
        visible: the datasets that it tells about.
        with_columns: the datasets whose columns are listed with meanings, however many characters
            that takes; the others are named only.
        max_chars: how many characters it may have, when no dataset is asked for.
    """
    head = f"Query the data lake: {_count(visible)}, partitioned by UTC day.\n\n{_DIALECT}"
    examples = _examples(visible)

    def whole(*parts: str) -> str:
        return "\n\n".join((head, *parts, examples))

    if with_columns:
        return whole(_lines(visible), _tables(visible, with_columns))
    tables = whole(_lines(visible), _tables(visible, visible.datasets))
    if len(tables) <= max_chars:
        return tables
    columns = {one.partition: useful_columns(one) for one in visible.datasets}
    for note_chars in _NOTE_CHARS:
        notes = notes_of(visible, max_chars=note_chars)
        legend = _SHORT_TYPES + _VALUES + _MEANINGS + _NOTES * bool(notes.shared)
        shared = "\n".join((legend, *notes.shared))
        noted = whole(shared, _lines(visible, columns, _with_values, notes.of))
        if len(noted) <= max_chars:
            told = _with_meanings(visible, max_chars - len(noted))
            return whole(shared, _lines(visible, columns, told, notes.of))
    typed = whole(_SHORT_TYPES + _VALUES, _lines(visible, columns, _with_values))
    if len(typed) <= max_chars:
        return typed
    note = _SHORT_TYPES + _SOME_COLUMNS
    budget = max_chars - len(whole(_lines(visible), note))
    return whole(note, _lines(visible, _some_columns(visible, budget)))


def _count(visible: VisibleCatalog) -> str:
    count = len(visible.datasets)
    return "1 dataset" if count == 1 else f"{count} datasets"


def _some_columns(visible: VisibleCatalog, budget: int) -> dict[str, tuple[Column, ...]]:
    """The columns that each dataset's line shows: one more for each in turn while they fit."""
    left = budget
    shown: dict[str, tuple[Column, ...]] = {}
    for place in range(_MAX_USEFUL):
        for dataset in visible.datasets:
            columns = useful_columns(dataset)
            before = shown.get(dataset.partition, ())
            if len(before) < place or place >= len(columns):
                continue
            # A comma or a colon, and a space, stand before each.
            cost = len(_with_type(columns[place])) + 2
            if cost <= left:
                shown[dataset.partition] = (*before, columns[place])
                left -= cost
    return shown


def _with_type(column: Column) -> str:
    return f"{column.name}{_TYPE_MARKS[column.type]}"


def _type_only(_: Dataset, column: Column) -> str:
    return _with_type(column)


def _with_meanings(visible: VisibleCatalog, budget: int) -> Callable[[Dataset, Column], str]:
    """Columns with what they mean, of as many datasets as there is room for."""
    left = budget
    told: set[str] = set()
    for dataset in sorted(visible.datasets, key=lambda one: _MEANINGS_FIRST.index(one.kind)):
        cost = sum(len(_meaning(visible, column)) for column in dataset.columns)
        if cost <= left:
            told.add(dataset.partition)
            left -= cost

    def text(dataset: Dataset, column: Column) -> str:
        known = _with_values(dataset, column)
        return known + _meaning(visible, column) if dataset.partition in told else known

    return text


def _meaning(visible: VisibleCatalog, column: Column) -> str:
    meaning = visible.text(column.description, in_sql=True).rstrip(".")
    return f" ({meaning})" if meaning else ""


def _with_values(dataset: Dataset, column: Column) -> str:
    key = "*" if column.name in dataset.key else ""
    values = f" {{{'|'.join(column.values)}}}" if column.values else ""
    return f"{column.name}{key}{_TYPE_MARKS[column.type]}{values}"


def _lines(
    visible: VisibleCatalog,
    shown: Mapping[str, Sequence[Column]] | None = None,
    column_text: Callable[[Dataset, Column], str] = _type_only,
    notes: Mapping[str, str] | None = None,
) -> str:
    kinds = {dataset.kind for dataset in visible.datasets}
    marks = "; ".join(
        f"({mark}) {kind.value}: {KIND_MEANINGS[kind]}"
        for kind, mark in _MARKS.items()
        if kind in kinds
    )
    blocks = [f"Datasets. Kinds: {marks}."]
    for group, members in _groups(visible.datasets).items():
        lines = [f"{group}:"]
        for dataset in members:
            # What one row is follows a semicolon; the column tables tell it as the key.
            sentence = visible.text(dataset.summary, in_sql=True).partition(";")[0].rstrip(".")
            columns = (shown or {}).get(dataset.partition, ())
            names = ", ".join(column_text(dataset, column) for column in columns)
            line = f"- {dataset.sql_name} ({_MARKS[dataset.kind]}) {sentence}"
            lines.append(f"{line}: {names}" if names else line)
            if note := (notes or {}).get(dataset.partition):
                lines.append(f"  {note}")
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def _groups(datasets: Iterable[Dataset]) -> dict[str, list[Dataset]]:
    groups: dict[str, list[Dataset]] = {}
    for dataset in datasets:
        groups.setdefault(dataset.group, []).append(dataset)
    return groups


def _tables(visible: VisibleCatalog, datasets: Iterable[Dataset]) -> str:
    return "\n\n".join(_table(visible, dataset) for dataset in datasets)


def _table(visible: VisibleCatalog, dataset: Dataset) -> str:
    key = f"; one row per {', '.join(dataset.key)}" if dataset.key else ""
    lines = [f"Columns of {dataset.sql_name} (time column {dataset.watermark}{key}):"]
    lines.append(f"- {PARTITION_COLUMN} DATE: the UTC day of the partition")
    lines += [_table_line(visible, column) for column in dataset.columns]
    if dataset.notes.strip():
        lines.append(f"Note: {' '.join(visible.text(dataset.notes, in_sql=True).split())}")
    return "\n".join(lines)


def _table_line(visible: VisibleCatalog, column: Column) -> str:
    json_note = " JSON text;" if column.type is ColumnType.JSON else ""
    quoted = ", ".join(f"'{value}'" for value in column.values)
    values = f" One of: {quoted}." if quoted else ""
    meaning = visible.text(column.description, in_sql=True)
    return f"- {column.name} {column.type.sql}:{json_note} {meaning}{values}"


def _examples(visible: VisibleCatalog) -> str:
    shown = [
        f"- {one.question}: {one.sql}"
        for one in EXAMPLES
        if all(visible.find(partition) is not None for partition in one.partitions)
    ]
    # A caller without these datasets is shown what its own can be asked.
    mine = [f"- {one.sql_name}, a first look: {example_sql(one)}" for one in visible.datasets]
    return "\n".join(["Examples:", *(*shown, *mine)[:_EXAMPLES_SHOWN]])
