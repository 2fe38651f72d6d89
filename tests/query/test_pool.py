"""Queries that don't stop, workers that end, and what others see of it."""

import asyncio
import os
import signal
import time
from concurrent.futures import Future
from datetime import date

import psutil
import pytest

from lake_api.errors import QueryRejected, QueryUnavailable
from lake_api.query.guard import CheckedQuery
from tests.query.conftest import RUNS, run_rows
from tests.query.test_engine import poll
from tests.query.test_plan import checked

SLOW = "SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE a.range * b.range % 7 = 3"
BOMB = "SELECT length(regexp_extract_all(repeat('a', 200000), 'a*b|a')::VARCHAR)"
MEMORY_BOMB = "SELECT list(i::VARCHAR || repeat('x', 100)) FROM range(100000000) t(i)"
KILLER = "SELECT from_json('[]', (repeat('[', 40000) || '\"INT\"' || repeat(']', 40000))) AS v"
QUICK = "SELECT 41 + 1"


@pytest.fixture
def running(lake):
    """A lake with an engine of two workers that stops queries after a second."""
    lake.start(LAKE_QUERY_TIMEOUT_S="1")
    return lake


def start(lake, sql: str, **options) -> Future:
    """Run a text past the guard, which would refuse some of these."""
    query: CheckedQuery = checked(sql)
    return lake.background.start(lake.engine.run(query, limit=10, **options))


def failure(future: Future) -> QueryUnavailable:
    with pytest.raises(QueryUnavailable) as caught:
        future.result(timeout=30)
    return caught.value


def ask(lake, sql: str = QUICK) -> bytes:
    return start(lake, f"{sql} + {time.monotonic_ns()} * 0").result(timeout=30).rows_json


def pids(lake) -> set[int]:
    return set(lake.engine._pool.pids)


def test_a_query_that_can_be_interrupted_keeps_its_worker(running):
    before = pids(running)
    started = time.monotonic()
    error = failure(start(running, SLOW))
    assert (error.code, error.retry) == ("query_timeout", False)
    assert time.monotonic() - started < 2.5
    assert pids(running) == before
    assert ask(running) == b"[[42]]"


def test_a_call_that_ignores_interrupts_is_killed_and_the_pool_heals(running):
    before = pids(running)
    bomb, started = start(running, BOMB), time.monotonic()
    # The other worker serves meanwhile.
    assert ask(running) == b"[[42]]"
    assert time.monotonic() - started < 1
    assert failure(bomb).code == "query_timeout"
    assert time.monotonic() - started < 3
    poll(lambda: len(pids(running)) == 2 and len(pids(running) - before) == 1)
    again = [start(running, BOMB), start(running, BOMB)]
    assert [failure(one).code for one in again] == ["query_timeout"] * 2
    poll(lambda: running.engine._pool.is_ready)
    assert ask(running) == b"[[42]]"


def test_a_worker_that_is_killed_in_mid_query(lake):
    lake.start(LAKE_QUERY_WORKERS="1")
    future = start(lake, SLOW)
    (pid,) = pids(lake)
    poll(lambda: psutil.Process(pid).cpu_times().user > 0.3 and not future.done())
    os.kill(pid, signal.SIGKILL)
    error = failure(future)
    assert (error.code, error.retry) == ("worker_lost", True)
    assert ask(lake) == b"[[42]]"
    assert pids(lake) != {pid}


def test_a_text_that_ends_its_worker_is_refused_for_a_while(running):
    error = failure(start(running, KILLER))
    assert (error.code, error.retry) == ("query_ends_worker", False)
    with pytest.raises(QueryRejected) as refused:
        start(running, KILLER).result(timeout=30)
    assert refused.value.code == "query_ends_worker"
    assert "refused until 20" in str(refused.value)
    # Others go on, and so does the same engine with other texts.
    assert ask(running) == b"[[42]]"
    poll(lambda: running.engine._pool.alive == 2)


def test_a_worker_that_is_killed_while_idle_is_replaced(running):
    victim = min(pids(running))
    os.kill(victim, signal.SIGKILL)
    poll(lambda: victim not in pids(running))
    for _ in range(4):
        assert ask(running) == b"[[42]]"


def test_a_memory_bomb_is_told_as_such(lake):
    lake.start()
    before = pids(lake)
    error = failure(start(lake, MEMORY_BOMB))
    assert error.code == "out_of_memory"
    assert "memory" in error.detail
    assert ask(lake) == b"[[42]]"
    # The worker that was short of memory is replaced: what it took is not all given back.
    poll(lambda: len(pids(lake)) == 2 and pids(lake) != before)
    for pid in pids(lake):
        assert psutil.Process(pid).memory_info().rss < 300_000_000


def test_a_caller_who_leaves_stops_the_query(lake):
    lake.start(LAKE_QUERY_WORKERS="1")
    future = start(lake, SLOW)
    (pid,) = pids(lake)
    poll(lambda: psutil.Process(pid).cpu_times().user > 0.3)
    future.cancel()
    started = time.monotonic()
    assert ask(lake) == b"[[42]]"
    assert time.monotonic() - started < 3
    assert pids(lake) == {pid}


def test_too_many_queries_are_refused_at_once(lake):
    lake.start(LAKE_QUERY_WORKERS="1", LAKE_QUERY_QUEUE="1", LAKE_QUERY_TIMEOUT_S="1")
    futures = [start(lake, f"{SLOW} AND a.range <> {number}") for number in range(3)]
    codes = sorted(failure(future).code for future in futures)
    # (The one that waits may get the worker in the moment in which its own time is over.)
    assert codes in (["query_timeout", one, "too_busy"] for one in ("query_timeout", "too_busy"))


def test_a_heavy_agent_does_not_starve_a_light_one(lake):
    lake.start(LAKE_QUERY_TIMEOUT_S="2")
    heavy = [start(lake, f"{SLOW} AND a.range <> {n}", agent="heavy") for n in range(4)]
    started = time.monotonic()
    for number in range(10):
        light = start(lake, f"SELECT {number}", agent="light")
        assert light.result(timeout=30).row_count == 1
    assert time.monotonic() - started < 1.5
    assert not all(future.done() for future in heavy)
    assert {failure(future).code for future in heavy} <= {"query_timeout", "too_busy"}


def test_one_agent_has_only_so_many(lake):
    lake.start(LAKE_AGENT_CONCURRENCY="2", LAKE_QUERY_TIMEOUT_S="1")
    futures = [start(lake, f"{SLOW} AND a.range <> {n}", agent="a") for n in range(3)]
    assert [failure(future).code for future in futures].count("too_busy") >= 1


def test_many_at_once_all_get_their_own_answer(lake):
    lake.start()

    async def many():
        return await asyncio.gather(
            *(lake.engine.run(checked(f"SELECT {number}"), limit=10) for number in range(60))
        )

    answers = lake.background.run(many())
    assert [answer.rows_json for answer in answers] == [b"[[%d]]" % n for n in range(60)]


def test_nothing_is_left_when_the_engine_is_closed(lake):
    lake.start()
    started = pids(lake)
    assert len(started) == 2
    lake.stop()
    assert not [pid for pid in started if psutil.pid_exists(pid)]


def test_light_queries_are_served_while_agents_ask_heavy_ones(lake):
    day = date(2026, 11, 3)
    lake.put(RUNS, day, run_rows(day, ["aurora"]))
    lake.start(LAKE_HEAVY_WORKERS="1", LAKE_HEAVY_BYTES="1", LAKE_QUERY_TIMEOUT_S="5")
    pids = lake.engine._pool.pids
    usual = os.nice(0)
    niceness = sorted(psutil.Process(pid).nice() for pid in pids)
    assert niceness == [usual, usual, min(usual + 10, 19)]
    heavy_sql = f"SELECT count(*) FROM agent_run_log, ({SLOW})"
    heavy = [start(lake, heavy_sql, agent=f"heavy-{number}") for number in range(3)]
    poll(lambda: lake.engine.stats().workers_busy == 2)

    for _ in range(5):
        started = time.monotonic()
        assert ask(lake) == b"[[42]]"
        assert time.monotonic() - started < 2

    assert not any(one.done() for one in heavy)
    assert lake.engine.stats().queue_length == 1
    codes = {failure(one).code for one in heavy}
    assert codes <= {"query_timeout", "too_busy"}
