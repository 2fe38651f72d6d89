"""Calling a route of this service on behalf of whoever called a tool.

Belongs here: the request within the process, as the caller; its answer.
Does not belong here: which route a tool is (`tools`).

A tool goes through the route that it stands for, with the caller's own headers and address, so
that identity, Host and Origin, limits, the guard, the log line and the metrics are the route's:
there is no second way in that could forget one of them. Nothing leaves the process for it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
from litestar import Litestar
from starlette.requests import Request

from lake_api.errors import Problem

_OF_THE_ENVELOPE = frozenset(
    {
        b"accept",
        b"accept-encoding",
        b"connection",
        b"content-encoding",
        b"content-length",
        b"content-type",
        b"expect",
        b"idempotency-key",
        b"last-event-id",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
"""Headers about the message that a tool call came in; all others are about the caller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteCall:
    """A request to one of the service's routes."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict[str, str])
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    only_reads: bool = False
    """Whether it may be stopped half-way when the caller leaves, beside those with GET."""


class RouteRefused(Exception):
    """What a route answered in place of what it was asked for: `problem`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


async def call_route(app: Litestar, caller: Request[Any], call: RouteCall) -> httpx.Response:
    """The route's answer to whoever sent `caller`.

    Raises:
        RouteRefused: it is a problem.
    """
    if call.only_reads or call.method == "GET":
        return await _call(app, caller, call)
    # What changes something is done to its end, whoever waits for it.
    return await asyncio.shield(_call(app, caller, call))


async def _call(app: Litestar, caller: Request[Any], call: RouteCall) -> httpx.Response:
    headers = [
        (name, value)
        for name, value in caller.headers.raw
        if name not in _OF_THE_ENVELOPE and not name.startswith(b"mcp-")
    ]
    # Without an address, nobody is internal.
    peer = (caller.client.host, caller.client.port) if caller.client else ("", 0)
    transport = httpx.ASGITransport(app=_as_asgi(app), client=peer)
    async with httpx.AsyncClient(transport=transport, trust_env=False) as client:
        answer = await client.request(
            call.method,
            f"http://lake{call.path}",
            params=call.params or None,
            json=call.body,
            headers=[*headers, (b"accept", b"application/json"), *_raw(call.headers)],
        )
    if not answer.is_success:
        raise RouteRefused(msgspec.json.decode(answer.content, type=Problem))
    return answer


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in headers.items()]


def _as_asgi(app: Litestar) -> Any:
    """The application without the types that two frameworks give to the same messages."""
    return app
