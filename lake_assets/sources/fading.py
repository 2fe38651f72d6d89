"""Days of sources that forget: what the lake has of a day stays when it is collected again.

Belongs here: joining what a source still shows of a day with what is stored of it.
Does not belong here: which sources forget (collectors), new versions of slow sources (`revisions`).

Feeds are cut, conversations move on to a newer day, plans hide old messages: the same question
gives fewer rows later. Writing such a day again must not make it thinner, so rows are joined by
key: what comes takes the place of what is stored, what no longer comes stays as it was, with the
`collected_at` of its own reading. A row that was read in part takes the place of no whole one.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.sources.errors import SourceMismatch
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.reader import read_day
from lake_assets.storage.store import LakeStore

REPLACE_TAG = "lake/replace"
"""A run with this tag set to `true` writes what the source shows now and nothing else."""

_SLICE_ROWS = 5_000


class StoredDay:
    """What the lake has of one day; `whole` names a column that is false in rows read in part.

    Memory holds the day as Arrow, and its keys.
    """

    def __init__(self, dataset: Dataset, table: pa.Table, *, whole: str = "") -> None:
        self._key = dataset.key
        self._whole = whole
        self._table = table.select(list(dataset.column_names))
        keys = table.select(list(dataset.key)).to_pylist()
        self._places = {self._key_of(row): place for place, row in enumerate(keys)}

    @classmethod
    def read(
        cls, dataset: Dataset, store: LakeStore, day: date, *, whole: str = ""
    ) -> "StoredDay | None":
        """The day, or None where the lake has nothing of it.

        Raises:
            SourceMismatch: it is stored in other types than are declared now.
            StorageError: the store did not answer.
        """
        try:
            return cls(dataset, read_day(store, dataset, day), whole=whole)
        except FileNotFoundError:
            return None
        except SchemaMismatch as error:
            raise SourceMismatch(
                f"{day} can't be joined with what is stored of it: {error}; a run with the tag "
                f"{REPLACE_TAG}=true takes its place"
            ) from error

    def joined(
        self, rows: Iterable[Mapping[str, object]], note: dict[str, str | int]
    ) -> Iterator[Mapping[str, object]]:
        """The rows that came, then the stored ones that did not; `note` counts the latter."""
        left = dict(self._places)
        kept = 0
        for row in rows:
            place = left.pop(self._key_of(row), None)
            if place is not None and self._whole and not row[self._whole]:
                (stored,) = self._table.slice(place, 1).to_pylist()
                if stored[self._whole]:
                    kept += 1
                    yield stored
                    continue
            yield row
        places = sorted(left.values())
        for start in range(0, len(places), _SLICE_ROWS):
            yield from self._table.take(places[start : start + _SLICE_ROWS]).to_pylist()
        if kept := kept + len(places):
            note["kept_rows"] = kept

    def _key_of(self, row: Mapping[str, object]) -> tuple[object, ...]:
        return tuple(row.get(name) for name in self._key)
