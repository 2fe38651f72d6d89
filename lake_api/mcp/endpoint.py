"""`POST /mcp`: messages of MCP clients (streamable HTTP).

Belongs here: letting a message in, and handing it to the protocol.
Does not belong here: the protocol (the `mcp` library), tools and resources (`server`).

No session is kept and each answer is one JSON document: any replica can take any message. Who the
caller is, and from which Host and Origin it may call, is decided by the guards of every route,
before a message is read.
"""

from collections.abc import AsyncGenerator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import asgi
from litestar.types import Receive, Scope, Send
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager

from lake_api.datasets.visible import Visibility
from lake_api.errors import BodyTooLarge, InvalidRequest, MethodNotAllowed, UnsupportedMediaType
from lake_api.identity import requires_agent
from lake_api.mcp.messages import check_message, protocol_error
from lake_api.mcp.server import mcp_server
from lake_api.peers import Connection
from lake_api.query.rate_limit import counts_look
from lake_api.settings import Settings
from lake_api.web.accept import preferred
from lake_api.web.leaving import while_here

MCP_PATH = "/mcp"
_JSON = "application/json"
_LISTS = ("tools/list", "resources/list", "resources/templates/list")


@asynccontextmanager
async def serving_mcp(app: Litestar, visibility: Visibility) -> AsyncGenerator[None]:
    """Take messages until the block ends; the application has started and not yet stopped."""
    settings: Settings = app.state.settings
    manager = StreamableHTTPSessionManager(
        mcp_server(app, visibility),
        json_response=True,
        stateless=True,
        max_request_body_size=settings.body_bytes,
    )
    async with manager.run():
        app.state.mcp = manager
        yield


@asgi(MCP_PATH, guards=[requires_agent], copy_scope=True)
async def mcp_endpoint(scope: Scope, receive: Receive, send: Send) -> None:
    """One message and its answer."""
    if scope.get("method") != "POST":
        refused = MethodNotAllowed("This server keeps no sessions and opens no streams.")
        refused.allowed = ("POST",)
        raise refused
    connection: Connection = ASGIConnection(scope, receive)
    if connection.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise UnsupportedMediaType(
            "The body must be JSON.", hint="Send the header Content-Type: application/json."
        )
    app = connection.app
    settings: Settings = app.state.settings
    body = await _read(receive, settings.body_bytes)
    message = _message_of(body)
    try:
        check_message(message)
    except InvalidRequest as error:
        await _answer(send, protocol_error(message, error), status=error.http_status)
        return
    if message.get("method") in _LISTS:
        # What a tool or a resource asks for, its route counts.
        await counts_look(connection, connection.route_handler)
    manager: StreamableHTTPSessionManager = app.state.mcp
    scope["headers"] = _accepting(scope["headers"])
    untyped: Any = scope
    await while_here(
        receive,
        lambda caller: manager.handle_request(
            untyped, _replaying(body, caller.receive), _as_sender(send)
        ),
    )


_EVERY_FORM = (b"accept", b"application/json, text/event-stream")


def _accepting(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers as the protocol's library wants them; it knows no ranges of media types.

    A client that says nothing, or that it takes anything, takes JSON.
    """
    headers = list(headers)
    said = b",".join(value for name, value in headers if name.lower() == b"accept").decode(
        "latin-1"
    )
    if preferred(said or None, [_JSON]) is None:
        return headers
    return [*((name, value) for name, value in headers if name.lower() != b"accept"), _EVERY_FORM]


async def _read(receive: Receive, max_bytes: int) -> bytes:
    body = bytearray()
    more = True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            break
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > max_bytes:
            raise BodyTooLarge(f"The body has more than {max_bytes} bytes.")
    return bytes(body)


def _message_of(body: bytes) -> Any:
    """What the body says.

    Raises:
        InvalidRequest: it is no JSON, nested without end, or no Unicode.
    """
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(
            "The body is not JSON in UTF-8.", code="malformed_json", status=400
        ) from error


async def _answer(send: Send, body: bytes, *, status: int) -> None:
    headers = [
        (b"content-type", _JSON.encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def _replaying(body: bytes, receive: Receive) -> Any:
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])

    async def replay() -> Any:
        return next(messages, None) or await receive()

    return replay


def _as_sender(send: Send) -> Any:
    """The sender without the types that two frameworks give to the same messages."""
    return send
