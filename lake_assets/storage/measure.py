"""What is measured of a day's rows while they go by: nulls, odd values, failures, watermarks.

Belongs here: one pass over batches that are written anyway.
Does not belong here: whether a figure is a fault (`orchestration.judge`), keys (`keys`).
"""

from collections.abc import Mapping
from datetime import date, datetime

import pyarrow as pa
import pyarrow.compute as pc

from lake_assets.catalog import Dataset
from lake_assets.storage.keys import KeyCounter

Watermark = datetime | date | int | str | None


class RowMeasure:
    """The figures of one partition, batch by batch, of batches that conform to the declaration."""

    def __init__(self, dataset: Dataset) -> None:
        self._names = tuple(dataset.column_names)
        self._watermark = dataset.watermark
        self._accepted = {
            column.name: pa.array(column.values) for column in dataset.columns if column.values
        }
        self._low: pa.Scalar | None = None
        self._high: pa.Scalar | None = None
        self._nulls = dict.fromkeys(
            (column.name for column in dataset.columns if not column.required), 0
        )
        self._unexpected = dict.fromkeys(self._accepted, 0)
        self._failures = dataset.failures
        self._failed = 0
        self.keys = KeyCounter(dataset.key)
        self.rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in one batch."""
        self.rows += batch.num_rows
        self.keys.add(batch)
        for name in self._nulls:
            self._nulls[name] += batch.column(name).null_count
        for name, accepted in self._accepted.items():
            column = batch.column(name)
            self._unexpected[name] += len(column) - column.null_count - _found(column, accepted)
        if self._failures:
            words = pc.cast(batch.column(self._failures.column), pa.string())
            self._failed += _found(words, pa.array(self._failures.values))
        span = pc.call_function("min_max", [batch.column(self._watermark)])
        low, high = span["min"], span["max"]
        if low.is_valid and (
            self._low is None or pc.call_function("less", [low, self._low]).as_py()
        ):
            self._low = low
        if high.is_valid and (
            self._high is None or pc.call_function("greater", [high, self._high]).as_py()
        ):
            self._high = high

    @property
    def watermark_range(self) -> tuple[Watermark, Watermark]:
        """The lowest and the highest watermark, None without any."""
        return _plain(self._low), _plain(self._high)

    @property
    def failures(self) -> int | None:
        """The rows that tell of a failure; None where the dataset does not say which do."""
        return self._failed if self._failures else None

    @property
    def nulls(self) -> Mapping[str, int]:
        """Null values by column, of columns that may have them; those without any left out."""
        return {name: count for name, count in self._nulls.items() if count}

    @property
    def filled(self) -> Mapping[str, int]:
        """Values that are not null, by column."""
        return {name: self.rows - self._nulls.get(name, 0) for name in self._names}

    @property
    def unexpected(self) -> Mapping[str, int]:
        """Values outside of a column's accepted ones, by column; columns without any left out."""
        return {name: count for name, count in self._unexpected.items() if count}


def _plain(watermark: pa.Scalar | None) -> Watermark:
    if watermark is None:
        return None
    try:
        return watermark.as_py()
    except (ValueError, OverflowError):
        # A snapshot may have such a time; Python has not, and Arrow writes another one.
        return "outside of the years 1 to 9999"


def _found(column: pa.Array, values: pa.Array) -> int:
    return pc.call_function("is_in", [column], pc.SetLookupOptions(value_set=values)).true_count
