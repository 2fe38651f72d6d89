import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, date, datetime

import pytest

from lake_api.datasets.profile_store import ProfileStore
from lake_api.datasets.schemas import DatasetProfile
from lake_api.errors import QueryUnavailable
from lake_api.query.snapshot import Snapshot, StoredPartition
from lake_assets.catalog import load_catalog

AT = datetime(2026, 11, 22, tzinfo=UTC)
DATASETS = tuple(load_catalog())


def snapshot(etag: str = "a", *, place: int = 0, days: int = 1) -> Snapshot:
    return Snapshot(
        dataset=DATASETS[place],
        version="v",
        partitions=tuple(
            StoredPartition(
                day=date(2026, 11, day + 1), key=f"k{day}", etag=etag, size_bytes=1, written_at=AT
            )
            for day in range(days)
        ),
    )


def profile(rows: int) -> DatasetProfile:
    return DatasetProfile(
        partition="p", sql_name="p", days=None, day_count=0, is_whole=True, rows=rows, columns=(),
        measured_at=AT, warnings=(),
    )  # fmt: skip


class Work:
    """Computes profiles when it is let, and counts how often."""

    def __init__(self) -> None:
        self.started = 0
        self.go = asyncio.Event()
        self.failure: Exception | None = None

    async def __call__(self) -> DatasetProfile:
        self.started += 1
        rows = self.started
        await self.go.wait()
        if self.failure is not None:
            raise self.failure
        return profile(rows)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await test()

    asyncio.run(bounded())


async def until(found: Callable[[], bool]) -> None:
    while not found():
        await asyncio.sleep(0)


def test_those_who_ask_at_the_same_time_wait_together() -> None:
    async def test() -> None:
        store, work = ProfileStore(), Work()
        asked = [asyncio.create_task(store.get(snapshot(), work)) for _ in range(5)]
        await until(lambda: work.started == 1)
        work.go.set()
        assert [one.rows for one in await asyncio.gather(*asked)] == [1] * 5
        assert (await store.get(snapshot(), work)).rows == 1

    run(test)


def test_other_objects_are_another_profile() -> None:
    async def test() -> None:
        store, work = ProfileStore(), Work()
        work.go.set()
        assert (await store.get(snapshot("a"), work)).rows == 1
        assert store.peek(snapshot("b")) is None
        assert (await store.get(snapshot("b"), work)).rows == 2
        # One profile is kept for each dataset.
        assert store.peek(snapshot("a")) is None
        assert store.peek(snapshot("b", days=2)) is None

    run(test)


def test_who_leaves_stops_nobody_else() -> None:
    async def test() -> None:
        store, work = ProfileStore(), Work()
        leaver = asyncio.create_task(store.get(snapshot(), work))
        stayer = asyncio.create_task(store.get(snapshot(), work))
        await until(lambda: work.started == 1)
        leaver.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaver
        work.go.set()
        assert (await stayer).rows == 1

    run(test)


def test_a_failure_is_not_kept_and_not_passed_on() -> None:
    async def test() -> None:
        store, failing, working = ProfileStore(), Work(), Work()
        failing.failure = QueryUnavailable("No.", code="too_busy")
        first = asyncio.create_task(store.get(snapshot(), failing))
        await until(lambda: failing.started == 1)
        second = asyncio.create_task(store.get(snapshot(), working))
        working.go.set()
        failing.go.set()
        with pytest.raises(QueryUnavailable):
            await first
        assert (await second).rows == 1
        assert working.started == 1

    run(test)


def test_the_least_recently_used_is_dropped() -> None:
    async def test() -> None:
        store, work = ProfileStore(kept=2), Work()
        work.go.set()
        for place in (0, 1, 0, 2):
            await store.get(snapshot(place=place), work)
        assert store.peek(snapshot(place=1)) is None
        assert store.peek(snapshot(place=0)) is not None
        assert store.peek(snapshot(place=2)) is not None

    run(test)
