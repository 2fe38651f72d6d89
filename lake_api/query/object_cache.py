"""Whole objects on local disk, named by ETag, under a byte budget.

Belongs here: fetching, naming, pinning and evicting objects.
Does not belong here: which objects a query needs (`plan`), what is in them (the worker).

    {root}/slot-0/lock                                  held by the process that uses the slot
    {root}/slot-0/data/                                 what workers may read
    {root}/slot-0/data/objects/{sql_name}/date={day}/{digest of the ETag}.parquet
    {root}/slot-0/data/segments/                        see `segments`
    {root}/slot-0/data/kept/                            see `lake_api.jobs.kept_files`

A rewritten day has another ETag, hence another name: it can't be served stale. Each process
takes a slot of its own and finds its objects again after a restart.
"""

import asyncio
import fcntl
import hashlib
import itertools
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO

import obstore
from obstore.exceptions import BaseError, PreconditionError
from obstore.store import S3Store

from lake_api.errors import QueryUnavailable
from lake_api.query.reader_store import storage_unavailable
from lake_api.query.snapshot import StoredPartition
from lake_assets.catalog import PARTITION_COLUMN, Dataset

_PARALLEL_FETCHES = 16
# Each of the threads holds one: together they are memory of the service.
_CHUNK_BYTES = 1024 * 1024
_MAX_SLOTS = 64
_SUFFIX = ".parquet"


class ObjectChanged(Exception):
    """An object is no longer what the snapshot says: look again."""

    def __init__(self, dataset: Dataset) -> None:
        super().__init__(dataset.partition)
        self.dataset = dataset


@dataclass(frozen=True, slots=True)
class _Name:
    sql_name: str
    day: date
    etag: str


@dataclass(slots=True, kw_only=True)
class _File:
    path: str
    size_bytes: int
    pins: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One object that a query needs."""

    dataset: Dataset
    partition: StoredPartition


class CacheSlot:
    """A directory that this process alone uses, found again by the next one."""

    def __init__(self, root: Path) -> None:
        self.directory, self._lock = _take_slot(root)
        self.data = self.directory / "data"
        self.objects = self.data / "objects"
        self.segments = self.data / "segments"
        self.kept = self.data / "kept"
        self.engine = self.directory / "engine"
        # Nothing of the engine's is kept: a half-written file there would stop every worker.
        shutil.rmtree(self.engine, ignore_errors=True)
        # Which ETags a segment has is not written down: they are built anew.
        shutil.rmtree(self.segments, ignore_errors=True)
        # Kept results are in the bucket; here are copies that pages were read from.
        shutil.rmtree(self.kept, ignore_errors=True)
        for directory in (self.data, self.objects, self.segments, self.kept, self.engine):
            directory.mkdir(mode=0o700, exist_ok=True)

    def release(self) -> None:
        """Let another process take the slot."""
        self._lock.close()


def _take_slot(root: Path) -> tuple[Path, IO[bytes]]:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in range(_MAX_SLOTS):
        directory = root.resolve() / f"slot-{number}"
        directory.mkdir(mode=0o700, exist_ok=True)
        lock = (directory / "lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return directory, lock
    raise RuntimeError(f"all {_MAX_SLOTS} slots of the object cache are in use")


class ObjectCache:
    """Objects by dataset, day and ETag; the least recently used unpinned ones go first.

    `on_removed` is told the path of every file that is gone.
    """

    def __init__(
        self,
        store: S3Store,
        *,
        directory: Path,
        budget_bytes: int,
        on_removed: Callable[[str], None],
    ) -> None:
        self._store = store
        self.directory = directory
        self._budget_bytes = budget_bytes
        self._on_removed = on_removed
        self._files: OrderedDict[_Name, _File] = OrderedDict()
        self._fetching: dict[_Name, asyncio.Task[None]] = {}
        self._newest: dict[tuple[str, date], _Name] = {}
        # In threads: a thousand small objects cost the event loop more than they cost the network.
        self._threads = ThreadPoolExecutor(_PARALLEL_FETCHES, thread_name_prefix="fetch")
        self._parts = itertools.count()
        # Files of an earlier process: nobody knows yet which ETag each belongs to.
        self._adopted = _adopt(directory)
        self._used_bytes = sum(self._adopted.values())
        self.asked = 0
        """Objects that queries needed so far."""
        self.fetches = 0
        """How many of them had to be fetched."""
        self.fetched_bytes = 0
        """The bytes of these."""

    def close(self) -> None:
        """Begin no more fetches."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def used_bytes(self) -> int:
        """Bytes on disk, those being fetched included."""
        return self._used_bytes

    def is_cached(self, one: Wanted) -> bool:
        """Whether a query would find the object here, whole."""
        name = _Name(one.dataset.sql_name, one.partition.day, one.partition.etag)
        if name in self._files:
            return name not in self._fetching
        return self._adopted.get(self._path(name)) == one.partition.size_bytes

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
    ) -> AsyncGenerator[list[str]]:
        """The paths of the wanted objects, in order; they stay until the block is left.

        Args:
            wanted: What the query needs.
            on_missing: Is told the bytes that were not here, when there are any.

        Raises:
            ObjectChanged: an object was replaced or removed since it was listed.
            QueryUnavailable: storage does not answer, or the objects are too large together.
        """
        self.check_fits(wanted)
        pins: list[tuple[_Name, _File]] = []
        try:
            # A generator, so that what is pinned so far is let go when one can't be.
            fetched_before = self.fetched_bytes
            pins.extend(self._pin(one) for one in wanted)
            missing_bytes = self.fetched_bytes - fetched_before
            if missing_bytes and on_missing is not None:
                on_missing(missing_bytes)
            await _all_of(
                [task for name, _ in pins if (task := self._fetching.get(name)) is not None]
            )
            yield [file.path for _, file in pins]
        finally:
            for name, file in pins:
                file.pins -= 1
                if not file.pins and self._files.get(name) is file and name in self._fetching:
                    self._abandon(name, file)

    def _pin(self, one: Wanted) -> tuple[_Name, _File]:
        name = _Name(one.dataset.sql_name, one.partition.day, one.partition.etag)
        self.asked += 1
        file = self._files.get(name)
        if file is not None:
            self._files.move_to_end(name)
            file.pins += 1
            return name, file
        file = _File(path=self._path(name), size_bytes=one.partition.size_bytes, pins=1)
        adopted_bytes = self._adopted.pop(file.path, None)
        if adopted_bytes is not None and adopted_bytes != file.size_bytes:
            self._drop(file.path, adopted_bytes)
            adopted_bytes = None
        if adopted_bytes is None:
            self._make_room(file.size_bytes)
            self._used_bytes += file.size_bytes
            self.fetches += 1
            self.fetched_bytes += file.size_bytes
            task = asyncio.create_task(self._fetch(one, file))
            self._fetching[name] = task
            task.add_done_callback(lambda done: self._fetched(name, file, done))
        self._files[name] = file
        return name, file

    def _fetched(self, name: _Name, file: _File, task: "asyncio.Task[None]") -> None:
        failed = task.cancelled() or task.exception() is not None
        if self._fetching.get(name) is not task:
            return  # abandoned: already forgotten
        del self._fetching[name]
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
        """Stop a fetch that nobody waits for any more."""
        self._fetching.pop(name).cancel()
        self._forget(name, file)

    async def _fetch(self, one: Wanted, file: _File) -> None:
        part = Path(f"{file.path}.{next(self._parts)}.part")
        gone = threading.Event()
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._threads, self._download, one, part, gone)
            part.rename(file.path)
        except (FileNotFoundError, PreconditionError) as error:
            raise ObjectChanged(one.dataset) from error
        except BaseError as error:
            raise storage_unavailable() from error
        finally:
            # A download that nobody waits for any more removes what it writes after this.
            gone.set()
            part.unlink(missing_ok=True)

    def _download(self, one: Wanted, part: Path, gone: threading.Event) -> None:
        """Write the object, whole, to `part`; runs in a thread."""
        partition = one.partition
        if gone.is_set():
            return
        result = obstore.get(
            self._store,
            partition.key,
            options={"if_match": partition.etag} if partition.etag else None,
        )
        if result.meta["size"] != partition.size_bytes:
            raise ObjectChanged(one.dataset)
        part.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        written = 0
        try:
            with open(part, "wb", opener=_read_only) as out:
                for chunk in result.stream(min_chunk_size=_CHUNK_BYTES):
                    written += out.write(chunk)
                    if gone.is_set():
                        break
            if written != partition.size_bytes and not gone.is_set():
                raise ObjectChanged(one.dataset)
        finally:
            if gone.is_set():
                part.unlink(missing_ok=True)

    def _path(self, name: _Name) -> str:
        digest = hashlib.blake2b(name.etag.encode(), digest_size=16).hexdigest()
        day = f"{PARTITION_COLUMN}={name.day.isoformat()}"
        return f"{self.directory}/{name.sql_name}/{day}/{digest}{_SUFFIX}"

    def _make_room(self, size_bytes: int) -> None:
        """Evict until `size_bytes` fit."""
        ceiling = self._budget_bytes - size_bytes
        while self._used_bytes > ceiling and self._adopted:
            path = next(iter(self._adopted))
            self._drop(path, self._adopted.pop(path))
        if self._used_bytes > ceiling:
            for name, file in list(self._files.items()):
                if self._is_idle(name, file):
                    self._evict(name, file)
                    if self._used_bytes <= ceiling:
                        break
        if self._used_bytes > ceiling:
            raise QueryUnavailable(
                "Running queries hold all of the object cache.",
                code="too_busy",
                hint="Try again in a moment.",
                retry=True,
            )

    def drop_idle(self) -> int:
        """Remove all that no query needs right now; how many bytes it had."""
        before = self._used_bytes
        while self._adopted:
            self._drop(*self._adopted.popitem())
        for name, file in list(self._files.items()):
            if self._is_idle(name, file):
                self._evict(name, file)
        return before - self._used_bytes

    def _is_idle(self, name: _Name, file: _File) -> bool:
        return file.pins == 0 and name not in self._fetching

    def _evict(self, name: _Name, file: _File) -> None:
        del self._files[name]
        self._drop(file.path, file.size_bytes)

    def _forget(self, name: _Name, file: _File) -> None:
        del self._files[name]
        self._used_bytes -= file.size_bytes

    def _drop(self, path: str, size_bytes: int) -> None:
        Path(path).unlink(missing_ok=True)
        self._used_bytes -= size_bytes
        self._on_removed(path)


def _read_only(path: str, flags: int) -> int:
    """Opens a new file for writing that nobody can open for writing after that."""
    return os.open(path, flags, mode=0o400)


def _adopt(directory: Path) -> dict[str, int]:
    """Sizes of the objects that are there, oldest first; everything else is removed."""
    found: list[tuple[float, str, int]] = []
    for parent, _, files in os.walk(directory):
        for file in files:
            path = os.path.join(parent, file)
            if file.endswith(_SUFFIX):
                status = os.stat(path)
                found.append((status.st_mtime, path, status.st_size))
            else:
                os.unlink(path)
    return {path: size for _, path, size in sorted(found)}


async def _all_of(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Wait until all are done or one has failed; never cancels them, others may wait too."""
    if not tasks:
        return
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for task in done:
        task.result()
