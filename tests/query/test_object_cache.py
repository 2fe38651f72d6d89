import asyncio
import os
import threading
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import obstore
import pytest

from lake_api.errors import QueryUnavailable
from lake_api.query import object_fetch as object_fetch_module
from lake_api.query.cache_slot import CacheSlot
from lake_api.query.cached_files import ObjectChanged, Wanted
from lake_api.query.object_cache import ObjectCache
from lake_api.query.reader_store import open_small, open_whole
from lake_api.query.snapshot import SnapshotStore
from tests.query.conftest import RUNS

DAY = date(2026, 11, 3)


class Cache:
    """An object cache over a lake, and what it did."""

    def __init__(self, lake, directory: Path, *, budget_bytes: int = 1_000_000) -> None:
        self.lake = lake
        self.removed: list[str] = []
        self.cache = ObjectCache(
            open_whole(lake.location),
            directory=directory,
            budget_bytes=budget_bytes,
            on_removed=self.removed.append,
        )

    def put(self, content: bytes, *, day: date = DAY) -> Wanted:
        self.lake.put_bytes(RUNS, day, content)
        return self.wanted(day)

    def wanted(self, day: date = DAY) -> Wanted:
        return next(one for one in self.listed() if one.partition.day == day)

    def listed(self) -> list[Wanted]:
        """Every object of the dataset, oldest day first."""
        store = SnapshotStore(open_small(self.lake.location), check_s=0.5, relist_s=300)
        snapshot = self.lake.background.run(store.get(RUNS))
        return [Wanted(dataset=RUNS, partition=one) for one in snapshot.partitions]

    async def _read(self, wanted) -> list[bytes]:
        async with self.cache.pinned(wanted) as paths:
            return [Path(one.path).read_bytes() for one in paths]

    def read(self, *wanted: Wanted) -> list[bytes]:
        return self.lake.background.run(self._read(wanted))


@pytest.fixture
def fetches(monkeypatch):
    counts = {"now": 0, "most": 0, "all": 0}
    real = obstore.get
    lock = threading.Lock()

    def get(store, path, **kwargs):
        with lock:
            counts["now"] += 1
            counts["all"] += 1
            counts["most"] = max(counts["most"], counts["now"])
        try:
            return real(store, path, **kwargs)
        finally:
            with lock:
                counts["now"] -= 1

    monkeypatch.setattr(object_fetch_module.obstore, "get", get)
    return counts


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "objects"


def files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def test_an_object_is_fetched_once_and_named_for_hive(lake, directory, fetches):
    cache = Cache(lake, directory)
    wanted = cache.put(b"one")
    assert cache.read(wanted) == [b"one"]
    assert cache.read(wanted) == [b"one"]
    assert fetches["all"] == 1
    (path,) = files(directory)
    assert path.parent == directory / "agent_run_log" / "date=2026-11-03"
    assert path.suffix == ".parquet"
    assert cache.cache.used_bytes == 3


def test_a_rewritten_day_is_another_file_and_the_old_one_goes(lake, directory):
    cache = Cache(lake, directory)
    old = cache.put(b"old")
    assert cache.read(old) == [b"old"]
    assert cache.read(cache.put(b"newer")) == [b"newer"]
    assert [path.read_bytes() for path in files(directory)] == [b"newer"]
    assert cache.cache.used_bytes == 5
    assert len(cache.removed) == 1


def test_an_object_replaced_after_the_list_is_not_served(lake, directory):
    cache = Cache(lake, directory)
    stale = cache.put(b"old")
    lake.put_bytes(RUNS, DAY, b"new")
    with pytest.raises(ObjectChanged):
        cache.read(stale)
    obstore.delete(lake.writer, stale.partition.key)
    with pytest.raises(ObjectChanged):
        cache.read(stale)
    assert files(directory) == []
    assert cache.cache.used_bytes == 0


def test_many_are_fetched_at_once_and_each_once(lake, directory, fetches):
    cache = Cache(lake, directory)
    days = [DAY + timedelta(days=number) for number in range(60)]
    for day in days:
        lake.put_bytes(RUNS, day, str(day).encode())
    wanted = cache.listed()

    async def together():
        return await asyncio.gather(*(cache._read(wanted) for _ in range(3)))

    for found in lake.background.run(together()):
        assert found == [str(day).encode() for day in days]
    assert fetches["all"] == 60
    assert 1 < fetches["most"] <= 32


def test_the_least_recently_used_goes_first(lake, directory):
    cache = Cache(lake, directory, budget_bytes=250)
    days = [DAY + timedelta(days=number) for number in range(3)]
    one, two, three = (cache.put(bytes(100), day=day) for day in days)
    cache.read(one)
    cache.read(two)
    cache.read(one)
    cache.read(three)
    assert [path.parent.name[-2:] for path in files(directory)] == ["03", "05"]
    assert cache.cache.used_bytes == 200


def test_pinned_objects_stay(lake, directory):
    cache = Cache(lake, directory, budget_bytes=250)
    days = [DAY + timedelta(days=number) for number in range(3)]
    one, two, three = (cache.put(bytes(100), day=day) for day in days)

    async def hold():
        async with cache.cache.pinned([one, two]) as paths:
            with pytest.raises(QueryUnavailable) as caught:
                await cache._read([three])
            return caught.value.code, [Path(one.path).exists() for one in paths]

    assert lake.background.run(hold()) == ("too_busy", [True, True])
    assert cache.read(three) == [bytes(100)]


def test_more_than_the_budget_is_told_with_the_limit(lake, directory, fetches):
    cache = Cache(lake, directory, budget_bytes=250)
    wanted = cache.put(bytes(300))
    with pytest.raises(QueryUnavailable) as caught:
        cache.read(wanted)
    assert (caught.value.code, caught.value.retry) == ("object_too_large", False)
    assert "250" in caught.value.detail
    assert fetches["all"] == 0


def test_a_restart_finds_its_objects_and_drops_the_rest(lake, directory, fetches):
    cache = Cache(lake, directory)
    wanted, other = cache.put(b"one"), cache.put(b"two", day=date(2026, 11, 4))
    cache.read(wanted, other)
    kept, cut = files(directory)
    cut.chmod(0o600)
    cut.write_bytes(b"tw")
    (kept.parent / "x.parquet.7.part").write_bytes(b"half")
    after = Cache(lake, directory)
    assert after.cache.used_bytes == 5
    assert after.read(wanted, other) == [b"one", b"two"]
    assert fetches["all"] == 3
    assert after.cache.used_bytes == 6
    assert [path.suffix for path in files(directory)] == [".parquet", ".parquet"]


def test_one_who_leaves_stops_only_what_nobody_else_waits_for(lake, directory, monkeypatch):
    cache = Cache(lake, directory)
    shared, lonely = cache.put(b"shared"), cache.put(b"lonely", day=date(2026, 11, 4))
    real = obstore.get
    gate = threading.Event()
    asked = []

    def gated(*args, **kwargs):
        asked.append(args)
        assert gate.wait(10)
        return real(*args, **kwargs)

    async def run():
        monkeypatch.setattr(object_fetch_module.obstore, "get", gated)
        leaving = asyncio.create_task(cache._read([shared, lonely]))
        staying = asyncio.create_task(cache._read([shared]))
        while len(asked) < 2:
            await asyncio.sleep(0.001)
        leaving.cancel()
        await asyncio.wait({leaving})
        gate.set()
        return await staying, cache.cache.used_bytes

    assert lake.background.run(run()) == ([b"shared"], 6)
    # Threads that nobody waits for end on their own, and leave nothing.
    cache.cache.close()
    cache.cache._threads.shutdown(wait=True)
    assert [path.read_bytes() for path in files(directory)] == [b"shared"]
    assert Cache(lake, directory).read(lonely) == [b"lonely"]


def test_two_processes_take_two_slots(tmp_path):
    first, second = CacheSlot(tmp_path), CacheSlot(tmp_path)
    assert first.objects != second.objects
    first.release()
    again = CacheSlot(tmp_path)
    assert again.objects == first.objects
    assert os.stat(again.objects).st_mode & 0o077 == 0
    again.release()
    second.release()


class Damaging:
    """A result of a download whose bytes are changed on the way."""

    def __init__(self, result, change) -> None:
        self._result = result
        self._change = change
        self.meta = result.meta

    def stream(self, **options):
        for chunk in self._result.stream(**options):
            yield self._change(bytes(chunk))


def damage(monkeypatch, changes) -> list[int]:
    """Downloads give what the next of `changes` makes of them; which have been made."""
    real, made = obstore.get, []

    def get(store, path, **_):
        change = changes[min(len(made), len(changes) - 1)]
        made.append(len(made))
        # Whatever ETag a test invents, the object is the one that is there.
        return Damaging(real(store, path), change)

    monkeypatch.setattr(object_fetch_module.obstore, "get", get)
    return made


def same(content: bytes) -> bytes:
    return content


def test_a_download_that_arrives_damaged_is_repeated(lake, directory, monkeypatch):
    cache = Cache(lake, directory)
    wanted = cache.put(b"content")
    made = damage(monkeypatch, [lambda content: b"X" + content[1:], same])
    assert cache.read(wanted) == [b"content"]
    assert len(made) == 2
    assert len(files(directory)) == 1


def test_downloads_that_differ_each_time_are_told_with_dataset_and_day(
    lake, directory, monkeypatch
):
    cache = Cache(lake, directory)
    wanted = cache.put(b"content")
    changes = [lambda content: b"X" + content[1:], lambda content: b"Y" + content[1:]]
    damage(monkeypatch, changes)
    with pytest.raises(QueryUnavailable) as caught:
        cache.read(wanted)
    assert (caught.value.code, caught.value.retry) == ("stored_data_damaged", True)
    assert f"`agent_run_log` for {DAY}" in caught.value.detail
    assert files(directory) == []
    monkeypatch.undo()
    assert cache.read(wanted) == [b"content"]


def test_an_etag_that_only_looks_like_a_digest_is_no_damage(lake, directory, monkeypatch):
    """Objects encrypted with a key of a key service have such ETags."""
    cache = Cache(lake, directory)
    wanted = cache.put(b"content")
    other = replace(wanted, partition=replace(wanted.partition, etag=f'"{"0" * 32}"'))
    made = damage(monkeypatch, [same])
    assert cache.read(other) == [b"content"]
    assert len(made) == 2
    assert cache.read(other) == [b"content"]
    assert len(made) == 2


def test_one_who_leaves_during_a_check_leaves_the_file(lake, directory, fetches):
    cache = Cache(lake, directory)
    wanted = cache.put(b"content")
    assert cache.read(wanted) == [b"content"]

    async def leave() -> None:
        (path,) = files(directory)
        os.utime(path)
        leaving = asyncio.create_task(cache._read([wanted]))
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait({leaving})

    lake.background.run(leave())
    assert cache.read(wanted) == [b"content"]
    assert (fetches["all"], cache.cache.used_bytes) == (1, len(b"content"))
