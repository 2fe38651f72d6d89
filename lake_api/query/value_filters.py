"""Which texts a query compares which columns with, read off its tree.

Belongs here: finding `column = 'text'` and `column IN ('text', …)` over declared text columns.
Does not belong here: deciding whether the texts exist (`worker.value_hints`).

What is found only ever leads to a warning on an answer that has nothing in it, so a place that is
not understood is left out.
"""

from collections.abc import Iterator

from sqlglot import exp

from lake_api.query.guard import CheckedQuery
from lake_api.query.messages import ValueFilter
from lake_assets.catalog import ColumnType, Dataset

_MAX_FILTERS = 4
_MAX_TEXTS = 8


def value_filters(checked: CheckedQuery) -> tuple[ValueFilter, ...]:
    """The comparisons with texts, each column of a dataset once."""
    if "'" not in checked.sql or not checked.datasets:
        return ()
    by_partition = {dataset.partition: dataset for dataset in checked.datasets}
    texts: dict[tuple[str, str], list[str]] = {}
    for column, found in _comparisons(checked.tree):
        dataset = _dataset_of(column, checked)
        if dataset is not None:
            texts.setdefault((dataset.partition, column.name.lower()), []).extend(found)
    return tuple(
        ValueFilter(
            view=by_partition[partition].sql_name,
            column=name,
            texts=tuple(dict.fromkeys(found))[:_MAX_TEXTS],
            accepted=by_partition[partition].column(name).values,
        )
        for (partition, name), found in list(texts.items())[:_MAX_FILTERS]
    )


def _comparisons(tree: exp.Expr) -> Iterator[tuple[exp.Column, list[str]]]:
    for node in tree.find_all(exp.EQ, exp.In):
        if isinstance(node, exp.In):
            compared, literals = node.this, node.expressions
        elif isinstance(node.this, exp.Column):
            compared, literals = node.this, [node.expression]
        else:
            compared, literals = node.expression, [node.this]
        found = [one.name for one in literals if isinstance(one, exp.Literal) and one.is_string]
        if isinstance(compared, exp.Column) and found and len(found) == len(literals):
            yield compared, found


def _dataset_of(column: exp.Column, checked: CheckedQuery) -> Dataset | None:
    """The one dataset whose text column this is, where that is plain to see."""
    name = column.name.lower()
    having = [one for one in checked.datasets if _is_text(one, name)]
    if not having:
        return None
    by_name = {one.sql_name: one for one in having}
    named = [
        by_name[source.name.lower()]
        for source in _sources(column)
        if source.name.lower() in by_name
        and (not column.table or source.alias_or_name.lower() == column.table.lower())
    ]
    if len(named) == 1:
        return named[0]
    # From a subquery, perhaps: the same column, unless the text gives its name to something.
    renames = any(alias.alias.lower() == name for alias in checked.tree.find_all(exp.Alias))
    return having[0] if len(having) == 1 and not renames else None


def _sources(column: exp.Column) -> Iterator[exp.Table]:
    select = column.find_ancestor(exp.Select)
    if select is None:
        return
    clause = select.args.get("from_") or select.args.get("from")
    for place in (clause, *(select.args.get("joins") or ())):
        if place is not None and isinstance(place.this, exp.Table):
            yield place.this


def _is_text(dataset: Dataset, name: str) -> bool:
    return name in dataset.column_names and dataset.column(name).type is ColumnType.STRING
