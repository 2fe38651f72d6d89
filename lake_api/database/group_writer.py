"""Small writes of many callers, committed together; each caller waits for its own commit.

Belongs here: one transaction at a time, on a connection and a thread of its own.
Does not belong here: what is written (`audit.log`, `usage.day_sums`); reading.

While one transaction commits, the writes that arrive wait for the next one and share it: under
load a commit costs its callers a fraction, and alone a caller waits for nobody. One thread and one
connection, because hops between threads would cost more than the write itself.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Engine, Executable
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError

from lake_api.database.database import database_unavailable, open_engine
from lake_api.errors import ServiceUnavailable

_MAX_BATCH = 512
_MAX_WAITING = 10_000
_WAIT_S = 5.0
_CLOSE_S = 10.0

_log = logging.getLogger("lake_api.database")


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One row for one statement. Within a batch, rows are written in the order of `key`.

    Statements that update rows must name them by `key`: two processes that lock the same rows in
    one order never wait for each other in a circle.
    """

    statement: Executable
    row: Mapping[str, Any]
    key: str = ""


@dataclass(frozen=True, slots=True)
class _Waiting:
    writes: Sequence[Write]
    done: asyncio.Future[None]


class GroupWriter:
    """Writes to the service's database at a URL."""

    def __init__(self, url: str) -> None:
        self._engine: Engine = open_engine(url, lock_timeout_s=_WAIT_S)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="group-writer")
        self._waiting: list[_Waiting] = []
        self._task: asyncio.Task[None] | None = None

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._engine.dialect.name

    async def write(self, writes: Sequence[Write]) -> None:
        """Write all of them in one transaction; done when it is committed.

        Raises:
            ServiceUnavailable: they could not be written, or not in time (`database_unavailable`).
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise database_unavailable()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(writes, done))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._write_waiting())
        try:
            async with asyncio.timeout(_WAIT_S):
                # A caller that goes away does not take its row along.
                await asyncio.shield(done)
        except TimeoutError:
            raise database_unavailable() from None

    async def close(self) -> None:
        """Write what waits, then let go of the connection."""
        if self._task is not None:
            await asyncio.wait([self._task], timeout=_CLOSE_S)
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _write_waiting(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:_MAX_BATCH], self._waiting[_MAX_BATCH:]
            failures = await loop.run_in_executor(self._thread, self._commit_all, batch)
            for one, failure in zip(batch, failures, strict=True):
                if one.done.cancelled():
                    continue
                if failure is None:
                    one.done.set_result(None)
                else:
                    one.done.set_exception(failure)
                    # Nobody may be waiting any more; who is gets it all the same.
                    one.done.exception()

    def _commit_all(self, batch: Sequence[_Waiting]) -> list[ServiceUnavailable | None]:
        """In the thread: one transaction for all, or one for each where that does not work."""
        failure = self._commit([write for one in batch for write in one.writes])
        if failure is None or len(batch) == 1 or _is_of_all(failure):
            return [None if failure is None else _told(failure)] * len(batch)
        # One bad row must not cost the others theirs.
        failures = [self._commit(one.writes) for one in batch]
        return [None if one is None else _told(one) for one in failures]

    def _commit(self, writes: Sequence[Write]) -> Exception | None:
        by_statement: dict[Executable, list[Write]] = {}
        for write in writes:
            by_statement.setdefault(write.statement, []).append(write)
        failure = self._try_commit(by_statement)
        if failure is not None and _is_lost(failure):
            # A connection that had been idle: the pool has forgotten it, the next one is new.
            failure = self._try_commit(by_statement)
        return failure

    def _try_commit(self, by_statement: Mapping[Executable, Sequence[Write]]) -> Exception | None:
        try:
            with self._engine.begin() as connection:
                for statement, writes in by_statement.items():
                    rows = [one.row for one in sorted(writes, key=lambda one: one.key)]
                    connection.execute(statement, rows)
        except (SQLAlchemyError, OSError) as error:
            return error
        return None


def _is_lost(error: Exception) -> bool:
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _is_of_all(error: Exception) -> bool:
    """Whether it is the database that failed, and not one of the rows."""
    return isinstance(error, OperationalError | InterfaceError | OSError) or _is_lost(error)


def _told(error: Exception) -> ServiceUnavailable:
    _log.error("could not be written", exc_info=error)
    return database_unavailable()
