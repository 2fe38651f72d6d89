"""What is recorded of a query call before its answer leaves, and told of it afterwards.

Belongs here: from a call to its audit row, its part in the day's sums, its log line and metrics.
Does not belong here: what is known of a call (`call_log`), how it is recorded (`audit`).
"""

from collections.abc import Callable

from lake_api.audit.answering import AuditNote
from lake_api.audit.log import AuditEntry
from lake_api.errors import ServiceUnavailable
from lake_api.query.call_log import Outcome, QueryCall
from lake_api.settings import Settings
from lake_api.usage.day_sums import DaySums, Spent
from lake_api.web.requests import LakeRequest

_FREE = {Outcome.LIMITED, Outcome.INVALID}


def note_of_call(request: LakeRequest, _status: int, _elapsed_ms: float) -> AuditNote:
    """The note of a call that has an answer."""
    call: QueryCall = request.state["query_call"]
    elapsed_ms = call.elapsed_ms
    entry = AuditEntry(
        action="dry_run" if call.dry_run else "query",
        caller=call.caller,
        outcome=call.outcome.value,
        code=call.code,
        call_id=call.query_id,
        sql=call.sql,
        datasets=call.datasets,
        form=call.form.value,
        rows=call.rows,
        answer_bytes=call.answer_bytes,
        read_bytes=call.read_bytes,
        elapsed_ms=elapsed_ms,
        is_cheap=call.caller is None or call.outcome is Outcome.LIMITED,
    )
    beside = ()
    if call.caller is not None and call.outcome not in _FREE:
        sums: DaySums = request.app.state.day_sums
        # Waiting for others is not use.
        ms = max(1, round(elapsed_ms - call.stages_ms.get("queue", 0.0)))
        answered = call.answer_bytes if call.outcome is Outcome.OK else 0
        beside = sums.charge(call.caller, Spent(rows=call.rows, bytes=answered, ms=ms))
    return AuditNote(entry=entry, beside=beside, done=_telling(request, call))


def _telling(
    request: LakeRequest, call: QueryCall
) -> Callable[[float, ServiceUnavailable | None], None]:
    """Tells of a call that is over, once."""
    settings: Settings = request.app.state.settings
    observe: Callable[[QueryCall], None] = request.app.state.metrics.observe

    def tell(audit_ms: float, failure: ServiceUnavailable | None) -> None:
        request.state["query_id"] = call.query_id
        if failure is not None:
            call.fail(failure)
        call.stages_ms = {**call.stages_ms, "audit": audit_ms}
        call.leave_line(with_sql=settings.log_sql)
        observe(call)

    return tell
