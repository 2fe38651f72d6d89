"""Runs and backfills as operations.

Belongs here: who may see one, and its state in the words of operations.
Does not belong here: asking Dagster, and reading what it says (`lake_api.tasks`).
"""

import msgspec

from lake_api.identity import Caller, Role
from lake_api.operations.schemas import (
    FailedOperation,
    Kind,
    Operation,
    OperationError,
    PendingOperation,
    SucceededOperation,
)
from lake_api.tasks.dagster import DagsterClient, is_task_id
from lake_api.tasks.schemas import TaskStatus
from lake_api.tasks.status import read_state
from lake_assets.catalog import Catalog

_ENDS = {
    "failed": OperationError(code="task_failed", detail="The task failed; Dagster has its log."),
    "canceled": OperationError(code="task_canceled", detail="The task was canceled."),
}


class TaskOperations:
    """The runs and backfills that Dagster knows."""

    def __init__(self, catalog: Catalog, dagster: DagsterClient) -> None:
        self._catalog = catalog
        self._dagster = dagster

    async def find(self, operation_id: str, caller: Caller) -> Operation | None:
        """The task of this id, for those who may trigger it.

        Raises:
            ServiceUnavailable: Dagster does not answer.
            UpstreamRejected: Dagster refuses.
        """
        if not may_trigger(caller) or not is_task_id(operation_id):
            return None
        status = await self.status(operation_id)
        if status is None or not self._may_see(caller, status):
            return None
        is_backfill = status.dagster_url.startswith("/runs/b/")
        return as_operation(
            status,
            operation_id=status.task_id,
            kind="backfill-partitions" if is_backfill else "materialize-partition",
        )

    async def status(self, task_id: str) -> TaskStatus | None:
        """How a task stands, with the first error of one that failed."""
        found = read_state(self._catalog, await self._dagster.find(task_id))
        if found is None or found.failed_run_id is None:
            return None if found is None else found.status
        error = await self._dagster.first_failure(found.failed_run_id)
        return msgspec.structs.replace(found.status, error=error)

    def _may_see(self, caller: Caller, status: TaskStatus) -> bool:
        if caller.role is Role.ADMIN:
            return True
        task = self._catalog.tasks.get(status.task or "")
        if task is None or task.partition is None:
            return False
        return caller.may_read(self._catalog[task.partition])


def may_trigger(caller: Caller) -> bool:
    """Whether the caller may have tasks run: the admin, and tokens that say so."""
    has_token = caller.token_id is not None
    return caller.role is Role.ADMIN or (has_token and caller.grant.may("trigger"))


def as_operation(status: TaskStatus, *, operation_id: str, kind: Kind) -> Operation:
    """A task's state as one of the three shapes."""
    if status.status in {"queued", "running"}:
        return PendingOperation(id=operation_id, kind=kind)
    if status.status == "succeeded":
        result = {
            "task": status.task,
            "task_id": status.task_id,
            "partitions": msgspec.to_builtins(status.partitions),
        }
        return SucceededOperation(id=operation_id, kind=kind, result=result)
    error = _ENDS[status.status]
    if status.error is not None:
        error = msgspec.structs.replace(error, detail=status.error)
    return FailedOperation(id=operation_id, kind=kind, error=error)
