"""What the stored object of a day has: rows, values by column, keys, what it was computed from.

The object itself is read: rows from its footer, values by column, its keys. What lies beside it
(`day_facts`) may be lost, and was written by whoever wrote the day.

A day that is written often must not lose a little each time. The footer of each version therefore
carries what the fullest version had and how many rows went since (`Fullest`).

Belongs here: reading a stored day for what it is compared by, the notes in its footer.
Does not belong here: what may be lost (`shrink`), writing (`writer`).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, data_key
from lake_assets.storage.keys import KeyCounter
from lake_assets.storage.schema import ARROW_TYPES
from lake_assets.storage.store import ChangedMeanwhile, LakeStore, StorageError

FILLED_METADATA = "lake.filled"
"""Values by column in the footer: statistics of columns may be left out of it."""

FULLEST_METADATA = "lake.fullest"
"""What earlier versions of the day had, where this one has less."""

INPUTS_METADATA = "lake.inputs"
"""The days of each input that a derived day was computed from."""

_BATCH_ROWS = 65_536

Inputs = Mapping[str, frozenset[date]]
"""Days by the dataset that they are of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DayInputs:
    """The days that a derived day is computed from, and those that it asked for in vain."""

    read: Inputs
    missing: Inputs


class Fullest(msgspec.Struct, frozen=True):
    """The most that a version of the day had: rows, values by column. `gone` rows went since.

    A row that went and came back counts as gone: keys of rows that went are not stored. Of a day
    that shows a state, whose rows are replaced by others, `gone` is how many are fewer.
    """

    rows: int
    gone: int
    filled: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFacts:
    """What the object of a day has. `unreadable` says why nothing can be said of it.

    `filled` are values by column; `inputs` is None where the object does not say. `fullest` is None
    where no earlier version had more.
    """

    etag: str
    rows: int = 0
    filled: Mapping[str, int] = field(default_factory=dict[str, int])
    keys: KeyCounter | None = None
    inputs: Inputs | None = None
    fullest: Fullest | None = None
    unreadable: str = ""

    @classmethod
    def read(cls, store: LakeStore, dataset: Dataset, day: date, *, etag: str) -> "StoredFacts":
        """What is compared with. The caller's PUT is on the condition that `etag` is still there.

        Raises:
            ChangedMeanwhile: the object is gone.
            StorageError: the store did not answer; a retry may help.
        """
        try:
            with store.open(data_key(dataset, day)) as file, pq.ParquetFile(file) as parquet:
                return cls(
                    etag=etag,
                    rows=parquet.metadata.num_rows,
                    filled=_filled(parquet),
                    keys=_keys(parquet, dataset),
                    inputs=_inputs(parquet),
                    fullest=_fullest(parquet),
                )
        except FileNotFoundError as error:
            raise ChangedMeanwhile(f"another run removed {data_key(dataset, day)}") from error
        except pa.ArrowException as error:
            return cls(etag=etag, unreadable=str(error).strip().splitlines()[0])
        except OSError as error:
            if "Couldn't deserialize thrift" in str(error) or "Corrupt" in str(error):
                return cls(etag=etag, unreadable=str(error).strip().splitlines()[0])
            raise StorageError(f"reading object storage failed: {error}") from error


def stored_without(
    store: LakeStore, dataset: Dataset, day: date, known: KeyCounter
) -> Iterator[pa.RecordBatch]:
    """The stored rows of a day whose keys are not `known` so far, in declared columns.

    Raises:
        StorageError: the store did not answer; a retry may help.
    """
    known = known.frozen()
    with store.open(data_key(dataset, day)) as file, pq.ParquetFile(file) as parquet:
        names = [name for name in dataset.column_names if name in parquet.schema_arrow.names]
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=names):
            yield known.without(batch)
    known.close()


def _filled(parquet: pq.ParquetFile) -> Mapping[str, int]:
    """Values by column: from statistics, else from our own footer, else counted."""
    footer = parquet.metadata
    ours = _own_count(footer)
    found: dict[str, int] = {}
    for place, name in enumerate(parquet.schema_arrow.names):
        # Nested columns have more than one chunk column; they are no columns of ours.
        if footer.num_columns != len(parquet.schema_arrow.names):
            found[name] = _counted(parquet, name)
            continue
        chunks = [footer.row_group(group).column(place) for group in range(footer.num_row_groups)]
        if all(chunk.statistics and chunk.statistics.has_null_count for chunk in chunks):
            found[name] = footer.num_rows - sum(chunk.statistics.null_count for chunk in chunks)
        elif name in ours:
            found[name] = ours[name]
        else:
            found[name] = _counted(parquet, name)
    return found


def _own_count(footer: pq.FileMetaData) -> Mapping[str, int]:
    text = (footer.metadata or {}).get(FILLED_METADATA.encode())
    with suppress(msgspec.DecodeError):
        rows, filled = msgspec.json.decode(text or b"", type=tuple[int, dict[str, int]])
        # Tools that write rows anew may take such words along.
        if rows == footer.num_rows:
            return filled
    return {}


def _counted(parquet: pq.ParquetFile, name: str) -> int:
    batches = parquet.iter_batches(batch_size=_BATCH_ROWS, columns=[name])
    return sum(len(batch.column(0)) - batch.column(0).null_count for batch in batches)


def _keys(parquet: pq.ParquetFile, dataset: Dataset) -> KeyCounter | None:
    """The keys of the stored rows; None where they can't be compared with those of today."""
    key = list(dataset.key)
    if not key or not set(key) <= set(parquet.schema_arrow.names):
        return None
    counter = KeyCounter(dataset.key)
    try:
        for batch in parquet.iter_batches(batch_size=_BATCH_ROWS, columns=key):
            arrays = [
                pc.cast(batch.column(name), ARROW_TYPES[dataset.column(name).type]) for name in key
            ]
            counter.add(pa.RecordBatch.from_arrays(arrays, names=key))
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
    finally:
        counter.close()
    return counter


def _inputs(parquet: pq.ParquetFile) -> Inputs | None:
    text = (parquet.metadata.metadata or {}).get(INPUTS_METADATA.encode())
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text or b"", type=dict[str, frozenset[date]])
    return None


def _fullest(parquet: pq.ParquetFile) -> Fullest | None:
    text = (parquet.metadata.metadata or {}).get(FULLEST_METADATA.encode())
    with suppress(msgspec.DecodeError):
        return msgspec.json.decode(text or b"", type=Fullest)
    return None
