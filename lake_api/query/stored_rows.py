"""Where the rows of planned objects are on this machine: cached objects, their schemas, segments.

Belongs here: holding what one query reads for as long as it reads, and what is known about it.
Does not belong here: which objects are planned (`plan`), the order of a query's steps (`engine`).
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import asynccontextmanager

from msgspec import structs

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.query.cache_slot import CacheSlot
from lake_api.query.cached_files import PinnedFile
from lake_api.query.file_book import FileBook, Part
from lake_api.query.messages import FileFacts, SegmentScan, View
from lake_api.query.object_cache import ObjectCache
from lake_api.query.query_run import before_deadline, size_bytes
from lake_api.query.reader_store import open_whole
from lake_api.query.results import DatasetReads
from lake_api.query.segments import Segment, SegmentStore
from lake_api.settings import Settings
from lake_assets.catalog import LakeLocation

_MAYBE_DAMAGE = frozenset(
    {"engine_error", "invalid_input", "stored_data_unreadable", "worker_lost"}
)
"""Codes of failures that a damaged file may have caused."""

_SCRUB_BYTES_PER_S = 4 * 1024 * 1024
_SCRUB_PAUSE_S = 5.0
_SCRUBBED_AT_ONCE = 256
_NAMED = 3


class FilesDamaged(Exception):
    """What a query has read was touched or damaged meanwhile: nothing of its outcome counts."""

    def __init__(self, found: Sequence[str]) -> None:
        super().__init__(", ".join(found))
        self.found = found

    def as_unavailable(self) -> QueryUnavailable:
        """What a caller is told when it happens again and again."""
        more = f" and {len(self.found) - _NAMED} more" if len(self.found) > _NAMED else ""
        return QueryUnavailable(
            f"Local copies of stored data were damaged while the query read them: "
            f"{', '.join(self.found[:_NAMED])}{more}.",
            code="cached_data_damaged",
            hint="Nothing is wrong with the query, nor with what is stored; the copies are fetched "
            "again. Try again; if it stays, the operator must look at the cache's disk.",
            retry=True,
        )


class StoredRowFiles:
    """The files that queries read, of one process."""

    def __init__(self, *, location: LakeLocation, settings: Settings, slot: CacheSlot) -> None:
        self._book = FileBook()
        self.objects = ObjectCache(
            open_whole(location),
            directory=slot.objects,
            budget_bytes=settings.cache_bytes,
            on_removed=self._book.forget,
            make_room=self._give_up_segments,
        )
        self.segments = SegmentStore(
            directory=slot.segments,
            objects=self.objects,
            files=self._book,
            budget_bytes=settings.segment_bytes,
        )
        self._suspects: set[str] = set()
        self._scrubbing: asyncio.Task[None] | None = None

    def _give_up_segments(self) -> int:
        return self.segments.remove_all()

    def start(self) -> None:
        """Begin to compare the files with their digests in the background."""
        self._scrubbing = asyncio.create_task(self._scrub())

    async def close(self) -> None:
        """End what is built and compared in the background."""
        if self._scrubbing is not None:
            self._scrubbing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._scrubbing
        await self.segments.close()
        self.objects.close()

    def drop(self) -> int:
        """Drop objects and segments that no running query needs; how many bytes."""
        return self.segments.drop() + self.objects.drop_idle()

    def learn(self, facts: Iterable[FileFacts]) -> None:
        """Take what a worker read from footers."""
        facts = tuple(facts)
        self._book.learn(facts)
        # Either the stored object is no Parquet, or the copy was damaged as it was read.
        self._suspects.update(fact.file for fact in facts if fact.columns is None)

    @asynccontextmanager
    async def held(self, parts: Sequence[Part], *, deadline: float) -> AsyncGenerator["HeldRows"]:
        """What a query reads, fetched and kept until the block ends.

        Raises:
            FilesDamaged: a file was touched while the block read it, or is damaged.
            ObjectChanged: an object is not what the snapshot says any more.
            QueryUnavailable: storage does not answer, or not before the deadline.
        """
        splits = [self.segments.split(part) for part in parts]
        beside = [rest for _, rest in splits]
        fetched: list[int] = []
        async with contextlib.AsyncExitStack() as stack:
            wanted = [one for part in beside for one in part.wanted]
            pins = self.objects.pinned(wanted, on_missing=fetched.append)
            pinned = await before_deadline(deadline, stack.enter_async_context(pins))
            paths = iter([pin.path for pin in pinned])
            files = [list(itertools.islice(paths, len(part.wanted))) for part in beside]
            scans = [scan for scan, _ in splits]
            used = [segment for scan in scans if scan and (segment := self.segments.of(scan))]
            rows = HeldRows(
                self._book,
                parts=parts,
                beside=beside,
                files=files,
                scans=scans,
                fetched_bytes=sum(fetched),
            )
            try:
                yield rows
            except (QueryRejected, QueryUnavailable) as error:
                is_thorough = error.code in _MAYBE_DAMAGE
                damaged = await self._damaged(pinned, used, is_thorough=is_thorough)
                if damaged:
                    raise FilesDamaged(damaged) from error
                raise
            damaged = await self._damaged(pinned, used, is_thorough=False)
            if damaged:
                raise FilesDamaged(damaged)

    async def _damaged(
        self, pinned: Sequence[PinnedFile], used: Sequence[Segment], *, is_thorough: bool
    ) -> list[str]:
        """The files that are not what they were when the query began, by dataset and day.

        All are compared by their stamps. Their content is read again where the outcome looks as if
        it could come of damage that a stamp does not show.
        """
        touched = [pin for pin in pinned if pin.is_touched]
        doubtful = [pin for pin in pinned if is_thorough or pin.path in self._suspects]
        if not touched and doubtful:
            self._suspects.difference_update(pin.path for pin in doubtful)
            touched = await self.objects.find_damaged(doubtful)
        self.objects.distrust(touched)
        for pin in touched:
            # What the worker took from a damaged footer may not outlive the damage.
            self._book.forget(pin.path)
        segments = await self.segments.find_damaged(used, is_thorough=is_thorough)
        return [
            *(f"`{pin.wanted.dataset.sql_name}` for {pin.wanted.partition.day}" for pin in touched),
            *(f"the segment of `{name}`" for name in segments),
        ]

    async def _scrub(self) -> None:
        """Read all files again and again, slowly: a medium may lose what nobody has touched."""
        while True:
            read_bytes = await self.segments.scrub()
            for _ in range(_SCRUBBED_AT_ONCE):
                if read_bytes >= _SCRUB_PAUSE_S * _SCRUB_BYTES_PER_S:
                    break
                read_bytes += await self.objects.scrub()
            await asyncio.sleep(max(_SCRUB_PAUSE_S, read_bytes / _SCRUB_BYTES_PER_S))

    def consider_segments(self, held: "HeldRows") -> None:
        """Have segments built where a query read much beside them."""
        for part in held.beside:
            self.segments.consider(part.snapshot, len(part.wanted))

    def bare_view(self, part: Part) -> View:
        """A dataset's view of its declared columns, which needs no file."""
        return self._book.view(part, ())

    def day_warnings(self, parts: Sequence[Part]) -> tuple[str, ...]:
        """What the caller should know about the days that are planned."""
        return tuple(one for part in parts for one in self._book.day_warnings(part))

    def check_fit(self, parts: Sequence[Part]) -> None:
        """Refuse what is too large together to be on this machine.

        Raises:
            QueryUnavailable: it is (`object_too_large`).
        """
        self.objects.check_fits([one for part in parts for one in part.wanted])

    def reads(self, part: Part) -> DatasetReads:
        """What a query would read of one dataset, and how much of it is here already."""
        here = [
            one for one in part.wanted if self.objects.is_cached(one) or self.segments.covers(one)
        ]
        return DatasetReads(
            dataset=part.snapshot.dataset,
            first_day=part.wanted[0].partition.day if part.wanted else None,
            last_day=part.wanted[-1].partition.day if part.wanted else None,
            objects=len(part.wanted),
            size_bytes=part.size_bytes,
            cached_objects=len(here),
            cached_bytes=size_bytes(here),
        )


class HeldRows:
    """What one query reads. `beside` is what it reads of objects, outside of segments."""

    def __init__(
        self,
        book: FileBook,
        *,
        parts: Sequence[Part],
        beside: Sequence[Part],
        files: Sequence[Sequence[str]],
        scans: Sequence[SegmentScan | None],
        fetched_bytes: int,
    ) -> None:
        self._book = book
        self._parts = parts
        self.beside = beside
        self._files = files
        self._scans = scans
        self.fetched_bytes = fetched_bytes
        self._warned: tuple[int, tuple[str, ...]] | None = None

    def views(self) -> tuple[View, ...]:
        """The views of the datasets; files that turned out to be unreadable are left out."""
        return tuple(
            structs.replace(self._book.view(part, files), segment=scan)
            for part, files, scan in zip(self.beside, self._files, self._scans, strict=True)
        )

    def warnings(self) -> tuple[str, ...]:
        """What the caller should know, as far as it is known by now."""
        if self._warned is None or self._warned[0] != self._book.changes:
            # Most queries teach nothing, and looking at each of many days takes time.
            changes, found = self._book.changes, self._found()
            self._warned = changes, found
        return self._warned[1]

    def _found(self) -> tuple[str, ...]:
        pairs = zip(self.beside, self._files, strict=True)
        return (
            *(one for pair in pairs for one in self._book.warnings(*pair)),
            *(one for part in self._parts for one in self._book.day_warnings(part)),
        )
