"""Jobs and exports as operations.

Belongs here: their states in the words of operations, for those who may see them.
Does not belong here: running them (`lake_api.jobs`), who may see which (`jobs.service`).
"""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from lake_api.errors import NotFound
from lake_api.identity import Caller
from lake_api.jobs.asked import EXPORT, JOB
from lake_api.jobs.results import problem_of, stored_result
from lake_api.jobs.service import JobService
from lake_api.jobs.states import State
from lake_api.jobs.table import JobRow
from lake_api.operations.schemas import (
    FailedOperation,
    Kind,
    Operation,
    OperationError,
    PendingOperation,
    SucceededOperation,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sort:
    """One sort of jobs: what a token must allow, and where its routes are."""

    stored_as: str
    kind: Kind
    operation: str
    route: str


_SORTS = (
    _Sort(stored_as=JOB, kind="run-job", operation="jobs", route="/api/v1/internal/lake/jobs"),
    _Sort(
        stored_as=EXPORT,
        kind="create-export",
        operation="exports",
        route="/api/v1/internal/lake/exports",
    ),
)


class JobOperations:
    """The jobs and exports of this service; none where it has no identity to write with."""

    def __init__(self, jobs: JobService | None) -> None:
        self._jobs = jobs

    async def find(self, operation_id: str, caller: Caller) -> Operation | None:
        """The job or export of this id, when the caller may see it.

        Raises:
            ServiceUnavailable: the database does not answer.
        """
        job_id = _as_id(operation_id)
        if self._jobs is None or job_id is None:
            return None
        for sort in _SORTS:
            if not caller.grant.may(sort.operation):
                continue
            try:
                job = await self._jobs.get(sort.stored_as, job_id, caller)
            except NotFound:
                continue
            return _operation(job, sort)
        return None


def _as_id(text: str) -> UUID | None:
    try:
        job_id = UUID(text)
    except ValueError:
        return None
    # It also reads braces and capitals, in which no id was ever told.
    return job_id if str(job_id) == text else None


def _operation(job: JobRow, sort: _Sort) -> Operation:
    job_id = str(job.id)
    state = State(job.state)
    if not state.is_over:
        return PendingOperation(id=job_id, kind=sort.kind)
    if state is State.SUCCEEDED:
        known = stored_result(job)
        result: dict[str, Any] = {
            "row_count": known.row_count,
            "bytes": known.bytes,
            "truncated": known.truncated,
            "location": f"{sort.route}/{job_id}",
        }
        return SucceededOperation(id=job_id, kind=sort.kind, result=result)
    problem = problem_of(job)
    error = OperationError(
        code=f"{sort.stored_as}_{state.value}", detail=f"The {sort.stored_as} was {state.value}."
    )
    if problem is not None:
        error = OperationError(
            code=problem.code, detail=problem.detail, hint=problem.hint, retry=problem.retry
        )
    return FailedOperation(id=job_id, kind=sort.kind, error=error)
