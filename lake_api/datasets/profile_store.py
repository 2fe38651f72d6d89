"""Profiles that are still true: one for each dataset's snapshot, computed once.

Belongs here: keeping profiles, and waiting together for one that is being computed.
Does not belong here: computing one (`discovery`), who may see it (every caller is checked before).

A profile depends on nothing but the stored objects, so those who may read the dataset share it.
"""

import asyncio
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable

from lake_api.datasets.profile import covered
from lake_api.datasets.schemas import DatasetProfile
from lake_api.errors import QueryUnavailable
from lake_api.query.snapshot import Snapshot

_KEPT = 256

Key = tuple[str, bytes]


class ProfileStore:
    """The most recently used profiles, by dataset and content."""

    def __init__(self, *, kept: int = _KEPT) -> None:
        self._kept = kept
        self._profiles: OrderedDict[str, tuple[bytes, DatasetProfile]] = OrderedDict()
        self._running: dict[Key, asyncio.Task[DatasetProfile]] = {}
        self._waiting: Counter[asyncio.Task[DatasetProfile]] = Counter()

    def peek(self, snapshot: Snapshot) -> DatasetProfile | None:
        """The profile of this snapshot, where it is kept."""
        digest, profile = self._profiles.get(snapshot.dataset.partition, (None, None))
        return profile if digest == _digest(snapshot) else None

    async def get(
        self, snapshot: Snapshot, compute: Callable[[], Awaitable[DatasetProfile]]
    ) -> DatasetProfile:
        """The profile of this snapshot, computed when it is not kept.

        Raises:
            QueryUnavailable: it could not be computed in this caller's name.
        """
        while True:
            known = self.peek(snapshot)
            if known is not None:
                self._profiles.move_to_end(snapshot.dataset.partition)
                return known
            key = (snapshot.dataset.partition, _digest(snapshot))
            task = self._running.get(key)
            is_own = task is None
            if task is None:
                task = self._running[key] = asyncio.ensure_future(self._compute(key, compute))
                task.add_done_callback(lambda done, key=key: self._finish(key, done))
            self._waiting[task] += 1
            try:
                # A caller that leaves must not stop what others wait for.
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                if self._waiting[task] == 1:
                    # Nobody waits any more; who comes now begins another one.
                    self._running.pop(key, None)
                    task.cancel()
                    await asyncio.wait({task})
                raise
            except QueryUnavailable:
                if is_own:
                    raise
                # It failed in somebody else's name, perhaps for having too many queries.
            finally:
                self._waiting[task] -= 1
                if not self._waiting[task]:
                    del self._waiting[task]

    async def _compute(
        self, key: Key, compute: Callable[[], Awaitable[DatasetProfile]]
    ) -> DatasetProfile:
        profile = await compute()
        partition, digest = key
        self._profiles[partition] = digest, profile
        self._profiles.move_to_end(partition)
        while len(self._profiles) > self._kept:
            self._profiles.popitem(last=False)
        return profile

    def _finish(self, key: Key, task: "asyncio.Task[DatasetProfile]") -> None:
        if self._running.get(key) is task:
            del self._running[key]
        if not task.cancelled():
            # Marks the exception as seen when every caller has left.
            task.exception()


def _digest(snapshot: Snapshot) -> bytes:
    digest = hashlib.blake2b(f"{len(snapshot.partitions)}".encode(), digest_size=16)
    for one in covered(snapshot):
        digest.update(f"{one.day} {one.etag}\n".encode())
    return digest.digest()
