"""Workers that are replaced on demand, without a query that notices."""

import pytest

from tests.query.test_engine import poll
from tests.query.test_pool import QUICK, SLOW, ask, failure, pids, start


def recycle(lake):
    return lake.background.start(lake.engine.recycle_workers())


def test_idle_workers_are_all_new_ones(lake):
    lake.start(LAKE_QUERY_WORKERS="2", LAKE_HEAVY_WORKERS="1")
    before = pids(lake)
    assert recycle(lake).result(timeout=30) == 3
    assert len(pids(lake)) == 3
    assert not pids(lake) & before
    assert ask(lake) == b"[[42]]"


def test_a_busy_worker_ends_its_query_first(lake):
    lake.start(LAKE_QUERY_WORKERS="1")
    before = pids(lake)
    slow = start(lake, SLOW, timeout_s=1)
    poll(lambda: lake.engine.stats().workers_busy == 1)
    recycling = recycle(lake)
    waiting = start(lake, QUICK)
    # Stopped by its own deadline, not by the recycling.
    assert failure(slow).code == "query_timeout"
    assert recycling.result(timeout=30) == 1
    assert waiting.result(timeout=30).rows_json == b"[[42]]"
    assert not pids(lake) & before


def test_who_stops_waiting_changes_nothing(lake):
    lake.start(LAKE_QUERY_WORKERS="1")
    before = pids(lake)
    slow = start(lake, SLOW, timeout_s=1)
    poll(lambda: lake.engine.stats().workers_busy == 1)
    with pytest.raises(TimeoutError):
        recycle(lake).result(timeout=0.2)
    assert failure(slow).code == "query_timeout"
    poll(lambda: len(pids(lake)) == 1 and not pids(lake) & before)
    assert ask(lake) == b"[[42]]"
