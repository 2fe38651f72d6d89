"""One column of rows while it is being made, and its way into Arrow.

Belongs here: coded words, identities, plain numbers, nulls, and their Arrow arrays.
Does not belong here: what the values are.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lake_assets.catalog import ColumnType
from lake_assets.sample_data.seeds import mix64

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Identities = NDArray[np.uint64]

MICRO = 1_000_000

ARROW_TYPES = {
    ColumnType.STRING: pa.string(),
    ColumnType.INT64: pa.int64(),
    ColumnType.FLOAT64: pa.float64(),
    ColumnType.BOOL: pa.bool_(),
    ColumnType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    ColumnType.DATE: pa.date32(),
    ColumnType.DECIMAL: pa.decimal128(18, 6),
    ColumnType.JSON: pa.string(),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """How an identity is spelled: a prefix and so many hex digits, or as a UUID."""

    prefix: str = ""
    digits: int = 16
    dashes: bool = False


UUID_FORM = Form(digits=32, dashes=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """A column: `data` are codes into `words`, identities in `form`, or plain numbers.

    Plain numbers are what the column's type needs: µs since the epoch for timestamps, days for
    dates, micro-units for decimals. Where `null` is set, the row has none; `data` still holds
    what it would have been, so that rows drawn from it agree.
    """

    data: NDArray[Any]
    words: tuple[str, ...] = ()
    form: Form | None = None
    null: Mask | None = None

    def where_null(self, mask: Mask) -> "Values":
        """The same values with further rows null."""
        return replace(self, null=mask if self.null is None else self.null | mask)

    def take(self, rows: Ints) -> "Values":
        """The values of these rows, in this order."""
        null = None if self.null is None else self.null[rows]
        return replace(self, data=self.data[rows], null=null)

    def is_word(self, *wanted: str) -> Mask:
        """Which rows hold one of these words."""
        codes = [code for code, word in enumerate(self.words) if word in wanted]
        found: Mask = np.isin(self.data, codes)
        return found if self.null is None else found & ~self.null


def plain(data: NDArray[Any], null: Mask | None = None) -> Values:
    """Numbers as they are."""
    return Values(data=data, null=null)


def coded(codes: NDArray[Any], words: tuple[str, ...], null: Mask | None = None) -> Values:
    """Words by their place in `words`."""
    return Values(data=codes, words=words, null=null)


def to_arrow(values: Values, column_type: ColumnType) -> pa.Array:
    """The Arrow array of a column.

    Raises:
        TypeError: plain numbers were made for a text column, or text for a number column.
    """
    is_text = column_type in {ColumnType.STRING, ColumnType.JSON}
    if is_text != bool(values.words or values.form):
        raise TypeError(f"values do not fit a column of type {column_type.value}")
    if values.words:
        codes = pa.array(values.data, mask=values.null)
        return pa.array(values.words, type=pa.string()).take(codes)
    if values.form is not None:
        return _spell(values.data, values.form, values.null)
    if column_type is ColumnType.DECIMAL:
        return _decimals(values.data.astype(np.int64), values.null)
    kind = {ColumnType.DATE: np.int32, ColumnType.FLOAT64: np.float64, ColumnType.BOOL: np.bool_}
    data = values.data.astype(kind.get(column_type, np.int64))
    return pa.array(data, type=ARROW_TYPES[column_type], mask=values.null)


_HEX = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)


def _spell(ids: Identities, form: Form, null: Mask | None) -> pa.Array:
    blocks: list[NDArray[np.uint8]] = []
    block = ids
    for _ in range(-(-form.digits // 16)):
        octets = block.astype(">u8").view(np.uint8).reshape(-1, 8)
        blocks.append(np.stack([_HEX[octets >> 4], _HEX[octets & 15]], axis=2).reshape(-1, 16))
        block = mix64(block)
    digits = np.concatenate(blocks, axis=1)[:, : form.digits]
    if form.dashes:
        digits[:, 12] = ord("4")
        digits[:, 16] = _HEX[8 + (digits[:, 16] & 3)]
        digits = np.insert(digits, [8, 12, 16, 20], ord("-"), axis=1)
    prefix = np.frombuffer(form.prefix.encode(), dtype=np.uint8)
    text = np.concatenate([np.broadcast_to(prefix, (len(ids), len(prefix))), digits], axis=1)
    offsets = np.arange(len(ids) + 1, dtype=np.int32) * np.int32(text.shape[1])
    buffers = [_validity(null), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text))]
    return pa.Array.from_buffers(pa.string(), len(ids), buffers)


def _decimals(micros: Ints, null: Mask | None) -> pa.Array:
    wide = np.empty((len(micros), 2), dtype="<i8")
    wide[:, 0] = micros
    wide[:, 1] = micros >> 63
    buffers = [_validity(null), pa.py_buffer(wide)]
    return pa.Array.from_buffers(ARROW_TYPES[ColumnType.DECIMAL], len(micros), buffers)


def _validity(null: Mask | None) -> pa.Buffer | None:
    if null is None:
        return None
    return pa.py_buffer(np.packbits(~null, bitorder="little"))
