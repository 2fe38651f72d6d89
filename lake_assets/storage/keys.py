"""Counting duplicate keys while rows stream by, in eight bytes a row.

Belongs here: the hashes of a partition's keys, how often they repeat, which of another day's lack.
Does not belong here: deciding what that means (`orchestration.checks`, `shrink`).
"""

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

_BUCKETS = 16
"""Hashes are sorted bucket by bucket at the end, so that no second copy of them all is needed."""

Hashes = npt.NDArray[np.uint64]


class KeyCounter:
    """Counts rows whose key columns were seen before in the same partition.

    Keeps a 64-bit hash of each key: for 20 million rows 160 MB, and about one false alarm in
    100,000 such partitions. With no key columns it counts nothing.
    """

    def __init__(self, key: tuple[str, ...]) -> None:
        self._key = key
        self._buckets: list[list[Hashes]] = [[] for _ in range(_BUCKETS)]
        self._connection: duckdb.DuckDBPyConnection | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in the keys of one batch."""
        if not self._key:
            return
        hashes = np.sort(self._hashes(batch))
        edges = np.arange(1, _BUCKETS, dtype=np.uint64) << np.uint64(60)
        for bucket, part in zip(
            self._buckets, np.split(hashes, np.searchsorted(hashes, edges)), strict=True
        ):
            # A copy, since a view would keep the whole batch's hashes alive.
            bucket.append(part.copy())

    def duplicates(self) -> int:
        """Rows beyond the first of each key."""
        return sum(_repeats(self._sorted(place)) for place in range(_BUCKETS))

    def lacking(self, other: "KeyCounter") -> int:
        """How many rows of `other` have no row here with the same key; each row counts once."""
        return sum(_lacking(self._sorted(place), other._sorted(place)) for place in range(_BUCKETS))

    def without(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The rows of a batch whose key was not taken in."""
        hashes = self._hashes(batch)
        places = hashes >> np.uint64(60)
        is_known = np.zeros(len(hashes), dtype=bool)
        for place in range(_BUCKETS):
            here = places == place
            is_known[here] = np.isin(hashes[here], self._sorted(place))
        return batch.filter(pa.array(~is_known))

    def frozen(self) -> "KeyCounter":
        """What was counted so far, unchanged by what is added later."""
        copy = KeyCounter(self._key)
        copy._buckets = [[self._sorted(place)] for place in range(_BUCKETS)]
        return copy

    def close(self) -> None:
        """End the counting; what was counted can still be asked for."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _hashes(self, batch: pa.RecordBatch) -> Hashes:
        if self._connection is None:
            self._connection = duckdb.connect(config={"threads": "1"})
        quoted = ", ".join(f'"{name}"' for name in self._key)
        self._connection.register("batch", pa.Table.from_batches([batch.select(list(self._key))]))
        query = f"SELECT hash({quoted}) AS h FROM batch"  # noqa: S608 - declared column names
        return np.asarray(self._connection.execute(query).fetchnumpy()["h"], dtype=np.uint64)

    def _sorted(self, place: int) -> Hashes:
        parts = self._buckets[place]
        if len(parts) != 1:
            joined = np.concatenate(parts) if parts else np.empty(0, dtype=np.uint64)
            joined.sort()
            self._buckets[place] = parts = [joined]
        return parts[0]


def _repeats(hashes: Hashes) -> int:
    return int(np.count_nonzero(hashes[1:] == hashes[:-1]))


def _lacking(here: Hashes, there: Hashes) -> int:
    keys, counts = np.unique(there, return_counts=True)
    found = np.searchsorted(here, keys, side="right") - np.searchsorted(here, keys, side="left")
    return int(np.maximum(counts - found, 0).sum())
