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
        Kind.EXTERNAL: f"from an outside source; `{PARTITION_COLUMN}` is the day it was published "
        "or seen, what a row is about is in the time column",
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
    group = next(
        (
            column.name
            for column in useful_columns(dataset)
            if _is_group(column) and column.type in _GROUPED_BY
        ),
        None,
    )
    name, day = dataset.sql_name, PARTITION_COLUMN
    is_daily = dataset.kind in {Kind.EVENT, Kind.DERIVED}
    newest = " ".join(("SELECT", f"max({day})", "FROM", name))
    days = f"WHERE {day} >= current_date - 7" if is_daily else f"WHERE {day} = ({newest})"
    if group is not None:
        end = f"GROUP BY {group} ORDER BY row_count DESC"
        return " ".join(("SELECT", f"{group}, count(*) AS row_count", "FROM", name, days, end))
    if is_daily:
        end = f"GROUP BY {day} ORDER BY {day}"
        return " ".join(("SELECT", f"{day}, count(*) AS row_count", "FROM", name, days, end))
    return " ".join(("SELECT", "*", "FROM", name, days, "LIMIT 20"))


def _is_group(column: Column) -> bool:
    return column.name in _GROUPING or bool(column.values)


def _is_id(column: Column) -> bool:
    return column.name.endswith("_id") or not column.name.startswith(("total_", "num_"))
