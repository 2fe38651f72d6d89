"""Which objects a dataset has right now, without listing on the query path.

Belongs here: lists of (day, key, ETag, size), and when they are looked at again.
Does not belong here: the objects' bytes (`object_cache`), which days a query needs (`plan`).

The writer replaces a dataset's version token after each write. A snapshot whose token was read
less than `check_s` ago is used as it is; an older one reads the token again (one small GET) and
lists only when the token changed, or when the list is `relist_s` old (for foreign writers, who
write no token). Datasets asked for within the last minute are kept fresh in the background, so
that a warm query makes no request at all.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from types import MappingProxyType

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from lake_api.errors import QueryUnavailable
from lake_api.query.reader_store import storage_unavailable
from lake_assets.catalog import Dataset, checks_key, dataset_prefix, day_of_key, version_key

_KEEP_FRESH_S = 60.0
_LIST_CHUNK = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPartition:
    """The object of one day, as it was listed."""

    day: date
    key: str
    etag: str
    size_bytes: int
    written_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A dataset's objects, oldest day first; `version` is the token's ETag, or empty.

    `failed_checks` are those of the days as they are now: what was found, by check.
    """

    dataset: Dataset
    version: str
    partitions: tuple[StoredPartition, ...]
    failed_checks: Mapping[date, Mapping[str, str]] = field(
        default_factory=dict[date, Mapping[str, str]]
    )
    days: tuple[date, ...] = field(init=False, repr=False, compare=False)
    by_day: Mapping[date, StoredPartition] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_day = {partition.day: partition for partition in self.partitions}
        object.__setattr__(self, "by_day", MappingProxyType(by_day))
        object.__setattr__(self, "days", tuple(by_day))


class _DayVerdicts(msgspec.Struct, frozen=True):
    etag: str
    failed: dict[str, str] = {}


class _Verdicts(msgspec.Struct, frozen=True):
    """What the writer left beside the data about its checks."""

    days: dict[date, _DayVerdicts]


@dataclass(slots=True, kw_only=True)
class _Entry:
    dataset: Dataset
    snapshot: Snapshot | None = None
    checked_at: float = 0.0
    listed_at: float = 0.0
    asked_at: float = 0.0
    list_again: bool = False
    refreshing: "asyncio.Task[Snapshot] | None" = field(default=None)


class SnapshotStore:
    """Snapshots by dataset. `clock` counts seconds and never goes back."""

    def __init__(
        self,
        store: S3Store,
        *,
        check_s: float,
        relist_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._check_s = check_s
        self._relist_s = relist_s
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._keeper: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to keep the snapshots of recently asked datasets fresh."""
        self._keeper = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop the background work."""
        tasks = [entry.refreshing for entry in self._entries.values()]
        for task in (self._keeper, *tasks):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, QueryUnavailable):
                    await task

    async def glance(self, dataset: Dataset, *, max_age_s: float) -> Snapshot:
        """The dataset's objects, as of at most `max_age_s` ago, and not kept fresh from now on.

        Raises:
            QueryUnavailable: storage does not answer (`storage_unavailable`).
        """
        entry = self._entry(dataset)
        if entry.snapshot is not None and not self._is_due(entry, max_age_s):
            return entry.snapshot
        return await self._refresh(entry)

    async def get(self, dataset: Dataset) -> Snapshot:
        """The dataset's objects, as of at most `check_s` ago.

        Raises:
            QueryUnavailable: storage does not answer (`storage_unavailable`).
        """
        entry = self._entry(dataset)
        entry.asked_at = self._clock()
        if entry.snapshot is not None and not self._is_due(entry, self._check_s):
            return entry.snapshot
        return await self._refresh(entry)

    async def look_again(self, dataset: Dataset) -> Snapshot:
        """The dataset's objects, listed anew: an object was not what the last list said.

        Raises:
            QueryUnavailable: storage does not answer (`storage_unavailable`).
        """
        entry = self._entry(dataset)
        entry.list_again = True
        if entry.refreshing is not None:
            # It may have listed before the change that the caller has seen.
            with contextlib.suppress(QueryUnavailable):
                await asyncio.shield(entry.refreshing)
        return await self._refresh(entry)

    def _entry(self, dataset: Dataset) -> _Entry:
        entry = self._entries.get(dataset.partition)
        if entry is None:
            entry = self._entries[dataset.partition] = _Entry(dataset=dataset)
        return entry

    def _is_due(self, entry: _Entry, age_s: float) -> bool:
        return entry.list_again or self._clock() - entry.checked_at >= age_s

    async def _refresh(self, entry: _Entry) -> Snapshot:
        """Look once, however many ask at the same time."""
        if entry.refreshing is None:
            entry.refreshing = asyncio.create_task(self._look(entry))
            entry.refreshing.add_done_callback(lambda task: _finish(entry, task))
        # A caller that leaves must not stop the look that others wait for.
        return await asyncio.shield(entry.refreshing)

    async def _look(self, entry: _Entry) -> Snapshot:
        started_at = self._clock()
        try:
            # The token first: a write between the two shows in the next token, never in none.
            version = await self._read_version(entry.dataset)
            current = entry.snapshot
            if (
                current is None
                or entry.list_again
                or version != current.version
                or started_at - entry.listed_at >= self._relist_s
            ):
                entry.list_again = False
                current = await self._list(entry.dataset, version)
                entry.listed_at = started_at
        except BaseError as error:
            raise storage_unavailable() from error
        entry.snapshot = current
        entry.checked_at = started_at
        return current

    async def _read_version(self, dataset: Dataset) -> str:
        try:
            found = await obstore.get_async(self._store, version_key(dataset))
        except FileNotFoundError:
            return ""
        return found.meta["e_tag"] or ""

    async def _read_verdicts(self, dataset: Dataset) -> Mapping[date, _DayVerdicts]:
        try:
            found = await obstore.get_async(self._store, checks_key(dataset))
            return msgspec.json.decode(bytes(await found.bytes_async()), type=_Verdicts).days
        except FileNotFoundError:
            return {}
        except msgspec.DecodeError:
            # Someone else's object of that name says nothing about the data.
            return {}

    async def _list(self, dataset: Dataset, version: str) -> Snapshot:
        objects = await obstore.list(
            self._store, dataset_prefix(dataset), chunk_size=_LIST_CHUNK
        ).collect_async()
        partitions: list[StoredPartition] = []
        is_judged = any(item["path"] == checks_key(dataset) for item in objects)
        verdicts = await self._read_verdicts(dataset) if is_judged else {}
        for item in objects:
            day = day_of_key(dataset, item["path"])
            if day is not None:
                partitions.append(
                    StoredPartition(
                        day=day,
                        key=item["path"],
                        etag=item["e_tag"] or "",
                        size_bytes=item["size"],
                        written_at=item["last_modified"],
                    )
                )
        partitions.sort(key=lambda partition: partition.day)
        return Snapshot(
            dataset=dataset,
            version=version,
            partitions=tuple(partitions),
            failed_checks={
                one.day: verdict.failed
                for one in partitions
                # A verdict is about one object: a day that was replaced since has none.
                if (verdict := verdicts.get(one.day))
                and verdict.failed
                and verdict.etag == one.etag.strip('"')
            },
        )

    async def _keep_fresh(self) -> None:
        # Looked at well before it is due, so that a query finds it fresh.
        age_s = self._check_s / 2
        while True:
            await asyncio.sleep(self._check_s / 4)
            asked_since = self._clock() - _KEEP_FRESH_S
            due = [
                entry
                for entry in self._entries.values()
                if entry.asked_at > asked_since and self._is_due(entry, age_s)
            ]
            # A failure is told to the next query that asks, which looks for itself.
            await asyncio.gather(*(self._refresh(entry) for entry in due), return_exceptions=True)


def _finish(entry: _Entry, task: "asyncio.Task[Snapshot]") -> None:
    entry.refreshing = None
    if not task.cancelled():
        # Marks the exception as seen when every caller has left.
        task.exception()
