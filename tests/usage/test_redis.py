"""Replicas that share a Redis share windows and slots; one that dies gives its slots back."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from limits.errors import StorageError

from lake_api.errors import RateLimited
from lake_api.identity import Caller, Role
from lake_api.query.rate_limit import CallCounter
from lake_api.settings import Settings
from lake_api.tokens.grants import Grant, TokenLimits
from lake_api.usage.holders import holders
from lake_api.usage.slots import Slots
from tests.api.test_http_rate_limit import redis_url
from tests.usage.asking import Asker

__all__ = ["redis_url"]

SWARM = "0199a5a0-7c1e-7b52-9d0e-5f0c8f2d8a11"


def caller(own: int | None, of_swarm: int | None) -> Any:
    limits = [TokenLimits(concurrent_queries=one) for one in (own, of_swarm)]
    return Caller(
        role=Role.AGENT,
        name="aurora",
        token_id=uuid4(),
        swarm_id=UUID(SWARM),
        grant=Grant(limits=limits[0]).inside(Grant(limits=limits[1])),
    )


def test_replicas_share_a_tokens_windows(own_service: Any, redis_url: str) -> None:
    with (
        own_service(LAKE_RATE_LIMIT_STORE=redis_url) as one,
        own_service(LAKE_RATE_LIMIT_STORE=redis_url) as two,
        httpx.Client(base_url=one) as here,
        httpx.Client(base_url=two) as there,
    ):
        token = Asker(here).make(limits={"requests_per_hour": 3, "concurrent_queries": 2})["token"]
        asked = [Asker(client).query(token).status_code for client in (here, there, here, there)]
        assert asked == [200, 200, 200, 429]
        standing = Asker(there).limits(token)
        assert standing["requests_per_hour", "token"]["left"] == 0
        assert standing["concurrent_queries", "token"]["used"] == 0


def test_replicas_share_slots_and_the_dead_ones_come_back(redis_url: str) -> None:
    async def run() -> None:
        settings = Settings.from_mapping({"LAKE_RATE_LIMIT_STORE": redis_url})
        one, two = CallCounter(settings), CallCounter(settings)
        here, there = (Slots(counter.storage, lease_s=1.0) for counter in (one, two))
        small, other = caller(1, 2), caller(None, 2)
        async with here.held(small), there.held(other):
            with pytest.raises(RateLimited, match="of this token"):
                async with there.held(small):
                    pass
            with pytest.raises(RateLimited, match="of this swarm"):
                async with here.held(other):
                    pass
        async with here.held(small):
            pass
        # A replica that dies in the middle gives nothing back; its lease ends.
        [own, swarm] = holders(small)
        dead = there.held(small)
        await dead.__aenter__()
        assert await here.taken(own) == await here.taken(swarm) == 1
        async with asyncio.timeout(20):
            while await here.taken(own):
                await asyncio.sleep(0.05)
        async with here.held(small):
            assert await there.taken(own) == 1
        await dead.__aexit__(None, None, None)
        await one.close()
        await two.close()

    asyncio.run(run())


def test_slots_without_their_store(problem: Any, own_service: Any) -> None:
    away = {"LAKE_RATE_LIMIT_STORE": "redis://127.0.0.1:9"}
    with own_service(**away) as url, httpx.Client(base_url=url) as client:
        token = Asker(client).make(limits={"concurrent_queries": 2})["token"]
        problem(Asker(client).query(token), 503, "rate_limit_unavailable")
        problem(Asker(client).usage(token), 503, "rate_limit_unavailable")

    async def take() -> None:
        counter = CallCounter(Settings.from_mapping(away))
        slots = Slots(counter.storage, lease_s=1.0)
        with pytest.raises(StorageError):
            await slots.taken(next(iter(holders(caller(1, 1)))))
        await counter.close()

    asyncio.run(take())
