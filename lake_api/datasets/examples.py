"""What a first query over a dataset is most likely about.

Belongs here: the order of columns by use, and a query over one dataset as an example.
Does not belong here: questions over several datasets (`lake_api.tool`), running anything.
"""

from collections.abc import Mapping
from itertools import chain, zip_longest
from types import MappingProxyType

from lake_assets.catalog import PARTITION_COLUMN, Column, ColumnType, Dataset, Kind

KIND_MEANINGS: Mapping[Kind, str] = MappingProxyType(
    {
        Kind.EVENT: "rows of the UTC day",
        Kind.SNAPSHOT: "full state as of the day: filter on ONE day, never sum over days",
        Kind.EXTERNAL: f"from an outside source: `{PARTITION_COLUMN}` is the day a row was "
        "published or first seen, what it is about is in the time column",
        Kind.DERIVED: "computed from other datasets",
    }
)
"""What one daily partition holds, in the words that models are told."""

_GROUPING = frozenset({"agent_id", "model", "status"})
_MEASURES = frozenset({ColumnType.DECIMAL, ColumnType.INT64, ColumnType.FLOAT64})
_GROUPED_BY = frozenset({ColumnType.STRING, ColumnType.BOOL})


def useful_columns(dataset: Dataset) -> tuple[Column, ...]:
    """The columns of a dataset, those first that a first query is most likely about.

    After the time column, what is grouped by and what is measured take turns.
    """
    time_column = dataset.column(dataset.watermark)
    others = [column for column in dataset.columns if column is not time_column]
    groups = [column for column in others if _is_group(column)]
    groups.sort(key=lambda column: column.name not in _GROUPING)
    measures = [column for column in others if column not in groups and column.type in _MEASURES]
    # Ids and counts of positions are numbers too; money and totals are what is asked for.
    measures.sort(key=lambda column: (column.type is ColumnType.INT64, _is_id(column)))
    turns = chain.from_iterable(zip_longest(groups, measures))
    first = (time_column, *(column for column in turns if column is not None))
    return tuple(dict.fromkeys((*first, *others)))


def example_sql(dataset: Dataset) -> str:
    """A query that makes sense over any day of the dataset."""
    name, day = dataset.sql_name, PARTITION_COLUMN
    if dataset.kind is Kind.EXTERNAL:
        # Sources differ in what a day is and when it comes: the newest rows are always a start.
        days = f"WHERE {day} >= current_date - 30 ORDER BY {day} DESC LIMIT 20"
        return " ".join(("SELECT", "*", "FROM", name, days))
    is_state = dataset.kind is Kind.SNAPSHOT
    since = f"{day} >= current_date - 7"
    newest = " ".join(("SELECT", f"max({day})", "FROM", name, "WHERE", since))
    # Said twice, so that neither place reads more days than these.
    days = f"WHERE {since} AND {day} = ({newest})" if is_state else f"WHERE {since}"
    by = next(
        (
            column.name
            for column in useful_columns(dataset)
            if _is_group(column) and column.type in _GROUPED_BY
        ),
        day,
    )
    end = f"GROUP BY {by} ORDER BY {day if by == day else 'row_count DESC'}"
    return " ".join(("SELECT", f"{by}, count(*) AS row_count", "FROM", name, days, end))


def _is_group(column: Column) -> bool:
    return column.name in _GROUPING or bool(column.values)


def _is_id(column: Column) -> bool:
    return column.name.endswith("_id") or not column.name.startswith(("total_", "num_"))
