"""Checks before Dagster's webserver: no page of another site may use it through a browser.

Belongs here: what a request must look like, as an ASGI middleware that knows nothing of Dagster.
Does not belong here: who may use the UI. Dagster has no users: whoever gets past these checks may
do everything (docs/security.md).

A browser sends requests to loopback for every page that it shows. Three things tell such requests
from those of the UI: the name in Host (DNS rebinding), Origin, Referer and Sec-Fetch-Site, and a
content type that pages of other origins can't send without asking first. Programs send none of the
browser's headers and pass.
"""

import ipaddress
import json
from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_READING = frozenset({"GET", "HEAD"})
_METHODS = _READING | {"POST"}
_OWN_SITES = frozenset({"same-origin", "none"})
_SINGLE = ("host", "origin", "referer", "content-type", "sec-fetch-site")
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost", "ip6-loopback"})
_POLICY_VIOLATION = 1008
# A frame of another site could have its clicks land on the UI's buttons.
_HEADERS = (
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """Why a request is not passed on."""

    status: int
    code: str
    detail: str
    hint: str


class BrowserGuard:
    """An app behind checks; `allowed_hosts` are names beside the loopback ones."""

    def __init__(self, app: App, *, allowed_hosts: Collection[str] = ()) -> None:
        self._app = app
        self._allowed_hosts = tuple(allowed_hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with a refusal."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        refusal = self.refusal(scope)
        if refusal is None:
            await self._app(scope, receive, _with_headers(send))
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION})
        else:
            await _answer(refusal, _with_headers(send))

    def refusal(self, scope: Scope) -> Refusal | None:
        """Why this request is not passed on; None for one that is."""
        headers: dict[str, str] = {}
        for raw_name, raw_value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if name in headers and name in _SINGLE:
                return Refusal(
                    status=400,
                    code="repeated_header",
                    detail=f"The header {name} is there more than once.",
                    hint="Send it once.",
                )
            # The first one counts, as it does for the app behind.
            headers.setdefault(name, raw_value.decode("latin-1").strip())
        if not self._knows(headers.get("host", "")):
            return Refusal(
                status=421,
                code="unknown_host",
                detail="The Host header does not name Dagster's webserver.",
                hint="Call it as localhost or 127.0.0.1, or add the name to "
                "LAKE_DAGSTER_ALLOWED_HOSTS.",
            )
        if not scope["path"].isprintable():
            # Routers take /graphql with a line feed behind it for /graphql.
            return Refusal(
                status=400,
                code="bad_path",
                detail="The path has characters that can't be printed.",
                hint="Leave them out.",
            )
        if scope["type"] == "websocket":
            return _foreign(headers)
        return _by_method(scope, headers)

    def _knows(self, host: str) -> bool:
        name = _host_name(host)
        if name in _LOOPBACK_NAMES or name.endswith(".localhost") or _is_loopback(name):
            return True
        return bool(name) and any(
            allowed in {"*", name} or (allowed.startswith("*.") and name.endswith(allowed[1:]))
            for allowed in self._allowed_hosts
        )


def _by_method(scope: Scope, headers: Mapping[str, str]) -> Refusal | None:
    method = scope["method"]
    if method not in _METHODS:
        return Refusal(
            status=405,
            code="method_not_allowed",
            detail=f"{method[:20]} is not a method of Dagster's webserver.",
            hint="Send GET, HEAD or POST.",
        )
    if method in _READING:
        # GraphQL by GET would run mutations; with text/html Dagster answers with a page instead.
        is_graphql = "graphql" in scope["path"].lower().split("/")
        if is_graphql and "text/html" not in headers.get("accept", ""):
            return Refusal(
                status=405,
                code="method_not_allowed",
                detail="GraphQL is not answered by GET, which pages of other sites may send.",
                hint="Send POST with the content type application/json.",
            )
        return None
    foreign = _foreign(headers)
    if foreign is not None:
        return foreign
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        return Refusal(
            status=415,
            code="unsupported_media_type",
            detail="The content type is not application/json.",
            hint="Send JSON with the header Content-Type: application/json.",
        )
    return None


def _foreign(headers: Mapping[str, str]) -> Refusal | None:
    """A refusal of what a browser sends for a page of another origin."""
    own = headers["host"].lower()
    site = headers.get("sec-fetch-site", "same-origin").lower()
    # A browser that leaves Origin out still names the page, unless the page forbids it.
    page = headers.get("origin", headers.get("referer"))
    if site in _OWN_SITES and (page is None or _netloc(page) == own):
        return None
    return Refusal(
        status=403,
        code="foreign_origin",
        detail="Pages of another origin may not change anything here.",
        hint="Use Dagster's own UI, or a program, which sends no Origin header.",
    )


def _netloc(url: str) -> str:
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def _host_name(host: str) -> str:
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return ""
    if parts.netloc != host or "@" in host:
        return ""
    return (parts.hostname or "").rstrip(".")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _with_headers(send: Send) -> Send:
    async def sending(message: MutableMapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
        await send(message)

    return sending


async def _answer(refusal: Refusal, send: Send) -> None:
    body = json.dumps(
        {
            "status": refusal.status,
            "code": refusal.code,
            "detail": refusal.detail,
            "hint": refusal.hint,
        }
    ).encode()
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        *([(b"allow", b"POST")] if refusal.status == 405 else []),
    ]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
