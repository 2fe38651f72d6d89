"""Copies of kept results on this machine, so that workers can read pages of them.

Belongs here: fetching a result once, and dropping the ones that were not read for longest.
Does not belong here: reading them (`lake_api.query.worker.extract`).

Results themselves are in the bucket: any process of the service gives their pages. A copy that was
touched since it was fetched is fetched again.
"""

import asyncio
import contextlib
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.exports.objects import ExportObjects
from lake_api.query.file_check import Stamp, is_untouched, stamp_of

DAMAGED = "cached_data_damaged"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    path: Path
    stamp: Stamp

    @property
    def is_touched(self) -> bool:
        return not is_untouched(str(self.path), self.stamp)


class KeptFiles:
    """Files by object key, the least recently used dropped beyond a byte budget."""

    def __init__(self, objects: ExportObjects, *, directory: Path, budget_bytes: int) -> None:
        self._objects = objects
        self._directory = directory
        self._budget_bytes = budget_bytes
        self._copies: OrderedDict[str, _Copy] = OrderedDict()
        self._used: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def file(self, key: str) -> AsyncGenerator[str]:
        """The path of an object's copy, which stays until the block is left.

        Raises:
            FileNotFoundError: the object is gone.
            QueryUnavailable: storage does not answer, the disk is full, or the copy was touched
                while the block read it (`cached_data_damaged`).
        """
        self._used[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                copy = self._copies.get(key)
                if copy is None or copy.is_touched:
                    copy = await self._fetch(key)
            self._copies.move_to_end(key)
            self._drop_oldest(self._budget_bytes)
            try:
                yield str(copy.path)
            except (QueryRejected, QueryUnavailable) as error:
                if copy.is_touched:
                    raise _damaged() from error
                raise
            if copy.is_touched:
                raise _damaged()
        finally:
            self._used[key] -= 1
            if not self._used[key]:
                del self._used[key]
                self._locks.pop(key, None)

    async def _fetch(self, key: str) -> _Copy:
        """A new copy under a name that no damaged one has had."""
        self._drop(key)
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._directory / f"{secrets.token_hex(4)}-{key.rpartition('/')[2]}"
        try:
            await self._objects.download(key, path)
        except QueryUnavailable as error:
            if error.code != "cache_full" or not self._drop_oldest(0):
                raise
            await self._objects.download(key, path)
        stamp = stamp_of(str(path))
        if stamp is None:
            raise _damaged()
        copy = self._copies[key] = _Copy(path=path, stamp=stamp)
        return copy

    def _drop_oldest(self, budget_bytes: int) -> int:
        """Drop what nobody reads until the rest is within the budget; how many bytes it was."""
        used_bytes = before = sum(copy.stamp.size_bytes for copy in self._copies.values())
        for key, copy in list(self._copies.items()):
            if used_bytes <= budget_bytes:
                break
            if key not in self._used:
                used_bytes -= copy.stamp.size_bytes
                self._drop(key)
        return before - used_bytes

    def _drop(self, key: str) -> None:
        copy = self._copies.pop(key, None)
        if copy is not None:
            with contextlib.suppress(OSError):
                copy.path.unlink()


def _damaged() -> QueryUnavailable:
    return QueryUnavailable(
        "The local copy of the result was damaged while it was read.",
        code=DAMAGED,
        hint="Nothing is wrong with the request, nor with the result; the copy is fetched again. "
        "Try again; if it stays, the operator must look at the cache's disk.",
        retry=True,
    )
