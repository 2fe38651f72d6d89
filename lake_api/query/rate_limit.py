"""How often one caller may ask: so many calls in a cron run, or in a minute without one.

A caller that names another run with each call is stopped by what all of its runs may ask in a
minute.

Belongs here: counting calls and the headers that tell the count.
Does not belong here: who the caller is (`identity`), limits on a single query (`engine`).
"""

import math
import time
from dataclasses import dataclass
from typing import Any, cast

from limits import RateLimitItem, RateLimitItemPerDay, RateLimitItemPerMinute
from limits.aio.storage import RedisStorage, Storage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter
from limits.errors import ConfigurationError, StorageError
from limits.storage import storage_from_string
from litestar.handlers.base import BaseRouteHandler

from lake_api.errors import RateLimited, ServiceUnavailable
from lake_api.identity import Caller, Connection
from lake_api.settings import Settings, SettingsError

_STORE_TIMEOUT_S = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCount:
    """Where a caller stands after a call: `reset_s` seconds until calls come back."""

    accepted: bool
    limit: int
    remaining: int
    reset_s: int
    window: str

    @property
    def headers(self) -> dict[str, str]:
        """The headers that tell it."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_s),
        }


class CallCounter:
    """Counts query calls, by cron run where the caller names one.

    A cron run is one budget: its window is fixed and outlasts the run. Without a run the minute
    moves along, so that nobody gets two budgets around a full minute.

    Raises:
        SettingsError: the store is of an unknown kind, or its client library is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self._storage = storage = _open_storage(settings.rate_limit_store)
        self._per_run = RateLimitItemPerDay(settings.calls_per_cron_run)
        self._per_minute = RateLimitItemPerMinute(settings.calls_per_minute)
        self._of_runs = RateLimitItemPerMinute(settings.calls_per_minute_of_runs)
        self._fixed = FixedWindowRateLimiter(storage)
        self._moving = MovingWindowRateLimiter(storage)

    async def close(self) -> None:
        """Let go of the store's connections."""
        if isinstance(self._storage, RedisStorage):
            bridge: Any = self._storage.bridge
            await bridge.storage.aclose()

    async def count(self, caller: Caller) -> CallCount:
        """Count one call.

        Raises:
            ServiceUnavailable: the store of the counts does not answer.
        """
        names = ("query", caller.key)
        try:
            if caller.cron_run is not None:
                all_runs = await _hit(self._moving, self._of_runs, (*names, "runs"), "minute")
                if not all_runs.accepted:
                    return all_runs
                names = (*names, "run", caller.cron_run)
                return await _hit(self._fixed, self._per_run, names, "cron run")
            return await _hit(self._moving, self._per_minute, names, "minute")
        except StorageError as error:
            raise ServiceUnavailable(
                "Calls can't be counted at the moment, so none is let in.",
                code="rate_limit_unavailable",
                hint="Try again shortly.",
                retry=True,
                retry_after_s=5,
            ) from error


async def counts_call(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the caller has a call left. Every answer of the route then tells what remains.

    Raises:
        RateLimited: none is left; `retry_after_s` says when one is.
    """
    counter: CallCounter = connection.app.state.call_counter
    count = await counter.count(connection.scope["user"])
    connection.state["answer_headers"] = count.headers
    if not count.accepted:
        raise RateLimited(
            f"At most {count.limit} query calls per agent and {count.window}.",
            hint="Ask for more in one query (GROUP BY, UNION ALL), or come back later.",
            retry=True,
            retry_after_s=count.reset_s,
        )


def _open_storage(uri: str) -> Storage:
    # The storages for asyncio have the same names with this prefix.
    uri = uri if uri.startswith("async+") else f"async+{uri}"
    options: dict[str, Any] = {}
    if "redis" in uri.partition("://")[0]:
        # A store that hangs must not hold up queries.
        options = {"socket_timeout": _STORE_TIMEOUT_S, "socket_connect_timeout": _STORE_TIMEOUT_S}
    try:
        storage = storage_from_string(
            uri, wrap_exceptions=True, implementation="redispy", **options
        )
    except ConfigurationError as error:
        hint = "; install ainative-lake[redis]" if options else ""
        raise SettingsError(f"LAKE_RATE_LIMIT_STORE: {error}{hint}") from error
    return cast(Storage, storage)


async def _hit(
    limiter: RateLimiter, item: RateLimitItem, names: tuple[str, ...], window: str
) -> CallCount:
    accepted = await limiter.hit(item, *names)
    stats = await limiter.get_window_stats(item, *names)
    return CallCount(
        accepted=accepted,
        limit=item.amount,
        remaining=max(0, stats.remaining),
        reset_s=max(1, math.ceil(stats.reset_time - time.time())),
        window=window,
    )
