"""The bodies of the service routes.

Belongs here: request and answer structs and their examples.
Does not belong here: what a command does (`commands`).
"""

from typing import Annotated, Any

import msgspec

MAX_PAYLOAD_CHARS = 15_000


class ServiceInfo(msgspec.Struct, frozen=True):
    """A service; nothing of it that would be sensitive."""

    id: str
    name: str


class ServiceList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, rename="camel"):
    """A page of services; `totalCount` only with `metaInclude=page`."""

    services: tuple[ServiceInfo, ...]
    total_count: int | None = None


class ServiceStatus(msgspec.Struct, frozen=True):
    """How a service stands, in its own words; each says `ready`, `reason` and `commands`."""

    status: dict[str, Any] | None


class CommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command is given."""

    context: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(description="Kept free for callers; no command reads it."),
    ] = None
    payload: Annotated[
        dict[str, Any] | None,
        msgspec.Meta(
            description=f"The command's arguments, at most {MAX_PAYLOAD_CHARS} characters of JSON; "
            "the service's status lists them."
        ),
    ] = None


LIST_EXAMPLE: dict[str, Any] = {
    "services": [
        {"id": "storage", "name": "Object storage"},
        {"id": "engine", "name": "Query engine"},
        {"id": "dagster", "name": "Orchestration"},
    ],
    "totalCount": 3,
}
STATUS_EXAMPLE: dict[str, Any] = {
    "status": {
        "ready": True,
        "reason": None,
        "commands": [
            {
                "name": "relist-snapshots",
                "description": "List the objects of one dataset, or of all, anew.",
                "payload": {"dataset": "SQL or partition name; all when left out."},
            }
        ],
    }
}
REQUEST_EXAMPLE: dict[str, Any] = {"payload": {"dataset": "example/runs"}}
