"""Writing what happened, so that it is committed when this returns.

Belongs here: what is recorded and how it becomes a row.
Does not belong here: when (`answering`), how rows reach the disk (`database.group_writer`).
"""

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any

from sqlalchemy import insert
from uuid_utils.compat import uuid7

from lake_api.audit.table import AuditRow
from lake_api.clock import Clock
from lake_api.database.group_writer import GroupWriter, Write
from lake_api.errors import ServiceUnavailable
from lake_api.identity import Caller

_INSERT = insert(AuditRow)
_CHEAP_PER_MINUTE = 60
_SUBJECT_LENGTH = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One thing that was asked for. `subject` is what it was done to: a token's id, a task.

    `call_id` is a query's `query_id`; what is recorded twice (begun, over) has the same twice.

    `is_cheap` marks what costs its caller nothing and the service little: a refusal, or a look at
    how something stands. Of these, only the first sixty of a caller, an action and a minute are
    recorded, and all unknown callers are one.
    """

    action: str
    caller: Caller | None
    outcome: str
    code: str | None = None
    subject: str | None = None
    call_id: str | None = None
    sql: str | None = None
    datasets: tuple[str, ...] = ()
    form: str | None = None
    rows: int = 0
    answer_bytes: int = 0
    read_bytes: int = 0
    elapsed_ms: float = 0.0
    is_cheap: bool = False


class AuditLog:
    """The audit table, to write to. `with_sql` keeps texts of queries beside their hashes."""

    def __init__(self, writer: GroupWriter, *, clock: Clock, with_sql: bool) -> None:
        self._writer = writer
        self._clock = clock
        self._with_sql = with_sql
        self._minute = 0
        self._cheap: Counter[tuple[str, str]] = Counter()
        self.recorded = 0
        """Rows that were committed by this process, for `/metrics`."""
        self.refused = 0
        """Answers that were held back because their row could not be written."""

    async def record(self, entry: AuditEntry, *, beside: Sequence[Write] = ()) -> None:
        """Record it, and what is written in the same transaction; committed when this returns.

        Raises:
            ServiceUnavailable: it could not be recorded (`audit_unavailable`).
        """
        writes = list(beside)
        if not entry.is_cheap or self._has_room(entry):
            writes.append(self.write_of(entry))
        if not writes:
            return
        try:
            await self._writer.write(writes)
        except ServiceUnavailable as error:
            self.refused += 1
            raise audit_unavailable() from error
        self.recorded += 1

    def write_of(self, entry: AuditEntry) -> Write:
        """Its row, for whoever commits it together with what it tells of."""
        return Write(statement=_INSERT, row=self._row(entry))

    def _row(self, entry: AuditEntry) -> dict[str, Any]:
        caller, sql = entry.caller, entry.sql
        asked = self._clock().astimezone(UTC) - timedelta(milliseconds=entry.elapsed_ms)
        return {
            "id": str(uuid7()),
            "asked_at": asked,
            "action": entry.action,
            "role": caller.role.value if caller else None,
            "caller": caller.name if caller else None,
            "token_id": str(caller.token_id) if caller and caller.token_id else None,
            "swarm_id": str(caller.swarm_id) if caller and caller.swarm_id else None,
            "cron_run": caller.cron_run if caller else None,
            "subject": _storable(entry.subject)[:_SUBJECT_LENGTH] if entry.subject else None,
            "call_id": entry.call_id,
            "sql_sha256": None if sql is None else hashlib.sha256(sql.encode()).hexdigest(),
            "sql_text": _storable(sql) if sql is not None and self._with_sql else None,
            "datasets": list(entry.datasets),
            "form": entry.form,
            "outcome": entry.outcome,
            "code": entry.code,
            "row_count": entry.rows,
            "answer_bytes": entry.answer_bytes,
            "read_bytes": entry.read_bytes,
            "elapsed_ms": entry.elapsed_ms,
        }

    def _has_room(self, entry: AuditEntry) -> bool:
        """Whoever is refused, or looks, over and over shall not fill the disk."""
        minute = int(time.monotonic() // 60)
        if minute != self._minute:
            self._minute = minute
            self._cheap.clear()
        what = entry.caller.key if entry.caller else "", entry.action
        self._cheap[what] += 1
        return self._cheap[what] <= _CHEAP_PER_MINUTE


def audit_unavailable() -> ServiceUnavailable:
    """What is told when something can't be recorded."""
    return ServiceUnavailable(
        "What is asked for can't be recorded at the moment, so nothing is answered.",
        code="audit_unavailable",
        hint="Try again in a moment.",
        retry=True,
        retry_after_s=5,
    )


def _storable(text: str) -> str:
    """Postgres has no NUL in a text."""
    return text.replace("\0", "\\0")
