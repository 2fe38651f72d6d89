"""`…/lake/files`: what links to exports and artifacts lead to.

Belongs here: the routes, their headers. Does not belong here: judging a link (`downloads`).

The link says who asks: browsers, pandas and DuckDB send no `Authorization`. Requests do not count
in the windows of a token, because readers of Parquet ask for many ranges of one file.
"""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated, Any

from litestar import Response, get, head
from litestar.datastructures import MutableScopeHeaders
from litestar.enums import ScopeType
from litestar.handlers.base import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Operation
from litestar.params import Parameter
from litestar.response import Stream
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from lake_api.artifacts.kinds import UNKNOWN
from lake_api.audit.answering import audited, tell
from lake_api.datasets.routes import answer_unavailable
from lake_api.doors import FILES
from lake_api.errors import LakeError, RangeNotSatisfiable, RateLimited
from lake_api.exports.objects import attachment
from lake_api.files.downloads import Downloads, Opened, gone
from lake_api.files.ranges import Span, requested_span
from lake_api.identity import caller_of_key
from lake_api.jobs.service import disabled
from lake_api.peers import Connection
from lake_api.web.problems import problem_responses
from lake_api.web.requests import LakeRequest

_PATH = f"{FILES}/{{link:str}}/{{name:str}}"
_ERRORS: dict[int, LakeError] = {404: gone(), 503: disabled("files")}
_TOO_MANY = RateLimited(
    "Too many files are downloaded at the same time.",
    code="too_many_downloads",
    retry=True,
    retry_after_s=1,
)
_LinkText = Annotated[str, Parameter(description="What the service signed; opaque.")]
_Name = Annotated[str, Parameter(description="The file's name, as in the link.")]


class SendsWhole(ASGIMiddleware):
    """Middleware of a route that streams: a body that is too short is never ended as if whole.

    What the route holds for the time of its answer goes to `request.state["held"]`.
    """

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Let go of what is held once the answer is sent, or nobody reads it any more."""
        left_bytes, is_cut = 0, False

        async def answer(message: Message) -> None:
            nonlocal left_bytes, is_cut
            if message["type"] == "http.response.start":
                left_bytes = int(MutableScopeHeaders(message).get("content-length", "0"))
            elif message["type"] == "http.response.body":
                left_bytes -= len(message["body"])
                if left_bytes > 0 and not message["more_body"]:
                    is_cut = True
                    raise _CutShort
            await send(message)

        async with AsyncExitStack() as held:
            LakeRequest(scope).state["held"] = held
            try:
                await next_app(scope, receive, answer)
            except Exception:
                # An answer without its end: the server closes the connection.
                if not is_cut:
                    raise


class _CutShort(Exception):
    """Ends an answer of which bytes are missing."""


@dataclass
class _OpenToAll(Operation):
    """The operation as one that needs no credential but the link."""

    def __post_init__(self) -> None:
        self.security = [{}]


async def requires_link(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the path is a link, and whoever it was given to may read its file now."""
    downloads: Downloads | None = connection.app.state.downloads
    if downloads is None:
        raise disabled("files")
    # What is refused costs nothing, whoever repeats it.
    tell(connection, is_cheap=True)
    link = downloads.read(connection.path_params["link"])
    connection.scope["user"] = caller_of_key(link.holder)
    tell(connection, subject=str(link.file_id))
    opened = await downloads.open(link, name=connection.path_params["name"])
    connection.scope["user"] = opened.holder
    tell(connection, datasets=opened.file.datasets, form=opened.file.form)
    connection.state["opened"] = opened


_OPTIONS: dict[str, Any] = {
    "tags": ["files"],
    "guards": [requires_link],
    "exception_handlers": {Exception: answer_unavailable},
    "operation_class": _OpenToAll,
}


def _file(description: str) -> ResponseSpec:
    return ResponseSpec(
        data_container=bytes, media_type=UNKNOWN, generate_examples=False, description=description
    )


@get(
    _PATH,
    operation_id="download_file",
    summary="The file behind a link",
    description="The link is the `url` of an export or an artifact, and all that is needed. "
    "Whatever it was given for is judged again at each use: a token that was revoked, a right that "
    "was taken back and a file that was removed end the link at once. `Range` takes one range.",
    middleware=[audited("download_file"), SendsWhole()],
    responses={
        200: _file("The file, as an attachment."),
        206: _file("The bytes of the range."),
        **problem_responses({**_ERRORS, 416: RangeNotSatisfiable.of(182_420), 429: _TOO_MANY}),
    },
    **_OPTIONS,
)
async def download_file(link: _LinkText, name: _Name, request: LakeRequest) -> Stream:
    """Its bytes, as the caller takes them."""
    del link, name
    downloads: Downloads = request.app.state.downloads
    opened: Opened = request.state["opened"]
    held: AsyncExitStack = request.state["held"]
    span = _span(request, opened)
    tell(request, answer_bytes=span.length)
    await held.enter_async_context(downloads.turn(opened.holder))
    pieces = downloads.pieces(opened, span)
    held.push_async_callback(pieces.aclose)
    # What fails at once still has an answer of its own.
    first = await anext(pieces, b"")
    tell(request, is_cheap=not downloads.is_first_use(opened.link))
    headers = _headers(opened, span)
    if span.is_part:
        last = span.start + span.length - 1
        headers["Content-Range"] = f"bytes {span.start}-{last}/{opened.file.size_bytes}"
    return Stream(_joined(first, pieces), status_code=206 if span.is_part else 200, headers=headers)


@head(
    _PATH,
    operation_id="look_at_file",
    summary="The headers of the file behind a link",
    description="As `GET` would answer, without the file.",
    middleware=[audited("download_file", is_look=True)],
    responses={200: _file("No body."), **problem_responses(_ERRORS)},
    **_OPTIONS,
)
async def look_at_file(link: _LinkText, name: _Name, request: LakeRequest) -> Response[None]:
    """Its size and type."""
    del link, name
    downloads: Downloads = request.app.state.downloads
    opened: Opened = request.state["opened"]
    size_bytes = await downloads.size_of(opened.file)
    return Response(None, headers=_headers(opened, Span(start=0, length=size_bytes, is_part=False)))


FILE_ROUTES = (download_file, look_at_file)


def _span(request: LakeRequest, opened: Opened) -> Span:
    """The bytes that are asked for: all of them where the caller has a part of another file."""
    condition = request.headers.get("if-range")
    asked = request.headers.get("range") if condition in {None, opened.file.etag} else None
    return requested_span(asked, size_bytes=opened.file.size_bytes)


def _headers(opened: Opened, span: Span) -> dict[str, str]:
    return {
        "Content-Type": opened.file.media_type,
        "Content-Length": str(span.length),
        "Content-Disposition": attachment(opened.file.name),
        "ETag": opened.file.etag,
        "Accept-Ranges": "bytes",
        # A copy elsewhere would outlive the right to read it.
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
    }


async def _joined(first: bytes, others: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    yield first
    async for piece in others:
        yield piece
