"""The three shapes of an operation, and their examples.

Belongs here: what is told of an operation, whatever its kind.
Does not belong here: finding one (`controller`, and a module for each kind).
"""

from typing import Any, Literal

import msgspec

from lake_api.errors import LakeError

Kind = Literal[
    "run-service-command",
    "run-job",
    "create-export",
    "materialize-partition",
    "backfill-partitions",
]


class OperationError(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Why an operation failed; the words of a problem, without an HTTP status."""

    code: str
    detail: str
    hint: str | None = None
    retry: bool | None = None

    @classmethod
    def of(cls, error: LakeError) -> "OperationError":
        """What an error says."""
        return cls(code=error.code, detail=error.detail, hint=error.hint, retry=error.retry)


class PendingOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that waits or runs."""

    id: str
    kind: Kind
    status: Literal["pending"] = "pending"


class SucceededOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that did what it should; `result` depends on its kind."""

    id: str
    kind: Kind
    status: Literal["succeeded"] = "succeeded"
    result: dict[str, Any] = {}


class FailedOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that failed, or was canceled."""

    id: str
    kind: Kind
    error: OperationError
    status: Literal["failed"] = "failed"


Operation = PendingOperation | SucceededOperation | FailedOperation

_ID = "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11"
PENDING_EXAMPLE: dict[str, Any] = {
    "id": _ID,
    "kind": "run-service-command",
    "status": "pending",
}
SUCCEEDED_EXAMPLE: dict[str, Any] = {
    "id": _ID,
    "kind": "run-service-command",
    "status": "succeeded",
    "result": {"datasets": 3, "days": 42},
}
FAILED_EXAMPLE: dict[str, Any] = {
    "id": "a1b2c3d4-5e6f-4a7b-8c9d-0e1f2a3b4c5d",
    "kind": "materialize-partition",
    "status": "failed",
    "error": {
        "code": "task_failed",
        "detail": "SchemaMismatch: column cost_usd: expected decimal(18,6), got string",
    },
}
