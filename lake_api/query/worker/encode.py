"""Rows of Python values as JSON that JavaScript reads without damage.

Belongs here: which JSON a value of which DuckDB type becomes, and the byte cap.
Does not belong here: DuckDB itself; deciding the caps.

- Whole numbers beyond 2**53 and decimals that a double can't hold exactly would be damaged: their
  column is given as text, all of its values alike, and a warning says so. Inside nested values
  only the damaged ones are text.
- Timestamps are ISO 8601 in UTC with `Z`, intervals ISO 8601 durations, bytes base64.
- NaN and infinities are null, and a warning says so.
- JSON values and nested values are JSON.
"""

import math
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

_SAFE_INTEGER = 2**53 - 1
_WIDE_INTEGERS = frozenset({"BIGINT", "UBIGINT", "HUGEINT", "UHUGEINT"})
_FLOATS = frozenset({"FLOAT", "DOUBLE"})


class RowTooLarge(Exception):
    """The first row alone is beyond the byte cap."""


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
        self._type_name = type_name
        self.convert = self._converter()

    def _converter(self) -> Callable[[Any], Any] | None:
        """The function that values of this type need, or None where msgspec needs no help."""
        kind = self._type_name
        convert: Callable[[Any], Any] | None = None
        if kind in _WIDE_INTEGERS:
            convert = self._integer
        elif kind in _FLOATS:
            convert = self._float
        elif kind == "JSON":
            convert = _json
        elif kind.endswith("]") or kind == "VARIANT":
            convert = self._nested
        elif kind.startswith("DECIMAL"):
            convert = self._decimal
        elif kind.startswith("TIMESTAMP"):
            convert = _timestamp
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
            self.lost_numbers = True
            return None
        return value

    def _nested(self, value: Any) -> Any:
        match value:
            case dict():
                return {_map_key(key): self._nested(item) for key, item in value.items()}
            case list() | tuple():
                return [self._nested(item) for item in value]
            case float():
                return self._float(value)
            case int() | Decimal():
                return _safe_number(value)
            case _:
                return _timestamp(value)


def plain_value(value: Any) -> Any:
    """A value of any type as what JSON is made of; texts stay as they are."""
    match value:
        case dict() | list() | tuple():
            convert = _Column("", "VARIANT").convert
            return value if convert is None else convert(value)
        case _:
            return msgspec.to_builtins(_timestamp(value))


def _safe_number(value: int | Decimal) -> int | float | str:
    """The number, or its text where a JavaScript number can't hold it."""
    if isinstance(value, int):
        return value if -_SAFE_INTEGER <= value <= _SAFE_INTEGER else str(value)
    number = float(value)
    return number if Decimal(repr(number)) == value else str(value)


def _map_key(key: Any) -> str:
    # JSON object keys are text; a map's keys are told as they would be as values.
    return key if isinstance(key, str) else str(msgspec.to_builtins(_timestamp(key)))


def _timestamp(value: Any) -> Any:
    """UTC with `Z`; the session's time zone is UTC, so a timestamp without a zone is UTC too."""
    if isinstance(value, datetime):
        return (value if value.tzinfo is None else value.astimezone(UTC)).replace(tzinfo=UTC)
    return value


def _json(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        msgspec.json.decode(value)
    except msgspec.DecodeError:
        return value
    return msgspec.Raw(value.encode())


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


def _warnings(helpers: Sequence[_Column]) -> Iterable[str]:
    for helper in helpers:
        if helper.as_text:
            yield (
                f"column `{helper.name}` has numbers that JavaScript can't hold exactly: "
                "all of its values are given as text"
            )
        if helper.lost_numbers:
            yield f"column `{helper.name}` has NaN or infinite values: they are given as null"
