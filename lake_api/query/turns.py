"""Who gets the next free worker: agents take turns, so that one can't starve the others.

Belongs here: the bounded queue and its order.
Does not belong here: workers themselves (`pool`).
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Hashable
from typing import Generic, TypeVar

from lake_api.errors import QueryUnavailable

Slot = TypeVar("Slot", bound=Hashable)


class Turns(Generic[Slot]):
    """Free slots on one side, waiting agents on the other.

    Args:
        queue: How many may wait; one more is refused at once.
        agent_limit: How many queries of one named agent may run or wait.
        agent_running: How many slots one named agent may hold while others are there to use.
    """

    def __init__(self, *, queue: int, agent_limit: int, agent_running: int) -> None:
        self._queue = queue
        self._agent_limit = agent_limit
        self._agent_running = agent_running
        self._free: OrderedDict[Slot, None] = OrderedDict()
        # Agents in the order of their turns; each with its own waiting queries.
        self._waiting: OrderedDict[str, deque[asyncio.Future[Slot]]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._waiting_count = 0

    async def take(self, agent: str, *, deadline: float) -> Slot:
        """A slot, when it is the agent's turn; `leave` must follow.

        Raises:
            QueryUnavailable: the queue is full, the agent has too many queries already, or none
                became free before the deadline (`too_busy`).
        """
        mine = self._waiting.get(agent, ())
        if agent and self._running[agent] + len(mine) >= self._agent_limit:
            raise _too_busy("This agent already has as many queries as one agent may have.")
        if self._waiting_count >= self._queue:
            raise _too_busy("Too many queries are waiting.")
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(agent, deque()).append(future)
        self._waiting_count += 1
        self._match()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await future
        except TimeoutError:
            self._give_up(agent, future)
            raise _too_busy("No worker became free in time.") from None
        except asyncio.CancelledError:
            self._give_up(agent, future)
            raise

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._waiting_count

    def leave(self, agent: str) -> None:
        """The agent's query is over."""
        self._running[agent] -= 1
        if not self._running[agent]:
            del self._running[agent]
        self._match()

    def offer(self, slot: Slot) -> None:
        """A slot is free."""
        self._free[slot] = None
        self._match()

    def withdraw(self, slot: Slot) -> None:
        """A slot is not there any more."""
        self._free.pop(slot, None)

    def _give_up(self, agent: str, future: "asyncio.Future[Slot]") -> None:
        if future.done() and not future.cancelled():
            # The turn came in the very moment of leaving.
            self.leave(agent)
            self.offer(future.result())
            return
        future.cancel()
        mine = self._waiting.get(agent)
        if mine is not None and future in mine:
            mine.remove(future)
            self._waiting_count -= 1
            if not mine:
                del self._waiting[agent]

    def _match(self) -> None:
        while self._free and (agent := self._next_agent()) is not None:
            mine = self._waiting[agent]
            future = mine.popleft()
            self._waiting_count -= 1
            if mine:
                self._waiting.move_to_end(agent)
            else:
                del self._waiting[agent]
            if future.done():
                continue  # its query is just giving up
            slot, _ = self._free.popitem(last=False)
            self._running[agent] += 1
            future.set_result(slot)

    def _next_agent(self) -> str | None:
        for agent in self._waiting:
            if not agent or self._running[agent] < self._agent_running:
                return agent
        return None


def _too_busy(detail: str) -> QueryUnavailable:
    return QueryUnavailable(
        detail, code="too_busy", hint="Try again in a moment.", retry=True, retry_after_s=1
    )
