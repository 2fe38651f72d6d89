"""The HTTP connection with bounds, before any request exists.

Belongs here: how large and how slow a request's head and body may be, how many connections there
may be, and the answers to what breaks these bounds.
Does not belong here: anything about a request that was read (guards, limits of callers).

The HTTP parser joins the pieces of an unfinished header anew for each piece that arrives, so an
endless header costs the square of its length on the loop that serves everybody. This protocol
feeds the parser at most `header_bytes` that lead nowhere: heads, trailers and the extensions of
chunks alike. Connections that carry no request are closed first when there are too many.

A caller that shuts its sending side down after a whole request waits for the answer; one that
closes the connection sends the very same packet. Only a byte tells them apart: the system of the
one that has left refuses it. So an interim answer is sent, which HTTP/1.1 lets readers skip.

Requests that are sent without waiting for answers are queued, and only the newest is the library's
`cycle`. Nothing may be written here while the answer to an older one is on its way: it would become
a part of that answer's body.
"""

import asyncio
import resource
import socket
from collections import Counter
from dataclasses import dataclass
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from lake_api.errors import BadHttp, HeadersTooLarge, LakeError, RequestTimeout, TooManyConnections

_RESERVED_FILES = 384
_MOST_CONNECTIONS = 1_024
_WANTED_FILES = 16_384
_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
_FIRST_LOOK_S = 0.05
_LAST_LOOK_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorLimits:
    """What one connection may take, and how many there may be.

    `header_s` is the time for a whole head. A body has `body_grace_s`, and then must have come at
    `body_bytes_per_s` on average. `unread_s` is how long a caller may leave an answer unread.
    """

    header_bytes: int = 65_536
    header_s: float = 15.0
    body_grace_s: float = 30.0
    body_bytes_per_s: int = 1_000
    unread_s: float = 60.0
    connections: int = _MOST_CONNECTIONS


def allowed_connections() -> int:
    """How many connections the process's limit of open files has room for.

    The soft limit is raised first. Files of the cache, workers and databases have their share.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        soft = target
    if soft == resource.RLIM_INFINITY:
        return _MOST_CONNECTIONS
    return max(16, min(_MOST_CONNECTIONS, soft - _RESERVED_FILES, soft // 2))


def bounded_protocol(limits: DoorLimits) -> type[asyncio.Protocol]:
    """The protocol class for `uvicorn.Config(http=…)` with these limits."""
    return type("BoundedProtocol", (_BoundedProtocol,), {"limits": limits})


class _BoundedProtocol(HttpToolsProtocol):
    """One connection. `_fruitless_bytes` were fed since the parser last got somewhere."""

    limits = DoorLimits()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._fruitless_bytes = 0
        self._moved = False
        self._deadline: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._is_half_closed = False
        self._is_past_head = False
        self._answered: RequestResponseCycle | None = None
        self._looking: asyncio.TimerHandle | None = None
        self._body_bytes = 0
        self._body_since = 0.0
        self.made_at = self.loop.time()

    # ---- the connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or close one that carries no request for it."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections and not self._make_room():
            self._refuse(
                TooManyConnections(
                    "The service has as many connections as it can serve.",
                    hint="Try again in a moment; keep one connection and reuse it.",
                    retry=True,
                    retry_after_s=1,
                )
            )
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timers; the request that is answered hears of it, also where others wait."""
        self._cancel_deadline()
        self._cancel_stalled()
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Nothing more comes; True keeps the connection for the answer to a whole request."""
        if not self.carries_request or self.cycle.more_body:
            return False
        if self.cycle.scope["http_version"] != "1.1":
            return False  # knows no interim answers
        self._is_half_closed = True
        if not self._is_amid_answer:
            self.transport.write(_INTERIM)
        self._look_for_leaver(_FIRST_LOOK_S)
        return True

    def _look_for_leaver(self, pause_s: float) -> None:
        """Nobody reads from this connection any more: the system alone knows that it is gone."""
        self._looking = None
        if self.transport.is_closing():
            return
        connection = self.transport.get_extra_info("socket")
        if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.transport.abort()
            return
        following_s = min(_LAST_LOOK_S, 2 * pause_s)
        self._looking = self.loop.call_later(pause_s, self._look_for_leaver, following_s)

    def on_response_complete(self) -> None:
        """The answer is sent; behind the last one a half-closed connection is of no use."""
        is_last = not self.pipeline
        self._answered = None if is_last else self.pipeline[-1][0]
        super().on_response_complete()
        if self._is_half_closed and is_last:
            self.transport.close()

    @property
    def carries_request(self) -> bool:
        """Whether a request is being answered."""
        cycle: Any = self.cycle  # None before the first request, whatever its type says
        return cycle is not None and not cycle.response_complete

    @property
    def _is_amid_answer(self) -> bool:
        """Whether a part of an answer was written and the rest is to come."""
        cycle = self._answered
        return cycle is not None and cycle.response_started and not cycle.response_complete

    @property
    def peer(self) -> str:
        """The address at the other end."""
        return self.client[0] if self.client else ""

    def _make_room(self) -> bool:
        """Close the oldest connection without a request of the peer that has most of these.

        False when every connection carries a request.
        """
        idle = [
            other
            for other in self.connections
            if isinstance(other, _BoundedProtocol)
            and other is not self
            and not other.carries_request
        ]
        if not idle:
            return False
        counts = Counter(other.peer for other in idle)
        victim = max(idle, key=lambda other: (counts[other.peer], -other.made_at))
        self.connections.discard(victim)
        victim.transport.abort()
        return True

    # ---- what arrives

    def data_received(self, data: bytes) -> None:
        """Feed the parser in pieces, none of which passes the bound of a head."""
        at = 0
        while at < len(data):
            room = self.limits.header_bytes - self._fruitless_bytes
            if room <= 0:
                self._refuse(
                    HeadersTooLarge(
                        f"The request's head has more than {self.limits.header_bytes} bytes.",
                        hint="Send fewer or shorter headers and a shorter query string.",
                    )
                )
                return
            piece = data[at : at + room]
            at += len(piece)
            self._moved = False
            super().data_received(piece)
            if self.transport.is_closing():
                return
            self._fruitless_bytes = 0 if self._moved else self._fruitless_bytes + len(piece)

    def on_message_begin(self) -> None:
        """A head begins; on a connection that was kept, its time begins."""
        super().on_message_begin()
        self._is_past_head = False
        if self._deadline is None:
            self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; what follows a chunked body is none, though the parser calls it one.

        Whoever checks or removes headers on the way does not see those.
        """
        if not self._is_past_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole; the body's time begins."""
        self._moved = True
        self._is_past_head = True
        self._cancel_deadline()
        super().on_headers_complete()
        if not self.pipeline:
            self._answered = self.cycle
        self._body_bytes = 0
        self._body_since = self.loop.time()
        self._deadline = self.loop.call_later(self.limits.body_grace_s, self._check_body)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._moved = True
        self._body_bytes += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._moved = True
        self._cancel_deadline()
        super().on_message_complete()

    # ---- what is slow

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self.limits.header_s, self._head_is_late)

    def _head_is_late(self) -> None:
        self._deadline = None
        if self.carries_request:
            # The late head is that of a next request; the one before it is answered first.
            self._expect_head()
            return
        if not self._fruitless_bytes:
            self.transport.close()
            return
        self._refuse(
            RequestTimeout(
                f"The request's head was not whole after {self.limits.header_s:.0f} s.",
                hint="Send the whole request at once.",
                retry=True,
            )
        )

    def _check_body(self) -> None:
        self._deadline = None
        due = (self.loop.time() - self._body_since) * self.limits.body_bytes_per_s
        # While reading is paused, it is the service that is slow.
        if self._body_bytes >= due or self.flow.read_paused:
            self._deadline = self.loop.call_later(self.limits.body_grace_s, self._check_body)
        elif self._is_amid_answer:
            self.transport.abort()
        else:
            # The route finds that the caller has gone; nobody else answers on this connection.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self._refuse(
                RequestTimeout(
                    "The request's body came too slowly.",
                    hint=f"Send at least {self.limits.body_bytes_per_s} bytes a second.",
                    retry=True,
                )
            )

    def pause_writing(self) -> None:
        """The caller does not read: for so long only."""
        super().pause_writing()
        self._cancel_stalled()
        self._stalled = self.loop.call_later(self.limits.unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """The caller reads again."""
        self._cancel_stalled()
        super().resume_writing()

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _cancel_stalled(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    # ---- what is refused

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the library's signature
        """What is no HTTP is answered like every other error."""
        self._refuse(BadHttp("The request is no valid HTTP/1.1.", hint="Check the request line."))

    def _refuse(self, error: LakeError) -> None:
        """Answer below the application, and close."""
        if self.transport.is_closing():
            return
        self._cancel_deadline()
        if not self._is_amid_answer:
            body = msgspec.json.encode(error.to_problem())
            headers = {
                "content-type": "application/problem+json",
                "content-length": str(len(body)),
                "connection": "close",
                **{name.lower(): value for name, value in error.headers.items()},
            }
            lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            self.transport.write(STATUS_LINE[error.http_status] + lines.encode() + b"\r\n" + body)
        self.transport.close()
