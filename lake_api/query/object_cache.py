"""Whole objects on local disk, named by ETag, under a byte budget.

Belongs here: which objects are here, pinning, checking again, evicting.
Does not belong here: fetching one (`object_fetch`), which objects a query needs (`plan`), what is
in them (the worker).

    {root}/slot-0/lock                                  held by the process that uses the slot
    {root}/slot-0/data/                                 what workers may read
    {root}/slot-0/data/objects/{sql_name}/date={day}/   one file, named as `object_fetch` says
    {root}/slot-0/data/segments/                        see `segments`
    {root}/slot-0/data/kept/                            see `lake_api.jobs.kept_files`

A rewritten day has another ETag, hence another name: it can't be served stale. Each process
takes a slot of its own and finds its objects again after a restart.

A file is never trusted for being there. Its content is compared with its digest when it is fetched,
when the first query uses it after a restart, and whenever its stamp is another one than it was;
what does not agree is removed and fetched again. See `file_check` for what a stamp shows.
"""

import asyncio
import hashlib
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from lake_api.errors import QueryUnavailable
from lake_api.query import disk_room
from lake_api.query.cached_files import ObjectChanged, PinnedFile, Wanted, adopt, remove
from lake_api.query.file_check import Stamp, checked_stamp, is_untouched
from lake_api.query.object_fetch import (
    Fetched,
    OtherObject,
    TransferDamaged,
    WriteFailed,
    fetch,
    read_name,
)
from lake_api.query.reader_store import storage_unavailable
from lake_assets.catalog import PARTITION_COLUMN

_PARALLEL_FETCHES = 16
_MIN_EVICTED_BYTES = 16 * 1024 * 1024
_FULL_TRIES = 4
# More files are looked at only once, when they have been read (`PinnedFile.is_touched`): a look
# costs four microseconds, and a query that has read a damaged file is begun again.
_LOOKED_AT = 64


@dataclass(frozen=True, slots=True)
class _Name:
    sql_name: str
    day: date
    etag: str


@dataclass(slots=True, kw_only=True)
class _File:
    """`path` is empty until it is fetched; `stamp` is None until its content was checked."""

    size_bytes: int
    path: str = ""
    stamp: Stamp | None = None
    pins: int = 0
    unwritten_bytes: int = 0


@dataclass(slots=True)
class _Task:
    """A check or fetch that runs; `gone` tells its thread that nobody waits any more."""

    task: "asyncio.Task[int]"
    gone: threading.Event = field(default_factory=threading.Event)


class ObjectCache:
    """Objects by dataset, day and ETag; the least recently used unpinned ones go first.

    `on_removed` is told the path of every file that is gone. `make_room` gives up other files on
    the same disk when it is full, and says whether there were any.
    """

    def __init__(
        self,
        store: S3Store,
        *,
        directory: Path,
        budget_bytes: int,
        on_removed: Callable[[str], None],
        make_room: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self.directory = directory
        self._budget_bytes = budget_bytes
        self._on_removed = on_removed
        self._make_other_room = make_room
        self._files: OrderedDict[_Name, _File] = OrderedDict()
        self._running: dict[_Name, _Task] = {}
        self._newest: dict[tuple[str, date], _Name] = {}
        # In threads: a thousand small objects cost the event loop more than they cost the network.
        self._threads = ThreadPoolExecutor(_PARALLEL_FETCHES, thread_name_prefix="fetch")
        # Files of an earlier process: nobody knows yet which ETag each belongs to.
        self._adopted = adopt(directory)
        self._used_bytes = sum(size for _, size in self._adopted.values())
        self._unwritten_bytes = 0
        self._refused_bytes = 0
        self._scrub_turn: list[_Name] = []
        self.asked = 0
        """Objects that queries needed so far."""
        self.fetches = 0
        """How many of them had to be fetched."""
        self.fetched_bytes = 0
        """The bytes of these."""
        self.damaged = 0
        """Files that were not what they should be, and were removed."""
        self._trim()

    def close(self) -> None:
        """Begin no more fetches."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def used_bytes(self) -> int:
        """Bytes on disk, those being fetched included."""
        return self._used_bytes

    @property
    def budget_bytes(self) -> int:
        """Bytes that may be here together: the setting, or what the disk has where that is less."""
        written = self._used_bytes - self._unwritten_bytes
        return max(0, min(self._budget_bytes, written + disk_room.room_bytes(self.directory)))

    async def is_writable(self) -> bool:
        """Whether what the last query could not store for lack of room could be stored now."""
        if not self._refused_bytes:
            return True
        size_bytes = self._refused_bytes
        idle_bytes = sum(
            file.size_bytes for name, file in self._files.items() if self._is_idle(name, file)
        )
        if idle_bytes < size_bytes:
            has_room = disk_room.room_bytes(self.directory) + idle_bytes >= size_bytes
            if not has_room or not await asyncio.to_thread(
                disk_room.can_write, self.directory, size_bytes
            ):
                return False
        self._refused_bytes = 0
        return True

    def is_cached(self, one: Wanted) -> bool:
        """Whether a query would find the object here, whole."""
        name = _name_of(one)
        if name in self._files:
            return name not in self._running
        _, size_bytes = self._adopted.get(self._key(name), ("", -1))
        return size_bytes == one.partition.size_bytes

    def check_fits(self, wanted: Sequence[Wanted]) -> None:
        """Nothing, when the wanted objects can be here together.

        Raises:
            QueryUnavailable: they are too large (`object_too_large`).
        """
        total_bytes = sum(one.partition.size_bytes for one in wanted)
        if total_bytes > self._budget_bytes:
            raise QueryUnavailable(
                f"The query reads {total_bytes:,} bytes of stored objects; the object cache "
                f"holds at most {self._budget_bytes:,}.",
                code="object_too_large",
                hint="Narrow the days with a filter on `date`, or raise LAKE_CACHE_BYTES.",
                retry=False,
            )

    @asynccontextmanager
    async def pinned(
        self, wanted: Sequence[Wanted], *, on_missing: Callable[[int], None] | None = None
    ) -> AsyncGenerator[list[PinnedFile]]:
        """The files of the wanted objects, in order; they stay until the block is left.

        Args:
            wanted: What the query needs.
            on_missing: Is told the bytes that had to be fetched, when there are any.

        Raises:
            ObjectChanged: an object was replaced or removed since it was listed.
            QueryUnavailable: storage does not answer, the objects are too large together, or the
                disk is full.
        """
        self.check_fits(wanted)
        pins: list[tuple[_Name, _File]] = []
        own: list[asyncio.Task[int]] = []
        try:
            # A generator, so that what is pinned so far is let go when one can't be.
            is_looked_at = len(wanted) <= _LOOKED_AT
            pins.extend(self._pin(one, own, is_looked_at=is_looked_at) for one in wanted)
            await _all_of(
                [running.task for name, _ in pins if (running := self._running.get(name))]
            )
            missing_bytes = sum(task.result() for task in own)
            if missing_bytes and on_missing is not None:
                on_missing(missing_bytes)
            yield [
                PinnedFile(wanted=one, path=file.path, stamp=file.stamp)
                for one, (_, file) in zip(wanted, pins, strict=True)
            ]
        finally:
            for name, file in pins:
                file.pins -= 1
                if not file.pins and self._files.get(name) is file and name in self._running:
                    self._abandon(name, file)

    def _pin(
        self, one: Wanted, own: "list[asyncio.Task[int]]", *, is_looked_at: bool
    ) -> tuple[_Name, _File]:
        name = _name_of(one)
        self.asked += 1
        file = self._files.get(name)
        if file is None:
            file = self._new_file(name, one)
            self._files[name] = file
        else:
            self._files.move_to_end(name)
        file.pins += 1
        if is_looked_at and not is_untouched(file.path, file.stamp):
            file.stamp = None
        if file.stamp is None and name not in self._running:
            own.append(self._begin(name, one, file))
        return name, file

    def _new_file(self, name: _Name, one: Wanted) -> _File:
        size_bytes = one.partition.size_bytes
        path, adopted_bytes = self._adopted.pop(self._key(name), ("", 0))
        if path and adopted_bytes == size_bytes:
            return _File(path=path, size_bytes=size_bytes)
        if path:
            self._drop(path, adopted_bytes)
        self._make_room(size_bytes)
        self._used_bytes += size_bytes
        return _File(size_bytes=size_bytes)

    def _begin(self, name: _Name, one: Wanted, file: _File) -> "asyncio.Task[int]":
        """Check the file where there is one, and fetch it where it is not right."""
        gone = threading.Event()
        if not file.path:
            self._count_unwritten(file)
        task = asyncio.create_task(self._obtain(one, file, gone))
        self._running[name] = _Task(task, gone)
        task.add_done_callback(lambda done: self._obtained(name, file, done))
        return task

    def _count_unwritten(self, file: _File) -> None:
        file.unwritten_bytes = file.size_bytes
        self._unwritten_bytes += file.size_bytes

    def _obtained(self, name: _Name, file: _File, task: "asyncio.Task[int]") -> None:
        failed = task.cancelled() or task.exception() is not None
        self._unwritten_bytes -= file.unwritten_bytes
        file.unwritten_bytes = 0
        running = self._running.get(name)
        if running is None or running.task is not task:
            return  # abandoned: already forgotten
        del self._running[name]
        if failed:
            self._forget(name, file)
            return
        # A replaced object is never asked for again: don't wait until it is the oldest.
        before = self._newest.get((name.sql_name, name.day))
        self._newest[name.sql_name, name.day] = name
        old = self._files.get(before) if before is not None and before != name else None
        if before is not None and old is not None and self._is_idle(before, old):
            self._evict(before, old)

    def _abandon(self, name: _Name, file: _File) -> None:
        """Stop a fetch that nobody waits for any more; a check ends by itself soon."""
        if file.path:
            return
        running = self._running.pop(name)
        running.gone.set()
        running.task.cancel()
        self._forget(name, file)

    async def _obtain(self, one: Wanted, file: _File, gone: threading.Event) -> int:
        """Have the right content at the file's path; how many bytes were fetched for it."""
        if file.path:
            if await self._is_right(file):
                return 0
            self._discard_damaged(file)
        self.fetches += 1
        self.fetched_bytes += file.size_bytes
        try:
            fetched = await self._fetch_making_room(one, file, gone)
        except (FileNotFoundError, PreconditionError, OtherObject) as error:
            raise ObjectChanged(one.dataset) from error
        except TransferDamaged as error:
            raise _damaged_on_the_way(one) from error
        except BaseError as error:
            raise storage_unavailable() from error
        finally:
            # A download that nobody waits for any more removes what it writes after this.
            gone.set()
        file.path, file.stamp = fetched.path, fetched.stamp
        self._refused_bytes = 0
        return file.size_bytes

    async def _is_right(self, file: _File) -> bool:
        """Compare the content of a file with its digest, and know its stamp from then on."""
        named = read_name(file.path)
        loop = asyncio.get_running_loop()
        file.stamp = named and await loop.run_in_executor(
            self._threads, checked_stamp, file.path, named.content_digest
        )
        return file.stamp is not None

    def _discard_damaged(self, file: _File) -> None:
        path, file.path = file.path, ""
        self.damaged += 1
        self._count_unwritten(file)
        remove(path)
        self._on_removed(path)

    async def _fetch_making_room(self, one: Wanted, file: _File, gone: threading.Event) -> Fetched:
        """Fetch; where the disk turns out to be full, evict what nobody needs and try again."""
        folder, _, digest = self._key(_name_of(one)).rpartition("/")
        for _ in range(_FULL_TRIES):
            running = self._threads.submit(
                fetch, self._store, one.partition, folder=folder, object_digest=digest, gone=gone
            )
            try:
                fetched = await asyncio.wrap_future(running)
            except asyncio.CancelledError:
                running.add_done_callback(_remove_fetched)
                raise
            except WriteFailed as failed:
                if not disk_room.is_full(failed.error):
                    self._refused_bytes = max(self._refused_bytes, file.size_bytes)
                    raise disk_room.cache_unwritable(failed.error) from failed
                freed = self._evict_idle(max(_MIN_EVICTED_BYTES, file.size_bytes))
                if not freed and not self._make_other_room():
                    break
            else:
                if fetched is None:
                    raise asyncio.CancelledError
                return fetched
        self._refused_bytes = max(self._refused_bytes, file.size_bytes)
        raise disk_room.cache_full(file.size_bytes)

    def _key(self, name: _Name) -> str:
        digest = hashlib.blake2b(name.etag.encode(), digest_size=16).hexdigest()
        day = f"{PARTITION_COLUMN}={name.day.isoformat()}"
        return f"{self.directory}/{name.sql_name}/{day}/{digest}"

    def _make_room(self, size_bytes: int) -> None:
        """Evict until `size_bytes` fit into the budget and onto the disk."""
        missing_bytes = self._used_bytes + size_bytes - self.budget_bytes
        if missing_bytes > 0:
            self._evict_idle(missing_bytes)
        if self._used_bytes + size_bytes <= self.budget_bytes:
            return
        if self._used_bytes + size_bytes <= self._budget_bytes:
            if self._make_other_room() and self._used_bytes + size_bytes <= self.budget_bytes:
                return
            self._refused_bytes = max(self._refused_bytes, size_bytes)
            raise disk_room.cache_full(size_bytes)
        raise QueryUnavailable(
            "Running queries hold all of the object cache.",
            code="too_busy",
            hint="Try again in a moment.",
            retry=True,
        )

    def _trim(self) -> None:
        """Leave the disk its reserve: workers and the database may need it to start."""
        self._evict_idle(self._used_bytes - self.budget_bytes)

    def drop_idle(self) -> int:
        """Remove all that no query needs right now; how many bytes it had."""
        return self._evict_idle(self._used_bytes)

    def _evict_idle(self, size_bytes: int) -> int:
        """Evict about as many bytes of what no query needs, oldest first; how many it were."""
        before = self._used_bytes
        floor = before - size_bytes
        while self._used_bytes > floor and self._adopted:
            self._drop(*self._adopted.pop(next(iter(self._adopted))))
        if self._used_bytes > floor:
            for name, file in list(self._files.items()):
                if self._is_idle(name, file):
                    self._evict(name, file)
                    if self._used_bytes <= floor:
                        break
        return before - self._used_bytes

    def distrust(self, pins: Sequence[PinnedFile]) -> None:
        """Have the content of files compared before they are used again."""
        for pin in pins:
            file = self._files.get(_name_of(pin.wanted))
            if file is not None and file.path == pin.path:
                file.stamp = None

    async def find_damaged(self, pins: Sequence[PinnedFile]) -> list[PinnedFile]:
        """Which files do not have their content, by reading all of it; these are fetched again."""
        are_right = await asyncio.gather(*map(self._is_pin_right, pins))
        return [pin for pin, is_right in zip(pins, are_right, strict=True) if not is_right]

    async def _is_pin_right(self, pin: PinnedFile) -> bool:
        file = self._files.get(_name_of(pin.wanted))
        return file is not None and file.path == pin.path and await self._is_right(file)

    async def scrub(self) -> int:
        """Compare the file that was not compared for longest with its digest; how many bytes."""
        if not self._scrub_turn:
            self._scrub_turn = list(self._files)
        while self._scrub_turn:
            name = self._scrub_turn.pop()
            file = self._files.get(name)
            if file is None or name in self._running or file.stamp is None:
                continue
            # A query that pins it later fetches it again, for it has no stamp then.
            is_damaged = not await self._is_right(file)
            if is_damaged and self._files.get(name) is file and self._is_idle(name, file):
                self.damaged += 1
                self._evict(name, file)
            return file.size_bytes
        return 0

    def _is_idle(self, name: _Name, file: _File) -> bool:
        return file.pins == 0 and name not in self._running

    def _evict(self, name: _Name, file: _File) -> None:
        del self._files[name]
        self._drop(file.path, file.size_bytes)

    def _forget(self, name: _Name, file: _File) -> None:
        del self._files[name]
        self._used_bytes -= file.size_bytes

    def _drop(self, path: str, size_bytes: int) -> None:
        remove(path)
        self._used_bytes -= size_bytes
        self._on_removed(path)


def _name_of(one: Wanted) -> _Name:
    return _Name(one.dataset.sql_name, one.partition.day, one.partition.etag)


def _damaged_on_the_way(one: Wanted) -> QueryUnavailable:
    return QueryUnavailable(
        f"The stored data of `{one.dataset.sql_name}` for {one.partition.day} arrives damaged: two "
        "downloads differ.",
        code="stored_data_damaged",
        hint="Nothing is wrong with the query. Try again in a moment, or leave the day out: "
        f"WHERE date <> DATE '{one.partition.day}'.",
        retry=True,
    )


def _remove_fetched(done: "Future[Fetched | None]") -> None:
    """Remove what a thread has fetched for nobody."""
    if not done.cancelled() and done.exception() is None and (fetched := done.result()):
        remove(fetched.path)


async def _all_of(tasks: Sequence["asyncio.Task[int]"]) -> None:
    """Wait until all are done or one has failed; never cancels them, others may wait too."""
    if not tasks:
        return
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
