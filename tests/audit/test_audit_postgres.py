"""The same on Postgres: rows that only grow, sums that replicas share, connections that break."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, LiteralString
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import psycopg
import pytest

from lake_api.audit.log import AuditEntry, AuditLog
from lake_api.database.database import Database
from lake_api.database.group_writer import GroupWriter
from lake_api.errors import ServiceUnavailable
from lake_api.identity import Caller, Role
from lake_api.stack.postgres import PostgresServer
from lake_api.tokens.grants import Grant
from lake_api.usage.day_sums import DaySums, Spent

SWARM, AGENT = uuid4(), uuid4()
CALLER = Caller(
    role=Role.AGENT,
    name="aurora",
    token_id=AGENT,
    swarm_id=SWARM,
    grant=Grant().inside(Grant()),
)
ENTRY = AuditEntry(action="query", caller=CALLER, outcome="ok", sql="SELECT 1", datasets=("a",))


@pytest.fixture
def url(postgres: PostgresServer) -> Iterator[str]:
    """An empty database of the test's own."""
    name: LiteralString = "service"
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name}")
    parts = urlsplit(postgres.url)
    yield urlunsplit(parts._replace(path=f"/{name}"))
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def now() -> datetime:
    return datetime(2026, 11, 22, 10, 30, tzinfo=UTC)


def count(url: str) -> int:
    with psycopg.connect(url) as connection:
        [found] = connection.execute("SELECT count(*) FROM audit").fetchone() or [-1]
    return found


def test_rows_of_two_replicas_and_the_sum_of_both(url: str) -> None:
    async def replica(number: int) -> None:
        async with GroupWriter(url) as writer:
            log = AuditLog(writer, clock=now, with_sql=False)
            sums = DaySums(database, clock=now, dialect=writer.dialect)
            spent = Spent(rows=number, bytes=10, ms=1)
            await asyncio.gather(
                *(log.record(ENTRY, beside=sums.charge(CALLER, spent)) for _ in range(200))
            )

    async def both() -> list[Any]:
        nonlocal database
        database = await Database.open(url)
        try:
            await asyncio.gather(replica(1), replica(2))
            sums = DaySums(database, clock=now, dialect="postgresql")
            return [await sums.spent(one) for one in (AGENT, SWARM)]
        finally:
            await database.close()

    database: Any = None
    assert asyncio.run(both()) == [Spent(rows=600, bytes=4_000, ms=400)] * 2
    assert count(url) == 400


@pytest.mark.parametrize(
    "statement", ["DELETE FROM audit", "UPDATE audit SET caller = 'nobody'", "TRUNCATE audit"]
)
def test_rows_can_not_be_changed(url: str, statement: LiteralString) -> None:
    async def write() -> None:
        await (await Database.open(url)).close()
        async with GroupWriter(url) as writer:
            await AuditLog(writer, clock=now, with_sql=False).record(ENTRY)

    asyncio.run(write())
    refused = pytest.raises(psycopg.errors.RaiseException, match="append-only")
    with psycopg.connect(url) as connection, refused:
        connection.execute(statement)
    assert count(url) == 1


def test_a_connection_that_was_cut_is_replaced_and_a_database_that_is_gone_is_told(
    url: str, postgres: PostgresServer
) -> None:
    def cut(*, close: bool) -> None:
        with psycopg.connect(postgres.url, autocommit=True) as connection:
            allowed: LiteralString = "false" if close else "true"
            connection.execute(f"ALTER DATABASE service ALLOW_CONNECTIONS {allowed}")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'service'"
            )

    async def write() -> None:
        await (await Database.open(url)).close()
        async with GroupWriter(url) as writer:
            log = AuditLog(writer, clock=now, with_sql=False)
            await log.record(ENTRY)
            cut(close=False)
            await log.record(ENTRY)
            cut(close=True)
            with pytest.raises(ServiceUnavailable) as told:
                await log.record(ENTRY)
            assert told.value.code == "audit_unavailable"
            cut(close=False)
            await log.record(ENTRY)

    asyncio.run(write())
    assert count(url) == 3
