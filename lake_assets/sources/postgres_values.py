"""The driver's batches as the declared types, value for value, or the row that does not fit.

Belongs here: what `postgres_types` leaves to do, counting values that become null, naming a row.
Does not belong here: SQL (`postgres_types`, `platform`), other sources' batches.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.catalog import Column, Dataset
from lake_assets.sources.postgres_types import Decode, Reading
from lake_assets.storage.conform import SchemaMismatch, cast_exactly
from lake_assets.storage.schema import ARROW_TYPES

_FIRST_MOMENT_US = -210_866_803_200_000_000
"""The first moment that Postgres knows, 4714-11-24 BC, in microseconds since 1970."""

_FIRST_DAY = -2_440_588
_EPOCH_SHIFT_US = 946_684_800_000_000
_EPOCH_SHIFT_D = 10_957
_INT64_END, _INT32_END = 2**63 - 1, 2**31 - 1
_SHOWN_CHARS = 100


@dataclass(slots=True)
class Nulled:
    """Values of a column that became null: how many, and the first one with its row."""

    count: int
    first: str


class Decoder:
    """Makes declared batches of one table's rows; `nulled` counts by column over all of them."""

    def __init__(
        self, dataset: Dataset, readings: Mapping[str, Reading], shown_types: Mapping[str, str]
    ) -> None:
        self._dataset = dataset
        self._readings = readings
        self._shown_types = shown_types
        self.nulled: dict[str, Nulled] = {}

    def decode(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch in declared types.

        Raises:
            SchemaMismatch: a value does not fit; it names the row by its key, and the value.
        """
        raw = pa.RecordBatch.from_arrays(
            [
                column.storage if isinstance(column.type, pa.BaseExtensionType) else column
                for column in batch.columns
            ],
            names=batch.schema.names,
        )
        arrays = [
            self._column(self._dataset.column(name), array, raw)
            for name, array in zip(raw.schema.names, raw.columns, strict=True)
        ]
        return pa.RecordBatch.from_arrays(arrays, names=raw.schema.names)

    def _column(self, column: Column, array: pa.Array, batch: pa.RecordBatch) -> pa.Array:
        reading = self._readings.get(column.name)
        if reading is None:
            return array
        match reading.decode:
            case Decode.MOMENT | Decode.DAY:
                array = self._without_endless(column, array, batch)
            case Decode.CHECKED_JSON:
                self._refuse_no_json(column, array, batch)
            case Decode.CAST | Decode.WHOLE | Decode.NEAREST:
                array = self._cast(column, array, batch, _CASTS[reading.decode])
            case Decode.AS_IS:
                pass
        if column.required and array.null_count:
            at = pc.call_function("index", [array.is_null()], pc.IndexOptions(pa.scalar(True)))
            self._refuse(column, batch, at.as_py(), "null", "where a value is required")
        return array

    def _cast(
        self,
        column: Column,
        array: pa.Array,
        batch: pa.RecordBatch,
        cast: Callable[[pa.Array, pa.DataType], pa.Array],
    ) -> pa.Array:
        expected = ARROW_TYPES[column.type]
        try:
            return cast(array, expected)
        except pa.ArrowInvalid:

            def convert(part: pa.Array) -> pa.Array:
                return cast(part, expected)

            at = _first_unfit(array, convert)
            self._refuse(column, batch, at, _shown(array[at]), "which that can't hold exactly")
            raise

    def _without_endless(self, column: Column, array: pa.Array, batch: pa.RecordBatch) -> pa.Array:
        """Nulls in place of what the driver makes of infinities and of what Arrow can't hold.

        The driver moves Postgres's epoch by adding without a check: what leaves the range comes
        out before the first moment that Postgres knows.
        """
        is_day = pa.types.is_date32(array.type)
        numbers = array.view(pa.int32() if is_day else pa.int64())
        first, end = (_FIRST_DAY, _INT32_END) if is_day else (_FIRST_MOMENT_US, _INT64_END)
        span = pc.call_function("min_max", [numbers])
        low, high = span["min"].as_py(), span["max"].as_py()
        if low is None or (low >= first and high < end):
            return array
        unfit = pc.call_function(
            "or",
            [
                pc.call_function("less", [numbers, first]),
                pc.call_function("equal", [numbers, end]),
            ],
        )
        at = pc.call_function("index", [unfit], pc.IndexOptions(pa.scalar(True))).as_py()
        said = _said_endless(numbers[at].as_py(), is_day=is_day)
        if column.required:
            self._refuse(column, batch, at, said, "which that can't hold")
        count = unfit.true_count
        if column.name in self.nulled:
            self.nulled[column.name].count += count
        else:
            row = _row_of(self._dataset, batch, at)
            self.nulled[column.name] = Nulled(count, f"{said} in the row with {row}")
        return pc.call_function("if_else", [unfit, pa.scalar(None, type=array.type), array])

    def _refuse_no_json(self, column: Column, array: pa.Array, batch: pa.RecordBatch) -> None:
        for at, text in enumerate(array.to_pylist()):
            if text is None:
                continue
            try:
                msgspec.json.decode(text, type=msgspec.Raw)
            except (msgspec.DecodeError, RecursionError):
                self._refuse(column, batch, at, _shown(array[at]), "which is no JSON")

    def _refuse(self, column: Column, batch: pa.RecordBatch, at: int, value: str, why: str) -> None:
        shown = self._shown_types.get(column.name, "")
        came_as = f" (`{shown}` in Postgres)" if shown else ""
        raise SchemaMismatch(
            f"{self._dataset.partition}: column `{column.name}` is declared "
            f"{column.type.value}{came_as}, and the row with {_row_of(self._dataset, batch, at)} "
            f"has {value}, {why}; correct that row in the source, or declare the column otherwise"
        )


def _row_of(dataset: Dataset, batch: pa.RecordBatch, at: int) -> str:
    """What finds a row again: its key, or its watermark where no key is declared."""
    names = [name for name in dataset.key or (dataset.watermark,) if name in batch.schema.names]
    return ", ".join(f"{name}={_shown(batch.column(name)[at])}" for name in names)


def _shown(value: pa.Scalar) -> str:
    if not value.is_valid:
        return "null"
    try:
        text = str(value.as_py())
    except (ValueError, OverflowError):
        return "a time outside of the years 1 to 9999"
    return (
        text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({len(text):,} characters)"
    )


def _said_endless(number: int, *, is_day: bool) -> str:
    """What Postgres had, where the driver's number left the range."""
    end = _INT32_END if is_day else _INT64_END
    raw = number - (_EPOCH_SHIFT_D if is_day else _EPOCH_SHIFT_US)
    size = 2 * (end + 1)
    raw = (raw + end + 1) % size - (end + 1)
    if raw == end:
        return "infinity"
    return "-infinity" if raw == -(end + 1) else "a time after 294247-01-10"


def _first_unfit(array: pa.Array, cast: Callable[[pa.Array], object]) -> int:
    """The index of the first value that a cast refuses; there is one."""
    start, length = 0, len(array)
    while length > 1:
        half = length // 2
        try:
            cast(array.slice(start, half))
        except pa.ArrowInvalid:
            length = half
        else:
            start, length = start + half, length - half
    return start


def _whole(array: pa.Array, expected: pa.DataType) -> pa.Array:
    if pa.types.is_string(array.type):
        # 5.00 is a whole number.
        array = pc.call_function(
            "replace_substring_regex",
            [array],
            pc.ReplaceSubstringOptions(pattern=r"^(-?[0-9]+)\.0*$", replacement=r"\1"),
        )
    return pc.cast(array, expected, safe=True)


def _nearest(array: pa.Array, expected: pa.DataType) -> pa.Array:
    numbers = pc.cast(array, expected, safe=True)
    endless = pc.fill_null(pc.call_function("is_inf", [numbers]), False)
    if endless.true_count and any("nf" not in text for text in _chosen(array, endless)):
        raise pa.ArrowInvalid("a number is beyond the largest float64")
    return numbers


def _chosen(array: pa.Array, mask: pa.Array) -> Sequence[str]:
    return [text.lower() for text in array.filter(mask).to_pylist()]


_CASTS: Mapping[Decode, Callable[[pa.Array, pa.DataType], pa.Array]] = {
    Decode.CAST: cast_exactly,
    Decode.WHOLE: _whole,
    Decode.NEAREST: _nearest,
}
