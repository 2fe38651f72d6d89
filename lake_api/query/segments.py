"""Hot datasets, kept a second time in the engine's own format.

Belongs here: which days of a dataset lie in its segment, when one is built again, and its budget.
Does not belong here: building one (`worker.compact`, a process of its own), reading it (`views`).

Parquet is what the lake is; DuckDB reads its own storage several times faster, and binds one table
faster than a thousand files. A segment holds the days that were in the object cache when it was
built, each with its ETag. A query takes a day from the segment when the snapshot still has that
ETag, and from its Parquet object otherwise: a rewritten day can never be served stale, and a
missing segment costs speed only.
"""

import asyncio
import contextlib
import hashlib
import itertools
import sys
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from pathlib import Path

from msgspec import structs

from lake_api.errors import QueryUnavailable
from lake_api.query import disk_room
from lake_api.query.cached_files import ObjectChanged, Wanted
from lake_api.query.file_book import FileBook, Part
from lake_api.query.file_check import Stamp, checked_stamp, digest_of, is_untouched
from lake_api.query.messages import CompactJob, SegmentScan, to_frame
from lake_api.query.object_cache import ObjectCache
from lake_api.query.snapshot import Snapshot
from lake_assets.catalog import Dataset

MIN_DAYS = 16
"""Days that must be outside of the segment before one is built: fewer are read fast enough."""

_REBUILD_SHARE = 0.1
_MAX_RANGES = 32
_MANY_DAYS = 64
_SPLITS_KEPT = 64
_BUILD_TIMEOUT_S = 900.0
_MEMORY_BYTES = 512 * 1024 * 1024
# DuckDB's storage was 0.55 to 0.9 of the Parquet size where it was measured; this is the caution.
_SIZE_FACTOR = 1.5


Split = tuple[SegmentScan | None, Part]
"""What to scan of a segment, and what is left of the part to read from Parquet."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """One file: the ETag that each of its days had, its size, and what it was when it was built."""

    sql_name: str
    path: Path
    etags: Mapping[date, str]
    size_bytes: int
    digest: str
    stamp: Stamp
    splits: OrderedDict[bytes, Split] = field(default_factory=OrderedDict[bytes, Split])

    @cached_property
    def positions(self) -> Mapping[date, int]:
        """The place of each day among all of the segment's."""
        return {day: place for place, day in enumerate(sorted(self.etags))}

    @property
    def is_touched(self) -> bool:
        """Whether anybody has written to the file, replaced or removed it."""
        return not is_untouched(str(self.path), self.stamp)

    def covers(self, one: Wanted) -> bool:
        """Whether the segment has this object's rows."""
        return self.etags.get(one.partition.day) == one.partition.etag

    def has_its_content(self) -> bool:
        """Whether all of the file is as it was built."""
        return checked_stamp(str(self.path), self.digest) == self.stamp

    def split(self, part: Part) -> Split:
        """The days of the part that the segment has, and the rest of it; many are remembered."""
        if len(part.wanted) < _MANY_DAYS:
            return self._split(part)
        known = self.splits.get(part.digest)
        if known is None:
            known = self.splits[part.digest] = self._split(part)
            if len(self.splits) > _SPLITS_KEPT:
                self.splits.popitem(last=False)
        return known

    def _split(self, part: Part) -> Split:
        covered = [one.partition.day for one in part.wanted if self.covers(one)]
        ranges = day_ranges(covered, self.positions)
        if not covered or len(ranges) > _MAX_RANGES:
            return None, part
        is_whole = len(covered) == len(self.etags)
        scan = SegmentScan(file=str(self.path), ranges=() if is_whole else ranges)
        rest = tuple(one for one in part.wanted if not self.covers(one))
        return scan, replace(part, wanted=rest)


class SegmentStore:
    """The segments of one process, built one at a time in the background."""

    def __init__(
        self, *, directory: Path, objects: ObjectCache, files: FileBook, budget_bytes: int
    ) -> None:
        self._directory = directory
        self._objects = objects
        self._files = files
        self._budget_bytes = budget_bytes
        self._segments: OrderedDict[str, Segment] = OrderedDict()
        # A worker may be about to open the file that was just replaced: the last one stays.
        self._retired: dict[str, Path] = {}
        self._failed: dict[str, str] = {}
        self._due: dict[str, Snapshot] = {}
        self._numbers = itertools.count()
        self._build: asyncio.Task[None] | None = None
        self.builds = 0
        """Segments built so far."""

    @property
    def is_building(self) -> bool:
        """Whether a segment is being built."""
        return self._build is not None and not self._build.done()

    @property
    def used_bytes(self) -> int:
        """Bytes of all segments on disk."""
        return sum(segment.size_bytes for segment in self._segments.values())

    def covers(self, one: Wanted) -> bool:
        """Whether a segment has the rows of an object."""
        segment = self._segments.get(one.dataset.sql_name)
        return segment is not None and segment.covers(one)

    def split(self, part: Part) -> Split:
        """What to scan of the dataset's segment, and the objects that it does not have."""
        name = part.snapshot.dataset.sql_name
        segment = self._segments.get(name)
        if segment is None:
            return None, part
        if segment.is_touched:
            self._remove(segment)
            return None, part
        scan, rest = segment.split(part)
        if scan is not None:
            self._segments.move_to_end(name)
        return scan, rest

    def of(self, scan: SegmentScan) -> Segment | None:
        """The segment that is scanned."""
        found = (one for one in self._segments.values() if str(one.path) == scan.file)
        return next(found, None)

    async def find_damaged(self, used: Sequence[Segment], *, is_thorough: bool) -> list[str]:
        """The datasets whose segments were touched, or are damaged; these are not read again."""
        damaged: list[str] = []
        for segment in used:
            is_right = not segment.is_touched
            if is_right and is_thorough:
                is_right = await asyncio.to_thread(segment.has_its_content)
            if not is_right:
                self._remove(segment)
                damaged.append(segment.sql_name)
        return damaged

    async def scrub(self) -> int:
        """Compare the segment that was not used for longest with its digest; how many bytes."""
        segment = next(iter(self._segments.values()), None)
        if segment is None:
            return 0
        if not await asyncio.to_thread(segment.has_its_content):
            self._remove(segment)
        return segment.size_bytes

    def _remove(self, segment: Segment) -> None:
        """Read a segment no more; its dataset's days are read from their objects."""
        if self._segments.get(segment.sql_name) is segment:
            del self._segments[segment.sql_name]
        with contextlib.suppress(OSError):
            segment.path.unlink()

    def remove_all(self) -> int:
        """Remove all segments at once, for their room on the disk; how many bytes they had."""
        removed_bytes = self.used_bytes
        for segment in list(self._segments.values()):
            self._remove(segment)
        for path in self._retired.values():
            with contextlib.suppress(OSError):
                path.unlink()
        self._retired.clear()
        return removed_bytes

    def consider(self, snapshot: Snapshot, outside: int) -> None:
        """Build a segment in the background where a query read `outside` objects beside it."""
        name = snapshot.dataset.sql_name
        # What could not be built of this state of the dataset won't be built by trying again.
        if (
            outside >= MIN_DAYS
            and self._budget_bytes
            and self._failed.get(name) != snapshot.version
        ):
            self._due[name] = snapshot
            if not self.is_building:
                self._build = asyncio.create_task(self._build_due())

    async def _build_due(self) -> None:
        while self._due:
            await self._rebuild(self._due.pop(next(iter(self._due))))

    async def _rebuild(self, snapshot: Snapshot) -> None:
        dataset = snapshot.dataset
        everything = [Wanted(dataset=dataset, partition=one) for one in snapshot.partitions]
        chosen = [one for one in everything if self.covers(one) or self._objects.is_cached(one)]
        outside = sum(not self.covers(one) for one in chosen)
        if outside < max(MIN_DAYS, _REBUILD_SHARE * (len(chosen) - outside)):
            return
        if not self._make_room(dataset.sql_name, chosen):
            return
        # What no caller waits for tells no caller that it failed: queries read Parquet then.
        self._failed[dataset.sql_name] = snapshot.version
        with contextlib.suppress(ObjectChanged, QueryUnavailable, OSError):
            async with self._objects.pinned(chosen) as pinned:
                paths = [pin.path for pin in pinned]
                view = self._files.view(Part(snapshot=snapshot, wanted=tuple(chosen)), paths)
                readable = {file for group in view.groups for file in group.files}
                kept = [one for one, path in zip(chosen, paths, strict=True) if path in readable]
                path = self._new_path(dataset)
                job = CompactJob(
                    view=structs.replace(view, new_files=()),
                    target=str(path),
                    readable=[str(self._objects.directory), str(self._directory)],
                    memory_bytes=_MEMORY_BYTES,
                )
                if await _build(job) and not any(pin.is_touched for pin in pinned):
                    await self._publish(dataset, path, kept)
                    del self._failed[dataset.sql_name]
                else:
                    _remove_files(path)

    def _new_path(self, dataset: Dataset) -> Path:
        # The stem is the alias that workers attach it by.
        stem = hashlib.blake2b(dataset.sql_name.encode(), digest_size=6).hexdigest()
        return self._directory / f"s{stem}_{next(self._numbers)}.duckdb"

    async def _publish(self, dataset: Dataset, path: Path, cached: Sequence[Wanted]) -> None:
        name = dataset.sql_name
        digest, stamp = await asyncio.to_thread(digest_of, str(path))
        older = self._retired.pop(name, None)
        if older is not None:
            older.unlink(missing_ok=True)
        before = self._segments.pop(name, None)
        if before is not None:
            self._retired[name] = before.path
        self._segments[name] = Segment(
            sql_name=name,
            path=path,
            etags={one.partition.day: one.partition.etag for one in cached},
            size_bytes=stamp.size_bytes,
            digest=digest,
            stamp=stamp,
        )
        self.builds += 1

    def _make_room(self, sql_name: str, chosen: Sequence[Wanted]) -> bool:
        """Drop the least recently used segments of other datasets until it fits."""
        size_bytes = int(_SIZE_FACTOR * sum(one.partition.size_bytes for one in chosen))
        others = [name for name in self._segments if name != sql_name]
        while self.used_bytes + size_bytes > self._budget_bytes and others:
            dropped = self._segments.pop(others.pop(0))
            dropped.path.unlink(missing_ok=True)
        fits = self.used_bytes + size_bytes <= self._budget_bytes
        # A segment saves time only: it never takes the last of the disk from what queries need.
        return fits and size_bytes <= disk_room.room_bytes(self._directory)

    def drop(self) -> int:
        """Read no segment any more; how many bytes they have.

        A worker may be about to open one: the files go when they are dropped or replaced again.
        """
        dropped_bytes = self.used_bytes
        for path in self._retired.values():
            path.unlink(missing_ok=True)
        self._retired = {name: segment.path for name, segment in self._segments.items()}
        self._segments.clear()
        return dropped_bytes

    async def close(self) -> None:
        """Stop building."""
        if self._build is not None:
            self._build.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._build


def day_ranges(
    days: Iterable[date], positions: Mapping[date, int]
) -> tuple[tuple[date, date], ...]:
    """Ascending days as ranges, first and last included, over the days that have a position.

    A day that has none may lie inside a range: the segment has no rows of it.
    """
    ranges: list[tuple[date, date]] = []
    expected = -1
    for day in days:
        place = positions[day]
        if place == expected:
            ranges[-1] = (ranges[-1][0], day)
        else:
            ranges.append((day, day))
        expected = place + 1
    return tuple(ranges)


def _remove_files(path: Path) -> None:
    """Remove what a build has left."""
    for name in (path.name, f"{path.name}.part", f"{path.name}.part.wal"):
        with contextlib.suppress(OSError):
            path.with_name(name).unlink()


async def _build(job: CompactJob) -> bool:
    """Run the building process; False when it did not make the file."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", "-m", "lake_api.query.worker.compact"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={"LANG": "C.UTF-8", "TZ": "UTC", "MALLOC_ARENA_MAX": "2"},
    )
    try:
        async with asyncio.timeout(_BUILD_TIMEOUT_S):
            await process.communicate(to_frame(job))
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode == 0
