"""Running commands in the background, each as one operation.

Belongs here: beginning a command once for each operation id, its deadline, noting its end.
Does not belong here: what a command does (`commands`), telling how it stands (`operations`).
"""

import asyncio
import hashlib
import logging
from datetime import timedelta
from typing import Any

import msgspec

from lake_api.errors import InvalidRequest, LakeError
from lake_api.operations.schemas import OperationError
from lake_api.operations.store import KeptCommand, OperationStore
from lake_api.services.commands import Work

_TIMEOUT_S = 90.0
# Longer than any command may take: whatever has not ended by then will never end.
_LEASE = timedelta(seconds=_TIMEOUT_S + 30)

_TIMED_OUT = OperationError(
    code="command_timeout",
    detail=f"The command did not end within {_TIMEOUT_S:.0f} seconds.",
    retry=True,
)
_STOPPED = OperationError(
    code="command_interrupted",
    detail="The service stopped before the command had ended.",
    hint="Run it again, with another operation-id.",
    retry=True,
)
_BROKEN = OperationError(
    code="internal_error", detail="Something went wrong inside the service.", retry=True
)

_log = logging.getLogger("lake_api.services")


class CommandRunner:
    """Runs the commands of this process; they end with it."""

    def __init__(self, store: OperationStore) -> None:
        self._store = store
        self._running: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """Stop what still runs, and note that it was stopped."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def start(
        self, work: Work, *, operation_id: str, service: str, command: str, payload: dict[str, Any]
    ) -> KeptCommand:
        """Begin a command, unless the operation id has begun one already; that one is returned.

        Raises:
            InvalidRequest: the id belongs to another command, or to other arguments (409).
            ServiceUnavailable: it can't be noted; nothing was begun.
        """
        digest = _digest(service, command, payload)
        is_new = await self._store.begin(
            operation_id=operation_id,
            service=service,
            command=command,
            request_digest=digest,
            lease=_LEASE,
        )
        if is_new:
            task = asyncio.create_task(self._run(operation_id, work))
            self._running.add(task)
            task.add_done_callback(self._ended)
            _log.info(
                "command started",
                extra={"operation_id": operation_id, "service": service, "command": command},
            )
        kept = await self._store.find(operation_id)
        if kept is None or kept.request_digest != digest:
            raise InvalidRequest(
                "This operation-id is that of another request.",
                code="operation_id_taken",
                status=409,
                field="operation-id",
                hint="Send another one, or none.",
            )
        return kept

    async def _run(self, operation_id: str, work: Work) -> None:
        # Whatever happens is noted; what can't be noted is told once the lease is over.
        error: OperationError | None = _BROKEN
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                done = await work()
            if done.task_id is None:
                await self._store.succeed(operation_id, done.result)
            else:
                await self._store.follow(operation_id, task_id=done.task_id)
            error = None
        except LakeError as refused:
            error = OperationError.of(refused)
        except TimeoutError:
            error = _TIMED_OUT
        except asyncio.CancelledError:
            error = _STOPPED
            raise
        finally:
            if error is not None:
                await self._store.fail(operation_id, error)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("a command broke", exc_info=error)


def _digest(service: str, command: str, payload: dict[str, Any]) -> str:
    told = msgspec.json.encode([service, command, payload], order="deterministic")
    return hashlib.sha256(told).hexdigest()
