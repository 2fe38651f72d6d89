"""Stopping what is done for a caller who has closed the connection.

Belongs here: noticing that the caller has left, ending the request, the answer that nobody reads.
Does not belong here: what a route does, how a worker is stopped (`query.pool`).

Whoever leaves wants nothing more, and others wait for the worker. So a route that only reads is
cancelled where it is; what it holds (a worker, a slot, pins of files, a turn in the queue) is given
back as the cancellation passes. A route that changes something is never stopped half-way.

The answer, status 499, goes the usual way to nobody: its audit row and log line say `cancelled`.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from litestar import Request
from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from lake_api.errors import CallerLeft

_BODILESS = frozenset({"GET", "HEAD"})


class StopsForLeavers(ASGIMiddleware):
    """Middleware of a route that only reads; it goes behind the one that writes the audit row."""

    scopes = (ScopeType.HTTP,)

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Run the route for as long as the caller is there."""
        is_answering = False

        async def answer(message: Message) -> None:
            nonlocal is_answering
            is_answering = True
            await send(message)

        caller = Caller(receive, has_body=scope.get("method") not in _BODILESS)
        running = asyncio.current_task()
        has_left = False

        async def watch() -> None:
            nonlocal has_left
            await caller.leaves()
            # An answer that is on its way is recorded as one.
            if not is_answering and running is not None:
                has_left = True
                running.cancel()

        watching = asyncio.create_task(watch())
        try:
            await next_app(scope, caller.receive, answer)
        except asyncio.CancelledError:
            if not has_left or running is None or running.uncancel():
                raise
            request: Request[Any, Any, Any] = Request(scope)
            handlers: Any = request.route_handler.resolve_exception_handlers()
            response = handlers[Exception](request, CallerLeft("The caller closed the connection."))
            await response.to_asgi_response(None, request)(scope, receive, send)
        finally:
            watching.cancel()


class Caller:
    """The receiving side of a request: its body for the route, and whether anybody is there.

    With `has_body` the route reads the body, as fast as it will: before it has, nobody else
    listens. Without, whatever is sent is dropped. With `is_read` there is nothing left of it.
    """

    def __init__(self, receive: Receive, *, has_body: bool, is_read: bool = False) -> None:
        self._receive = receive
        self._has_body = has_body
        self._is_read = asyncio.Event()
        if is_read:
            self._is_read.set()
        self._has_left = asyncio.Event()

    async def receive(self) -> Any:
        """The next message, for the route."""
        if self._has_body and not self._is_read.is_set():
            return self._note(await self._receive())
        if not self._has_body:
            self._has_body = True
            self._is_read.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def leaves(self) -> None:
        """Wait until the caller has left."""
        if self._has_body:
            await self._is_read.wait()
        while not self._has_left.is_set():
            self._note(await self._receive())

    def _note(self, message: Any) -> Any:
        if message["type"] == "http.disconnect":
            self._has_left.set()
            self._is_read.set()
        elif not message.get("more_body", False):
            self._is_read.set()
        return message


async def while_here(receive: Receive, work: Callable[[Caller], Coroutine[Any, Any, None]]) -> None:
    """Do the work of a request whose body is read; it is cancelled when the caller leaves."""
    caller = Caller(receive, has_body=True, is_read=True)
    task = asyncio.create_task(work(caller))
    left = asyncio.create_task(caller.leaves())
    try:
        await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
    finally:
        for one in (task, left):
            one.cancel()
        await asyncio.gather(task, left, return_exceptions=True)
