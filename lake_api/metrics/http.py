"""What HTTP answers count: how long, by route and status.

Belongs here: the middleware that measures.
Does not belong here: the metric itself (`metrics`).
"""

import time
from typing import Any

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from lake_api.metrics.metrics import QueryMetrics


class CountsAnswers(ASGIMiddleware):
    """Middleware: counts each answer by its route's template, never by its path."""

    scopes = (ScopeType.HTTP, ScopeType.ASGI)

    def __init__(self, metrics: QueryMetrics) -> None:
        self._metrics = metrics

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Measure until the answer begins."""
        since = time.perf_counter()
        method = str(scope.get("method", ""))

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                untyped: Any = scope
                route = str(untyped.get("path_template") or "other")
                elapsed_s = time.perf_counter() - since
                self._metrics.observe_answer(method, route, message["status"], elapsed_s)
            await send(message)

        await next_app(scope, receive, send_counted)
