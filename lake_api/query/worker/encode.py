"""Rows of Python values as JSON that JavaScript reads without damage.

Belongs here: which JSON a value of which DuckDB type becomes, and the byte cap.
Does not belong here: DuckDB itself; deciding the caps.

- Whole numbers beyond 2**53 and decimals that a double can't hold exactly would be damaged: their
  column is given as text, all of its values alike, and a warning says so. Inside nested values and
  JSON values only the damaged ones are text.
- Timestamps are ISO 8601, those of a time zone in UTC with `Z`; bytes are base64.
- NaN and infinities are null, and a warning says so.
- JSON values and nested values are JSON.

Types that Python has no exact form of come as text already (`lowering`). What Python tells apart
from another value only sometimes raises `Ambiguous`: the rows are then read again as text.
"""

import math
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import msgspec

from lake_api.query.value_types import TUPLE_ITEM

_SAFE_INTEGER = 2**53 - 1
_WIDE_INTEGERS = frozenset({"BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"})
_FLOATS = frozenset({"FLOAT", "DOUBLE"})
_SAFE_DIGITS = 16
_LONGEST_WHOLE = 400
_SOME_YEAR = 5_000
_FAR_DAYS = frozenset({date.max, date.min})
_FAR_MOMENTS = frozenset({datetime.max, datetime.min})  # noqa: DTZ901 - of timestamps without one
_FIRST_ITEM = f"{TUPLE_ITEM}1"


_JSON_TOKEN = re.compile(
    r'"(?:[^"\\]|\\.)*"|-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|-?(?:NaN|Infinity)', re.DOTALL
)
_LOST_NUMBER = re.compile(r"NaN|Infinity")
_MANY_DIGITS = re.compile(r"[0-9.]{16}|[0-9][eE]|NaN|Infinity")


class RowTooLarge(Exception):
    """The first row alone is beyond the byte cap."""


class Ambiguous(Exception):
    """Python's value stands for two values of the engine: the last day, and infinity."""


UNWRITABLE = (RecursionError, ValueError, OverflowError, TypeError, ArithmeticError)
"""What encoders raise about a value."""


class Unencodable(Exception):
    """A value of a column can't be written, for example because it is nested too deeply."""

    def __init__(self, column: str) -> None:
        super().__init__(column)
        self.column = column


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedRows:
    """A JSON array of arrays, or a document in another form.

    `is_cut` when the byte cap left rows out.
    """

    count: int
    is_cut: bool
    warnings: tuple[str, ...]
    json: bytes = b""
    document: bytes = b""


class _Damaged(Exception):
    """A value of a column is beyond what a JavaScript number holds."""


class _Column:
    """Turns the values of one column into what msgspec writes as the right JSON."""

    def __init__(self, name: str, type_name: str) -> None:
        self.name = name
        self.as_text = False
        self.lost_numbers = False
        self.has_inner_texts = False
        self._type_name = type_name
        self.convert = self._converter()

    def _converter(self) -> Callable[[Any], Any] | None:
        """The function that values of this type need, or None where msgspec needs no help."""
        kind = self._type_name
        convert: Callable[[Any], Any] | None = None
        if kind == "DATE":
            convert = _day
        elif kind == "TIMESTAMP":
            convert = _moment
        elif kind == "TIMESTAMP WITH TIME ZONE":
            convert = _zoned
        elif kind in _WIDE_INTEGERS:
            convert = self._integer
        elif kind in _FLOATS:
            convert = self._float
        elif kind == "JSON":
            convert = self._json
        elif kind.endswith("]"):
            convert = self._nested
        elif kind.startswith("DECIMAL"):
            convert = self._decimal
        elif kind.endswith(")"):
            convert = self._nested
        return convert

    def _integer(self, value: Any) -> Any:
        if self.as_text:
            return None if value is None else str(value)
        if value is not None and not -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
            raise _Damaged
        return value

    def _decimal(self, value: Any) -> Any:
        if value is None or self.as_text:
            return None if value is None else str(value)
        number = _safe_number(value)
        if isinstance(number, str):
            raise _Damaged
        return number

    def _float(self, value: Any) -> Any:
        if value is not None and not math.isfinite(value):
            return self.no_number(value)
        return value

    def no_number(self, value: float) -> str | None:
        """What stands for NaN and infinities."""
        del value
        self.lost_numbers = True
        return None

    def _json(self, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        text = self._safe_json(value) if _MANY_DIGITS.search(value) else value
        try:
            msgspec.json.decode(text)
        except msgspec.DecodeError:
            return value
        return msgspec.Raw(text.encode())

    def _safe_json(self, text: str) -> str:
        """The same JSON with numbers that a double can't hold as texts, and without NaN."""

        def written(found: re.Match[str]) -> str:
            token = found[0]
            if token.startswith('"') or (token.isdecimal() and len(token) < _SAFE_DIGITS):
                return token
            if token.lstrip("-")[0] in "NI":
                self.lost_numbers = True
                return "null"
            if _is_safe(token):
                return token
            self.has_inner_texts = True
            return f'"{token}"'

        return _JSON_TOKEN.sub(written, text)

    def _nested(self, value: Any) -> Any:
        match value:
            case dict() if _FIRST_ITEM in value:
                return [self._nested(item) for item in value.values()]
            case dict():
                return {_map_key(key): self._nested(item) for key, item in value.items()}
            case list() | tuple():
                return [self._nested(item) for item in value]
            case float():
                return self._float(value)
            case int() | Decimal():
                number = _safe_number(value)
                self.has_inner_texts |= isinstance(number, str)
                return number
            case _:
                return value


class NullNumbers(_Column):
    """Values of one column where NaN and infinities are null."""

    def __init__(self, name: str) -> None:
        super().__init__(name, "[]")

    def plain(self, value: Any) -> Any:
        """A value as what JSON is made of."""
        return self._nested(value)


class _NumbersAsText(_Column):
    """Nested values where NaN and infinities are texts."""

    def no_number(self, value: float) -> str | None:
        return number_text(value)


_TEXT_NESTED = _NumbersAsText("", "[]")


def without_lost_numbers(text: str) -> str:
    """A JSON text with null for NaN and infinities; the very same one where there are none."""
    if not _LOST_NUMBER.search(text):
        return text
    changed = _JSON_TOKEN.sub(lambda one: "null" if one[0][-1] in "Ny" else one[0], text)
    return text if changed == text else changed


def plain_value(value: Any) -> Any:
    """A value of any type as what JSON is made of; texts stay as they are."""
    match value:
        case dict() | list() | tuple():
            convert = _TEXT_NESTED.convert
            return value if convert is None else convert(value)
        case datetime():
            return msgspec.to_builtins(_zoned(value) if value.tzinfo else value)
        case _:
            return msgspec.to_builtins(value)


def number_text(value: float) -> str:
    """NaN and infinities as JavaScript and CSV readers write them."""
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _safe_number(value: int | Decimal) -> int | float | str:
    """The number, or its text where a JavaScript number can't hold it."""
    if isinstance(value, int):
        return value if -_SAFE_INTEGER <= value <= _SAFE_INTEGER else str(value)
    number = float(value)
    is_exact = math.isfinite(number) and Decimal(repr(number)) == value
    return number if is_exact else str(value)


def _is_safe(token: str) -> bool:
    """Whether a JavaScript number holds a number of a JSON text."""
    # Longer ones are beyond what Python turns into a number, and beyond a double in any case.
    is_whole = token.lstrip("-").isdecimal() and len(token) <= _LONGEST_WHOLE
    try:
        number = int(token) if is_whole else Decimal(token)
    except ArithmeticError:
        return False
    return not isinstance(_safe_number(number), str)


def _map_key(key: Any) -> str:
    # JSON object keys are text; a map's keys are told as they would be as values.
    return key if isinstance(key, str) else str(msgspec.to_builtins(key))


def _day(value: Any) -> Any:
    if isinstance(value, date) and value in _FAR_DAYS:
        raise Ambiguous
    return value


def _moment(value: Any) -> Any:
    if isinstance(value, datetime) and value in _FAR_MOMENTS:
        raise Ambiguous
    return value


def _zoned(value: Any) -> Any:
    """UTC with `Z`. The engine's infinities, and they alone, come without a zone."""
    if not isinstance(value, datetime):
        return value
    if value.tzinfo is None:
        return "infinity" if value.year > _SOME_YEAR else "-infinity"
    return value.astimezone(UTC)


MOMENTS: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"DATE": _day, "TIMESTAMP": _moment, "TIMESTAMP WITH TIME ZONE": _zoned}
)
"""What makes values of days and moments unambiguous, by type."""


class _Lines:
    """Encoded rows under a byte cap."""

    def __init__(self, byte_cap: int) -> None:
        self.lines: list[bytes] = []
        self.is_cut = False
        self._left_bytes = byte_cap - 2

    def add(self, line: bytes) -> bool:
        """Take a row, or refuse it and every later one because it doesn't fit."""
        self._left_bytes -= len(line) + 1
        self.is_cut = self._left_bytes < 0
        if not self.is_cut:
            self.lines.append(line)
        return not self.is_cut


def encode_rows(
    rows: Iterable[Sequence[Any]],
    *,
    columns: Sequence[str],
    types: Sequence[str],
    byte_cap: int,
    text_columns: Collection[int] = (),
) -> EncodedRows:
    """Encode whole rows until `byte_cap` is reached.

    Args:
        rows: The rows.
        columns: The names of the columns.
        types: Their types in the engine's words.
        byte_cap: Bytes of JSON at most.
        text_columns: Columns of numbers that are given as text from the first row on.

    Raises:
        RowTooLarge: not even the first row fits.
        Ambiguous: a value stands for two.
        Unencodable: a value can't be written.
    """
    helpers = [_Column(name, kind) for name, kind in zip(columns, types, strict=True)]
    for index in text_columns:
        helpers[index].as_text = True
    seen: list[Sequence[Any]] = []
    lines = _Lines(byte_cap)
    for row in rows:
        seen.append(row)
        try:
            fits = lines.add(_encode_row(row, helpers))
        except _Damaged:
            # A column became text: its earlier values are written again, as text too.
            lines = _Lines(byte_cap)
            fits = all(lines.add(_encode_row(one, helpers)) for one in seen)
        except UNWRITABLE as error:
            raise Unencodable(_first_bad(row, helpers)) from error
        if not fits:
            break
    if lines.is_cut and not lines.lines:
        raise RowTooLarge
    return EncodedRows(
        json=b"[" + b",".join(lines.lines) + b"]",
        count=len(lines.lines),
        is_cut=lines.is_cut,
        warnings=tuple(_warnings(helpers))
        + ((cut_warning(len(lines.lines), byte_cap, "JSON"),) if lines.is_cut else ()),
    )


def cut_warning(count: int, byte_cap: int, form: str) -> str:
    """What the caller is told when bytes, not rows, ended the answer."""
    return f"the answer was cut after {count} rows: more would exceed {byte_cap} bytes of {form}"


def _encode_row(row: Sequence[Any], helpers: Sequence[_Column]) -> bytes:
    """One row as a JSON array.

    Raises:
        _Damaged: columns that this row shows to need text are now marked; encode again.
    """
    cells = list(row)
    damaged = False
    for index, helper in enumerate(helpers):
        if helper.convert is None:
            continue
        try:
            cells[index] = helper.convert(cells[index])
        except _Damaged:
            helper.as_text = damaged = True
    if damaged:
        raise _Damaged
    return msgspec.json.encode(cells)


def _first_bad(row: Sequence[Any], helpers: Sequence[_Column]) -> str:
    """The column whose value can't be written."""
    for value, helper in zip(row, helpers, strict=True):
        try:
            msgspec.json.encode(helper.convert(value) if helper.convert else value)
        except _Damaged:
            continue
        except UNWRITABLE:
            return helper.name
    return ""


def _warnings(helpers: Sequence[_Column]) -> Iterable[str]:
    for helper in helpers:
        if helper.as_text:
            yield (
                f"column `{helper.name}` has numbers that JavaScript can't hold exactly: "
                "all of its values are given as text"
            )
        if helper.has_inner_texts:
            yield (
                f"column `{helper.name}` has numbers inside of its values that JavaScript can't "
                "hold exactly: these are given as text"
            )
        if helper.lost_numbers:
            yield lost_warning(helper.name)


def lost_warning(name: str) -> str:
    """What the caller is told of a column whose NaN and infinities are null."""
    return f"column `{name}` has NaN or infinite values: they are given as null"
