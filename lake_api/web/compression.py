"""Answers in fewer bytes, for callers who ask for it.

Belongs here: which answers are compressed, and how.
Does not belong here: what an answer says.

The framework's own middleware compresses every type: an Arrow stream hardly shrinks, and is read
as it comes. Answers with a secret stay plain, so that their length tells nothing about it; files
stay as they are stored, so that a range is one of the file.
"""

import asyncio
import gzip
from typing import Any, cast

from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from lake_api.doors import FILES, LAKE

_MIN_BYTES = 1_024
_LARGE_BYTES = 256 * 1024
_LEVEL = 4
_TYPES = frozenset({"application/json", "text/csv", "text/plain", "text/html"})
_AS_THEY_ARE = (f"{LAKE}/tokens", FILES)


class CompressesAnswers(ASGIMiddleware):
    """Middleware: gzip, where the caller takes it and it is worth it."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let the answer through, compressed where it should be."""
        if scope["path"].startswith(_AS_THEY_ARE):
            await next_app(scope, receive, send)
            return
        takes_gzip = _takes_gzip(scope)
        start: Any = None

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                start = message
                return
            if start is not None:
                first, start = start, None
                if message["type"] == "http.response.body":
                    message = await _compressed(first, message, takes_gzip=takes_gzip)
                await send(first)
            await send(message)

        await next_app(scope, receive, send_compressed)


async def _compressed(start: Any, message: Any, *, takes_gzip: bool) -> Message:
    headers = MutableScopeHeaders(start)
    body = cast("bytes", message.get("body", b""))
    kind = headers.get("content-type", "").partition(";")[0].strip()
    if not (kind in _TYPES or kind.endswith("+json")) or headers.get("content-encoding"):
        return message
    headers.extend_header_value("vary", "Accept-Encoding")
    # What is streamed is sent as it comes; what is short is not worth it.
    if not takes_gzip or message.get("more_body") or len(body) < _MIN_BYTES:
        return message
    if len(body) < _LARGE_BYTES:
        packed = gzip.compress(body, _LEVEL, mtime=0)
    else:
        packed = await asyncio.to_thread(gzip.compress, body, _LEVEL, mtime=0)
    headers["Content-Encoding"] = "gzip"
    headers["Content-Length"] = str(len(packed))
    message["body"] = packed
    return message


def _takes_gzip(scope: Scope) -> bool:
    said = b",".join(value for name, value in scope["headers"] if name == b"accept-encoding")
    for part in said.decode("latin-1").lower().split(","):
        coding, _, parameter = part.partition(";")
        if coding.strip() in {"gzip", "x-gzip", "*"}:
            return parameter.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False
