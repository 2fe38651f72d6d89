"""Who gets the next free worker: agents take turns, so that one can't starve the others.

Belongs here: the bounded queue and its order, and which workers heavy queries may have.
Does not belong here: workers themselves (`pool`), which query is heavy (`engine`).

Heavy queries have workers of their own, and may use all others but one when these are free: one
worker is always there for light queries, however many agents ask heavy ones.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

from lake_api.errors import QueryUnavailable

Slot = TypeVar("Slot", bound=Hashable)
_Lane = OrderedDict[str, deque[asyncio.Future[Slot]]]
"""Agents in the order of their turns, each with its own waiting queries."""


class Turns(Generic[Slot]):
    """Free slots on one side, waiting agents on the other.

    Args:
        queue: How many may wait; one more is refused at once.
        agent_limit: How many queries of one named agent may run or wait.
        agent_running: How many slots one named agent may hold while others are there to use.
        heavy_slots: The slots that only heavy queries get.
        heavy_beside: How many of the other slots heavy queries may hold.
    """

    def __init__(
        self,
        *,
        queue: int,
        agent_limit: int,
        agent_running: int,
        heavy_slots: Collection[Slot] = (),
        heavy_beside: int = 1_000_000,
    ) -> None:
        self._queue = queue
        self._agent_limit = agent_limit
        self._agent_running = agent_running
        self._heavy_slots = frozenset(heavy_slots)
        self._heavy_beside = heavy_beside
        self._free: OrderedDict[Slot, None] = OrderedDict()
        self._free_heavy: OrderedDict[Slot, None] = OrderedDict()
        # Agents in the order of their turns; each with its own waiting queries.
        self._light: OrderedDict[str, deque[asyncio.Future[Slot]]] = OrderedDict()
        self._heavy: OrderedDict[str, deque[asyncio.Future[Slot]]] = OrderedDict()
        self._running: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        # Slots for all that a heavy query holds.
        self._held_beside: set[Slot] = set()

    async def take(self, agent: str, *, deadline: float, heavy: bool = False) -> Slot:
        """A slot, when it is the agent's turn; `leave` must follow.

        Raises:
            QueryUnavailable: the queue is full, the agent has too many queries already, or none
                became free before the deadline (`too_busy`).
        """
        if agent and self._running[agent] + self._waiting[agent] >= self._agent_limit:
            raise _too_busy("This agent already has as many queries as one agent may have.")
        if self.waiting >= self._queue:
            raise _too_busy("Too many queries are waiting.")
        future: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        lane = self._heavy if heavy else self._light
        lane.setdefault(agent, deque()).append(future)
        self._waiting[agent] += 1
        self._match()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await future
        except TimeoutError:
            self._give_up(agent, future, lane)
            raise _too_busy("No worker became free in time.") from None
        except asyncio.CancelledError:
            self._give_up(agent, future, lane)
            raise

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._waiting.total()

    def leave(self, agent: str, slot: Slot) -> None:
        """The agent's query is over; the slot is free when it is offered."""
        _count_down(self._running, agent)
        self._held_beside.discard(slot)
        self._match()

    def offer(self, slot: Slot) -> None:
        """A slot is free."""
        (self._free_heavy if slot in self._heavy_slots else self._free)[slot] = None
        self._match()

    def withdraw(self, slot: Slot) -> bool:
        """A slot is not there any more; whether it was free."""
        was_free = slot in self._free or slot in self._free_heavy
        self._free.pop(slot, None)
        self._free_heavy.pop(slot, None)
        return was_free

    def _give_up(
        self,
        agent: str,
        future: "asyncio.Future[Slot]",
        lane: _Lane[Slot],
    ) -> None:
        if future.done() and not future.cancelled():
            # The turn came in the very moment of leaving.
            self.leave(agent, future.result())
            self.offer(future.result())
            return
        future.cancel()
        mine = lane.get(agent)
        if mine is not None and future in mine:
            mine.remove(future)
            _count_down(self._waiting, agent)
            if not mine:
                del lane[agent]

    def _match(self) -> None:
        while self._match_one(self._light) or self._match_one(self._heavy):
            pass

    def _match_one(self, lane: _Lane[Slot]) -> bool:
        """Give a slot to the next agent of the lane, if there is one for it."""
        free = self._slots_for(lane)
        agent = self._next_agent(lane) if free else None
        if agent is None:
            return False
        mine = lane[agent]
        future = mine.popleft()
        _count_down(self._waiting, agent)
        if mine:
            lane.move_to_end(agent)
        else:
            del lane[agent]
        if not future.done():  # else its query is just giving up
            slot, _ = free.popitem(last=False)
            if lane is self._heavy and slot not in self._heavy_slots:
                self._held_beside.add(slot)
            self._running[agent] += 1
            future.set_result(slot)
        return True

    def _slots_for(self, lane: _Lane[Slot]) -> "OrderedDict[Slot, None]":
        if lane is self._light:
            return self._free
        if self._free_heavy or len(self._held_beside) >= self._heavy_beside:
            return self._free_heavy
        return self._free

    def _next_agent(self, lane: _Lane[Slot]) -> str | None:
        for agent in lane:
            if not agent or self._running[agent] < self._agent_running:
                return agent
        return None


def _count_down(counts: Counter[str], agent: str) -> None:
    counts[agent] -= 1
    if not counts[agent]:
        del counts[agent]


def _too_busy(detail: str) -> QueryUnavailable:
    return QueryUnavailable(
        detail, code="too_busy", hint="Try again in a moment.", retry=True, retry_after_s=1
    )
