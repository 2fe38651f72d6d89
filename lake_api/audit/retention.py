"""Removing audit rows that are old and in the lake.

Belongs here: which days may go, and in what order that is written down and done.
Does not belong here: what the database refuses to delete (its migrations), exporting a day
(`lake_assets`).

A day goes when it is older than `LAKE_AUDIT_DAYS`, and the dataset in the lake has the same rows:
as many, with the same first and last id. A day that is not in the lake stays, however old. What is
gone is written down first: the day is not exported again, which would replace it by nothing, and a
removal that was broken off is ended without another look. Rows that are there again as a whole, as
in a database that was restored, are compared again.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import msgspec
from sqlalchemy import ColumnElement, and_, delete, func, select
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError

from lake_api.audit.table import AuditRow, PrunedDayRow
from lake_api.clock import Clock
from lake_api.database.database import Database
from lake_api.errors import LakeError, QueryRejected
from lake_api.query.controller import QueryRunner
from lake_api.query.guard import Guard

DATASET = "platform_lake_query_audit"
_EVERY_S = 6 * 3_600.0
_AGAIN_S = 300.0
_BATCH = 2_000

_log = logging.getLogger("lake_api.audit")


@dataclass(frozen=True, slots=True, kw_only=True)
class DayRows:
    """What tells the rows of a day from others."""

    count: int
    first_id: str | None
    last_id: str | None


Archive = Callable[[date], Awaitable[DayRows | None]]
"""What the lake has of a day; None when it does not have the dataset.

Raises:
    QueryUnavailable: it could not be asked.
"""


class AuditRetention:
    """Prunes the audit table. `keep_days` of 0 keeps everything."""

    def __init__(
        self, database: Database, *, archive: Archive, keep_days: int, clock: Clock
    ) -> None:
        self._database = database
        self._archive = archive
        self._keep_days = keep_days
        self._clock = clock

    async def prune(self) -> int:
        """Remove what may go; how many rows went.

        Raises:
            ServiceUnavailable: the database does not answer.
            QueryUnavailable: the lake could not be asked.
        """
        if not self._keep_days:
            return 0
        until = self._clock().astimezone(UTC).date() - timedelta(days=self._keep_days)
        removed, day = 0, await self._oldest(date.min, until)
        while day is not None:
            if await self._may_go(day):
                removed += await self._remove(day)
            day = await self._oldest(day + timedelta(days=1), until)
        return removed

    async def _oldest(self, since: date, until: date) -> date | None:
        """The first day that has rows, of those from `since` to before `until`."""
        within = and_(AuditRow.asked_at >= _midnight(since), AuditRow.asked_at < _midnight(until))
        async with self._database.session() as session:
            moment = await session.scalar(select(func.min(AuditRow.asked_at)).where(within))
        # SQLite gives moments without a zone, in UTC.
        return None if moment is None else _in_utc(moment).date()

    async def _may_go(self, day: date) -> bool:
        async with self._database.session() as session:
            mark = await session.get(PrunedDayRow, day)
            facts = select(func.count(), func.min(AuditRow.id), func.max(AuditRow.id))
            count, first_id, last_id = (await session.execute(facts.where(_of(day)))).one()
        if mark is not None and count < mark.rows:
            # A removal that was broken off.
            return True
        stored = DayRows(count=count, first_id=first_id, last_id=last_id)
        if await self._archive(day) != stored:
            _log.warning("audit rows are kept: the lake does not have the day", extra={"day": day})
            return False
        try:
            async with self._database.session() as session:
                await session.merge(PrunedDayRow(day=day, rows=count, pruned_at=self._clock()))
        except IntegrityError:
            _log.info("another process prunes the same day", extra={"day": day})
        return True

    async def _remove(self, day: date) -> int:
        removed = 0
        while True:
            # A few at a time: who waits for a row to be written shall not wait for all of these.
            some = select(AuditRow.id).where(_of(day)).limit(_BATCH).scalar_subquery()
            statement = delete(AuditRow).where(AuditRow.id.in_(some))
            async with self._database.session() as session:
                done = await session.execute(statement.execution_options(synchronize_session=False))
            gone = done.rowcount if isinstance(done, CursorResult) else 0
            removed += gone
            if gone < _BATCH:
                _log.info("audit rows were removed", extra={"day": day, "rows": removed})
                return removed


def archive_of(engine: QueryRunner, guard: Guard) -> Archive:
    """What the lake has of a day, asked for as any caller asks."""

    async def look(day: date) -> DayRows | None:
        sql = f"SELECT count(*), min(id), max(id) FROM {DATASET} WHERE date = '{day}'"  # noqa: S608
        try:
            checked = guard.check(sql, may_read=lambda _: True)
            answer = await engine.run(checked, limit=1, agent="admin:audit")
        except QueryRejected:
            return None
        [[count, first_id, last_id]] = msgspec.json.decode(answer.rows_json)
        return DayRows(count=int(count), first_id=first_id, last_id=last_id)

    return look


@asynccontextmanager
async def pruning(retention: AuditRetention) -> AsyncGenerator[None]:
    """Prune now and every few hours, until the block is left."""
    task = asyncio.create_task(_forever(retention))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _forever(retention: AuditRetention) -> None:
    while True:
        pause_s = _EVERY_S
        try:
            await retention.prune()
        except LakeError as error:
            pause_s = _AGAIN_S
            _log.warning("pruning the audit table waits: %s", error.code)
        except Exception:  # noqa: BLE001 - it is logged, and without the loop nothing would be pruned
            _log.exception("pruning the audit table failed")
        await asyncio.sleep(pause_s)


def _of(day: date) -> ColumnElement[bool]:
    begin = _midnight(day)
    return and_(AuditRow.asked_at >= begin, AuditRow.asked_at < begin + timedelta(days=1))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
