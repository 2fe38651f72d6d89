"""The services, as data: what each is called, how it stands, and what it can be told.

Belongs here: one row for each service.
Does not belong here: what a command does (`commands`), the routes (`controller`).
"""

import dataclasses
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from lake_api.services.commands import (
    DROP_CACHES,
    ENSURE_BUCKET,
    MATERIALIZE,
    RECYCLE_WORKERS,
    RELIST,
    Command,
    Parts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a service stands; `reason` is a code when it is not ready."""

    reason: str | None
    details: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A part of the lake."""

    id: str
    name: str
    commands: tuple[Command, ...]
    look: Callable[[Parts], Awaitable[Standing]]

    def command(self, name: str) -> Command | None:
        """The command of this name."""
        return next((one for one in self.commands if one.name == name), None)

    async def status(self, parts: Parts) -> dict[str, Any]:
        """How it stands, and what it can be told."""
        standing = await self.look(parts)
        return {
            "ready": standing.reason is None,
            "reason": standing.reason,
            **standing.details,
            "commands": [
                {
                    "name": command.name,
                    "description": command.description,
                    "payload": dict(command.payload),
                }
                for command in self.commands
            ],
        }


async def _storage(parts: Parts) -> Standing:
    answers = (await parts.engine.status())["storage"]
    return Standing(reason=None if answers else "storage_unavailable", details={})


async def _engine(parts: Parts) -> Standing:
    stats = parts.engine.stats()
    return Standing(
        reason=None if stats.workers_alive else "workers_not_ready",
        details={"stats": dataclasses.asdict(stats)},
    )


async def _dagster(parts: Parts) -> Standing:
    return Standing(reason=await parts.dagster.not_ready(), details={})


SERVICES: tuple[Service, ...] = (
    Service(
        id="storage",
        name="Object storage",
        commands=(RELIST, ENSURE_BUCKET),
        look=_storage,
    ),
    Service(
        id="engine",
        name="Query engine",
        commands=(DROP_CACHES, RECYCLE_WORKERS),
        look=_engine,
    ),
    Service(id="dagster", name="Orchestration", commands=(MATERIALIZE,), look=_dagster),
)
"""All services, in the order in which they are listed."""
