"""Reading stored days back as the declaration has them now.

Belongs here: one day as a table, many days as a window, columns that a stored day predates.
Does not belong here: writing (`writer`), reading for queries (`lake_api`).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import PARTITION_COLUMN, Dataset, data_key
from lake_assets.storage.evolution import refuse_retyped
from lake_assets.storage.schema import arrow_schema
from lake_assets.storage.store import LakeStore


def read_day(
    store: LakeStore, dataset: Dataset, day: date, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """A stored day with the declared columns, or with those of them that are named.

    A column that was declared after the day was written is null; the partition's day is in a
    column `date`.

    Raises:
        FileNotFoundError: the day has no object.
        SchemaMismatch: the day has a column in another type than it is declared with.
    """
    wanted = tuple(dataset.column_names) if columns is None else columns
    with store.open(data_key(dataset, day)) as file, pq.ParquetFile(file) as parquet:
        stored = parquet.schema_arrow
        refuse_retyped(dataset, stored, columns=wanted, day=day)
        there = [name for name in wanted if name in stored.names]
        # Without a column of its own a table forgets how many rows it has.
        read = parquet.read(columns=there) if there else None
        rows = parquet.metadata.num_rows
    fields = _fields(dataset, wanted)
    arrays = [
        pa.nulls(rows, each.type) if read is None or each.name not in there else read[each.name]
        for each in fields[:-1]
    ]
    days = pa.repeat(pa.scalar(day, pa.date32()), rows)
    return pa.Table.from_arrays([*arrays, days], schema=pa.schema(fields))


@dataclass(slots=True, kw_only=True)
class StoredDays:
    """Days of an upstream, read when they are asked for.

    Windows are asked for in the order of their days: each day is read once and forgotten when a
    later window no longer has it. Days outside of `days` are never read, nor are those that are
    `refused`, with the reason.
    """

    store: LakeStore
    dataset: Dataset
    days: Collection[date]
    columns: Sequence[str] | None = None
    refused: Mapping[date, str] = field(default_factory=dict[date, str])
    _kept: dict[date, pa.Table | None] = field(
        init=False, default_factory=dict[date, pa.Table | None]
    )

    def window(self, days: Sequence[date]) -> tuple[pa.Table, Sequence[date]]:
        """The stored ones of `days` as one table, and those that are missing or refused.

        Raises:
            SchemaMismatch: a day has a column in another type than it is declared with.
            StorageError: the store did not answer; a retry may help.
        """
        for passed in [day for day in self._kept if day < days[0]]:
            del self._kept[passed]
        found = {day: self._day(day) for day in days}
        empty = pa.schema(_fields(self.dataset, self.columns or tuple(self.dataset.column_names)))
        tables = [empty.empty_table(), *(table for table in found.values() if table is not None)]
        return pa.concat_tables(tables), [day for day, table in found.items() if table is None]

    def _day(self, day: date) -> pa.Table | None:
        if day not in self._kept:
            wanted = day in self.days and day not in self.refused
            self._kept[day] = self._read(day) if wanted else None
        return self._kept[day]

    def _read(self, day: date) -> pa.Table | None:
        try:
            return read_day(self.store, self.dataset, day, columns=self.columns)
        except FileNotFoundError:
            return None


def _fields(dataset: Dataset, columns: Sequence[str]) -> list[pa.Field]:
    schema = arrow_schema(dataset)
    # An old day may lack what is required today.
    fields = [pa.field(name, schema.field(name).type) for name in columns]
    return [*fields, pa.field(PARTITION_COLUMN, pa.date32())]
