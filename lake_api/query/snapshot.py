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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

import msgspec
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from lake_api.errors import QueryUnavailable
from lake_api.query.reader_store import storage_unavailable
from lake_api.query.snapshot_files import SavedSnapshot, SnapshotFiles
from lake_api.query.stored_partition import Snapshot, StoredPartition
from lake_assets.catalog import Dataset, checks_key, dataset_prefix, day_of_key, version_key

_KEEP_FRESH_S = 60.0
_LIST_CHUNK = 1_000
_SURVEYED_AT_ONCE = 8
"""Looks at once for surveys and in the background: more make each of them slower than S3's
patience, and take the processor from queries."""

__all__ = ["Look", "Snapshot", "SnapshotStore", "StoredPartition"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of a dataset: its snapshot where there is any, and of when it is.

    It is current when storage has confirmed it just now.
    """

    dataset: Dataset
    snapshot: Snapshot | None
    as_of: datetime | None
    is_current: bool


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
    saved: SavedSnapshot | None = None
    is_loaded: bool = False
    is_surveyed: bool = False
    surveyed_at: float = float("-inf")
    surveying: "asyncio.Task[None] | None" = None
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
        files: SnapshotFiles | None = None,
    ) -> None:
        self._store = store
        self._check_s = check_s
        self._relist_s = relist_s
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._keeper: asyncio.Task[None] | None = None
        self._lister: asyncio.Task[None] | None = None
        self._files = files
        self._saving: set[asyncio.Task[None]] = set()
        self._turns = asyncio.Semaphore(_SURVEYED_AT_ONCE)

    def start(self) -> None:
        """Begin to keep the snapshots of recently asked datasets fresh."""
        self._keeper = asyncio.create_task(self._keep_fresh())

    async def close(self) -> None:
        """Stop the background work."""
        entries = self._entries.values()
        looks = [entry.refreshing for entry in entries]
        surveys = [entry.surveying for entry in entries]
        for task in (self._keeper, self._lister, *surveys, *looks):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError, QueryUnavailable):
                    await task
        await asyncio.gather(*self._saving)

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
        is_shared = entry.refreshing is not None and entry.is_surveyed
        found = await self._refresh(entry)
        if is_shared and self._is_list_old(entry):
            # A survey is content with an older list.
            entry.list_again = True
            found = await self._refresh(entry)
        return found

    async def survey(
        self, datasets: Sequence[Dataset], *, max_age_s: float, wait_s: float
    ) -> list[Look]:
        """What is known of many datasets after at most `wait_s`; looks go on in the background.

        A dataset whose token is as it was is not listed again for it, however old the list is:
        that is done afterwards. What could not be looked at in time is as of the last look, or of
        an earlier process's, or unknown.

        Raises:
            QueryUnavailable: nothing is known of any of them, because storage does not answer.
        """
        entries = [self._entry(one) for one in datasets]
        began_at = self._clock()
        for entry in entries:
            entry.surveyed_at = began_at
        tasks = [
            self._survey(entry)
            for entry in entries
            if entry.snapshot is None or self._is_due(entry, max_age_s)
        ]
        if tasks:
            await asyncio.wait(tasks, timeout=wait_s)
        looks = [self._known(entry, since=began_at - max_age_s) for entry in entries]
        if looks and not any(look.snapshot for look in looks):
            failed = [task for task in tasks if task.done() and task.exception() is not None]
            if failed:
                failed[0].result()
        return looks

    async def look_again_at(self, datasets: Iterable[Dataset]) -> list[Snapshot]:
        """The objects of many datasets, listed anew, a few at a time.

        Raises:
            QueryUnavailable: storage does not answer for one of them; the others are listed.
        """

        async def one(dataset: Dataset) -> Snapshot:
            async with self._turns:
                return await self.look_again(dataset)

        outcomes = await asyncio.gather(*map(one, datasets), return_exceptions=True)
        found: list[Snapshot] = []
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            found.append(outcome)
        return found

    def _survey(self, entry: _Entry) -> "asyncio.Task[None]":
        if entry.surveying is None:
            entry.surveying = asyncio.create_task(self._survey_in_turn(entry))
            entry.surveying.add_done_callback(lambda task: _surveyed(entry, task))
        return entry.surveying

    async def _survey_in_turn(self, entry: _Entry) -> None:
        async with self._turns:
            await self._refresh(entry, is_survey=True)

    def _known(self, entry: _Entry, *, since: float) -> Look:
        if entry.snapshot is not None:
            age_s = self._clock() - entry.checked_at
            return Look(
                dataset=entry.dataset,
                snapshot=entry.snapshot,
                as_of=datetime.fromtimestamp(time.time() - age_s, tz=UTC),
                is_current=entry.checked_at >= since,
            )
        saved = entry.saved
        return Look(
            dataset=entry.dataset,
            snapshot=saved.snapshot if saved else None,
            as_of=datetime.fromtimestamp(saved.listed_at, tz=UTC) if saved else None,
            is_current=False,
        )

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

    def _is_list_old(self, entry: _Entry) -> bool:
        return self._clock() - entry.listed_at >= self._relist_s

    async def _refresh(self, entry: _Entry, *, is_survey: bool = False) -> Snapshot:
        """Look once, however many ask at the same time."""
        if entry.refreshing is None:
            entry.is_surveyed = is_survey
            entry.refreshing = asyncio.create_task(self._look(entry, is_survey=is_survey))
            entry.refreshing.add_done_callback(lambda task: _finish(entry, task))
        # A caller that leaves must not stop the look that others wait for.
        return await asyncio.shield(entry.refreshing)

    async def _look(self, entry: _Entry, *, is_survey: bool) -> Snapshot:
        started_at = self._clock()
        await self._load(entry)
        try:
            # The token first: a write between the two shows in the next token, never in none.
            version = await self._read_version(entry.dataset)
            current = entry.snapshot or self._still_true(entry, version)
            if (
                current is None
                or entry.list_again
                or version != current.version
                or (self._is_list_old(entry) and not (is_survey and version))
            ):
                entry.list_again = False
                current = await self._list(entry.dataset, version)
                entry.listed_at = started_at
                self._save(current)
        except BaseError as error:
            raise storage_unavailable() from error
        entry.snapshot = current
        entry.checked_at = started_at
        return current

    async def _load(self, entry: _Entry) -> None:
        if entry.is_loaded or self._files is None:
            return
        entry.saved = await asyncio.to_thread(self._files.load, entry.dataset)
        entry.is_loaded = True

    def _still_true(self, entry: _Entry, version: str) -> Snapshot | None:
        """What an earlier process has listed, where the writer has written nothing since."""
        saved = entry.saved
        if saved is None or not version or saved.snapshot.version != version:
            return None
        age_s = time.time() - saved.listed_at
        # A clock that was set back says nothing of the list's age.
        entry.listed_at = self._clock() - (age_s if age_s >= 0 else self._relist_s)
        return saved.snapshot

    def _save(self, snapshot: Snapshot) -> None:
        if self._files is not None:
            task = asyncio.create_task(asyncio.to_thread(self._files.save, snapshot))
            self._saving.add(task)
            task.add_done_callback(self._saving.discard)

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
            if self._lister is None or self._lister.done():
                self._lister = asyncio.create_task(self._list_old_ones(asked_since))

    async def _list_old_ones(self, surveyed_since: float) -> None:
        """List what a survey has told of with an old list, one after the other."""
        for entry in list(self._entries.values()):
            if (
                entry.snapshot is not None
                and entry.surveyed_at > surveyed_since
                and self._is_list_old(entry)
            ):
                entry.list_again = True
                with contextlib.suppress(QueryUnavailable):
                    await self._refresh(entry)


def _surveyed(entry: _Entry, task: "asyncio.Task[None]") -> None:
    entry.surveying = None
    if not task.cancelled():
        task.exception()


def _finish(entry: _Entry, task: "asyncio.Task[Snapshot]") -> None:
    entry.refreshing = None
    if not task.cancelled():
        # Marks the exception as seen when every caller has left.
        task.exception()
