"""Counts of calls in memory: right without sweeping, swept now and then, never in a thread."""

import asyncio
from typing import Any

import pytest
from limits import RateLimitItemPerDay, RateLimitItemPerSecond
from limits.aio.strategies import FixedWindowRateLimiter, MovingWindowRateLimiter

from lake_api.query import call_store
from lake_api.query.call_store import open_call_store

RUN = RateLimitItemPerDay(2)
SECOND = RateLimitItemPerSecond(2)


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.0

    def monotonic(self) -> float:
        return self.now_s

    def time(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for name in ("monotonic", "time"):
        monkeypatch.setattr(call_store.time, name, getattr(clock, name))
    return clock


def test_what_is_over_is_removed_and_what_is_not_stays(clock: Clock):
    storage: Any = open_call_store("memory://")
    fixed, moving = FixedWindowRateLimiter(storage), MovingWindowRateLimiter(storage)

    async def count() -> None:
        assert await fixed.hit(RUN, "run")
        for number in range(3):
            assert await moving.hit(SECOND, f"agent-{number}")
        clock.now_s += 9
        await moving.hit(SECOND, "agent-0")
        assert len(storage.events) == 3
        clock.now_s += 2
        await moving.hit(SECOND, "agent-1")
        await storage.timer
        assert set(storage.events) == {"LIMITER/agent-1/2/1/second"}
        assert await fixed.hit(RUN, "run")
        assert not await fixed.hit(RUN, "run")

    asyncio.run(count())


def test_a_call_costs_the_same_however_many_callers_there_are(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
):
    storage: Any = open_call_store("memory://")
    moving = MovingWindowRateLimiter(storage)

    async def count() -> None:
        for number in range(50):
            await moving.hit(SECOND, f"agent-{number}")
        monkeypatch.setattr(asyncio, "to_thread", None)
        assert await moving.hit(SECOND, "agent-0")
        assert not await moving.hit(SECOND, "agent-0")
        clock.now_s += 1.1
        # The window has moved on, though nobody has swept.
        assert await moving.hit(SECOND, "agent-0")
        assert storage.timer is None

    asyncio.run(count())
