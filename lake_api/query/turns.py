"""Who gets the next free worker: groups take turns, and within a group its agents.

Belongs here: the bounded queue and its order, and which workers heavy queries may have.
Does not belong here: workers themselves (`pool`), which query is heavy (`engine`).

An agent is named by a path of scopes, the broadest first, with spaces between: `swarm:… token:…` or
`peer:… agent:…`. What stands before the last space is its group. A swarm with many tokens, or a
peer that changes its agent's name with each call, has one group's share.

Heavy queries have workers of their own, and may use all others but one when these are free: one
worker is always there for light queries, however many agents ask heavy ones.
"""

import asyncio
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Collection, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lake_api.errors import QueryUnavailable

Slot = TypeVar("Slot", bound=Hashable)


def group_of(agent: str) -> str:
    """The group of an agent; one without a group is a group by itself."""
    return agent.rpartition(" ")[0] or agent


@dataclass(slots=True, eq=False)
class _Waiter(Generic[Slot]):
    """A query that waits, since a moment of `time.monotonic`."""

    agent: str
    future: "asyncio.Future[Slot]"
    since: float = field(default_factory=time.monotonic)


class _Lane(Generic[Slot]):
    """Waiting queries: groups in the order of their turns, in each its agents in theirs."""

    def __init__(self) -> None:
        self._groups: OrderedDict[str, OrderedDict[str, deque[_Waiter[Slot]]]] = OrderedDict()

    def __iter__(self) -> Iterator[tuple[str, deque[_Waiter[Slot]]]]:
        """Agents with what they wait for, in the order in which they would be served."""
        for agents in self._groups.values():
            yield from agents.items()

    def add(self, waiter: _Waiter[Slot]) -> None:
        """The query waits behind those of the same agent."""
        agents = self._groups.setdefault(group_of(waiter.agent), OrderedDict())
        agents.setdefault(waiter.agent, deque()).append(waiter)

    def remove(self, waiter: _Waiter[Slot]) -> bool:
        """The query does not wait any more; whether it did."""
        group = group_of(waiter.agent)
        mine = self._groups.get(group, {}).get(waiter.agent, ())
        if waiter not in mine:
            return False
        self._groups[group][waiter.agent].remove(waiter)
        self._tidy(group, waiter.agent, had_turn=False)
        return True

    def pop(self, agent: str) -> _Waiter[Slot]:
        """The agent's next query; it and its group go to the end of the line."""
        group = group_of(agent)
        waiter = self._groups[group][agent].popleft()
        self._tidy(group, agent, had_turn=True)
        return waiter

    def _tidy(self, group: str, agent: str, *, had_turn: bool) -> None:
        agents = self._groups[group]
        if not agents[agent]:
            del agents[agent]
        elif had_turn:
            agents.move_to_end(agent)
        if not agents:
            del self._groups[group]
        elif had_turn:
            self._groups.move_to_end(group)


class Turns(Generic[Slot]):
    """Free slots on one side, waiting agents on the other.

    Args:
        queue: How many may wait. One more is refused at once, unless its group has so few that the
            newest of a larger group is refused in its place.
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
        # One group never has all slots that heavy queries may have, where there are several.
        self._group_heavy = max(1, len(self._heavy_slots) + heavy_beside - 1)
        self._free: OrderedDict[Slot, None] = OrderedDict()
        self._free_heavy: OrderedDict[Slot, None] = OrderedDict()
        self._light: _Lane[Slot] = _Lane()
        self._heavy: _Lane[Slot] = _Lane()
        self._running: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._group_waiting: Counter[str] = Counter()
        # What heavy queries hold, and of that the slots for all.
        self._held_heavy: dict[Slot, str] = {}
        self._held_beside: set[Slot] = set()

    async def take(self, agent: str, *, deadline: float, heavy: bool = False) -> Slot:
        """A slot, when it is the agent's turn; `leave` must follow.

        Raises:
            QueryUnavailable: the queue is full, the agent or its group has too many queries
                already, or none became free before the deadline (`too_busy`).
        """
        self._require_room(agent)
        waiter: _Waiter[Slot] = _Waiter(agent, asyncio.get_running_loop().create_future())
        lane = self._heavy if heavy else self._light
        lane.add(waiter)
        self._waiting[agent] += 1
        self._group_waiting[group_of(agent)] += 1
        self._match()
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await waiter.future
        except TimeoutError:
            self._give_up(waiter, lane)
            raise _too_busy("No worker became free in time.") from None
        except asyncio.CancelledError:
            self._give_up(waiter, lane)
            raise

    def _require_room(self, agent: str) -> None:
        if agent and self._running[agent] + self._waiting[agent] >= self._agent_limit:
            raise _too_busy("This agent already has as many queries as one agent may have.")
        if self.waiting >= self._queue and not self._make_room(group_of(agent)):
            raise _too_busy("Too many queries are waiting.")

    def _make_room(self, group: str) -> bool:
        """Refuse the newest query of the largest group, where that leaves it more than `group`."""
        largest = max(self._group_waiting, key=lambda one: self._group_waiting[one], default=group)
        if self._group_waiting[largest] <= self._group_waiting[group] + 1:
            return False
        candidates = [
            (lane, mine[-1])
            for lane in (self._light, self._heavy)
            for agent, mine in lane
            if group_of(agent) == largest
        ]
        lane, newest = max(candidates, key=lambda one: one[1].since)
        lane.remove(newest)
        self._waits_no_more(newest.agent)
        if not newest.future.done():
            newest.future.set_exception(
                _too_busy("Too many queries of this swarm or address are waiting.")
            )
        return True

    @property
    def running(self) -> int:
        """How many slots are taken."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """How many wait for one."""
        return self._waiting.total()

    def is_awaited(self, agent: str, *, longer_than_s: float) -> bool:
        """Whether a light query of another agent has waited for so long."""
        limit = time.monotonic() - longer_than_s
        return any(other != agent and mine[0].since <= limit for other, mine in self._light)

    def is_over_share(self, agent: str, *, longer_than_s: float) -> bool:
        """Whether the agent's group has several slots, and a group without any waits for one.

        Counted are light queries that have waited for so long.
        """
        group = group_of(agent)
        holding = Counter(map(group_of, self._running.elements()))
        return holding[group] > 1 and any(
            not holding[other] for other in self._waiting_groups(self._light, longer_than_s)
        )

    def is_owed_heavy(self, agent: str, *, longer_than_s: float) -> bool:
        """Whether a heavy query of another group, which has no heavy slot, waited for so long."""
        holding = {group_of(agent), *self._held_heavy.values()}
        return not holding.issuperset(self._waiting_groups(self._heavy, longer_than_s))

    def _waiting_groups(self, lane: _Lane[Slot], longer_than_s: float) -> Iterator[str]:
        limit = time.monotonic() - longer_than_s
        return (group_of(agent) for agent, mine in lane if mine[0].since <= limit)

    def leave(self, agent: str, slot: Slot) -> None:
        """The agent's query is over; the slot is free when it is offered."""
        _count_down(self._running, agent)
        self._held_beside.discard(slot)
        self._held_heavy.pop(slot, None)
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

    def _give_up(self, waiter: _Waiter[Slot], lane: _Lane[Slot]) -> None:
        future = waiter.future
        if future.done() and not future.cancelled():
            # The turn came in the very moment of leaving.
            self.leave(waiter.agent, future.result())
            self.offer(future.result())
            return
        future.cancel()
        if lane.remove(waiter):
            self._waits_no_more(waiter.agent)

    def _waits_no_more(self, agent: str) -> None:
        _count_down(self._waiting, agent)
        _count_down(self._group_waiting, group_of(agent))

    def _match(self) -> None:
        while self._match_one(self._light) or self._match_one(self._heavy):
            pass

    def _match_one(self, lane: _Lane[Slot]) -> bool:
        """Give a slot to the next agent of the lane, if there is one for it."""
        free = self._slots_for(lane)
        agent = self._next_agent(lane) if free else None
        if agent is None:
            return False
        waiter = lane.pop(agent)
        self._waits_no_more(agent)
        if not waiter.future.done():  # else its query is just giving up
            slot, _ = free.popitem(last=False)
            if lane is self._heavy:
                self._held_heavy[slot] = group_of(agent)
                if slot not in self._heavy_slots:
                    self._held_beside.add(slot)
            self._running[agent] += 1
            waiter.future.set_result(slot)
        return True

    def _slots_for(self, lane: _Lane[Slot]) -> "OrderedDict[Slot, None]":
        if lane is self._light:
            return self._free
        if self._free_heavy or len(self._held_beside) >= self._heavy_beside:
            return self._free_heavy
        return self._free

    def _next_agent(self, lane: _Lane[Slot]) -> str | None:
        heavy = Counter(self._held_heavy.values()) if lane is self._heavy else Counter[str]()
        for agent, _ in lane:
            if not agent:
                return agent
            if (
                self._running[agent] < self._agent_running
                and heavy[group_of(agent)] < self._group_heavy
            ):
                return agent
        return None


def _count_down(counts: Counter[str], name: str) -> None:
    counts[name] -= 1
    if not counts[name]:
        del counts[name]


def _too_busy(detail: str) -> QueryUnavailable:
    return QueryUnavailable(
        detail, code="too_busy", hint="Try again in a moment.", retry=True, retry_after_s=1
    )
