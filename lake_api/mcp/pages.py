"""The documentation of a dataset as a page of Markdown.

Belongs here: what the page says, in which order.
Does not belong here: what is known of a dataset (`lake_api.datasets`).
"""

from collections.abc import Iterable, Iterator

from lake_api.datasets.schemas import ColumnInfo, DatasetInfo, DayRange


def dataset_page(dataset: DatasetInfo) -> str:
    """The page."""
    return "\n".join(_lines(dataset))


def _lines(dataset: DatasetInfo) -> Iterator[str]:
    yield f"# {dataset.sql_name}"
    yield ""
    yield dataset.description or dataset.summary
    yield ""
    if dataset.notes:
        yield dataset.notes
        yield ""
    yield f"- Table in SQL: `{dataset.sql_name}` (partition `{dataset.partition}`)"
    yield f"- One day holds: {dataset.kind_meaning}"
    yield f"- Time column: `{dataset.time_column}`"
    if dataset.key:
        yield f"- One row per: {', '.join(f'`{name}`' for name in dataset.key)}"
    if dataset.upstreams:
        yield f"- Computed from: {', '.join(f'`{name}`' for name in dataset.upstreams)}"
    yield f"- Days: {_days(dataset)}"
    if dataset.days.missing:
        yield f"- Missing days: {_ranges(dataset.days.missing)}"
    yield ""
    yield "## Columns"
    yield ""
    yield "| column | type | meaning |"
    yield "| --- | --- | --- |"
    yield from map(_column, dataset.columns)
    yield ""
    yield "## To begin with"
    yield ""
    yield "```sql"
    yield dataset.example_sql
    yield "```"
    yield ""


def _days(dataset: DatasetInfo) -> str:
    days = dataset.days
    if not days.count:
        return "none yet"
    stale = ", older than its schedule promises" if dataset.stale else ""
    return f"{days.count}, from {days.oldest} to {days.newest}{stale}"


def _ranges(ranges: Iterable[DayRange]) -> str:
    return ", ".join(
        f"{one.first}" if one.first == one.last else f"{one.first} to {one.last}" for one in ranges
    )


def _column(column: ColumnInfo) -> str:
    meaning = [column.description]
    if column.is_json:
        meaning.append("JSON text.")
    if column.values:
        meaning.append(f"One of: {', '.join(column.values)}.")
    elif column.top_values:
        meaning.append(f"Often: {', '.join(one.value for one in column.top_values)}.")
    return f"| {column.name} | {column.type} | {_cell(' '.join(filter(None, meaning)))} |"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
