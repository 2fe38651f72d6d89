"""Which column keeps the key of a table unique, and its values.

Belongs here: finding out whether ids and grids make rows distinct already, and numbering them
where they do not. A key may be of any type, of one column or of several.
Does not belong here: ids and grids themselves (`rules.identity`, `frame.grid_of`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lake_assets.catalog import Column, ColumnType
from lake_assets.sample_data.pools import entity_pool, is_identity, pool_of
from lake_assets.sample_data.seeds import identities
from lake_assets.sample_data.tables import Table
from lake_assets.sample_data.values import MICRO, Form, Values, coded, plain

if TYPE_CHECKING:
    from lake_assets.sample_data.frame import Frame

_ROWS_A_DAY = 1_000_000_000
_ID_DIGITS = 16

_PREFERRED = (
    ColumnType.INT64,
    ColumnType.STRING,
    ColumnType.DECIMAL,
    ColumnType.FLOAT64,
    ColumnType.JSON,
    ColumnType.TIMESTAMP,
    ColumnType.DATE,
)
"""Types that have a value for every row, those first that nobody reads a meaning into."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPlan:
    """How the key of a table stays unique.

    `numbered` is the column that numbers the rows, or takes the rows of its owner in order where
    it is `linked`; None where ids, or a grid of words, are distinct by themselves. `flags` are the
    columns of a key that has no more than `most_rows` values. `over_days` says whether the key is
    unique over the whole table and not only within a day.
    """

    numbered: str | None = None
    linked: bool = False
    flags: tuple[str, ...] = ()
    most_rows: int | None = None
    over_days: bool = False


def key_plan(table: Table, grid: Mapping[str, tuple[str, ...]]) -> KeyPlan:
    """The plan for a table whose rows are combinations of the words of `grid`, if it has any."""
    key = [table.dataset.column(name) for name in table.dataset.key]
    linked = {link.column for link in table.links}
    if not key or table.own_id or any(_is_own_id(column, linked) for column in key):
        return KeyPlan(over_days=bool(key))
    if grid and not linked & grid.keys():
        return KeyPlan()
    able = [column for column in key if _can_number(table, column)]
    # A column that takes its values from another table only where there is no other.
    able.sort(key=lambda column: (column.name in linked, _PREFERRED.index(column.type)))
    if able:
        is_linked = able[0].name in linked
        return KeyPlan(
            numbered=able[0].name,
            linked=is_linked,
            over_days=not is_linked and able[0].type is not ColumnType.DATE,
        )
    taken = [column.name for column in key if column.name in linked]
    if taken:
        return KeyPlan(numbered=taken[0], linked=True)
    # Nothing has a value for every row: there are as many rows as combinations of flags.
    flags = tuple(column.name for column in key if column.type is ColumnType.BOOL)
    return KeyPlan(flags=flags, most_rows=2 ** len(flags))


def _is_own_id(column: Column, linked: set[str]) -> bool:
    """Whether the rules give this part of a key another id in each row."""
    return (
        column.type is ColumnType.STRING
        and is_identity(column.name)
        and entity_pool(column.name) is None
        and not column.values
        and column.name not in linked
    )


def _can_number(table: Table, column: Column) -> bool:
    is_watermark = column.name == table.dataset.watermark
    is_day = column.type is ColumnType.DATE and is_watermark and not table.is_snapshot
    return column.type in _PREFERRED and not is_day and not pool_of(column)


def numbered(frame: "Frame", column: Column) -> Values:
    """Another value in each row of the table; of a date, in each row of the day."""
    return _MAKERS[column.type](frame, column)


def flagged(frame: "Frame", place: int) -> Values:
    """The flag at a place of a key of flags: rows count in binary."""
    return plain((frame.positions >> place & 1).astype(np.bool_))


def _numbers(frame: "Frame") -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    first = 1 if frame.table.is_snapshot else frame.day_number * _ROWS_A_DAY + 1
    return frame.positions + first


def _number(frame: "Frame", _column: Column) -> Values:
    return plain(_numbers(frame))


def _fraction(frame: "Frame", _column: Column) -> Values:
    return plain(_numbers(frame).astype(np.float64))


def _name(frame: "Frame", column: Column) -> Values:
    seed = (frame.frames.spec.seed, frame.table.partition, column.name, frame.day, frame.part)
    form = Form(prefix=f"{column.name[:3]}-", digits=_ID_DIGITS)
    return Values(data=identities(frame.rows, *seed), form=form)


def _document(frame: "Frame", _column: Column) -> Values:
    texts = tuple(f'{{"number": {number}}}' for number in _numbers(frame).tolist())
    return coded(np.arange(frame.rows), texts)


def _moment(frame: "Frame", _column: Column) -> Values:
    return plain(frame.day_us + frame.positions * step_us(frame))


def step_us(frame: "Frame") -> int:
    """The distance of moments that are spread evenly over a day."""
    rows = sum(frame.frames.parts(frame.table, frame.day))
    return max(1, 24 * 3_600 * MICRO // (rows + 1))


def _day(frame: "Frame", _column: Column) -> Values:
    return plain(frame.day_number - frame.positions)


_MAKERS: Mapping[ColumnType, Callable[["Frame", Column], Values]] = MappingProxyType(
    {
        ColumnType.INT64: _number,
        ColumnType.STRING: _name,
        ColumnType.DECIMAL: _number,
        ColumnType.FLOAT64: _fraction,
        ColumnType.JSON: _document,
        ColumnType.TIMESTAMP: _moment,
        ColumnType.DATE: _day,
    }
)
