"""Copies of kept results on this machine, so that workers can read pages of them.

Belongs here: fetching a result once, and dropping the ones that were not read for longest.
Does not belong here: reading them (`lake_api.query.worker.extract`).

Results themselves are in the bucket: any process of the service gives their pages.
"""

import asyncio
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from lake_api.exports.objects import ExportObjects


class KeptFiles:
    """Files by object key, the least recently used dropped beyond a byte budget."""

    def __init__(self, objects: ExportObjects, *, directory: Path, budget_bytes: int) -> None:
        self._objects = objects
        self._directory = directory
        self._budget_bytes = budget_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._used: Counter[str] = Counter()
        self._locks: dict[str, asyncio.Lock] = {}

    @asynccontextmanager
    async def file(self, key: str) -> AsyncGenerator[str]:
        """The path of an object's copy, which stays until the block is left.

        Raises:
            FileNotFoundError: the object is gone.
            QueryUnavailable: storage does not answer.
        """
        path = self._path(key)
        self._used[key] += 1
        try:
            async with self._locks.setdefault(key, asyncio.Lock()):
                if key not in self._sizes:
                    await self._objects.download(key, path)
                    self._sizes[key] = path.stat().st_size
            self._sizes.move_to_end(key)
            self._drop_oldest()
            yield str(path)
        finally:
            self._used[key] -= 1
            if not self._used[key]:
                del self._used[key]
                self._locks.pop(key, None)

    def _drop_oldest(self) -> None:
        used_bytes = sum(self._sizes.values())
        for key in list(self._sizes):
            if used_bytes <= self._budget_bytes:
                return
            if key not in self._used:
                used_bytes -= self._sizes.pop(key)
                self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._directory / key.rpartition("/")[2]
