"""`GET /healthz` (this process) and `GET /readyz` (the parts it needs, each by name).

Belongs here: the routes.
Does not belong here: how a part checks itself (`query.engine`, `tasks.dagster`).

Queries need storage, workers, room in the cache, and the database, without which no answer can be
recorded: without them the service is not ready (503), so that a load balancer sends its queries
elsewhere. Dagster only launches runs: its absence is told and makes the
service `degraded`, but it stays ready.
"""

import asyncio
from typing import Any, Literal

import msgspec
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Example
from litestar.params import SkipValidation

from lake_api.database.database import Database
from lake_api.errors import Problem
from lake_api.query.controller import QueryRunner
from lake_api.tasks.dagster import DagsterClient
from lake_api.web.problems import PROBLEM_MEDIA_TYPE, problem_responses

_REASONS = {
    "storage": "storage_unavailable",
    "workers": "workers_not_ready",
    "cache": "cache_full",
    "database": "database_unavailable",
}


class Health(msgspec.Struct, frozen=True):
    """The process answers."""

    status: Literal["ok"]


class PartState(msgspec.Struct, frozen=True):
    """One part; `reason` is a code when it is not ok."""

    ok: bool
    reason: str | None


class Readiness(msgspec.Struct, frozen=True):
    """`ready`: all parts work; `degraded`: queries run, tasks can't be triggered."""

    state: Literal["ready", "degraded"]
    parts: dict[str, PartState]


class NotReady(Problem, frozen=True, kw_only=True):
    """The error shape, with the parts beside it: queries can't be run."""

    state: Literal["not_ready"]
    parts: dict[str, PartState]


def _parts_example(**reasons: str) -> dict[str, object]:
    return {
        name: {"ok": name not in reasons, "reason": reasons.get(name)}
        for name in ("storage", "workers", "cache", "database", "dagster")
    }


def _not_ready(parts: dict[str, PartState]) -> NotReady:
    failing = ", ".join(name for name, part in parts.items() if not part.ok)
    return NotReady(
        status=503,
        code="not_ready",
        title="Not ready",
        detail=f"Queries can't be run at the moment: {failing}.",
        retry=True,
        state="not_ready",
        parts=parts,
    )


@get(
    "/healthz",
    operation_id="get_health",
    summary="Does the process answer?",
    tags=["health"],
    responses=problem_responses({}),
)
async def get_health() -> Health:
    """Always ok: whoever can read this has reached the process."""
    return Health(status="ok")


@get(
    "/readyz",
    operation_id="get_readiness",
    summary="Can queries be run?",
    description="200 while queries can be run, else 503. Dagster is told of, and only degrades.",
    tags=["health"],
    responses={
        200: ResponseSpec(
            data_container=Readiness,
            generate_examples=False,
            description="Queries can be run.",
            examples=[
                Example(value={"state": "ready", "parts": _parts_example()}),
                Example(
                    value={
                        "state": "degraded",
                        "parts": _parts_example(dagster="dagster_unavailable"),
                    },
                ),
            ],
        ),
        **problem_responses({}),
        503: ResponseSpec(
            data_container=NotReady,
            generate_examples=False,
            media_type=PROBLEM_MEDIA_TYPE,
            description="Queries can't be run.",
            examples=[
                Example(
                    value=msgspec.to_builtins(
                        _not_ready({"storage": PartState(ok=False, reason="storage_unavailable")})
                    ),
                )
            ],
        ),
    },
)
async def get_readiness(
    engine: NamedDependency[SkipValidation[QueryRunner]],
    dagster: NamedDependency[SkipValidation[DagsterClient]],
    database: NamedDependency[SkipValidation[Database]],
) -> Response[Readiness]:
    """Ask every part, all at the same time: each has a patience of its own."""
    status, answers, reason = await asyncio.gather(
        engine.status(), database.answers(), dagster.not_ready()
    )
    found = {**status, "database": answers}
    parts = {
        name: PartState(ok=ok, reason=None if ok else _REASONS.get(name, f"{name}_not_ready"))
        for name, ok in found.items()
    }
    reads = all(part.ok for part in parts.values())
    parts["dagster"] = PartState(ok=reason is None, reason=reason)
    if not reads:
        refusal: Any = msgspec.json.encode(_not_ready(parts))
        return Response(refusal, status_code=503, media_type=PROBLEM_MEDIA_TYPE)
    return Response(Readiness(state="degraded" if reason else "ready", parts=parts))
