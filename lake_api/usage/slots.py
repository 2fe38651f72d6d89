"""How many queries of a token run at the same time.

Belongs here: taking and giving back a slot, in this process or in Redis for all replicas.
Does not belong here: turns of agents at the workers (`query.turns`).

In Redis a slot is a lease that ends by itself: a replica that dies gives its slots back.
"""

import uuid
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

from limits.aio.storage import RedisStorage, Storage
from limits.errors import StorageError

from lake_api.errors import RateLimited
from lake_api.identity import Caller
from lake_api.query.rate_limit import counting_unavailable
from lake_api.usage.holders import Holder, holders

_TAKE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[3])
redis.call('EXPIRE', KEYS[1], math.ceil(tonumber(ARGV[2])))
return 1
"""
_COUNT = """
local time = redis.call('TIME')
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', time[1] + time[2] / 1000000)
return redis.call('ZCARD', KEYS[1])
"""


class SlotCounter(Protocol):
    """Where slots are counted."""

    async def take(self, name: str, limit: int) -> str | None:
        """The id of a slot, or None when all are taken."""
        ...

    async def give_back(self, name: str, slot: str) -> None:
        """It is free again."""
        ...

    async def taken(self, name: str) -> int:
        """How many are taken."""
        ...


class ProcessSlots:
    """Slots of this process alone."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    async def take(self, name: str, limit: int) -> str | None:
        """The id of a slot, or None when all are taken."""
        if self._taken[name] >= limit:
            return None
        self._taken[name] += 1
        return name

    async def give_back(self, name: str, slot: str) -> None:  # noqa: ARG002 - all are alike
        """It is free again."""
        self._taken[name] -= 1
        if self._taken[name] == 0:
            del self._taken[name]

    async def taken(self, name: str) -> int:
        """How many are taken."""
        return self._taken[name]


class RedisSlots:
    """Slots of all replicas that share a Redis."""

    def __init__(self, storage: RedisStorage, *, lease_s: float) -> None:
        bridge: Any = storage.bridge
        self._redis: Any = bridge.storage
        self._lost: tuple[type[Exception], ...] = (*bridge.base_exceptions, OSError)
        self._take: Any = self._redis.register_script(_TAKE)
        self._count: Any = self._redis.register_script(_COUNT)
        self._lease_s = lease_s

    async def take(self, name: str, limit: int) -> str | None:
        """The id of a slot, or None when all are taken.

        Raises:
            StorageError: Redis does not answer.
        """
        slot = uuid.uuid4().hex
        try:
            taken = await self._take(keys=[_key(name)], args=[limit, self._lease_s, slot])
        except self._lost as error:
            raise StorageError(error) from error
        return slot if taken else None

    async def give_back(self, name: str, slot: str) -> None:
        """It is free again; where Redis does not answer, once its lease is over."""
        try:
            await self._redis.zrem(_key(name), slot)
        except self._lost:
            return

    async def taken(self, name: str) -> int:
        """How many are taken.

        Raises:
            StorageError: Redis does not answer.
        """
        try:
            return int(await self._count(keys=[_key(name)]))
        except self._lost as error:
            raise StorageError(error) from error


class Slots:
    """The queries at once of every token that has a limit of them."""

    def __init__(self, storage: Storage, *, lease_s: float) -> None:
        self._counter: SlotCounter = (
            RedisSlots(storage, lease_s=lease_s)
            if isinstance(storage, RedisStorage)
            else ProcessSlots()
        )

    @asynccontextmanager
    async def held(self, caller: Caller) -> AsyncGenerator[None]:
        """A slot of each token that binds the caller, until the block ends.

        Raises:
            RateLimited: one has none left (`too_many_queries`).
            ServiceUnavailable: the store of the counts does not answer.
        """
        async with AsyncExitStack() as stack:
            for holder in holders(caller):
                limit = holder.limits.concurrent_queries
                if limit is None:
                    continue
                name = holder.token_id.hex
                try:
                    slot = await self._counter.take(name, limit)
                except StorageError as error:
                    raise counting_unavailable() from error
                if slot is None:
                    raise _all_taken(holder, limit)
                stack.push_async_callback(self._counter.give_back, name, slot)
            yield

    async def taken(self, holder: Holder) -> int:
        """How many queries of a token run.

        Raises:
            StorageError: the store does not answer.
        """
        return await self._counter.taken(holder.token_id.hex)


def _all_taken(holder: Holder, limit: int) -> RateLimited:
    return RateLimited(
        f"At most {max(0, limit)} queries of this {holder.of} run at the same time.",
        code="too_many_queries",
        hint="Wait for one of them to end.",
        field="concurrent_queries",
        retry=True,
        retry_after_s=1,
    )


def _key(name: str) -> str:
    return f"lake:slots:{name}"
