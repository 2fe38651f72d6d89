"""A full disk below the cache: what can be evicted is, and what can't is told as what it is."""

import errno
import os
import subprocess
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from lake_api.errors import QueryUnavailable
from lake_api.query import disk_room
from lake_api.query.object_cache import ObjectCache
from lake_api.query.reader_store import open_whole
from tests.conftest import remove_bucket
from tests.query.conftest import RUNS, RUNS_SCHEMA, Lake
from tests.query.test_object_cache import Cache

MB = 1_000_000
DISK_BYTES = 8 * MB
DAYS = [date(2026, 11, number) for number in range(1, 13)]


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory) -> Iterator[Path]:
    """A file system of eight megabytes."""
    directory = tmp_path_factory.mktemp("disk")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", str(directory)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("no file system may be mounted here")
    yield directory
    subprocess.run(["umount", "--lazy", str(directory)], check=True)


def megabyte_of_runs(day: date) -> pa.Table:
    """Rows that do not compress."""
    names = [os.urandom(50).hex() for _ in range(8_000)]
    at = pa.scalar(int(day.strftime("%s")) * 1_000_000, pa.timestamp("us", tz="UTC"))
    return pa.table(
        {
            "run_id": names,
            "agent_id": ["aurora"] * len(names),
            "tokens": [1] * len(names),
            "cost_usd": pa.nulls(len(names), pa.decimal128(18, 6)),
            "created_at": [at.as_py()] * len(names),
        },
        schema=RUNS_SCHEMA,
    )


@pytest.fixture(scope="module")
def full_lake(new_lake, small_disk) -> Iterator[Lake]:
    """Twelve days of a megabyte each, whose cache lies on a disk of eight."""
    lake = new_lake()
    lake.cache = small_disk
    for day in DAYS:
        lake.put(RUNS, day, megabyte_of_runs(day))
    lake.start(LAKE_RESULT_CACHE_BYTES="1")
    yield lake
    lake.stop()
    remove_bucket(lake.location)


def count(lake: Lake, first: date, last: date) -> int:
    sql = f"""
        SELECT count(*) FROM agent_run_log
        WHERE date BETWEEN DATE '{first}' AND DATE '{last}' AND run_id <> 'none'
    """
    return lake.rows(sql)[0][0]


def test_day_after_day_is_read_through_a_disk_that_has_no_room_for_all(full_lake):
    for day in [*DAYS, *DAYS]:
        assert count(full_lake, day, day) == 8_000
    stats = full_lake.engine.stats()
    assert stats.cache_bytes <= stats.cache_budget_bytes < DISK_BYTES
    assert full_lake.background.run(full_lake.engine.status())["cache"]


def test_more_than_the_disk_has_is_told_as_that_and_the_next_query_is_right(full_lake):
    with pytest.raises(QueryUnavailable) as caught:
        count(full_lake, DAYS[0], DAYS[-1])
    assert (caught.value.code, caught.value.retry) == ("cache_full", True)
    assert count(full_lake, DAYS[0], DAYS[4]) == 5 * 8_000
    assert full_lake.background.run(full_lake.engine.status())["cache"]


def test_somebody_else_fills_the_disk(full_lake, small_disk):
    """What is free is what counts: the cache gives way, tells, and comes back."""
    assert count(full_lake, DAYS[0], DAYS[2]) == 3 * 8_000
    other = small_disk / "other"
    with other.open("wb") as file:
        free = os.statvfs(small_disk)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    # Cached days go for the one that is needed.
    assert count(full_lake, DAYS[9], DAYS[9]) == 8_000
    full_lake.engine.drop_caches()
    with other.open("ab") as file:
        free = os.statvfs(small_disk)
        size = free.f_bavail * free.f_frsize - 200_000
        os.posix_fallocate(file.fileno(), other.stat().st_size, size)
    with pytest.raises(QueryUnavailable) as caught:
        count(full_lake, DAYS[0], DAYS[0])
    assert caught.value.code == "cache_full"
    assert not full_lake.background.run(full_lake.engine.status())["cache"]
    other.unlink()
    assert full_lake.background.run(full_lake.engine.status())["cache"]
    assert count(full_lake, DAYS[0], DAYS[0]) == 8_000


def test_a_service_starts_on_a_disk_that_is_full_of_its_own_files(full_lake, small_disk):
    assert count(full_lake, DAYS[0], DAYS[4]) == 5 * 8_000
    full_lake.stop()
    other = small_disk / "other"
    with other.open("wb") as file:
        free = os.statvfs(small_disk)
        os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_frsize)
    full_lake.start(LAKE_RESULT_CACHE_BYTES="1")
    assert count(full_lake, DAYS[7], DAYS[7]) == 8_000
    other.unlink()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_write_that_fails_has_idle_objects_evicted(lake, tmp_path, monkeypatch, code):
    """Quotas and limits of file sizes show only when a write fails."""
    cache = Cache(lake, tmp_path / "objects", budget_bytes=MB)
    days = [DAYS[0] + timedelta(days=number) for number in range(3)]
    one, two, three = (cache.put(bytes(100_000), day=day) for day in days)
    cache.read(one)
    cache.read(two)
    real = os.write

    def write(file: int, data: object) -> int:
        if sum(path.stat().st_size for path in tmp_path.rglob("*.parquet")) >= 200_000:
            raise OSError(code, os.strerror(code))
        return real(file, data)

    monkeypatch.setattr("lake_api.query.object_fetch.os.write", write)
    assert cache.read(three) == [bytes(100_000)]
    assert cache.cache.used_bytes == 100_000
    assert cache.lake.background.run(cache.cache.is_writable())


@pytest.mark.parametrize("code", [errno.EROFS, errno.EIO, errno.EACCES])
def test_a_directory_that_can_not_be_written_is_told(lake, tmp_path, monkeypatch, code):
    cache = Cache(lake, tmp_path / "objects", budget_bytes=MB)
    wanted = cache.put(b"content")

    def write(_file: int, _data: object) -> int:
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr("lake_api.query.object_fetch.os.write", write)
        with pytest.raises(QueryUnavailable) as caught:
            cache.read(wanted)
    assert (caught.value.code, caught.value.retry) == ("cache_unwritable", True)
    assert errno.errorcode[code] in caught.value.detail
    assert cache.read(wanted) == [b"content"]


def test_the_budget_is_no_more_than_the_disk_has(lake, tmp_path, monkeypatch):
    monkeypatch.setattr(disk_room, "room_bytes", lambda _: 250)
    cache = ObjectCache(
        open_whole(lake.location),
        directory=tmp_path / "objects",
        budget_bytes=MB,
        on_removed=lambda _: None,
    )
    assert cache.budget_bytes == 250
