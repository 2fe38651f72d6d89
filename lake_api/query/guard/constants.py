"""Numbers, dates and intervals that are written into a query, as far as a bound must know them.

Belongs here: what a literal expression is worth, roughly where it depends on the clock.
Does not belong here: judging the value.
"""

from datetime import UTC, date, datetime
from typing import TypeGuard

from sqlglot import exp

_DAY_S = 86_400.0
_UNIT_DAYS = {
    "microsecond": 1e-6 / _DAY_S,
    "millisecond": 1e-3 / _DAY_S,
    "second": 1 / _DAY_S,
    "minute": 60 / _DAY_S,
    "hour": 3_600 / _DAY_S,
    "day": 1.0,
    "week": 7.0,
    "month": 28.0,
    "quarter": 90.0,
    "year": 365.0,
    "decade": 3_650.0,
    "century": 36_500.0,
    "millennium": 365_000.0,
}
_NOW_DAYS = float(date(2030, 1, 1).toordinal())
"""What "now" counts as: a bound on a length need not know the day, only the size of a life."""

_CLOCKS = (exp.CurrentDate, exp.CurrentTimestamp, exp.Localtimestamp)
_TEMPORAL = frozenset({"DATE", "TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPNTZ", "DATETIME"})

_NUMBERS = """
    TINYINT SMALLINT INT BIGINT INT128 UTINYINT USMALLINT UINT UBIGINT UINT128 DECIMAL FLOAT DOUBLE
"""
_NUMERIC = frozenset(_NUMBERS.split())


def number_of(node: exp.Expr | None) -> float | None:
    """The number that a literal expression is worth, or None."""
    result: float | None = None
    if isinstance(node, exp.Literal) and not node.is_string:
        try:
            result = float(node.name)
        except ValueError:
            return None
    elif isinstance(node, exp.Neg):
        inner = number_of(node.this)
        result = None if inner is None else -inner
    elif isinstance(node, exp.Paren) or is_number_cast(node):
        result = number_of(node.this)
    elif isinstance(node, (exp.Add, exp.Sub, exp.Mul)):
        left, right = number_of(node.this), number_of(node.expression)
        if left is not None and right is not None:
            result = _arithmetic(node, left, right)
    return result


def is_number_cast(node: exp.Expr | None) -> TypeGuard[exp.Cast]:
    """Whether a cast leaves a number what it is worth, which `1::FLOAT::BIT::INT` does not."""
    return isinstance(node, exp.Cast) and node.to.this.name in _NUMERIC


def _arithmetic(node: exp.Expr, left: float, right: float) -> float:
    if isinstance(node, exp.Add):
        return left + right
    return left - right if isinstance(node, exp.Sub) else left * right


def interval_days(node: exp.Expr | None) -> float | None:
    """The days of an interval literal, never too many; None for anything else."""
    if isinstance(node, exp.Neg):
        inner = interval_days(node.this)
        return None if inner is None else -inner
    if isinstance(node, exp.Paren):
        return interval_days(node.this)
    if not isinstance(node, exp.Interval):
        return None
    unit = str(node.args["unit"].name if node.args.get("unit") else "").lower()
    days = _UNIT_DAYS.get(unit) or _UNIT_DAYS.get(unit.removesuffix("s"))
    amount = node.this
    if isinstance(amount, exp.Literal):
        try:
            count = float(amount.name)
        except ValueError:
            return None
    else:
        known = number_of(amount)
        if known is None:
            return None
        count = known
    return None if days is None else count * days


def moment_days(node: exp.Expr | None) -> float | None:
    """The day, as an ordinal number, of a date or timestamp expression without columns."""
    result: float | None = None
    if isinstance(node, _CLOCKS) or (isinstance(node, exp.Anonymous) and _is_clock(node)):
        result = _NOW_DAYS
    elif isinstance(node, exp.Cast):
        result = _cast_days(node)
    elif isinstance(node, (exp.Paren, exp.TimestampTrunc)):
        result = moment_days(node.this)
    elif isinstance(node, (exp.Add, exp.Sub)):
        base = moment_days(node.this)
        step = interval_days(node.expression)
        step = number_of(node.expression) if step is None else step
        if base is not None and step is not None:
            result = _arithmetic(node, base, step)
    return result


def _is_clock(call: exp.Anonymous) -> bool:
    return not call.expressions and str(call.name).lower() in {"now", "today"}


def _cast_days(node: exp.Cast) -> float | None:
    if node.to.this.name not in _TEMPORAL:
        return None
    inner = node.this
    if not (isinstance(inner, exp.Literal) and inner.is_string):
        return moment_days(inner)
    try:
        moment = datetime.fromisoformat(inner.name)
    except ValueError:
        return None
    moment = moment.astimezone(UTC) if moment.tzinfo else moment
    return moment.toordinal() + (moment.hour * 3_600 + moment.minute * 60) / _DAY_S
