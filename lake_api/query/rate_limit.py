"""How often one caller may ask: so many calls in a cron run, or in a minute without one.

A caller that names another run with each call is stopped by what all of its runs may ask in a
minute. The holder of a token is bound by the token's limits and its swarm's as well; where all of
them say how much a minute has, that stands in place of the service's own.

Belongs here: counting calls and the headers that tell the count.
Does not belong here: who the caller is (`identity`), limits on a single query (`engine`), what a
day has and queries at once (`usage`).
"""

import asyncio
import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from limits import (
    RateLimitItem,
    RateLimitItemPerDay,
    RateLimitItemPerHour,
    RateLimitItemPerMinute,
    RateLimitItemPerSecond,
)
from limits.aio.storage import RedisStorage
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter, RateLimiter
from limits.errors import StorageError
from litestar.handlers.base import BaseRouteHandler

from lake_api.errors import LakeError, RateLimited, ServiceUnavailable
from lake_api.identity import Caller
from lake_api.peers import Connection
from lake_api.query.call_store import open_call_store
from lake_api.settings import Settings
from lake_api.usage.day_sums import DaySums
from lake_api.usage.holders import Holder, Whose, holders


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """One limit of calls in a window. `of` is whose it is: the service's, a token's, a swarm's."""

    name: str
    of: Whose
    item: RateLimitItem
    key: tuple[str, ...]
    moves: bool = True

    @property
    def sentence(self) -> str:
        """What the limit is."""
        if self.of == "service":
            unit = "cron run" if self.name == "calls_per_cron_run" else "minute"
            return f"At most {self.item.amount} query calls per agent and {unit}."
        unit = self.name.rpartition("_")[2]
        return f"At most {self.item.amount} requests of this {self.of} per {unit}."


@dataclass(frozen=True, slots=True, kw_only=True)
class CallCount:
    """Where a caller stands in a window: `reset_s` seconds until calls come back."""

    accepted: bool
    window: Window
    remaining: int
    reset_s: int

    @property
    def limit(self) -> int:
        """How many calls the window has."""
        return self.window.item.amount

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
    moves along, so that nobody gets two budgets around a full minute; so do a token's windows.

    Raises:
        SettingsError: the store is of an unknown kind, or its client library is not installed.
    """

    def __init__(self, settings: Settings) -> None:
        self.storage = storage = open_call_store(settings.rate_limit_store)
        self._per_run = RateLimitItemPerDay(settings.calls_per_cron_run)
        self._per_minute = RateLimitItemPerMinute(settings.calls_per_minute)
        self._of_runs = RateLimitItemPerMinute(settings.calls_per_minute_of_runs)
        self._fixed = FixedWindowRateLimiter(storage)
        self._moving = MovingWindowRateLimiter(storage)

    async def close(self) -> None:
        """Let go of the store's connections."""
        if isinstance(self.storage, RedisStorage):
            bridge: Any = self.storage.bridge
            await bridge.storage.aclose()

    async def count_for_token(self, caller: Caller) -> CallCount | None:
        """Count a request that is no query: in the windows of tokens only.

        Raises:
            ServiceUnavailable: the store of the counts does not answer.
        """
        windows = [one for holder in holders(caller) for one in _token_windows(holder)]
        return await self._count(caller, windows) if windows else None

    async def count(self, caller: Caller) -> CallCount:
        """Count one query call; the window that refuses it, or else the one that tells most.

        Raises:
            ServiceUnavailable: the store of the counts does not answer.
        """
        return await self._count(caller, list(self._windows(caller)))

    async def _count(self, caller: Caller, windows: Sequence[Window]) -> CallCount:
        try:
            for window in windows:
                if not await self._limiter(window).hit(window.item, *window.key):
                    return replace(await self._standing(window), accepted=False)
            if caller.token_id is None:
                # As it ever was: the last one is what the caller's budget is called after.
                return await self._standing(windows[-1])
            counts = await asyncio.gather(*map(self._standing, windows))
        except StorageError as error:
            raise counting_unavailable() from error
        return min(counts, key=lambda count: count.remaining)

    async def standing(self, caller: Caller) -> Sequence[CallCount]:
        """Where a caller stands in all of its windows, with nothing counted.

        Raises:
            ServiceUnavailable: the store of the counts does not answer.
        """
        try:
            return [await self._standing(window) for window in self._windows(caller)]
        except StorageError as error:
            raise counting_unavailable() from error

    def _windows(self, caller: Caller) -> Iterator[Window]:
        """The shortest first: what a burst is refused for shall not use up the hour."""
        bound = list(holders(caller))
        for holder in bound:
            yield from _token_windows(holder)
        own_minute = bool(bound) and all(
            one.limits.requests_per_minute is not None for one in bound
        )
        names = ("query", caller.key)
        run = caller.cron_run
        if not own_minute and run is None:
            yield Window(name="calls_per_minute", of="service", item=self._per_minute, key=names)
        elif not own_minute:
            yield Window(
                name="calls_per_minute_of_runs",
                of="service",
                item=self._of_runs,
                key=(*names, "runs"),
            )
        if run is not None:
            yield Window(
                name="calls_per_cron_run",
                of="service",
                item=self._per_run,
                key=(*names, "run", run),
                moves=False,
            )

    async def _standing(self, window: Window) -> CallCount:
        stats = await self._limiter(window).get_window_stats(window.item, *window.key)
        return CallCount(
            accepted=True,
            window=window,
            remaining=max(0, stats.remaining),
            reset_s=max(1, math.ceil(stats.reset_time - time.time())),
        )

    def _limiter(self, window: Window) -> RateLimiter:
        return self._moving if window.moves else self._fixed


async def counts_call(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the caller has a call left. Every answer of the route then tells what remains.

    Raises:
        RateLimited: none is left; `retry_after_s` says when one is.
    """
    counter: CallCounter = connection.app.state.call_counter
    sums: DaySums = connection.app.state.day_sums
    caller: Caller = connection.scope["user"]
    count = await counter.count(caller)
    connection.state["answer_headers"] = count.headers
    _refuse(count)
    await sums.admit(caller)


async def counts_request(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the caller's token has a request left, and its day is not used up.

    For what is no query call of the service's own budgets, and still is use: jobs and exports.

    Raises:
        RateLimited: none is left, or the day's budget is used up.
    """
    counter: CallCounter = connection.app.state.call_counter
    sums: DaySums = connection.app.state.day_sums
    caller: Caller = connection.scope["user"]
    count = await counter.count_for_token(caller)
    if count is not None:
        _refuse(count)
    await sums.admit(caller)


async def counts_look(connection: Connection, _: BaseRouteHandler) -> None:
    """Guard: the caller's token has a request left, whether its day is used up or not.

    For what costs nothing of a day: how something stands, what the caller has already, ending it.

    Raises:
        RateLimited: none is left.
    """
    counter: CallCounter = connection.app.state.call_counter
    count = await counter.count_for_token(connection.scope["user"])
    if count is not None:
        _refuse(count)


def _refuse(count: CallCount) -> None:
    if not count.accepted:
        raise RateLimited(
            count.window.sentence,
            hint="Ask for more in one query (GROUP BY, UNION ALL), or come back later.",
            retry=True,
            retry_after_s=count.reset_s,
        )


def counting_unavailable() -> ServiceUnavailable:
    """What is said when the store of the counts does not answer."""
    return ServiceUnavailable(
        "Calls can't be counted at the moment, so none is let in.",
        code="rate_limit_unavailable",
        hint="Try again shortly.",
        retry=True,
        retry_after_s=5,
    )


LIMIT_ERRORS: Mapping[int, LakeError] = {
    429: RateLimited("At most 60 requests of this token per minute.", retry=True, retry_after_s=12),
    503: counting_unavailable(),
}
"""What a route may answer that counts and records its requests."""


def _token_windows(holder: Holder) -> Iterator[Window]:
    limits = holder.limits
    for name, amount, item in (
        ("requests_per_second", limits.requests_per_second, RateLimitItemPerSecond),
        ("requests_per_minute", limits.requests_per_minute, RateLimitItemPerMinute),
        ("requests_per_hour", limits.requests_per_hour, RateLimitItemPerHour),
    ):
        if amount is not None:
            key = ("token", holder.token_id.hex)
            yield Window(name=name, of=holder.of, item=item(max(0, amount)), key=key)
