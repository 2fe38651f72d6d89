"""Looking at many datasets: in part where storage is slow, without lists after a restart."""

import asyncio
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import obstore
import pytest

from lake_api.errors import QueryUnavailable
from lake_api.query import snapshot as snapshot_module
from lake_api.query.reader_store import open_small
from lake_api.query.snapshot import Look, SnapshotStore
from lake_api.query.snapshot_files import SnapshotFiles
from lake_assets.catalog import dataset_prefix, version_key
from tests.query.conftest import NEVER, RUNS, USAGE, Lake, run_rows, usage_rows

DAY = date(2026, 11, 3)
ALL = [RUNS, USAGE, NEVER]


class Storage:
    """What is asked of S3, and for which datasets it is away or slow."""

    def __init__(self) -> None:
        self.gets: list[str] = []
        self.lists: list[str] = []
        self.away: set[str] = set()
        self.slow: set[str] = set()
        self.now = self.most = 0


@pytest.fixture
def storage(monkeypatch) -> Storage:
    storage = Storage()
    real_get, real_list = obstore.get_async, obstore.list

    async def get_async(store, key, **kwargs):
        storage.gets.append(key)
        storage.now += 1
        storage.most = max(storage.most, storage.now)
        try:
            if key in storage.away:
                raise obstore.exceptions.GenericError("away")
            if key in storage.slow:
                await asyncio.sleep(30)
            return await real_get(store, key, **kwargs)
        finally:
            storage.now -= 1

    def list_(store, prefix, **kwargs):
        storage.lists.append(prefix)
        return real_list(store, prefix, **kwargs)

    monkeypatch.setattr(snapshot_module.obstore, "get_async", get_async)
    monkeypatch.setattr(snapshot_module.obstore, "list", list_)
    return storage


class Process:
    """The snapshots of one process of the service; the next one finds its files."""

    def __init__(self, lake: Lake, directory: Path, **settings: float) -> None:
        self.lake = lake
        name = f"{lake.location.endpoint}/{lake.location.bucket}"
        options = {"check_s": 0.5, "relist_s": 300.0, **settings}
        self.store = SnapshotStore(
            open_small(lake.location), files=SnapshotFiles(directory, lake=name), **options
        )

    def survey(self, *, wait_s: float = 10.0) -> dict[str, Look]:
        looks = self.lake.background.run(self.store.survey(ALL, max_age_s=0.0, wait_s=wait_s))
        return {look.dataset.sql_name: look for look in looks}

    def get(self, dataset):
        return self.lake.background.run(self.store.get(dataset))

    def close(self) -> None:
        self.lake.background.run(self.store.close())


@pytest.fixture
def filled(lake) -> Lake:
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    lake.put(USAGE, DAY, usage_rows(DAY, ["small"]))
    return lake


def test_a_restarted_process_lists_only_what_was_written_since(filled, tmp_path, storage):
    first = Process(filled, tmp_path)
    before = first.survey()
    first.close()
    filled.put(USAGE, DAY + timedelta(days=1), usage_rows(DAY, ["small"]))
    storage.lists.clear()
    found = Process(filled, tmp_path).survey()
    # One without a token may have been written to by anybody.
    assert sorted(storage.lists) == sorted(map(dataset_prefix, (USAGE, NEVER)))
    assert all(look.is_current for look in found.values())
    assert found["agent_run_log"].snapshot == before["agent_run_log"].snapshot
    assert found["platform_llm_token_usage"].snapshot.days == (DAY, DAY + timedelta(days=1))


def test_a_query_after_a_restart_reads_what_an_old_list_would_miss(filled, tmp_path, storage):
    """A list of an earlier process is as good as one's own: until it is `relist_s` old."""
    first = Process(filled, tmp_path)
    first.survey()
    first.close()
    storage.lists.clear()
    assert Process(filled, tmp_path).get(RUNS).days == (DAY,)
    assert storage.lists == []
    assert Process(filled, tmp_path, relist_s=0.0).get(RUNS).days == (DAY,)
    assert storage.lists == [dataset_prefix(RUNS)]


def test_what_is_old_is_told_at_once_and_listed_afterwards(filled, tmp_path, storage):
    process = Process(filled, tmp_path, relist_s=0.3, check_s=0.1)
    process.survey()
    # A foreign writer changes no token.
    obstore.put(filled.writer, f"{dataset_prefix(RUNS)}date=2026-11-09/data.parquet", b"x")
    time.sleep(0.35)
    storage.lists.clear()
    assert process.survey()["agent_run_log"].snapshot.days == (DAY,)
    assert dataset_prefix(RUNS) not in storage.lists

    async def keep_fresh() -> None:
        process.store.start()
        async with asyncio.timeout(60):
            while (await process.store.get(RUNS)).days != (DAY, date(2026, 11, 9)):
                await asyncio.sleep(0.01)

    filled.background.run(keep_fresh())
    assert dataset_prefix(RUNS) in storage.lists
    process.close()


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: path.write_bytes(path.read_bytes()[:-20]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
        lambda path: path.write_bytes(path.read_bytes()[:40] + b"X" + path.read_bytes()[41:]),
        lambda path: path.unlink(),
        lambda path: path.unlink() or path.mkdir(),
        lambda path: path.write_bytes(
            path.with_name("platform_llm_token_usage.snapshot").read_bytes()
        ),
    ],
)
def test_a_damaged_file_is_no_snapshot(filled, tmp_path, storage, harm):
    first = Process(filled, tmp_path)
    before = first.survey()
    first.close()
    harm(tmp_path / "agent_run_log.snapshot")
    storage.lists.clear()
    found = Process(filled, tmp_path).survey()
    assert dataset_prefix(RUNS) in storage.lists
    assert found["agent_run_log"].snapshot == before["agent_run_log"].snapshot


def test_the_files_of_another_lake_are_no_snapshots(filled, new_lake, tmp_path):
    first = Process(filled, tmp_path)
    first.survey()
    first.close()
    other = new_lake()
    # Its token has the same content, and hence the same ETag.
    token = bytes(obstore.get(filled.writer, version_key(RUNS)).bytes())
    obstore.put(other.writer, version_key(RUNS), token)
    assert Process(other, tmp_path).survey()["agent_run_log"].snapshot.days == ()


def test_one_that_fails_or_is_slow_does_not_fail_the_others(filled, tmp_path, storage):
    storage.away = {version_key(RUNS)}
    storage.slow = {version_key(NEVER)}
    process = Process(filled, tmp_path)
    started = time.monotonic()
    found = process.survey(wait_s=0.5)
    assert time.monotonic() - started < 5
    assert found["platform_llm_token_usage"].is_current
    for name in ("agent_run_log", "never_written"):
        assert (found[name].snapshot, found[name].is_current) == (None, False)
    process.close()


def test_what_was_known_before_is_told_with_its_time(filled, tmp_path, storage):
    first = Process(filled, tmp_path)
    first.survey()
    first.close()
    storage.away = {version_key(one) for one in ALL}
    for process in (first, Process(filled, tmp_path)):
        time.sleep(0.01)
        look = process.survey(wait_s=0.0 if process is first else 5.0)["agent_run_log"]
        assert look.snapshot is not None
        assert look.snapshot.days == (DAY,)
        assert not look.is_current
        assert look.as_of is not None
        assert timedelta(0) <= datetime.now(tz=UTC) - look.as_of < timedelta(minutes=1)


def test_nothing_known_and_nothing_answered_is_an_error(filled, tmp_path, storage):
    storage.away = {version_key(one) for one in ALL}
    with pytest.raises(QueryUnavailable) as caught:
        Process(filled, tmp_path).survey()
    assert caught.value.code == "storage_unavailable"


def test_no_more_than_a_few_looks_at_once(filled, tmp_path, storage, monkeypatch):
    process = Process(filled, tmp_path)
    monkeypatch.setattr(process.store, "_turns", asyncio.Semaphore(2))
    found = process.survey()
    assert all(look.is_current for look in found.values())
    assert storage.most <= 2
