"""Columns of Arrow values as texts, a batch at a time: lines of CSV and of JSON.

Belongs here: which text a value becomes. It is the text that `csv_rows` gives it in CSV, and in
JSON lines a number is written exactly, however large.
Does not belong here: files and compression (`files`).

Common types are turned into text by Arrow, a column in one call; the rest value by value.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from lake_api.query.worker.csv_rows import csv_text
from lake_api.query.worker.encode import NullNumbers, without_lost_numbers

# Its functions are made when it is loaded; type checkers do not see them.
pc: Any = pyarrow.compute
_SPECIAL_IN_CSV = r'[",\r\n]'
_CONTROL = r"[\x00-\x1f]"
_WHOLE_NUMBERS = frozenset({"UHUGEINT"})
"""Numbers that Arrow has no type of: they come as text."""

_LINE_ENDS = re.compile(r"[\r\n]")


def csv_header(names: Sequence[str]) -> bytes:
    """The first line of a CSV file."""
    row = pa.RecordBatch.from_arrays([pa.array([name]) for name in names], names=list(names))
    return csv_lines(row, ["VARCHAR"] * len(names))


def csv_lines(batch: Any, column_types: Sequence[str]) -> bytes:
    """Rows as CSV (RFC 4180): NULL is an empty field, an empty text is `""`."""
    cells = [
        _csv_cells(column, kind) for column, kind in zip(batch.columns, column_types, strict=True)
    ]
    if len(cells) == 1:
        # Readers skip empty lines.
        cells = [pc.fill_null(cells[0], '""')]
    pieces: list[Any] = []
    for place, column in enumerate(cells):
        pieces += [_text("," if place else ""), column]
    return _joined([*pieces, _text("\r\n")], null="")


def json_lines(
    batch: Any, names: Sequence[str], column_types: Sequence[str], *, lost: set[str]
) -> bytes:
    """Rows as JSON objects, one a line; `lost` gets columns with numbers that JSON has not."""
    pieces: list[Any] = []
    for place, (name, column, kind) in enumerate(
        zip(names, batch.columns, column_types, strict=True)
    ):
        key = msgspec.json.encode(name).decode()
        pieces += [_text(f"{',' if place else '{'}{key}:"), _json_cells(name, column, kind, lost)]
    return _joined([*pieces, _text("}\n")], null="null")


def text_of(column: Any, kind: str) -> Any:
    """A column as texts, NULL where it is NULL."""
    arrow = column.type
    if pa.types.is_string(arrow) or pa.types.is_large_string(arrow):
        return column.cast(pa.string())
    if pa.types.is_dictionary(arrow):
        return text_of(column.cast(arrow.value_type), kind)
    if pa.types.is_integer(arrow) or pa.types.is_date32(arrow) or pa.types.is_boolean(arrow):
        return column.cast(pa.string())
    if pa.types.is_decimal(arrow):
        texts = column.cast(pa.string())
        # Small fractions come out with an exponent.
        return _by_value(column) if pc.any(pc.match_substring(texts, "E")).as_py() else texts
    return _by_value(column)


def _by_value(column: Any) -> Any:
    return pa.array([csv_text(value) for value in _values(column)], pa.string())


def _values(column: Any) -> list[Any]:
    return column.to_pylist(maps_as_pydicts="lossy")


def _csv_cells(column: Any, kind: str) -> Any:
    texts = text_of(column, kind)
    special = pc.match_substring_regex(texts, _SPECIAL_IN_CSV)
    if pc.any(special).as_py():
        quoted = _surrounded(pc.replace_substring(texts, '"', '""'))
        texts = pc.if_else(special, quoted, texts)
    return pc.if_else(pc.equal(texts, ""), '""', texts)


def _json_cells(name: str, column: Any, kind: str, lost: set[str]) -> Any:
    arrow = column.type
    if kind in {"JSON", "VARIANT"}:
        documents = [_json_document(value) for value in column.to_pylist()]
        if any(has_lost for _, has_lost in documents):
            lost.add(name)
        return pa.array([text for text, _ in documents], pa.string())
    if pa.types.is_floating(arrow):
        finite = pc.is_finite(column)
        if not pc.all(finite).as_py():
            lost.add(name)
        return text_of(pc.if_else(finite, column, None), kind)
    if (
        pa.types.is_integer(arrow)
        or pa.types.is_decimal(arrow)
        or pa.types.is_boolean(arrow)
        or kind in _WHOLE_NUMBERS
    ):
        return text_of(column, kind)
    if pa.types.is_nested(arrow):
        nested = NullNumbers(name)
        texts = [
            None if value is None else msgspec.json.encode(nested.plain(value)).decode()
            for value in _values(column)
        ]
        if nested.lost_numbers:
            lost.add(name)
        return pa.array(texts, pa.string())
    return _json_strings(text_of(column, kind))


def _json_strings(texts: Any) -> Any:
    if pc.any(pc.match_substring_regex(texts, _CONTROL)).as_py():
        return pa.array(
            [
                None if text is None else msgspec.json.encode(text).decode()
                for text in texts.to_pylist()
            ],
            pa.string(),
        )
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    return _surrounded(escaped)


def _json_document(value: str | None) -> tuple[str | None, bool]:
    """A JSON value as it stands, in one line, and whether it lost numbers that JSON has not.

    What is no JSON becomes a text.
    """
    if value is None:
        return None, False
    text = without_lost_numbers(value)
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return msgspec.json.encode(value).decode(), False
    line = msgspec.json.format(text, indent=-1) if _LINE_ENDS.search(text) else text
    return line, text is not value


def _surrounded(texts: Any) -> Any:
    return pc.binary_join_element_wise(_text('"'), texts, _text('"'), _text(""))


def _joined(pieces: Sequence[Any], *, null: str) -> bytes:
    lines = pc.binary_join_element_wise(
        *pieces, _text(""), null_handling="replace", null_replacement=null
    )
    size = pc.sum(pc.binary_length(lines)).as_py() or 0
    # The values of a text column lie one behind the other, which is the file already.
    return lines.buffers()[2].slice(0, size).to_pybytes() if size else b""


def _text(value: str) -> Any:
    return pa.scalar(value, pa.string())
