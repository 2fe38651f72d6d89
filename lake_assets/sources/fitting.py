"""Rows whose values are not all of the declared types: one odd value loses no day.

Belongs here: what becomes of a value of another type, and of one that a column does not list.
Does not belong here: reading answers (`answers`), building batches (`batches`).

A source that changes one field must not cost the rest of the day. A value that says the same in
another spelling is converted. Of any other, a text column keeps the text. A column of another type
holds null in its place. All of these are counted, and the run tells of them by column. A column
that is required or part of the key can't be null: there, such a value still fails the day.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from lake_assets.catalog import Column, ColumnType, Dataset
from lake_assets.sources.errors import FieldMismatch
from lake_assets.sources.personal import masked
from lake_assets.sources.values import json_text

UNFIT_VALUES = "unfit_values"
"""The check that tells of values which became null."""

_INT64 = range(-(2**63), 2**63)
_FLOAT_DIGITS = 2**53
_DECIMAL_BOUND = Decimal(10) ** 12
_DECIMAL_PLACES = 6
_LONGEST_NUMBER_CHARS = 400
_FLAGS = {"true": True, "false": False}
_CHANGED_ROWS = 10
_NULLED = "of another type, stored as null"
_UNFIT = object()


@dataclass(slots=True, kw_only=True)
class Fitting:
    """Makes the rows of one day fit, and counts what did not. `retyped` is called for each."""

    dataset: Dataset
    retyped: Callable[[Column, object], None] = lambda _column, _value: None
    values: Counter[str] = field(default_factory=Counter[str])
    as_text: Counter[str] = field(default_factory=Counter[str])
    left_out: Counter[str] = field(default_factory=Counter[str])
    unlisted: Counter[str] = field(default_factory=Counter[str])

    def fit(self, row: Mapping[str, object]) -> dict[str, object]:
        """The row, each value in its column's type where that can be; a new mapping."""
        full = dict(row)
        for column in self.dataset.columns:
            value = full.get(column.name)
            if value is not None:
                self.values[column.name] += 1
                full[column.name] = self._fitted(column, value)
        return full

    def refuse_change(self) -> None:
        """One odd value is an accident; a column of them is another column.

        Raises:
            FieldMismatch: most values of a column were left out.
        """
        for name, odd in self.left_out.items():
            if odd >= _CHANGED_ROWS and 2 * odd > self.values[name]:
                declared = self.dataset.column(name).type.value
                raise FieldMismatch(
                    f"{self.dataset.partition}: column `{name}` is declared {declared}, and "
                    f"{odd:,} of {self.values[name]:,} values are something else: the source "
                    "changed it",
                    field=name,
                )

    @property
    def count(self) -> int:
        """How many values were odd."""
        return sum(map(Counter.total, (self.as_text, self.left_out, self.unlisted)))

    def said(self) -> str:
        """What was odd, by column, for people; empty if nothing was."""
        kinds = {
            "of another type, stored as text": self.as_text,
            _NULLED: self.left_out,
            "that the column does not list, stored as they came": self.unlisted,
        }
        return "; ".join(_said(kind, counts) for kind, counts in kinds.items() if counts)

    def said_of_nulled(self) -> str:
        """Of which columns values became null; empty if none did."""
        return _said(_NULLED, self.left_out)

    def _fitted(self, column: Column, value: object) -> object:
        if FITS[column.type](value):
            if column.values and value not in column.values:
                self.unlisted[column.name] += 1
            return value
        if (same := _SAME[column.type](value)) is not _UNFIT:
            return same
        if column.type in {ColumnType.STRING, ColumnType.JSON} and _is_json(value):
            self.as_text[column.name] += 1
            self.retyped(column, value)
            return _text_of(value)
        if column.required or column.name in self.dataset.key or not _is_json(value):
            return value  # `batches` says what is wrong with it
        self.left_out[column.name] += 1
        self.retyped(column, value)
        return None


def _said(kind: str, counts: Counter[str]) -> str:
    return "; ".join(
        f"`{name}`: {count:,} {'value' if count == 1 else 'values'} {kind}"
        for name, count in sorted(counts.items())
    )


def _is_json(value: object) -> bool:
    """Whether a source can have sent it: anything else is a fault of the collector."""
    return isinstance(value, str | int | float | Decimal | dict | list)


def _text_of(value: object) -> str:
    # Structures may hold people; plain numbers and truths are what the field is.
    return json_text(masked(value) if isinstance(value, dict | list) else value)


def _whole(value: object) -> object:
    """A number without a fraction, or its digits."""
    number = value
    if isinstance(value, str):
        plain = value.strip()
        is_whole = len(plain) <= _LONGEST_NUMBER_CHARS and plain.lstrip("-").isdecimal()
        number = int(plain) if is_whole and plain.isascii() else _UNFIT
    elif isinstance(value, float):
        number = int(value) if value.is_integer() and abs(value) <= _FLOAT_DIGITS else _UNFIT
    elif isinstance(value, Decimal):
        is_whole = value.is_finite() and abs(value) < _INT64.stop
        number = int(value) if is_whole and value == value.to_integral_value() else _UNFIT
    return number if type(number) is int and number in _INT64 else _UNFIT


def _float(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return _UNFIT
    if isinstance(value, str) and not (number := _decimal_of(value)):
        return _UNFIT if number is None else 0.0
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return _UNFIT
    return number if math.isfinite(number) else _UNFIT


def _decimal(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return _UNFIT
    number = _decimal_of(repr(value) if isinstance(value, float) else str(value))
    return number if number is not None and _is_storable(number) else _UNFIT


def _decimal_of(text: str) -> Decimal | None:
    try:
        number = Decimal(text.strip()) if len(text) <= _LONGEST_NUMBER_CHARS else None
    except InvalidOperation:
        return None
    return number if number is not None and number.is_finite() else None


def _is_storable(number: Decimal) -> bool:
    """Whether a decimal of the lake holds it without rounding."""
    if not number.is_finite() or abs(number) >= _DECIMAL_BOUND:
        return False
    exponent = number.normalize().as_tuple().exponent
    return isinstance(exponent, int) and exponent >= -_DECIMAL_PLACES


def _flag(value: object) -> object:
    return _FLAGS.get(value.strip().lower(), _UNFIT) if isinstance(value, str) else _UNFIT


def _moment(value: object) -> object:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return _UNFIT
    return found if found is not None and found.tzinfo is not None else _UNFIT


def _day(value: object) -> object:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else _UNFIT
    except ValueError:
        return _UNFIT


def _unfit(_value: object) -> Any:
    return _UNFIT


_SAME: Mapping[ColumnType, Callable[[object], object]] = {
    ColumnType.STRING: _unfit,
    ColumnType.JSON: _unfit,
    ColumnType.INT64: _whole,
    ColumnType.FLOAT64: _float,
    ColumnType.BOOL: _flag,
    ColumnType.TIMESTAMP: _moment,
    ColumnType.DATE: _day,
    ColumnType.DECIMAL: _decimal,
}
"""The same value in the declared type."""

# Arrow would cut 1.5 to 1, and take a time without zone for UTC.
FITS: Mapping[ColumnType, Callable[[object], bool]] = {
    ColumnType.STRING: lambda value: isinstance(value, str),
    ColumnType.JSON: lambda value: isinstance(value, str),
    ColumnType.INT64: lambda value: type(value) is int and value in _INT64,
    ColumnType.FLOAT64: lambda value: isinstance(value, float),
    ColumnType.BOOL: lambda value: isinstance(value, bool),
    ColumnType.TIMESTAMP: lambda value: isinstance(value, datetime) and value.tzinfo is not None,
    ColumnType.DATE: lambda value: isinstance(value, date) and not isinstance(value, datetime),
    ColumnType.DECIMAL: lambda value: isinstance(value, Decimal) and _is_storable(value),
}
