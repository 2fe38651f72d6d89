"""Which days of a dataset a query can need, read off its tree.

Belongs here: pruning by what the text says about `date`, and by a plain LIMIT.
Does not belong here: objects, fetching, running.

Pruning may only ever keep too much: what is not understood keeps every day. Each place where the
dataset stands in the query is judged alone, and the days of all places are kept together.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime

from sqlglot import exp

from lake_api.query.day_filter import DayFilter, both, day_filter, either
from lake_api.query.guard import CheckedQuery
from lake_assets.catalog import PARTITION_COLUMN, Dataset

_FILTERED_JOINS = frozenset({"", "INNER", "CROSS", "LEFT", "RIGHT", "FULL", "OUTER"})
_PLAIN_PROJECTION = (
    exp.Column,
    exp.Identifier,
    exp.Star,
    exp.Alias,
    exp.Literal,
    exp.Boolean,
    exp.Null,
)
_PLAIN_SELECT_PARTS = frozenset({"expressions", "from_", "from", "limit", "kind", "hint"})


def prune_days(
    checked: CheckedQuery, dataset: Dataset, days: Sequence[date], *, today: date | None = None
) -> tuple[date, ...]:
    """The days of ascending `days` that the query may need; only ever keeps too much.

    `today` is the UTC day for `current_date`; a query that starts before midnight may run after
    it, so the day after it is kept in mind too.
    """
    today = today or datetime.now(tz=UTC).date()
    name = dataset.sql_name
    places = [table for table in checked.tree.find_all(exp.Table) if table.name.lower() == name]
    if not places:
        return tuple(days)
    whole = _filter_of(places[0], today)
    for table in places[1:]:
        whole = either(whole, _filter_of(table, today))
    return tuple(days) if whole is None else tuple(whole.select(days))


def rows_wanted(checked: CheckedQuery, *, row_cap: int) -> int | None:
    """How many rows are enough for a query that takes any rows of one dataset, else None.

    `SELECT a, b FROM t LIMIT 50` may be answered from any days that have 50 rows. A query
    without a LIMIT of its own needs one row more than the cap, to prove that it is truncated.
    """
    tree = checked.tree
    if len(checked.datasets) != 1 or not _takes_any_rows(tree):
        return None
    limit = tree.args.get("limit")
    if limit is None:
        return row_cap + 1
    if not isinstance(limit, exp.Limit) or limit.args.get("limit_options"):
        return None  # FETCH, or a percentage of all rows
    count = limit.expression
    if not isinstance(count, exp.Literal) or not count.is_int:
        return None
    return min(int(count.name), row_cap + 1)


def wants_first_rows(checked: CheckedQuery) -> bool:
    """Whether the engine should know how many rows of an ordered result will be asked for.

    It then keeps these while it sorts. Telling it costs a second binding of the text, which a
    result of groups, usually small, is not worth.
    """
    tree = checked.tree
    is_grouped = isinstance(tree, exp.Select) and bool(
        tree.args.get("group") or tree.args.get("distinct")
    )
    return not checked.has_limit and tree.args.get("order") is not None and not is_grouped


def _takes_any_rows(tree: exp.Expr) -> bool:
    """Whether a query is columns of one table, with a LIMIT at most."""
    if not isinstance(tree, exp.Select):
        return False
    source = _source(tree)
    return (
        {key for key, value in tree.args.items() if value} <= _PLAIN_SELECT_PARTS
        and isinstance(source, exp.Table)
        and _is_bare(source)
        and all(
            isinstance(node, _PLAIN_PROJECTION)
            for projection in tree.expressions
            for node in projection.walk()
        )
    )


def _filter_of(table: exp.Table, today: date) -> DayFilter | None:
    """What the query's text says about the days of one place of the dataset."""
    holder = table.parent
    select = holder.parent if holder is not None else None
    if not isinstance(holder, exp.From | exp.Join) or not isinstance(select, exp.Select):
        return None
    if not _is_bare(table):
        return None
    joins: list[exp.Join] = select.args.get("joins") or []
    if not all(_is_filtered(join) for join in joins) or select.args.get("laterals"):
        return None
    alone = not joins and not _renames_date(select)
    whole: DayFilter | None = None
    for condition in _conditions(select, holder, joins):
        whole = both(
            whole, day_filter(condition, table=table.alias_or_name, alone=alone, today=today)
        )
    return whole


def _conditions(
    select: exp.Select, holder: exp.Expr, joins: Sequence[exp.Join]
) -> Iterator[exp.Expr]:
    """Conditions that a row of this place must meet to have a part in the result.

    A comparison is never true for the NULLs of an outer join's missing side. So WHERE holds for
    every place, ON for the right side of an inner or left join, and for all sides when all joins
    are inner.
    """
    where = select.args.get("where")
    if where is not None:
        yield from _conjuncts(where.this)
    all_inner = all(_side(join) in {"", "INNER", "CROSS"} for join in joins)
    for join in joins:
        on = join.args.get("on")
        if on is not None and (
            all_inner or (join is holder and _side(join) in {"", "INNER", "LEFT"})
        ):
            yield from _conjuncts(on)


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    condition = condition.unnest()
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    else:
        yield condition


def _side(join: exp.Join) -> str:
    return join.side or join.kind


def _is_filtered(join: exp.Join) -> bool:
    """Whether a row that a filter rejects has no say in which other rows are joined.

    ASOF and positional joins pick partners by comparing rows: fewer rows, other partners.
    """
    return (
        not join.method
        and join.side in _FILTERED_JOINS
        and join.kind in _FILTERED_JOINS
        and isinstance(join.this, exp.Table | exp.Subquery)
    )


def _is_bare(table: exp.Table) -> bool:
    """Only a name and perhaps an alias: no sample, pivot, renamed columns or inner joins."""
    alias = table.args.get("alias")
    extra = {key for key, value in table.args.items() if value} - {"this", "alias"}
    return not extra and (alias is None or not alias.args.get("columns"))


def _renames_date(select: exp.Select) -> bool:
    """Whether an unqualified `date` might mean an expression of the select list."""
    return any(
        isinstance(projection, exp.Alias)
        and projection.alias.lower() == PARTITION_COLUMN
        and not isinstance(projection.this, exp.Column)
        for projection in select.expressions
    )


def _source(select: exp.Select) -> exp.Expr | None:
    clause = select.args.get("from_") or select.args.get("from")
    return clause.this if isinstance(clause, exp.From) else None
