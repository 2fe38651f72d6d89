"""One condition of a query, as a test of days.

Belongs here: conditions that touch only the `date` column and constants.
Does not belong here: where in the query a condition holds (`plan`).

A test says "may be true". What is not understood gives no test, never a wrong one.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

from sqlglot import exp

from lake_assets.catalog import PARTITION_COLUMN

_ISO_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_COMPARISONS: dict[type[exp.Expr], Callable[[date, date], bool]] = {
    exp.EQ: lambda day, bound: day == bound,
    exp.NEQ: lambda day, bound: day != bound,
    exp.LT: lambda day, bound: day < bound,
    exp.LTE: lambda day, bound: day <= bound,
    exp.GT: lambda day, bound: day > bound,
    exp.GTE: lambda day, bound: day >= bound,
}
_FROM_BELOW = frozenset({exp.EQ, exp.GT, exp.GTE})
_FROM_ABOVE = frozenset({exp.EQ, exp.LT, exp.LTE})
_MIRRORED: dict[type[exp.Expr], type[exp.Expr]] = {
    exp.EQ: exp.EQ,
    exp.NEQ: exp.NEQ,
    exp.LT: exp.GT,
    exp.LTE: exp.GTE,
    exp.GT: exp.LT,
    exp.GTE: exp.LTE,
}


@dataclass(frozen=True, slots=True)
class DayFilter:
    """A test of days. No day before `low` or after `high` passes it.

    `exact` says that it passes just the days for which the condition is true.
    """

    may_match: Callable[[date], bool]
    exact: bool
    low: date = date.min
    high: date = date.max

    def select(self, days: Sequence[date]) -> Sequence[date]:
        """The days that pass, of ascending `days`."""
        between = days[bisect_left(days, self.low) : bisect_right(days, self.high)]
        return [day for day in between if self.may_match(day)]


@dataclass(frozen=True, slots=True)
class _Place:
    """The table that days are tested of; `alone` when a bare `date` can only be its column."""

    table: str
    alone: bool
    today: date


def day_filter(condition: exp.Expr, *, table: str, alone: bool, today: date) -> DayFilter | None:
    """The test of days that `condition` implies for `table`, or None."""
    return _test(condition, _Place(table.lower(), alone, today))


def _test(node: exp.Expr, place: _Place) -> DayFilter | None:
    node = node.unnest()
    test: DayFilter | None = None
    match node:
        case exp.And():
            test = both(_test(node.left, place), _test(node.right, place))
        case exp.Or():
            test = either(_test(node.left, place), _test(node.right, place))
        case exp.Not():
            test = _not(_test(node.this, place))
        case exp.Between():
            test = _between(node, place)
        case exp.In():
            test = _in(node, place)
        case _ if type(node) in _COMPARISONS:
            test = _comparison(node, place)
        case _:
            pass
    return test


def both(left: DayFilter | None, right: DayFilter | None) -> DayFilter | None:
    """The test of a conjunction."""
    if left is None or right is None:
        known = left or right
        # One half of a conjunction is enough to reject a day, and not enough to accept it.
        return replace(known, exact=False) if known else None
    return DayFilter(
        may_match=lambda day: left.may_match(day) and right.may_match(day),
        exact=left.exact and right.exact,
        low=max(left.low, right.low),
        high=min(left.high, right.high),
    )


def either(left: DayFilter | None, right: DayFilter | None) -> DayFilter | None:
    """The test of a disjunction: of use only when both halves are."""
    if left is None or right is None:
        return None
    return DayFilter(
        may_match=lambda day: left.may_match(day) or right.may_match(day),
        exact=left.exact and right.exact,
        low=min(left.low, right.low),
        high=max(left.high, right.high),
    )


def _not(test: DayFilter | None) -> DayFilter | None:
    if test is None or not test.exact:
        return None
    return DayFilter(may_match=lambda day: not test.may_match(day), exact=True)


def _between(node: exp.Between, place: _Place) -> DayFilter | None:
    if node.args.get("symmetric") or not _is_day(node.this, place):
        return None
    low = _bound(exp.GTE, node.args["low"], place)
    high = _bound(exp.LTE, node.args["high"], place)
    return both(low, high)


def _in(node: exp.In, place: _Place) -> DayFilter | None:
    values: list[exp.Expr] = node.expressions
    others = {key for key, value in node.args.items() if value} - {"this", "expressions"}
    if others or not values or not _is_day(node.this, place):
        return None
    test: DayFilter | None = None
    for value in values:
        one = _bound(exp.EQ, value, place)
        if one is None:
            return None
        test = one if test is None else either(test, one)
    return test


def _comparison(node: Any, place: _Place) -> DayFilter | None:
    if _is_day(node.left, place):
        return _bound(type(node), node.right, place)
    if _is_day(node.right, place):
        return _bound(_MIRRORED[type(node)], node.left, place)
    return None


def _bound(operator: type[exp.Expr], value: exp.Expr, place: _Place) -> DayFilter | None:
    days = _days(value, place)
    if days is None:
        return None
    compare = _COMPARISONS[operator]
    # days is ascending: at most today and tomorrow.
    return DayFilter(
        may_match=lambda day: any(compare(day, bound) for bound in days),
        exact=len(days) == 1,
        low=days[0] if operator in _FROM_BELOW else date.min,
        high=days[-1] if operator in _FROM_ABOVE else date.max,
    )


def _is_day(node: exp.Expr, place: _Place) -> bool:
    """Whether `node` is the `date` column of the place, perhaps cast to a date."""
    node = node.unnest()
    if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.DATE:
        node = node.this.unnest()
    if not isinstance(node, exp.Column) or node.name.lower() != PARTITION_COLUMN:
        return False
    if node.args.get("db") or node.args.get("catalog"):
        return False
    return node.table.lower() == place.table if node.table else place.alone


def _days(node: exp.Expr, place: _Place) -> tuple[date, ...] | None:
    """The days that a constant may be; several for `current_date`, None for no constant."""
    node = node.unnest()
    match node:
        case exp.Literal():
            return _literal(node)
        case exp.CurrentDate() if not node.this:
            return (place.today, place.today + timedelta(days=1))
        case exp.Cast() if node.to.this == exp.DataType.Type.DATE and not node.to.expressions:
            return _days(node.this, place)
        case exp.Add() | exp.Sub():
            return _shifted(node, place)
        case _:
            return None


def _literal(node: exp.Literal) -> tuple[date, ...] | None:
    if not node.is_string or not _ISO_DAY.fullmatch(node.name):
        return None
    try:
        return (date.fromisoformat(node.name),)
    except ValueError:
        return None


def _shifted(node: Any, place: _Place) -> tuple[date, ...] | None:
    """`day - 7` and `day - INTERVAL 7 DAY`; only real dates, for text does no arithmetic."""
    base = node.left.unnest()
    if isinstance(base, exp.Literal):
        return None
    days, count = _days(base, place), _count(node.right.unnest())
    if days is None or count is None:
        return None
    shift = -count if isinstance(node, exp.Sub) else count
    try:
        return tuple(day + timedelta(days=shift) for day in days)
    except OverflowError:
        return None


def _count(node: exp.Expr) -> int | None:
    factor = 1
    if isinstance(node, exp.Interval):
        unit = node.args.get("unit")
        name = unit.name.upper().rstrip("S") if isinstance(unit, exp.Expr) else ""
        factor = {"DAY": 1, "WEEK": 7}.get(name, 0)
        node = node.this
        if not factor or not isinstance(node, exp.Literal):
            return None
    elif isinstance(node, exp.Literal) and node.is_string:
        return None
    if not isinstance(node, exp.Literal) or not re.fullmatch(r"\d{1,5}", node.name):
        return None
    return int(node.name) * factor
