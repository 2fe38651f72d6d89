"""Commands of services as operations.

Belongs here: what is told of one, and to whom.
Does not belong here: running them (`lake_api.services`), keeping them (`store`).
"""

from lake_api.identity import Caller, Role
from lake_api.operations.schemas import (
    FailedOperation,
    Operation,
    OperationError,
    PendingOperation,
    SucceededOperation,
)
from lake_api.operations.store import KeptCommand, OperationStore
from lake_api.operations.tasks import TaskOperations, as_operation

_KIND = "run-service-command"
_LOST = OperationError(
    code="task_unknown",
    detail="Dagster does not know the task any more that the command had launched.",
)


class CommandOperations:
    """The commands that the admin had run."""

    def __init__(self, store: OperationStore, tasks: TaskOperations) -> None:
        self._store = store
        self._tasks = tasks

    async def find(self, operation_id: str, caller: Caller) -> Operation | None:
        """The command of this id, for the admin.

        Raises:
            ServiceUnavailable: the database, or Dagster where the command had launched a task,
                does not answer.
        """
        if caller.role is not Role.ADMIN:
            return None
        kept = await self._store.find(operation_id)
        return None if kept is None else await self.tell(kept)

    async def tell(self, kept: KeptCommand) -> Operation:
        """A command as one of the three shapes."""
        operation_id = kept.operation_id
        if kept.error is not None:
            return FailedOperation(id=operation_id, kind=_KIND, error=kept.error)
        if kept.result is not None:
            return SucceededOperation(id=operation_id, kind=_KIND, result=kept.result)
        if kept.task_id is None:
            return PendingOperation(id=operation_id, kind=_KIND)
        status = await self._tasks.status(kept.task_id)
        if status is None:
            return FailedOperation(id=operation_id, kind=_KIND, error=_LOST)
        return as_operation(status, operation_id=operation_id, kind=_KIND)
