"""The service of the HTTP tests, and services whose audit table a test may read and break."""

import asyncio
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString, cast
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest

from lake_api.audit.log import AuditEntry, AuditLog
from lake_api.database.database import Database
from lake_api.database.group_writer import GroupWriter
from lake_api.stack.postgres import PostgresServer
from lake_assets.catalog import Dataset, load_catalog
from tests.api.conftest import (
    catalog,
    database_in,
    open_service,
    problem,
    serve,
    service,
    shared_service,
    start_service,
)
from tests.usage.conftest import own_service

__all__ = [
    "catalog",
    "open_service",
    "own_service",
    "problem",
    "serve",
    "service",
    "shared_service",
    "start_service",
]


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return load_catalog()["platform/lake_query_audit"]


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database of the service, of each kind."""
    if request.param == "sqlite":
        yield database_in(tmp_path)
        return
    postgres: PostgresServer = request.getfixturevalue("postgres")
    name = cast(LiteralString, f"audited_{uuid.uuid4().hex[:12]}")
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield urlunsplit(urlsplit(postgres.url)._replace(path=f"/{name}"))
    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def record(url: str, *moments: datetime, **fields: Any) -> None:
    """A row for each moment."""

    async def write() -> None:
        await (await Database.open(url)).close()
        async with GroupWriter(url) as writer:
            for moment in moments:
                log = AuditLog(writer, clock=lambda moment=moment: moment, with_sql=True)
                entry = AuditEntry(action="query", caller=None, outcome="ok", **fields)
                await log.record(entry)

    asyncio.run(write())
