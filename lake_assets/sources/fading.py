"""Days of sources that forget: what the lake has of a day stays when it is collected again.

Belongs here: joining what a source still shows of a day with what is stored of it.
Does not belong here: which sources forget (collectors), new versions of slow sources (`revisions`).

Feeds are cut, conversations move on to a newer day, plans hide old messages: the same question
gives fewer rows later. Writing such a day again must not make it thinner, so rows are joined by
key: what comes takes the place of what is stored, what no longer comes stays as it was, with the
`collected_at` of its own reading. A row that was read in part takes the place of no whole one, nor
of one that shows more.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date

import pyarrow as pa

from lake_assets.catalog import Dataset
from lake_assets.sources.errors import SourceMismatch
from lake_assets.storage.conform import SchemaMismatch
from lake_assets.storage.evolution import ACCEPT_TAG
from lake_assets.storage.reader import read_day
from lake_assets.storage.store import LakeStore

REPLACE_TAG = "lake/replace"
"""A run with this tag set to `true` writes what the source shows now and nothing else."""

_SLICE_ROWS = 5_000


class StoredDay:
    """What the lake has of one day; `whole` names a column that is false in rows read in part.

    Memory holds the day as Arrow, and its keys.
    """

    def __init__(self, dataset: Dataset, table: pa.Table, *, day: date, whole: str = "") -> None:
        self._day = day
        self._key = dataset.key
        self._required = [column.name for column in dataset.columns if column.required]
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
            return cls(dataset, read_day(store, dataset, day), day=day, whole=whole)
        except FileNotFoundError:
            return None
        except SchemaMismatch as error:
            raise SourceMismatch(
                f"{day} can't be joined with what is stored of it: {error}; a run with the tags "
                f"{REPLACE_TAG}=true and {ACCEPT_TAG}=true writes it anew, and rows that the "
                "source no longer shows are lost"
            ) from error

    def joined(
        self, rows: Iterable[Mapping[str, object]], note: dict[str, str | int]
    ) -> Iterator[Mapping[str, object]]:
        """The rows that came, then the stored ones that stay; `note` counts the latter.

        Raises:
            SourceMismatch: a stored row that stays has no value for a column that is required now.
        """
        left = dict(self._places)
        for row in rows:
            key = self._key_of(row)
            if key in left and self._stays(left[key], row):
                continue
            left.pop(key, None)
            yield row
        places = sorted(left.values())
        for start in range(0, len(places), _SLICE_ROWS):
            stay = self._table.take(places[start : start + _SLICE_ROWS])
            self._refuse_nulls(stay)
            yield from stay.to_pylist()
        if places:
            note["kept_rows"] = len(places)

    def _stays(self, place: int, row: Mapping[str, object]) -> bool:
        """Whether a stored row is not replaced: what came was read in part, and is less than it."""
        if not self._whole or row[self._whole]:
            return False
        (stored,) = self._table.slice(place, 1).to_pylist()
        return stored[self._whole] or _has_smaller_count(row, stored)

    def _refuse_nulls(self, stay: pa.Table) -> None:
        """A column may have become required after the day was written."""
        for name in self._required:
            if stay[name].null_count:
                raise SourceMismatch(
                    f"{self._day} can't be joined with what is stored of it: column `{name}` is "
                    "required, and stored rows that no longer come have no value for it. Declare "
                    f"it without `!`; or a run with the tag {REPLACE_TAG}=true writes the day "
                    "anew, and those rows are lost"
                )

    def _key_of(self, row: Mapping[str, object]) -> tuple[object, ...]:
        return tuple(row.get(name) for name in self._key)


def _has_smaller_count(row: Mapping[str, object], stored: Mapping[str, object]) -> bool:
    for name, count in stored.items():
        came = row.get(name) or 0
        # Not `isinstance`: truth values are no counts.
        if type(count) is int and isinstance(came, int) and came < count:
            return True
    return False
