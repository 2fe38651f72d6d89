"""The OpenAI function tool `lake_query`, written from the catalogue.

Belongs here: the texts a model reads before its first query, and how they fit their budget.
Does not belong here: who may read them, HTTP (`controller`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice, zip_longest
from typing import Any

from lake_api.datasets.examples import example_sql
from lake_api.query.schemas import DEFAULT_ROWS, MAX_ROWS, MAX_SQL_CHARS, MIN_SQL_CHARS
from lake_assets.catalog import PARTITION_COLUMN, Catalog, Column, ColumnType, Dataset, Kind

TOOL_NAME = "lake_query"

GUIDE_CHARS = 12_000
"""Budget of the guide when no column tables are asked for; a context window is shared."""

SHORT_DESCRIPTION_CHARS = 1024
"""What OpenAI-compatible servers with a bounded `function.description` take."""

_MAX_HINT_COLUMNS = 6

_KINDS = {
    Kind.EVENT: ("e", "rows of the UTC day"),
    Kind.SNAPSHOT: ("s", "full state as of the day: filter on ONE day, never sum over days"),
    Kind.EXTERNAL: ("x", "from an outside source"),
    Kind.DERIVED: ("d", "computed from other datasets"),
}

_DIALECT = f"""\
SQL is DuckDB SQL; ONE SELECT statement (WITH, FROM-first, UNION, window functions, QUALIFY, \
FILTER, GROUP BY ALL, PIVOT work). Nothing can be written.
- Tables are the dataset names below, with underscores, no schema, no quotes, no file functions.
- Every table also has the column `{PARTITION_COLUMN}` (type DATE, the UTC day of the partition). \
ALWAYS filter on it: `WHERE {PARTITION_COLUMN} >= DATE '2026-11-01'` or \
`WHERE {PARTITION_COLUMN} >= current_date - 7`. Fewer days are faster.
- Timestamps are TIMESTAMP WITH TIME ZONE in UTC: `date_trunc('hour', created_at)`, \
`created_at >= TIMESTAMPTZ '2026-11-01 00:00:00+00'`, `extract(hour FROM created_at)`.
- Money and ratios are DECIMAL(18,6). Avoid dividing by zero: `a / nullif(b, 0)`.
- JSON columns are VARCHAR text: `json_extract_string(metadata, '$.key')`.
- Shares: `count(*) FILTER (WHERE status = 'failed') / count(*)`. Percentiles: \
`quantile_cont(latency_ms, 0.95)`. Newest row per key: `arg_max(status, updated_at)`.
- Lambdas are written `lambda x: x + 1`, as in `list_transform(l, lambda x: x + 1)`.
- Strings in single quotes, compared exactly; `ILIKE '%text%'` ignores case.
- The newest complete day is usually yesterday (UTC). The answer's `freshness` says which days are \
there; its `warnings` are worth reading.
- Limits: {MIN_SQL_CHARS} to {MAX_SQL_CHARS} characters; at most {MAX_ROWS} rows, \
{DEFAULT_ROWS} when the SQL has no LIMIT; aggregate in SQL rather than fetching rows. \
`truncated: true` means that there were more.
- An error has a `code`, a `detail` and often a `hint` with the right name: correct, ask again."""  # noqa: S608 - a text for people and models; it is never run


@dataclass(frozen=True, slots=True)
class _Example:
    question: str
    sql: str
    partitions: tuple[str, ...]


_GROUPING = frozenset({"agent_id", "model", "status"})
_MEASURES = frozenset({ColumnType.DECIMAL, ColumnType.INT64, ColumnType.FLOAT64})

_MORE_COLUMNS = (
    "Columns after `:` are the most useful ones, not all. To see every column of a table, select "
    f"`*` for one `{PARTITION_COLUMN}` with LIMIT 1; whoever registers this tool can ask for it "
    "with `?datasets=name,name` (or `?columns=all`) to have them listed here with types."
)

_EXAMPLES = (
    _Example(
        "Runs and failures by agent over the last 7 days",
        "SELECT agent_id, count(*) AS runs, count(*) FILTER (WHERE status = 'failed') AS failed "
        "FROM agent_run_log WHERE date >= current_date - 7 GROUP BY agent_id ORDER BY runs DESC",
        ("agent_run_log",),
    ),
    _Example(
        "Cost by model and day",
        "SELECT date, model, sum(total_tokens) AS tokens, sum(cost_usd) AS cost "
        "FROM platform_llm_token_usage WHERE date >= current_date - 30 "
        "GROUP BY date, model ORDER BY date, cost DESC",
        ("platform/llm_token_usage",),
    ),
    _Example(
        "Runs with their token cost, by agent, on one day",
        "WITH runs AS (SELECT agent_id, count(*) AS runs FROM agent_run_log "
        "WHERE date = current_date - 1 GROUP BY agent_id), cost AS (SELECT agent_id, "
        "sum(cost_usd) AS cost FROM platform_llm_token_usage WHERE date = current_date - 1 "
        "GROUP BY agent_id) SELECT * FROM runs LEFT JOIN cost USING (agent_id) ORDER BY cost DESC",
        ("agent_run_log", "platform/llm_token_usage"),
    ),
    _Example(
        "State of a snapshot on its newest day",
        "SELECT status, count(*) AS instances FROM platform_agent_instances WHERE date = "
        "(SELECT max(date) FROM platform_agent_instances) GROUP BY status",
        ("platform/agent_instances",),
    ),
)


def tool_definition(
    catalog: Catalog, *, with_columns: Sequence[Dataset] = (), short: bool = False
) -> dict[str, Any]:
    """The tool, in OpenAI's form.

    Args:
        catalog: the datasets that it tells about.
        with_columns: the datasets whose columns are listed with types and meanings.
        short: keep `function.description` within what bounded servers take, and carry the guide
            in the description of the `sql` parameter, which no server bounds.
    """
    guide = _guide(catalog, with_columns)
    sql_description = "One SELECT statement in DuckDB SQL over the dataset names."
    return {
        "type": "function",
        "function": {
            "name": TOOL_NAME,
            "description": _short_description(catalog) if short else guide,
            "parameters": {
                "type": "object",
                "properties": {
                    "sql": {
                        "type": "string",
                        "minLength": MIN_SQL_CHARS,
                        "maxLength": MAX_SQL_CHARS,
                        "description": guide if short else sql_description,
                    },
                    "limit": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MAX_ROWS,
                        "default": DEFAULT_ROWS,
                        "description": "Rows to answer when the SQL has no LIMIT of its own.",
                    },
                },
                "required": ["sql"],
                "additionalProperties": False,
            },
        },
    }


def _short_description(catalog: Catalog) -> str:
    text = (
        "Query the data lake: one read-only DuckDB SELECT over "
        f"{len(catalog)} daily-partitioned datasets ({', '.join(catalog.groups)}). The parameter "
        "`sql` describes the dialect, the datasets and their columns."
    )
    return text[:SHORT_DESCRIPTION_CHARS]


def _guide(catalog: Catalog, with_columns: Sequence[Dataset]) -> str:
    head = (
        f"Query the data lake: {len(catalog)} datasets of agent runs, platform usage, billing, "
        f"external data and business apps, partitioned by UTC day.\n\n{_DIALECT}"
    )
    examples = _examples(catalog)
    if with_columns:
        tables = "\n\n".join(_column_table(dataset) for dataset in with_columns)
        return "\n\n".join([head, _dataset_lines(catalog, {}), tables, examples])
    parts = [head, _MORE_COLUMNS, examples]
    shown = _columns_within(catalog, GUIDE_CHARS - sum(len(part) + 4 for part in parts))
    return "\n\n".join([head, _dataset_lines(catalog, shown), _MORE_COLUMNS, examples])


def _columns_within(catalog: Catalog, budget: int) -> dict[str, int]:
    """How many columns each dataset's line shows: one more for each in turn while they fit."""
    shown = dict.fromkeys((dataset.partition for dataset in catalog), 0)
    left = budget - len(_dataset_lines(catalog, shown))
    ranked = {dataset.partition: useful_columns(dataset) for dataset in catalog}
    for place in range(_MAX_HINT_COLUMNS):
        for partition, columns in ranked.items():
            cost = len(columns[place].name) + 2 if place < len(columns) else 0
            if cost and cost <= left and shown[partition] == place:
                shown[partition] += 1
                left -= cost
    return shown


def _dataset_lines(catalog: Catalog, shown: Mapping[str, int]) -> str:
    kinds = {dataset.kind for dataset in catalog}
    marks = "; ".join(
        f"({mark}) {kind.value}: {meaning}"
        for kind, (mark, meaning) in _KINDS.items()
        if kind in kinds
    )
    blocks = [f"Datasets. Kinds: {marks}."]
    for group, members in catalog.groups.items():
        lines = [f"{group}:"]
        for dataset in members:
            # What one row is follows a semicolon; the column tables tell it as the key.
            sentence = dataset.summary.partition(";")[0].rstrip(".")
            columns = useful_columns(dataset)[: shown.get(dataset.partition, 0)]
            names = ", ".join(column.name for column in columns)
            line = f"- {dataset.sql_name} ({_KINDS[dataset.kind][0]}) {sentence}"
            lines.append(f"{line}: {names}" if names else line)
        blocks.append("\n".join(lines))
    return "\n".join(blocks)


def useful_columns(dataset: Dataset) -> tuple[Column, ...]:
    """The columns of a dataset, those first that a first query is most likely about.

    After the time column, what is grouped by and what is measured take turns.
    """
    time_column = dataset.column(dataset.watermark)
    others = [column for column in dataset.columns if column is not time_column]
    groups = [column for column in others if column.name in _GROUPING or column.values]
    groups.sort(key=lambda column: column.name not in _GROUPING)
    measures = [column for column in others if column not in groups and column.type in _MEASURES]
    # Ids and counts of positions are numbers too; money and totals are what is asked for.
    measures.sort(key=lambda column: (column.type is ColumnType.INT64, _is_id(column)))
    turns = chain.from_iterable(zip_longest(groups, measures))
    first = (time_column, *(column for column in turns if column is not None))
    return tuple(dict.fromkeys((*first, *others)))


def _is_id(column: Column) -> bool:
    return column.name.endswith("_id") or not column.name.startswith(("total_", "num_"))


def _column_table(dataset: Dataset) -> str:
    key = f"; one row per {', '.join(dataset.key)}" if dataset.key else ""
    lines = [f"Columns of {dataset.sql_name} (time column {dataset.watermark}{key}):"]
    lines.append(f"- {PARTITION_COLUMN} DATE: the UTC day of the partition")
    lines += [_column_line(column) for column in dataset.columns]
    return "\n".join(lines)


def _column_line(column: Column) -> str:
    json_note = " JSON text;" if column.type is ColumnType.JSON else ""
    values = f" One of: {_quoted(column.values)}." if column.values else ""
    return f"- {column.name} {column.type.sql}:{json_note} {column.description}{values}"


def _quoted(values: Iterable[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _examples(catalog: Catalog) -> str:
    shown = [
        example
        for example in _EXAMPLES
        if all(partition in catalog for partition in example.partitions)
    ]
    lines = [f"- {example.question}: {example.sql}" for example in shown]
    # Without the datasets of these (a deployment's own, a narrow token) others show the form.
    lines = lines or [f"- {one.summary}: {example_sql(one)}" for one in islice(catalog, 2)]
    return "\n".join(["Examples:", *lines])
