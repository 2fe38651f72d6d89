"""Writing one day of a dataset: batches in, one complete Parquet object out.

Belongs here: streaming Parquet encoding, what is measured while rows go by.
Does not belong here: where rows come from (`sources`), when they are written (`orchestration`).
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, cast

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, ShrinkPolicy, data_key
from lake_assets.storage.conform import conform
from lake_assets.storage.evolution import refuse_incompatible
from lake_assets.storage.measure import RowMeasure, Watermark
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.shrink import Loss, loss, refuse_loss
from lake_assets.storage.store import LakeStore
from lake_assets.storage.stored_facts import (
    FILLED_METADATA,
    FULLEST_METADATA,
    INPUTS_METADATA,
    DayInputs,
    Fullest,
    Inputs,
    StoredFacts,
    stored_without,
)

ROW_GROUP_BYTES = 32 * 1024 * 1024
"""Arrow bytes gathered before a row group is written: bounds memory, keeps statistics useful."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPartition:
    """What was written for one day: measured while writing, never declared.

    Of the day that it took the place of, `lost_rows` are gone, and `kept_rows` stay by declaration.
    """

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
    lost_rows: int = 0
    kept_rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What is known of a day's rows before they come.

    `seen` has the ETag of each day as it was before the source was read: a day that another run
    writes in between is not replaced. `inputs` are the days that a derived day is computed from,
    `absent` the columns that its source does not have. With `strict` no stored row may be lost.
    """

    seen: Mapping[date, str] | None = None
    inputs: DayInputs | None = None
    absent: frozenset[str] = frozenset()
    strict: bool = False


_UNKNOWN = Origin()


class PartitionWriter:
    """Writes partitions of any dataset to one store.

    `run_id` and `code_version` go into the Parquet key-value metadata of every object. With
    `accept_schema_change`, columns may differ from those of the days that are stored; with
    `allow_shrink`, days may have less than what is stored of them.
    """

    def __init__(
        self,
        store: LakeStore,
        *,
        run_id: str,
        code_version: str,
        accept_schema_change: bool = False,
        allow_shrink: bool = False,
    ) -> None:
        self._store = store
        self._may_shrink = allow_shrink
        self._accepts_all = accept_schema_change
        self._compatible: set[str] = set()
        self._footer = {"lake.run_id": run_id, "lake.code_version": code_version}

    def write(
        self,
        dataset: Dataset,
        day: date,
        batches: Iterable[pa.RecordBatch],
        *,
        origin: Origin = _UNKNOWN,
    ) -> WrittenPartition:
        """Replace a dataset's day by `batches`; no batch at all makes a typed empty object.

        The old object stays whole until the new one is complete. Memory is bounded by a row group
        and the parts in flight, not by the day's size, but for eight bytes a row of its key.

        Raises:
            SchemaMismatch: a batch does not fit the declaration, or the declaration does not fit
                the days that are stored; nothing was replaced.
            DayShrinks: the stored day has more than may be lost; nothing was replaced.
            ChangedMeanwhile: another run wrote the day meanwhile; nothing was replaced.
            StorageError: the store did not take the object; nothing was replaced.
        """
        started = time.perf_counter()
        if not self._accepts_all and dataset.partition not in self._compatible:
            refuse_incompatible(self._store, dataset)
            self._compatible.add(dataset.partition)
        key = data_key(dataset, day)
        etag = self._store.etag(key) if origin.seen is None else origin.seen.get(day)
        replacing = _Replacing(
            dataset=dataset,
            stored=None if etag is None else StoredFacts.read(self._store, dataset, day, etag=etag),
            origin=origin,
            may_shrink=self._may_shrink,
            may_lose_columns=self._accepts_all,
        )
        footer = dict(self._footer)
        if origin.inputs is not None:
            footer[INPUTS_METADATA] = msgspec.json.encode(_sorted(origin.inputs.read)).decode()
        encoder = _Encoder(dataset, day, footer, at_end=replacing.judge)
        if replacing.keeps:
            batches = self._with_stored(batches, dataset, day, encoder.measure, replacing)
        etag = self._store.put_over(key, encoder.parts(batches), etag=etag)
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
            lost_rows=replacing.lost_rows,
            kept_rows=replacing.kept_rows,
        )

    def _with_stored(
        self,
        batches: Iterable[pa.RecordBatch],
        dataset: Dataset,
        day: date,
        measure: RowMeasure,
        replacing: "_Replacing",
    ) -> Iterator[pa.RecordBatch]:
        yield from batches
        # All keys that came are known by now, and those of stored rows are no repeats of them.
        for stays in stored_without(self._store, dataset, day, measure.keys):
            replacing.kept_rows += stays.num_rows
            yield stays


@dataclass(slots=True, kw_only=True)
class _Replacing:
    """One day that takes the place of a stored one, if there is one."""

    dataset: Dataset
    stored: StoredFacts | None
    origin: Origin
    may_shrink: bool
    may_lose_columns: bool
    kept_rows: int = 0
    found: Loss | None = field(init=False, default=None)

    @property
    def keeps(self) -> bool:
        """Whether stored rows that no longer come stay."""
        is_declared = self.dataset.shrink.policy is ShrinkPolicy.KEEP
        is_readable = self.stored is not None and not self.stored.unreadable
        return is_declared and is_readable and not self.may_shrink

    @property
    def lost_rows(self) -> int:
        """Stored rows that the new day does not have."""
        return self.found.rows if self.found else 0

    def judge(self, new: RowMeasure) -> Fullest | None:
        """Refuse the new day, all of which was measured, where it has too much less.

        Returns what its footer says of the versions before it, None for nothing.
        """
        if self.stored is None:
            return None
        self.found = loss(self.dataset, self.stored, new, self.origin.inputs)
        if self.may_lose_columns:
            # The run was told that columns which are no longer declared may go.
            self.found = self.found.of_columns(frozenset(self.dataset.column_names))
        if not self.may_shrink:
            refuse_loss(
                self.dataset,
                self.stored,
                new,
                self.found,
                absent=self.origin.absent,
                strict=self.origin.strict,
            )
        begins_anew = self.may_shrink or self.dataset.shrink.policy is ShrinkPolicy.MIRROR
        return None if begins_anew else self.found.fullest_after(new)


def _sorted(inputs: Inputs) -> Mapping[str, list[date]]:
    return {upstream: sorted(inputs[upstream]) for upstream in sorted(inputs)}


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


def parquet_parts(schema: pa.Schema, groups: Iterable[pa.Table]) -> Iterator[bytes]:
    """One object of the lake in parts, a row group for each of `groups`."""
    sink = _PartSink()
    with _open_parquet(sink, schema) as writer:
        for table in groups:
            writer.write_table(table, row_group_size=max(1, table.num_rows))
            if sink.pending_bytes:
                yield sink.take()
    yield sink.take()


def _open_parquet(sink: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """A Parquet writer over a file object, with the encoding of every object of the lake.

    Parquet leaves NaN out of minimum and maximum. Readers prune by these, so that `f > 5` would
    skip a NaN and `f = 3` would take one for 3: columns of floats have no statistics.
    """
    measured = [field.name for field in schema if not _may_hold_nan(field.type)]
    return pq.ParquetWriter(
        pa.PythonFile(sink, mode="w"),
        schema,
        compression="snappy",
        write_statistics=cast(Any, measured),  # its stub only knows bool
        store_schema=True,
    )


def _may_hold_nan(kind: pa.DataType) -> bool:
    """Whether a value of this type is a float, or can have one inside."""
    return pa.types.is_floating(kind) or pa.types.is_nested(kind) or pa.types.is_dictionary(kind)


class _Encoder:
    """Turns batches into parts of one Parquet object, and measures them on the way.

    `at_end` sees the measures before the last part is given: if it raises, there is no object. What
    it returns goes into the footer.
    """

    def __init__(
        self,
        dataset: Dataset,
        day: date,
        footer: dict[str, str],
        *,
        at_end: Callable[[RowMeasure], Fullest | None],
    ) -> None:
        self._dataset = dataset
        self._schema = arrow_schema(dataset).with_metadata(
            {**footer, "lake.dataset": dataset.partition, "lake.day": day.isoformat()}
        )
        self._sink = _PartSink()
        self._at_end = at_end
        self.measure = RowMeasure(dataset)

    @property
    def size_bytes(self) -> int:
        return self._sink.size_bytes

    def parts(self, batches: Iterable[pa.RecordBatch]) -> Iterator[bytes]:
        with _open_parquet(self._sink, self._schema) as writer:
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
            self.measure.keys.close()
            fullest = self._at_end(self.measure)
            facts = (self.measure.rows, self.measure.filled)
            notes: dict[str, Any] = {FILLED_METADATA: facts}
            if fullest is not None:
                notes[FULLEST_METADATA] = fullest
            writer.add_key_value_metadata(
                {name: msgspec.json.encode(note).decode() for name, note in notes.items()}
            )
        yield self._sink.take()

    def _write_group(self, writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
        table = pa.Table.from_batches(batches)
        writer.write_table(table, row_group_size=table.num_rows)
