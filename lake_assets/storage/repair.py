"""Stored days whose statistics readers misread, written again with the same rows.

Belongs here: finding such objects by their footers, replacing them, keeping verdicts attached.
Does not belong here: when that runs (`orchestration.repair`), how objects are encoded (`writer`).

Columns of floats had minimum and maximum once. Parquet leaves NaN out of these, and readers prune
by them. A day is replaced only while it is the object that was read: a run which writes it at the
same time wins. It keeps rows, order, row groups and notes, and gets one note more, the ETag of the
object that it took the place of. By that, a repair which was broken off finds verdicts that it had
not attached to the new object yet; all else it finds by looking again.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from enum import Enum
from functools import partial

import pyarrow as pa
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, data_key
from lake_assets.storage.day_facts import DayFacts, read_facts, reattach_facts
from lake_assets.storage.store import ChangedMeanwhile, LakeStore
from lake_assets.storage.writer import parquet_parts

_REPLACES = b"lake.replaces"
_ARROW_SCHEMA = b"ARROW:schema"
_LOOKS_AT_ONCE = 8
_BUMP_EVERY = 50


class Found(Enum):
    """What a look at a stored day finds."""

    SOUND = "sound"
    MISREAD = "misread"
    FOREIGN = "foreign"
    """It is misread, and was not written by the lake: it is somebody else's to replace."""
    UNREADABLE = "unreadable"
    GONE = "gone"


@dataclass(slots=True, kw_only=True)
class Repair:
    """What became of a dataset's days; `changed` are those that another run wrote meanwhile."""

    dataset: Dataset
    days: int = 0
    looked: int = 0
    misread: list[date] = field(default_factory=list[date])
    rewritten: list[date] = field(default_factory=list[date])
    changed: list[date] = field(default_factory=list[date])
    foreign: list[date] = field(default_factory=list[date])
    unreadable: list[date] = field(default_factory=list[date])


@dataclass(frozen=True, slots=True, kw_only=True)
class _Look:
    found: Found
    replaces: str = ""


def repair_dataset(
    store: LakeStore,
    dataset: Dataset,
    *,
    dry_run: bool = False,
    on_progress: Callable[[Repair], None] = lambda _: None,
) -> Repair:
    """Write the days of a dataset again whose columns of floats have statistics.

    Args:
        store: The bucket, as the writer.
        dataset: What is looked through.
        dry_run: Only look.
        on_progress: Sees how far it is, after each day.

    Raises:
        StorageError: the store did not answer. What was done stays, and need not be done again.
    """
    etags = store.etags(dataset)
    facts = read_facts(store, dataset)
    repair = Repair(dataset=dataset, days=len(etags))
    unannounced: list[date] = []

    def announce() -> None:
        if unannounced:
            store.bump_version(dataset, unannounced)
            unannounced.clear()

    try:
        for day, look in _looks(store, dataset, etags):
            repair.looked += 1
            if look.found is Found.MISREAD:
                repair.misread.append(day)
                if not dry_run:
                    _replace(store, repair, day, etag=etags[day], facts=facts.get(day))
                    if day in repair.rewritten[-1:]:
                        unannounced.append(day)
            elif look.found is Found.FOREIGN:
                repair.foreign.append(day)
            elif look.found is Found.UNREADABLE:
                repair.unreadable.append(day)
            elif not dry_run and look.replaces and _is_detached(facts.get(day), look.replaces):
                reattach_facts(store, dataset, day, before=look.replaces, after=etags[day])
                unannounced.append(day)
            if len(unannounced) >= _BUMP_EVERY:
                announce()
            on_progress(repair)
    finally:
        announce()
    return repair


def misread_columns(metadata: pq.FileMetaData) -> tuple[str, ...]:
    """The columns of floats that have minimum or maximum in some row group."""
    found: dict[str, None] = {}
    for group in range(metadata.num_row_groups):
        for place in range(metadata.num_columns):
            leaf = metadata.schema.column(place)
            is_float = leaf.physical_type in {"FLOAT", "DOUBLE"}
            if not is_float and leaf.logical_type.type != "FLOAT16":
                continue
            chunk = metadata.row_group(group).column(place)
            if chunk.is_stats_set and chunk.statistics.has_min_max:
                found[leaf.path] = None
    return tuple(found)


def _looks(
    store: LakeStore, dataset: Dataset, etags: Mapping[date, str]
) -> Iterator[tuple[date, _Look]]:
    """What each day is, oldest first; footers are read several at a time."""
    days = sorted(etags)
    with ThreadPoolExecutor(_LOOKS_AT_ONCE) as pool:
        for start in range(0, len(days), _BUMP_EVERY):
            some = days[start : start + _BUMP_EVERY]
            yield from zip(some, pool.map(partial(_look, store, dataset), some), strict=True)


def _look(store: LakeStore, dataset: Dataset, day: date) -> _Look:
    key = data_key(dataset, day)
    try:
        with store.open(key) as file:
            metadata = pq.read_metadata(file)
    except FileNotFoundError:
        return _Look(found=Found.GONE)
    except (pa.ArrowException, OSError):
        # Whether it is the object or the store that fails, the store says.
        return _Look(found=Found.GONE if store.etag(key) is None else Found.UNREADABLE)
    notes = metadata.metadata or {}
    replaces = notes.get(_REPLACES, b"").decode(errors="replace")
    if not misread_columns(metadata):
        return _Look(found=Found.SOUND, replaces=replaces)
    is_ours = notes.get(b"lake.dataset") == dataset.partition.encode()
    return _Look(found=Found.MISREAD if is_ours else Found.FOREIGN)


def _replace(
    store: LakeStore, repair: Repair, day: date, *, etag: str, facts: DayFacts | None
) -> None:
    key = data_key(repair.dataset, day)
    try:
        new_etag = store.put_over(key, _same_rows(store, key, etag), etag=etag)
    except (ChangedMeanwhile, FileNotFoundError):
        repair.changed.append(day)
        return
    except (pa.ArrowException, OSError):
        store.etag(key)
        repair.unreadable.append(day)
        return
    repair.rewritten.append(day)
    if _is_detached(facts, _bare(etag)):
        reattach_facts(store, repair.dataset, day, before=_bare(etag), after=new_etag)


def _is_detached(facts: DayFacts | None, replaced: str) -> bool:
    """Whether what is known of a day is about the object that was replaced."""
    return facts is not None and facts.etag == replaced


def _same_rows(store: LakeStore, key: str, etag: str) -> Iterator[bytes]:
    with store.open(key) as file, pq.ParquetFile(file) as stored:
        schema = stored.schema_arrow
        # Those of the schema lack what the writer added at the end of the day.
        notes = {**(stored.metadata.metadata or {}), _REPLACES: _bare(etag).encode()}
        notes.pop(_ARROW_SCHEMA, None)
        groups = map(stored.read_row_group, range(stored.num_row_groups))
        yield from parquet_parts(schema.with_metadata(notes), groups)


def _bare(etag: str) -> str:
    return etag.strip('"')
