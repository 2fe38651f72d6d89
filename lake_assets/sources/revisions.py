"""What the lake already has of a slow source, so that only new and revised rows are written.

Belongs here: the hash of what a row says, and the newest version of each row by key.
Does not belong here: fetching, deciding which columns are the business ones (the collector).

A slow source (monthly, quarterly, yearly) is read as a whole again and again. A row is written on
the day on which it was first seen, or seen to have changed: its key is unknown, or its hash differs
from the newest version on all *other* days. The day itself is left out of the comparison, so that
writing a day again gives the same rows as writing it once.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, data_key
from lake_assets.storage.store import LakeStore

HASH_COLUMN = "row_hash"
COLLECTED_COLUMN = "collected_at"
_READERS = 8


def row_hash(row: Mapping[str, object], *, without: Collection[str] = ()) -> str:
    """SHA-256 of what a row says: its values by column name, without nulls and bookkeeping.

    Nulls are left out, so that a nullable column that is declared later revises no old row.
    """
    skipped = {HASH_COLUMN, COLLECTED_COLUMN, *without}
    said = sorted(
        (name, value) for name, value in row.items() if name not in skipped and value is not None
    )
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


class Known:
    """The stored rows of one dataset, by day; grows as days are written."""

    def __init__(self, dataset: Dataset, tables: Mapping[date, pa.Table]) -> None:
        self._dataset = dataset
        self._tables = {day: table for day, table in tables.items() if table.num_rows}
        self._hashes: dict[tuple[object, ...], dict[date, str]] = {}
        for day, table in self._tables.items():
            self.learn(day, table.select([*dataset.key, HASH_COLUMN]).to_pylist())

    @classmethod
    def read(cls, dataset: Dataset, store: LakeStore) -> "Known":
        """Everything that the lake has of `dataset`.

        Raises:
            StorageError: the store did not answer.
        """
        days = store.days(dataset)
        with ThreadPoolExecutor(_READERS) as pool:
            tables = list(pool.map(partial(_stored, dataset, store), days))
        return cls(dataset, dict(zip(days, tables, strict=True)))

    def learn(self, day: date, rows: Sequence[Mapping[str, object]]) -> None:
        """Take in rows that are written for `day`."""
        for row in rows:
            self._hashes.setdefault(self._key(row), {})[day] = str(row[HASH_COLUMN])

    def is_news(self, row: Mapping[str, object], *, day: date) -> bool:
        """Whether no other day than `day` has this row as the newest version of its key."""
        versions = {
            seen: said for seen, said in self._hashes.get(self._key(row), {}).items() if seen != day
        }
        return not versions or versions[max(versions)] != row[HASH_COLUMN]

    def values(self, *columns: str, other_than: date) -> set[tuple[object, ...]]:
        """The distinct stored values of some columns on all other days."""
        found: set[tuple[object, ...]] = set()
        for day, table in self._tables.items():
            if day != other_than:
                distinct = table.select(list(columns)).group_by(list(columns)).aggregate([])
                found |= {tuple(row[name] for name in columns) for row in distinct.to_pylist()}
        return found

    def _key(self, row: Mapping[str, object]) -> tuple[object, ...]:
        return tuple(row.get(name) for name in self._dataset.key)


def _stored(dataset: Dataset, store: LakeStore, day: date) -> pa.Table:
    with store.open(data_key(dataset, day)) as file:
        return pq.read_table(file)
