"""Writing one day of a dataset: batches in, one complete Parquet object out.

Belongs here: streaming Parquet encoding, what is measured while rows go by.
Does not belong here: where rows come from (`sources`), when they are written (`orchestration`).
"""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, data_key
from lake_assets.storage.conform import conform
from lake_assets.storage.evolution import refuse_incompatible
from lake_assets.storage.measure import RowMeasure, Watermark
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore

ROW_GROUP_BYTES = 32 * 1024 * 1024
"""Arrow bytes gathered before a row group is written: bounds memory, keeps statistics useful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPartition:
    """What was written for one day: measured while writing, never declared."""

    dataset: Dataset
    day: date
    uri: str
    etag: str
    rows: int
    size_bytes: int
    watermark_min: Watermark
    watermark_max: Watermark
    duplicate_keys: int | None
    nulls: Mapping[str, int]
    unexpected: Mapping[str, int]
    failures: int | None
    duration_s: float


class PartitionWriter:
    """Writes partitions of any dataset to one store.

    `run_id` and `code_version` go into the Parquet key-value metadata of every object. With
    `accept_schema_change`, columns may differ from those of the days that are stored.
    """

    def __init__(
        self,
        store: LakeStore,
        *,
        run_id: str,
        code_version: str,
        accept_schema_change: bool = False,
    ) -> None:
        self._store = store
        self._accepts_all = accept_schema_change
        self._compatible: set[str] = set()
        self._footer = {"lake.run_id": run_id, "lake.code_version": code_version}

    def write(
        self, dataset: Dataset, day: date, batches: Iterable[pa.RecordBatch]
    ) -> WrittenPartition:
        """Replace a dataset's day by `batches`; no batch at all makes a typed empty object.

        The old object stays whole until the new one is complete. Memory is bounded by a row group
        and the parts in flight, not by the day's size.

        Raises:
            SchemaMismatch: a batch does not fit the declaration, or the declaration does not fit
                the days that are stored; nothing was replaced.
            StorageError: the store did not take the object; nothing was replaced.
        """
        started = time.perf_counter()
        if not self._accepts_all and dataset.partition not in self._compatible:
            refuse_incompatible(self._store, dataset)
            self._compatible.add(dataset.partition)
        encoder = _Encoder(dataset, day, self._footer)
        key = data_key(dataset, day)
        # One part is sent as a plain PUT; only a larger object needs a multipart upload.
        parts = encoder.parts(batches)
        first = next(parts)
        second = next(parts, None)
        if second is None:
            etag = self._store.put_whole(key, first)
        else:
            etag = self._store.put_whole(key, _chain(first, second, parts))
        measure = encoder.measure
        low, high = measure.watermark_range
        return WrittenPartition(
            dataset=dataset,
            day=day,
            uri=self._store.uri(key),
            etag=etag,
            rows=measure.rows,
            size_bytes=encoder.size_bytes,
            watermark_min=low,
            watermark_max=high,
            duplicate_keys=measure.keys.duplicates() if dataset.key else None,
            nulls=measure.nulls,
            unexpected=measure.unexpected,
            failures=measure.failures,
            duration_s=time.perf_counter() - started,
        )


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


class _PartSink:
    """A file that Parquet writes into and parts are taken out of."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self.size_bytes = 0
        self.pending_bytes = 0
        self.closed = False

    def write(self, data: bytes | memoryview) -> int:
        chunk = bytes(data)
        self._parts.append(chunk)
        self.size_bytes += len(chunk)
        self.pending_bytes += len(chunk)
        return len(chunk)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        self.pending_bytes = 0
        return taken

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self.size_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        self.closed = True


class _Encoder:
    """Turns batches into parts of one Parquet object, and measures them on the way."""

    def __init__(self, dataset: Dataset, day: date, footer: dict[str, str]) -> None:
        self._dataset = dataset
        self._schema = arrow_schema(dataset).with_metadata(
            {**footer, "lake.dataset": dataset.partition, "lake.day": day.isoformat()}
        )
        self._sink = _PartSink()
        self.measure = RowMeasure(dataset)

    @property
    def size_bytes(self) -> int:
        return self._sink.size_bytes

    def parts(self, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
        with pq.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            self._schema,
            compression="snappy",
            write_statistics=True,
            store_schema=True,
        ) as writer:
            gathered: list[pa.RecordBatch] = []
            gathered_bytes = 0
            for batch in batches:
                fitted = conform(batch, self._dataset)
                if not fitted.num_rows:
                    continue
                self.measure.add(fitted)
                gathered.append(fitted)
                gathered_bytes += fitted.nbytes
                if gathered_bytes >= ROW_GROUP_BYTES:
                    self._write_group(writer, gathered)
                    gathered, gathered_bytes = [], 0
                    if self._sink.pending_bytes:
                        yield self._sink.take()
            if gathered:
                self._write_group(writer, gathered)
        yield self._sink.take()

    def _write_group(self, writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
        table = pa.Table.from_batches(batches)
        writer.write_table(table, row_group_size=table.num_rows)
