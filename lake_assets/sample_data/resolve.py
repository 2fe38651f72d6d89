"""What a column holds, from its name and type alone: any new dataset gets plausible rows.

Belongs here: in which order rules are asked, and what holds for every column.
Does not belong here: a rule (`rules`), a single dataset (`special`).
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from lake_assets.catalog import Column, ColumnType
from lake_assets.sample_data.conditions import left_out
from lake_assets.sample_data.frame import Frame
from lake_assets.sample_data.keys import flagged, numbered
from lake_assets.sample_data.pools import is_identity
from lake_assets.sample_data.rules import identity, money, numbers, times, words
from lake_assets.sample_data.special import SPECIAL
from lake_assets.sample_data.values import Values

_BY_TYPE: Mapping[ColumnType, Callable[[Frame, Column], Values]] = MappingProxyType(
    {
        ColumnType.STRING: words.words,
        ColumnType.INT64: numbers.count,
        ColumnType.FLOAT64: numbers.measure,
        ColumnType.BOOL: numbers.flag,
        ColumnType.TIMESTAMP: times.timestamp,
        ColumnType.DATE: times.day,
        ColumnType.DECIMAL: money.decimal,
        ColumnType.JSON: words.document,
    }
)

_UNKNOWN_SHARES: Mapping[str, float] = MappingProxyType(
    {"agent_id": 0.08, "user_id": 0.08, "session_id": 0.1, "org_id": 0.02}
)
_UNKNOWN_SHARE = 0.04


def make(frame: Frame, column: Column) -> Values:
    """The values of a column of a frame."""
    special = SPECIAL.get((frame.table.partition, column.name))
    values = special(frame, column) if special else _usual(frame, column)
    empty = left_out(frame, column)
    values = values if empty is None else values.where_null(empty)
    # Part of a key is never null either, whatever the declaration leaves open.
    is_given = column.required or column.name in frame.table.dataset.key
    return replace(values, null=None) if is_given else values


def _usual(frame: Frame, column: Column) -> Values:
    settled = _of_key(frame, column) or frame.carried(column.name)
    settled = settled or frame.own_reference(column.name)
    if settled is not None:
        return settled
    if column.type is ColumnType.STRING and is_identity(column.name) and not column.values:
        return _sometimes_unknown(frame, column, identity.identity(frame, column))
    values = _BY_TYPE[column.type](frame, column)
    is_text = column.type in {ColumnType.STRING, ColumnType.JSON}
    return _sometimes_unknown(frame, column, values) if is_text else values


def _of_key(frame: Frame, column: Column) -> Values | None:
    """What keeps rows distinct; None for any other column."""
    if column.name == frame.table.own_id:
        return identity.own_key(frame, column)
    plan = frame.frames.key_plan(frame.table)
    if column.name == plan.numbered and not plan.linked:
        return numbered(frame, column)
    if column.name in plan.flags:
        return flagged(frame, plan.flags.index(column.name))
    return None


def _sometimes_unknown(frame: Frame, column: Column, values: Values) -> Values:
    if column.required or column.name.startswith(("error_", "failure_")):
        return values
    share = _UNKNOWN_SHARES.get(column.name, _UNKNOWN_SHARE)
    return values.where_null(frame.chance(f"unknown {column.name}", share))
