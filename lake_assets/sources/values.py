"""Reading values as outside sources write them: numbers and days in text.

Belongs here: spellings that several sources share, and saying which field does not fit.
Does not belong here: spellings of one source only (its module).
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal
from typing import Any, TypeVar, Union

import msgspec

from lake_assets.sources.errors import FieldMismatch
from lake_assets.sources.watching import WATCH

Value = TypeVar("Value")
Odd = TypeVar("Odd")

Loosely = Union[Value, Any]  # noqa: UP007 - an alias with a parameter
"""A field of a shape that is of this type, and whose other values lose no day.

They go on as they came, and `fitting` counts them. What tells rows, days and pages apart is never
declared so, nor what is computed with.
"""

Written = str | int | float | None
"""How tables of public portals hold a value: the type changes with every upload."""

_SHOWN_CHARS = 40
_JSON = msgspec.json.Encoder(decimal_format="number")


def number(value: Written | Decimal, field: str) -> float | None:
    """A number, however it is written: `1,041,200`, `4.6%`, `" 12 "`; None for an empty cell.

    Raises:
        SourceMismatch: it is none; the message names the field.
    """
    if value is None:
        return None
    try:
        if isinstance(value, int | float | Decimal):
            return float(value)
        plain = _digits(value)
        return float(plain) if plain else None
    except (ValueError, OverflowError, AttributeError):
        shown = f"`{field}` is no number: {str(value)[:_SHOWN_CHARS]!r}"
        raise FieldMismatch(shown, field=field) from None


def whole(value: Written | Decimal, field: str) -> int | None:
    """A whole number, however it is written; None for an empty cell.

    Raises:
        SourceMismatch: it is none, or has a fraction; the message names the field.
    """
    if number(value, field) is None:
        return None
    # Not by way of a float, which keeps 53 bits of a number.
    found = Decimal(_digits(value) if isinstance(value, str) else value or 0)
    if not found.is_finite() or found != found.to_integral_value():
        shown = f"`{field}` is no whole number: {str(value)[:_SHOWN_CHARS]!r}"
        raise FieldMismatch(shown, field=field)
    return int(found)


def _digits(written: str) -> str:
    return written.strip().rstrip("%").replace(",", "")


def kept(convert: Callable[[Odd, str], Value], value: Odd, field: str) -> Value | Odd:
    """What `convert` makes of a value, or the value itself where that is nothing of the kind.

    `fitting` counts the latter. A check of the source is told of it at once.
    """
    try:
        return convert(value, field)
    except FieldMismatch:
        if WATCH.get():
            raise
        return value


def json_text(value: object) -> str:
    """JSON; numbers that were read exactly are written with the same digits."""
    return _JSON.encode(value).decode()


def text(value: Written) -> str | None:
    """Text without blanks around it; None for an empty cell."""
    return None if value is None or not str(value).strip() else str(value).strip()


def day(value: str, field: str) -> date:
    """A day as `2026-07-01` or `2026-07-01T…`.

    Raises:
        SourceMismatch: it is none; the message names the field.
    """
    try:
        return date.fromisoformat(value[:10])
    except ValueError:
        shown = f"`{field}` is no day: {value[:_SHOWN_CHARS]!r}"
        raise FieldMismatch(shown, field=field) from None


class Cells:
    """One record of a table whose column names change their spelling: letters and digits count.

    `Seasonally Adjusted (Y/N)` and `seasonally_adjusted__y_n_` are one column.
    """

    def __init__(self, record: Mapping[str, Written]) -> None:
        self._by_letters = {letters(name): value for name, value in record.items()}
        self._watch = WATCH.get()
        if self._watch:
            self._watch.table(record)

    def __getitem__(self, name: str) -> Written:
        """The cell of a column that must be there.

        Raises:
            SourceMismatch: there is no such column.
        """
        if self._watch:
            self._watch.cell(name)
        try:
            return self._by_letters[letters(name)]
        except KeyError:
            said = f"the column `{name}` is missing"
            raise FieldMismatch(said, field=name, missing=True) from None

    def get(self, name: str) -> Written:
        """The cell of a column, or None where the table has no such column."""
        if self._watch:
            self._watch.cell(name)
        return self._by_letters.get(letters(name))


def letters(name: str) -> str:
    """What is left of a column name when only letters and digits count."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
