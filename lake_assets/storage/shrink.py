"""What a stored day would lose if another one took its place, and whether that is let happen.

The stored object itself is compared with: rows from its footer, values by column, its keys. What
lies beside it (`day_facts`) may be lost, and was written by whoever wrote the day.

A day that is written often must not lose a little each time. The footer of each version therefore
carries what the fullest version had and how many rows went since (`Fullest`), and shares are shares
of that. A run that may let rows go, and a mirror, begin anew.

Belongs here: reading what a stored day has, counting what a new one lacks of it, the verdict.
Does not belong here: how much a dataset may lose (`lake_assets.catalog`), writing (`writer`).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, ShrinkPolicy, data_key
from lake_assets.storage.keys import KeyCounter
from lake_assets.storage.measure import RowMeasure
from lake_assets.storage.schema import ARROW_TYPES
from lake_assets.storage.store import ChangedMeanwhile, LakeStore, StorageError

ALLOW_TAG = "lake/allow_shrink"
"""A run with this tag set to `true` replaces stored days also by less than they have."""

FILLED_METADATA = "lake.filled"
"""Values by column in the footer: statistics of columns may be left out of it."""

FULLEST_METADATA = "lake.fullest"
"""What earlier versions of the day had, where this one has less."""

INPUTS_METADATA = "lake.inputs"
"""The days of each input that a derived day was computed from."""

MIN_VALUES = 50
"""A column with fewer values is only said to have lost them when none is left."""

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

    A row that went and came back counts as gone: keys of rows that went are not stored.
    """

    rows: int
    gone: int
    filled: Mapping[str, int]


class DayShrinks(ValueError):
    """A day has less than the stored one: the message has both counts and the tag to allow it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """What is lost of a stored day: rows, values by column as `(stored, new)`, input days.

    `thinned` are values by column as `(fullest version, new)`; `since` is what the new day is
    judged by, and has the rows that go now among its `gone`.
    """

    rows: int
    columns: Mapping[str, tuple[int, int]]
    thinned: Mapping[str, tuple[int, int]]
    inputs: Inputs
    since: Fullest

    def of_columns(self, names: frozenset[str]) -> "Loss":
        """The same without what other columns lose."""

        def kept(columns: Mapping[str, tuple[int, int]]) -> Mapping[str, tuple[int, int]]:
            return {name: counts for name, counts in columns.items() if name in names}

        return replace(self, columns=kept(self.columns), thinned=kept(self.thinned))

    def fullest_after(self, new: RowMeasure) -> Fullest | None:
        """What the footer of the new day says of the versions before it; None if it has it all."""
        since = self.since
        filled = {name: max(count, since.filled.get(name, 0)) for name, count in new.filled.items()}
        after = Fullest(rows=max(since.rows, new.rows), gone=since.gone, filled=filled)
        is_all = not after.gone and after.rows == new.rows and after.filled == new.filled
        return None if is_all else after


def loss(dataset: Dataset, stored: StoredFacts, new: RowMeasure, inputs: DayInputs | None) -> Loss:
    """Compare a stored day with the measures of the one that would take its place."""
    fewer = max(0, stored.rows - new.rows)
    # As many rows as before may be other rows: a watermark that was stamped anew moves them.
    other = 0 if stored.keys is None else new.keys.lacking(stored.keys)
    lost = max(fewer, other)
    before = stored.fullest or Fullest(rows=stored.rows, gone=0, filled=stored.filled)
    most = {name: max(count, before.filled.get(name, 0)) for name, count in stored.filled.items()}
    most_rows = max(stored.rows, before.rows)
    # Rows without a key are only counted: fewer than at the fullest is all that can be said.
    gone = max(before.gone + lost if stored.keys is not None else 0, most_rows - new.rows, lost)

    def lessened(counts: Mapping[str, int]) -> Mapping[str, tuple[int, int]]:
        return {
            name: (count, new.filled.get(name, 0))
            for name, count in counts.items()
            if count > new.filled.get(name, 0) and not _may_vanish(dataset, name)
        }

    gone_inputs: dict[str, frozenset[date]] = {}
    if inputs is not None:
        for upstream, days in (stored.inputs or {}).items():
            # Not all that is no longer read: a derivation may have got a smaller window.
            if lacking := days & inputs.missing.get(upstream, frozenset()):
                gone_inputs[upstream] = lacking
    return Loss(
        rows=lost,
        columns=lessened(stored.filled),
        thinned=lessened(most),
        inputs=gone_inputs,
        since=Fullest(rows=most_rows, gone=gone, filled=most),
    )


def refuse_loss(
    dataset: Dataset,
    stored: StoredFacts,
    new: RowMeasure,
    found: Loss,
    *,
    absent: frozenset[str] = frozenset(),
    strict: bool = False,
) -> None:
    """Refuse a day that has much less than the stored one; `absent` columns the source has not.

    With `strict` no row may be lost: the caller joined the day with what is stored.

    Raises:
        DayShrinks: it names both counts, and the tag that allows it.
    """
    is_mirror = dataset.shrink.policy is ShrinkPolicy.MIRROR
    if stored.unreadable:
        if is_mirror:
            return
        raise _refused(
            f"the stored object can't be compared with: {stored.unreadable}",
            new_has=f"{_rows(new.rows)}",
        )
    if found.inputs:
        # As many rows as before say nothing here: they would be sums of less.
        days = "; ".join(f"{name} {_days(found.inputs[name])}" for name in sorted(found.inputs))
        raise _refused(
            f"the stored day has {_rows(stored.rows)} and was computed also from {days}",
            new_has=f"{_rows(new.rows)} without that, since those days are missing or failed a "
            "check",
        )
    if stored.rows and not new.rows:
        if is_mirror:
            return
        raise _refused(f"the stored day has {_rows(stored.rows)}", new_has="none")
    emptied = [
        name
        for name, (before, after) in found.columns.items()
        # The few values of a column may go with the rows that a mirror lets go, but not by a new
        # name of the column.
        if not after and not (is_mirror and before <= found.rows and name not in absent)
    ]
    if is_mirror:
        _refuse_emptied(found, emptied, new, absent)
        return
    share = 0.0 if strict else dataset.shrink.share
    since = found.since
    if found.rows > share * stored.rows:
        raise _refused(
            f"the stored day has {_rows(stored.rows)}",
            new_has=f"{_rows(new.rows)}, and {found.rows:,} of the stored ones are not among them "
            f"(at most {share:.0%} may go)",
        )
    if found.rows and since.gone > share * since.rows:
        raise _refused(
            f"the stored day has {_rows(stored.rows)} and had {_rows(since.rows)} at its fullest",
            new_has=f"{_rows(new.rows)}, {found.rows:,} of the stored ones are not among them, and "
            f"with those that went before {since.gone:,} are gone (at most {share:.0%} may go)",
        )
    _refuse_emptied(found, emptied, new, absent)
    thinner = [
        name
        for name, (before, after) in found.thinned.items()
        # A column that has as many values as are stored loses none now.
        if name in found.columns
        and before >= MIN_VALUES
        and before - after > max(0.5, share) * before
    ]
    if thinner:
        raise _refused(
            f"the stored day has {_counts(found.columns, thinner, stored=True)}"
            + _at_fullest(found, thinner),
            new_has=_counts(found.columns, thinner, stored=False),
        )


def _refuse_emptied(
    found: Loss, emptied: list[str], new: RowMeasure, absent: frozenset[str]
) -> None:
    if emptied:
        raise _refused(
            f"the stored day has {_counts(found.columns, emptied, stored=True)}",
            new_has=f"none in {_rows(new.rows)}" + _absent(emptied, absent),
        )


def _at_fullest(found: Loss, names: list[str]) -> str:
    if all(found.thinned[name][0] == found.columns[name][0] for name in names):
        return ""
    return f" and had {_counts(found.thinned, names, stored=True)} at its fullest"


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


def _may_vanish(dataset: Dataset, name: str) -> bool:
    return name in dataset.column_names and dataset.column(name).transient


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


def _refused(stored_has: str, *, new_has: str) -> DayShrinks:
    return DayShrinks(
        f"{stored_has}, the new one has {new_has}; it was not replaced. A run with the tag "
        f"{ALLOW_TAG}=true replaces it"
    )


def _rows(count: int) -> str:
    return f"{count:,} row{'' if count == 1 else 's'}"


def _counts(columns: Mapping[str, tuple[int, int]], names: list[str], *, stored: bool) -> str:
    place = 0 if stored else 1
    return ", ".join(f"{columns[name][place]:,} values of `{name}`" for name in names)


def _absent(names: list[str], absent: frozenset[str]) -> str:
    gone = [f"`{name}`" for name in names if name in absent]
    return f" (the source has no column {', '.join(gone)})" if gone else ""


def _days(days: frozenset[date]) -> str:
    listed = sorted(days)
    first = f"{listed[0]}" if len(listed) == 1 else f"{listed[0]} to {listed[-1]}"
    return first if len(listed) <= 2 else f"{first} ({len(listed)} days)"
