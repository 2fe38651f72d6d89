"""Commands of services as they are kept: begun once, ended once, found until they are old.

Belongs here: the rules of their life, over the table.
Does not belong here: running them (`services.runner`), telling them (`commands`).

A command belongs to the process that began it. That process may be killed: what has not ended when
its lease is over was interrupted, and is told so, by whichever process is asked.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError

from lake_api.clock import Clock
from lake_api.database.database import Database
from lake_api.operations.schemas import OperationError
from lake_api.operations.table import OperationRow

KEPT = timedelta(days=7)

_INTERRUPTED = OperationError(
    code="command_interrupted",
    detail="The service stopped before the command had ended.",
    hint="Run it again, with another operation-id.",
    retry=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptCommand:
    """A command. With `task_id` and no end, how it stands is how that task stands."""

    operation_id: str
    service: str
    command: str
    request_digest: str
    task_id: str | None
    result: dict[str, Any] | None
    error: OperationError | None

    @property
    def has_ended(self) -> bool:
        """Whether nothing of it runs any more, as far as this service runs it."""
        return self.result is not None or self.error is not None


class OperationStore:
    """The commands of all processes. `clock` gives the current time in UTC."""

    def __init__(self, database: Database, *, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(
        self,
        *,
        operation_id: str,
        service: str,
        command: str,
        request_digest: str,
        lease: timedelta,
    ) -> bool:
        """Note that a command begins; False when one of this id has begun already."""
        now = self._clock()
        row = OperationRow(
            operation_id=operation_id,
            service=service,
            command=command,
            request_digest=request_digest,
            created_at=now,
            lease_until=now + lease,
        )
        try:
            async with self._database.session() as session:
                await session.execute(
                    delete(OperationRow).where(OperationRow.created_at < now - KEPT)
                )
                session.add(row)
        except IntegrityError:
            return False
        return True

    async def follow(self, operation_id: str, *, task_id: str) -> None:
        """Note the task that does the rest of a command."""
        await self._change(operation_id, task_id=task_id)

    async def succeed(self, operation_id: str, result: dict[str, Any]) -> None:
        """Note that a command has done what it should."""
        await self._change(operation_id, result=result, finished_at=self._clock())

    async def fail(self, operation_id: str, error: OperationError) -> None:
        """Note that a command has failed."""
        told = msgspec.to_builtins(error)
        await self._change(operation_id, error=told, finished_at=self._clock())

    async def find(self, operation_id: str) -> KeptCommand | None:
        """The command of an id, or None when there is none, or none any more."""
        wanted = select(OperationRow).where(OperationRow.operation_id == operation_id)
        async with self._database.session() as session:
            row = (await session.execute(wanted)).scalar_one_or_none()
        return None if row is None else _command(row, now=self._clock())

    async def _change(self, operation_id: str, **values: Any) -> None:
        async with self._database.session() as session:
            await session.execute(
                update(OperationRow)
                .where(OperationRow.operation_id == operation_id)
                .values(**values)
            )


def _command(row: OperationRow, *, now: datetime) -> KeptCommand:
    error = None if row.error is None else msgspec.convert(row.error, OperationError)
    is_here = row.finished_at is None and row.task_id is None
    return KeptCommand(
        operation_id=row.operation_id,
        service=row.service,
        command=row.command,
        request_digest=row.request_digest,
        task_id=row.task_id,
        result=row.result,
        error=_INTERRUPTED if is_here and row.lease_until < now else error,
    )
