"""Rows of Python values as CSV (RFC 4180).

Belongs here: which text a value becomes, quoting, the byte cap.
Does not belong here: DuckDB itself; JSON (`encode`).

- A header line, commas, CRLF, UTF-8. A field is quoted when it must be.
- NULL is an empty field, and an empty text is `""`. A NULL that is alone in its row is `""` too:
  readers skip empty lines.
- Numbers are exact; NaN and infinities are `NaN`, `Infinity`, `-Infinity`, in nested values too.
- Timestamps, intervals and bytes are as in JSON; nested values are JSON texts.
- Texts are never changed, those that begin with `=`, `+`, `-` or `@` included: whoever opens the
  file in a spreadsheet must import such columns as text.
"""

import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

import msgspec

from lake_api.query.worker.encode import (
    MOMENTS,
    UNWRITABLE,
    EncodedRows,
    RowTooLarge,
    Unencodable,
    cut_warning,
    number_text,
    plain_value,
)

_MUST_BE_QUOTED = re.compile(r'[",\r\n]')


def encode_csv(
    rows: Iterable[Sequence[Any]],
    *,
    columns: Sequence[str],
    types: Sequence[str],
    byte_cap: int,
) -> EncodedRows:
    """A header and whole rows until `byte_cap` is reached.

    Raises:
        RowTooLarge: not even the first row fits.
        Ambiguous: a value stands for two.
        Unencodable: a value can't be written.
    """
    lines = [_line(columns)]
    moments = {place: MOMENTS[kind] for place, kind in enumerate(types) if kind in MOMENTS}
    left_bytes, is_cut = byte_cap, False
    for row in rows:
        cells = list(row)
        for place, unambiguous in moments.items():
            cells[place] = unambiguous(cells[place])
        line = _line([_text(value, name) for value, name in zip(cells, columns, strict=True)])
        left_bytes -= len(line)
        is_cut = left_bytes < 0
        if is_cut:
            break
        lines.append(line)
    if is_cut and len(lines) == 1:
        raise RowTooLarge
    rows_written = len(lines) - 1
    warnings = (cut_warning(rows_written, byte_cap, "CSV"),) if is_cut else ()
    return EncodedRows(
        document=b"".join(lines), count=rows_written, is_cut=is_cut, warnings=warnings
    )


def _line(fields: Sequence[str | None]) -> bytes:
    if len(fields) == 1 and not fields[0]:
        return b'""\r\n'
    # A lone surrogate can't come out of the engine, whose texts are UTF-8.
    return (",".join(map(_field, fields)) + "\r\n").encode()


def _field(text: str | None) -> str:
    if text is None:
        return ""
    if not text or _MUST_BE_QUOTED.search(text):
        return '"' + text.replace('"', '""') + '"'
    return text


def _text(value: Any, column: str) -> str | None:
    try:
        return csv_text(value)
    except UNWRITABLE as error:
        raise Unencodable(column) from error


def csv_text(value: Any) -> str | None:
    """The text of a value; None where its field is empty."""
    match value:
        case None | str():
            return value
        case bool():
            return "true" if value else "false"
        case Decimal():
            return f"{value:f}"
        case float():
            return repr(value) if math.isfinite(value) else number_text(value)
        case _:
            plain = plain_value(value)
            return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()
