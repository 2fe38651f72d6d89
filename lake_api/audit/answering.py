"""No answer before its audit row is committed.

Belongs here: holding an answer back until then, and answering 503 where that fails.
Does not belong here: what a row says (each route's own note), writing it (`log`).

The row is written once the answer is made and before its first byte leaves: it knows the outcome
and the cost, and one commit does. A process that dies in between has told nobody anything. What
changes something (a token, a run) is recorded before it is done as well, with outcome `begun`.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from lake_api.audit.log import AuditEntry, AuditLog
from lake_api.database.group_writer import Write
from lake_api.errors import CallerLeft, Conflict, LakeError, RateLimited, ServiceUnavailable
from lake_api.identity import Caller
from lake_api.usage.day_sums import DaySums, Spent
from lake_api.web.problems import answer_problem
from lake_api.web.requests import LakeRequest

_FIRST_REFUSAL = 400
_FIRST_FAULT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditNote:
    """What is recorded of one answer, and what is told of it afterwards."""

    entry: AuditEntry
    beside: Sequence[Write] = ()
    done: Callable[[float, ServiceUnavailable | None], None] | None = None
    """Called with the milliseconds that recording took, and why it failed."""


class Audited(ASGIMiddleware):
    """Middleware of a route: `note` says what is recorded of a request that has an answer.

    It gets the request, the answer's status, and the milliseconds that the answer took.
    """

    scopes = (ScopeType.HTTP,)

    def __init__(
        self, note: Callable[[LakeRequest, int, float], AuditNote], *, action: str
    ) -> None:
        self._note = note
        self.action = action

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Pass the answer on once it is recorded."""
        is_withheld = False
        started = time.perf_counter()

        async def answer(message: Message) -> None:
            nonlocal is_withheld
            if is_withheld:
                return
            if message["type"] == "http.response.start":
                request = LakeRequest(scope)
                elapsed_ms = (time.perf_counter() - started) * 1_000
                note = self._note(request, message["status"], round(elapsed_ms, 3))
                failure = await _record(request, note)
                if failure is not None:
                    is_withheld = True
                    problem = answer_problem(request, failure)
                    await problem.to_asgi_response(None, request)(scope, receive, send)
                    return
            await send(message)

        await next_app(scope, receive, answer)


async def _record(request: LakeRequest, note: AuditNote) -> ServiceUnavailable | None:
    log: AuditLog = request.app.state.audit
    started = time.perf_counter()
    failure: ServiceUnavailable | None = None
    try:
        await log.record(note.entry, beside=note.beside)
    except ServiceUnavailable as error:
        failure = error
    if note.done is not None:
        note.done((time.perf_counter() - started) * 1_000, failure)
    return failure


def audited(action: str, *, is_look: bool = False) -> Audited:
    """Middleware for a route that is no query.

    Where it changes something, `begin` goes before the change; what else is known, `tell` adds.
    A look is asked for again and again: of these the first sixty in a minute are recorded.
    """

    def note(request: LakeRequest, status: int, elapsed_ms: float) -> AuditNote:
        error: Exception | None = request.state.get("audit_error")
        caller = cast("Caller | None", request.scope.get("user"))
        refused = status >= _FIRST_REFUSAL
        entry = AuditEntry(
            action=action,
            caller=caller,
            outcome=_outcome(status, error),
            code=error.code if isinstance(error, LakeError) else None,
            call_id=request.state.get("audit_call_id"),
            subject=request.state.get("audit_subject"),
            elapsed_ms=elapsed_ms,
            # Whoever waits for a job asks again and again.
            is_cheap=is_look
            or (refused and (caller is None or isinstance(error, RateLimited | Conflict))),
        )
        entry = replace(entry, **request.state.get("audit_fields", {}))
        beside: Sequence[Write] = ()
        if caller is not None and entry.rows and not refused:
            sums: DaySums = request.app.state.day_sums
            spent = Spent(rows=entry.rows, bytes=entry.answer_bytes, ms=round(elapsed_ms))
            beside = sums.charge(caller, spent)
        return AuditNote(entry=entry, beside=beside)

    return Audited(note, action=action)


def _outcome(status: int, error: Exception | None) -> str:
    if isinstance(error, CallerLeft):
        return "cancelled"
    if status >= _FIRST_FAULT:
        return "error"
    return "refused" if status >= _FIRST_REFUSAL else "ok"


async def begin(request: ASGIConnection[Any, Any, Any, Any], action: str, subject: str) -> None:
    """Record that something is about to be done to `subject`; the answer's row tells how it went.

    Raises:
        ServiceUnavailable: it could not be recorded, so it shall not be done.
    """
    call_id = uuid.uuid4().hex
    request.state["audit_subject"], request.state["audit_call_id"] = subject, call_id
    log: AuditLog = request.app.state.audit
    caller = cast("Caller | None", request.scope.get("user"))
    await log.record(
        AuditEntry(action=action, caller=caller, outcome="begun", call_id=call_id, subject=subject)
    )


def tell(request: ASGIConnection[Any, Any, Any, Any], **fields: Any) -> None:
    """Add to what is recorded of a request: fields of `AuditEntry`. Rows count for the day."""
    request.state["audit_fields"] = {**request.state.get("audit_fields", {}), **fields}


def answer_audited_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """Exception handler of an audited route: the problem, and its code for the row."""
    request.state["audit_error"] = error
    return answer_problem(request, error)
