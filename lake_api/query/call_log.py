"""What is told of every call of the query route: one log line.

Belongs here: gathering what is known of a call, how it ended, the line.
Does not belong here: how a call is answered (`controller`), how lines are formatted (`web.logs`).

The text of a query may hold what nobody should read in a log, so a line has its hash.
"""

import hashlib
import logging
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from lake_api.errors import CallerLeft, LakeError, QueryRejected, QueryUnavailable, RateLimited
from lake_api.identity import Caller
from lake_api.query.messages import Form
from lake_api.query.results import QueryPreview, QueryResult

_log = logging.getLogger("lake_api.query")
_FIRST_SERVER_FAULT = 500


class Outcome(Enum):
    """How a call ended."""

    OK = "ok"
    REJECTED = "rejected"
    """The guard or the binder refused the text."""
    UNAVAILABLE = "unavailable"
    """The query was fine, and could not be run."""
    LIMITED = "limited"
    """The caller has no call left."""
    INVALID = "invalid"
    """The request could not be read, or was not let in."""
    CANCELLED = "cancelled"
    """The caller closed the connection first."""
    ERROR = "error"
    """A fault of the service."""


@dataclass(slots=True, kw_only=True)
class QueryCall:
    """One call, as far as is known; `caller` is None for one that was not let in."""

    query_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    caller: Caller | None = None
    sql: str | None = None
    dry_run: bool = False
    form: Form = Form.JSON
    datasets: tuple[str, ...] = ()
    outcome: Outcome = Outcome.OK
    code: str | None = None
    rows: int = 0
    answer_bytes: int = 0
    read_bytes: int = 0
    fetched_bytes: int = 0
    from_memory: bool = False
    stages_ms: Mapping[str, float] = field(default_factory=dict[str, float])
    started: float = field(default_factory=time.perf_counter)

    @property
    def is_taken_up(self) -> bool:
        """Whether it was let in and could be read."""
        return self.sql is not None

    @property
    def elapsed_ms(self) -> float:
        """Milliseconds since the call was taken up."""
        return round((time.perf_counter() - self.started) * 1_000, 3)

    def take_result(self, result: QueryResult) -> None:
        """It has rows."""
        self.rows = result.row_count
        self.read_bytes, self.fetched_bytes = result.read_bytes, result.fetched_bytes
        self.from_memory, self.stages_ms = result.from_memory, result.stages_ms

    def take_preview(self, preview: QueryPreview) -> None:
        """It has a plan."""
        self.from_memory, self.stages_ms = preview.from_memory, preview.stages_ms

    def fail(self, error: Exception) -> None:
        """It has neither."""
        self.outcome = _outcome(error)
        self.code = error.code if isinstance(error, LakeError) else "internal_error"
        self.stages_ms = error.stages_ms if isinstance(error, LakeError) else {}

    def leave_line(self, *, with_sql: bool) -> None:
        """Write the line."""
        _log.info("query", extra=self._fields(with_sql=with_sql))

    def _fields(self, *, with_sql: bool) -> dict[str, object]:
        fields: dict[str, object] = {
            "query_id": self.query_id,
            "outcome": self.outcome.value,
            "code": self.code,
            "role": self.caller.role.value if self.caller else None,
            "agent": self.caller.name if self.caller else None,
            "cron_run": self.caller.cron_run if self.caller else None,
            "datasets": self.datasets,
            "form": self.form.value,
            "dry_run": self.dry_run,
            "rows": self.rows,
            "answer_bytes": self.answer_bytes,
            "read_bytes": self.read_bytes,
            "fetched_bytes": self.fetched_bytes,
            "from_memory": self.from_memory,
            "elapsed_ms": self.elapsed_ms,
            "stages_ms": {name: round(taken, 3) for name, taken in self.stages_ms.items()},
        }
        if self.sql is not None:
            fields["sql_sha256"] = hashlib.sha256(self.sql.encode()).hexdigest()
            if with_sql:
                fields["sql"] = self.sql
        return fields


def _outcome(error: Exception) -> Outcome:
    match error:
        case QueryRejected():
            return Outcome.REJECTED
        case QueryUnavailable():
            return Outcome.UNAVAILABLE
        case RateLimited():
            return Outcome.LIMITED
        case CallerLeft():
            return Outcome.CANCELLED
        case LakeError() if error.http_status < _FIRST_SERVER_FAULT:
            return Outcome.INVALID
        case _:
            return Outcome.ERROR
