import asyncio
import json
import time
from dataclasses import replace
from datetime import date

import obstore
import pytest

from lake_api.errors import QueryUnavailable
from lake_api.query import snapshot as snapshot_module
from lake_api.query.cached_files import Wanted
from lake_api.query.file_book import FileBook, Part
from lake_api.query.reader_store import open_small
from lake_api.query.snapshot import SnapshotStore
from lake_assets.catalog import checks_key, data_key
from tests.query.conftest import NEVER, RUNS, USAGE, run_rows

DAY = date(2026, 11, 3)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def requests(monkeypatch):
    """Counts of the S3 requests that snapshots make, by kind."""
    counts = {"get": 0, "list": 0}
    real_get, real_list = obstore.get_async, obstore.list

    async def get_async(*args, **kwargs):
        counts["get"] += 1
        return await real_get(*args, **kwargs)

    def list_(*args, **kwargs):
        counts["list"] += 1
        return real_list(*args, **kwargs)

    monkeypatch.setattr(snapshot_module.obstore, "get_async", get_async)
    monkeypatch.setattr(snapshot_module.obstore, "list", list_)
    return counts


def store_of(lake, *, clock, relist_s=300.0) -> SnapshotStore:
    return SnapshotStore(open_small(lake.location), check_s=0.5, relist_s=relist_s, clock=clock)


def test_partitions_are_told_by_day(lake):
    for day in (DAY, date(2026, 11, 1)):
        lake.put(RUNS, day, run_rows(day, ["aurora"]))
    obstore.put(lake.writer, "raw/agent_run_log/date=2026-11-05/other.txt", b"x")
    found = lake.background.run(store_of(lake, clock=Clock()).get(RUNS))
    assert found.days == (date(2026, 11, 1), DAY)
    one = found.by_day[DAY]
    head = obstore.head(lake.writer, data_key(RUNS, DAY))
    assert (one.key, one.etag, one.size_bytes) == (head["path"], head["e_tag"], head["size"])
    assert one.written_at.tzinfo is not None


def test_a_warm_snapshot_asks_nothing_then_only_the_token(lake, requests):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    clock = Clock()
    store = store_of(lake, clock=clock)
    first = lake.background.run(store.get(RUNS))
    assert requests == {"get": 1, "list": 1}
    clock.now += 0.4
    assert lake.background.run(store.get(RUNS)) is first
    assert requests == {"get": 1, "list": 1}
    clock.now += 0.2
    assert lake.background.run(store.get(RUNS)) is first
    assert requests == {"get": 2, "list": 1}


def test_a_write_shows_as_soon_as_the_token_is_read(lake, requests):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    clock = Clock()
    store = store_of(lake, clock=clock)
    before = lake.background.run(store.get(RUNS))
    lake.put(RUNS, DAY, run_rows(DAY, ["sage"]))
    clock.now += 0.6
    after = lake.background.run(store.get(RUNS))
    assert after.version != before.version
    assert after.by_day[DAY].etag != before.by_day[DAY].etag
    assert requests["list"] == 2


def test_a_dataset_without_data_shows_its_first_day(lake):
    clock = Clock()
    store = store_of(lake, clock=clock)
    assert lake.background.run(store.get(NEVER)).partitions == ()
    lake.put(NEVER, DAY, run_rows(DAY, ["aurora"]))
    clock.now += 0.6
    assert lake.background.run(store.get(NEVER)).days == (DAY,)


def test_a_foreign_writer_shows_at_the_next_list(lake):
    clock = Clock()
    store = store_of(lake, clock=clock, relist_s=60)
    assert lake.background.run(store.get(RUNS)).version == ""
    obstore.put(lake.writer, data_key(RUNS, DAY), b"x")
    clock.now += 59
    assert lake.background.run(store.get(RUNS)).days == ()
    clock.now += 2
    assert lake.background.run(store.get(RUNS)).days == (DAY,)


def test_look_again_lists_although_the_token_is_the_same(lake):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    store = store_of(lake, clock=Clock())
    lake.background.run(store.get(RUNS))
    obstore.delete(lake.writer, data_key(RUNS, DAY))
    assert lake.background.run(store.look_again(RUNS)).days == ()


def test_those_who_ask_together_share_the_requests(lake, requests):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    store = store_of(lake, clock=Clock())

    async def ask():
        return await asyncio.gather(*(store.get(RUNS) for _ in range(50)))

    assert len({id(found) for found in lake.background.run(ask())}) == 1
    assert requests == {"get": 1, "list": 1}


def test_one_who_leaves_does_not_stop_the_others(lake):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    store = store_of(lake, clock=Clock())

    async def ask():
        leaving, staying = (
            asyncio.create_task(store.get(RUNS)),
            asyncio.create_task(store.get(RUNS)),
        )
        await asyncio.sleep(0)
        leaving.cancel()
        return await staying

    assert lake.background.run(ask()).days == (DAY,)


def test_recently_asked_datasets_stay_fresh_in_the_background(lake, requests):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))

    async def watch():
        store = SnapshotStore(open_small(lake.location), check_s=0.2, relist_s=300)
        store.start()
        await store.get(RUNS)
        lake.put(RUNS, date(2026, 11, 4), run_rows(DAY, ["sage"]))
        listed, until = requests["list"], time.monotonic() + 5
        while requests["list"] == listed and time.monotonic() < until:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        asked = requests["get"]
        found = await store.get(RUNS)
        at_once = requests["get"] == asked
        await store.close()
        return found.days, at_once, requests["list"]

    days, at_once, lists = lake.background.run(watch())
    assert days == (DAY, date(2026, 11, 4))
    assert at_once
    assert lists == 2


@pytest.mark.parametrize(
    "broken", [{"endpoint": "http://127.0.0.1:9"}, {"secret_key": "wrong"}, {"bucket": "no-such"}]
)
def test_storage_that_does_not_answer_is_told_soon(lake, broken):
    location = replace(lake.location, **broken)
    store = SnapshotStore(open_small(location), check_s=0.5, relist_s=300)
    started = time.monotonic()
    with pytest.raises(QueryUnavailable) as caught:
        lake.background.run(store.get(USAGE))
    assert time.monotonic() - started < 3.5
    assert (caught.value.code, caught.value.retry) == ("storage_unavailable", True)


def test_a_failed_check_is_told_of_the_object_that_it_is_about(lake):
    for day in (DAY, date(2026, 11, 1)):
        lake.put(RUNS, day, run_rows(day, ["aurora"]))
    etag = obstore.head(lake.writer, data_key(RUNS, DAY))["e_tag"].strip('"')
    verdicts = {
        DAY.isoformat(): {"etag": etag, "rows": 1, "failed": {"unique_key": "1 rows repeat a key"}},
        "2026-11-01": {"etag": "of an older object", "rows": 1, "failed": {"not_empty": "no rows"}},
        "2026-11-02": {"etag": etag, "rows": 1, "failed": {"not_empty": "no rows"}},
    }
    obstore.put(lake.writer, checks_key(RUNS), json.dumps({"days": verdicts}).encode())
    found = lake.background.run(store_of(lake, clock=Clock()).get(RUNS))
    assert found.failed_checks == {DAY: {"unique_key": "1 rows repeat a key"}}

    wanted = tuple(Wanted(dataset=RUNS, partition=one) for one in found.partitions)
    (said,) = FileBook().day_warnings(Part(snapshot=found, wanted=wanted))
    assert said == "`agent_run_log`: 2026-11-03 failed the check unique_key: 1 rows repeat a key"
    assert not list(FileBook().day_warnings(Part(snapshot=found, wanted=wanted[:1])))


def test_checks_that_are_not_ours_say_nothing(lake):
    lake.put(RUNS, DAY, run_rows(DAY, ["aurora"]))
    obstore.put(lake.writer, checks_key(RUNS), b"[]")
    assert not lake.background.run(store_of(lake, clock=Clock()).get(RUNS)).failed_checks
