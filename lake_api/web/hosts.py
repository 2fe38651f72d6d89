"""Guards of every route against browsers that were tricked into calling this service.

Belongs here: checks of Host (DNS rebinding) and Origin (cross-site requests).
Does not belong here: who the caller is (`identity`).

An internal agent is known by its address, and a browser on the same machine has the same one: a
page of a stranger must not be able to use it.

The guards wait for nothing; they are coroutines because Litestar calls plain functions in a thread,
which costs more than they do.
"""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from litestar.config.cors import CORSConfig
from litestar.handlers.base import BaseRouteHandler

from lake_api.errors import Forbidden, UnknownHost
from lake_api.peers import Connection
from lake_api.settings import Settings

_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


async def requires_known_host(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the one Host header names this service."""
    settings: Settings = connection.app.state.settings
    hosts = connection.headers.getall("host", [])
    name = _host_name(hosts[0]) if len(hosts) == 1 else ""
    if not name or not (_is_address(name) or _is_allowed(name, settings.allowed_hosts)):
        raise UnknownHost(
            "The Host header does not name this service.",
            hint="Call it by address or as localhost, or add the name to LAKE_ALLOWED_HOSTS.",
        )


async def requires_own_origin(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: a browser sends this from a page of this service, or not from a page at all."""
    origin = connection.headers.get("origin")
    if origin is None or connection.scope.get("method") in _SAFE_METHODS:
        return
    settings: Settings = connection.app.state.settings
    if origin.lower() in settings.allowed_origins:
        return
    if urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower():
        raise Forbidden(
            "Pages of another origin may not call this service.",
            code="foreign_origin",
            hint="Call it from a program, which sends no Origin header, or add the origin to "
            "LAKE_ALLOWED_ORIGINS.",
        )


def cors_of(settings: Settings, *, answer_headers: Iterable[str]) -> CORSConfig | None:
    """What browsers are told of pages of other origins; None where only its own may call.

    Those pages see the `answer_headers`, and no others that browsers do not show by themselves.
    """
    if not settings.allowed_origins:
        return None
    return CORSConfig(
        allow_origins=list(settings.allowed_origins),
        allow_methods=["GET", "HEAD", "POST", "DELETE", "PUT"],
        allow_headers=[
            "Accept",
            "Authorization",
            "Content-Type",
            "Idempotency-Key",
            "Last-Event-ID",
            "Mcp-Protocol-Version",
            "Mcp-Session-Id",
            "Range",
            "X-Agent-ID",
            "X-Cron-Run-ID",
            "X-Internal-API-Key",
        ],
        # Browsers know no patterns here: each header by its name.
        expose_headers=[
            "Accept-Ranges",
            "Content-Disposition",
            "Content-Range",
            "ETag",
            "Location",
            "Retry-After",
            *answer_headers,
        ],
    )


def _host_name(host: str) -> str:
    try:
        return (urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_allowed(name: str, allowed_hosts: tuple[str, ...]) -> bool:
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    return any(
        allowed in {"*", name} or (allowed.startswith("*.") and name.endswith(allowed[1:]))
        for allowed in allowed_hosts
    )
