"""An interrupt reaches a call that waits in the driver, and ends its statement."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from datetime import date

import psycopg
import pytest

from lake_assets.catalog import snapshot
from lake_assets.sources.errors import SourceLocked
from lake_assets.sources.platform import open_export
from lake_assets.sources.waiting import interruptible

LAMPS = snapshot(
    "house/lamps",
    "Lamps.",
    group="House",
    table="house_lamps",
    tasks="lake.export_lamps",
    columns="lamp string! One.\nupdated_at timestamp!",
)
DAY = date(2026, 11, 23)


class Interrupted(BaseException):
    """What the signal raises."""


@pytest.fixture
def interrupt() -> Iterator[threading.Event]:
    """Interrupts the main thread, half a second after it is set."""

    def handle(*_: object) -> None:
        raise Interrupted

    ready = threading.Event()

    def send() -> None:
        if ready.wait(20):
            threading.Event().wait(0.5)
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, handle)
    thread = threading.Thread(target=send)
    thread.start()
    yield ready
    ready.set()
    thread.join()
    signal.signal(signal.SIGUSR1, before)


def statements(url: str) -> list[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'lake-export'"
            " AND state = 'active'"
        )
        return [row[0] for row in rows]


@pytest.fixture
def lamps(postgres) -> Iterator[str]:
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("CREATE TABLE house_lamps (lamp text, updated_at timestamptz)")
        yield postgres.url
        connection.execute("DROP TABLE house_lamps CASCADE")


def export(url: str, **options: float) -> None:
    with open_export(url, LAMPS, **options) as source, closing(source.day(DAY)) as batches:
        list(batches)


def test_an_export_that_waits_for_a_lock_ends_with_an_interrupt(lamps, interrupt):
    with psycopg.connect(lamps) as locking:
        locking.execute("LOCK TABLE house_lamps IN ACCESS EXCLUSIVE MODE")
        interrupt.set()
        with pytest.raises(Interrupted):
            export(lamps, lock_timeout_s=60)
    assert not statements(lamps)


def test_an_export_that_waits_for_rows_ends_with_an_interrupt(lamps, interrupt):
    with psycopg.connect(lamps, autocommit=True) as connection:
        connection.execute("ALTER TABLE house_lamps RENAME TO house_lamps_kept")
        connection.execute(
            "CREATE VIEW house_lamps AS SELECT pg_sleep(0.01)::text AS lamp, now() AS updated_at"
            " FROM generate_series(1, 100000)"
        )
    try:
        interrupt.set()
        with pytest.raises(Interrupted):
            export(lamps)
        assert not statements(lamps)
    finally:
        with psycopg.connect(lamps, autocommit=True) as connection:
            connection.execute("DROP VIEW house_lamps")
            connection.execute("ALTER TABLE house_lamps_kept RENAME TO house_lamps")


def test_a_lock_is_waited_for_as_long_as_it_is_said(lamps):
    with psycopg.connect(lamps) as locking:
        locking.execute("LOCK TABLE house_lamps IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(SourceLocked, match=r"^public\.house_lamps is locked by another"):
            export(lamps, lock_timeout_s=0.1)


def test_what_a_call_returns_after_the_interrupt_is_discarded(interrupt):
    go_on, discarded = threading.Event(), threading.Event()

    def call() -> str:
        go_on.wait(20)
        return "late"

    interrupt.set()
    with pytest.raises(Interrupted):
        interruptible(call, cancel=None, discard=lambda _: discarded.set())
    assert not discarded.is_set()
    go_on.set()
    assert discarded.wait(20)


def test_results_and_errors_of_a_call_come_through():
    assert interruptible(lambda: 5, cancel=None) == 5
    with pytest.raises(ZeroDivisionError):
        interruptible(lambda: 1 // 0, cancel=None)
