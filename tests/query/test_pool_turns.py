import asyncio
import time

import pytest

from lake_api.errors import QueryUnavailable
from lake_api.query.turns import Turns


def turns(*, slots=1, queue=100, agent_limit=100, agent_running=100) -> Turns[int]:
    made: Turns[int] = Turns(queue=queue, agent_limit=agent_limit, agent_running=agent_running)
    for slot in range(slots):
        made.offer(slot)
    return made


def soon() -> float:
    return time.monotonic() + 5


async def served_in_order(line: Turns[int], agents: list[str]) -> list[str]:
    """Who is served when one slot is handed from query to query."""
    order: list[str] = []

    async def one(agent: str) -> None:
        slot = await line.take(agent, deadline=soon())
        order.append(agent)
        await asyncio.sleep(0)
        line.leave(agent, slot)
        line.offer(slot)

    await asyncio.gather(*(one(agent) for agent in agents))
    return order


def test_agents_take_turns(background):
    async def run():
        return await served_in_order(turns(), ["heavy"] * 4 + ["a", "b", "a"])

    order = background.run(run())
    assert order[:4] == ["heavy", "heavy", "a", "b"]
    assert sorted(order) == ["a", "a", "b", "heavy", "heavy", "heavy", "heavy"]


def test_a_swarm_with_many_agents_has_one_turn(background):
    async def run():
        agents = [f"swarm:s token:{number}" for number in range(6)]
        return await served_in_order(turns(), [*agents, "token:other", "peer:p agent:x"])

    order = background.run(run())
    assert set(order[:4]) >= {"token:other", "peer:p agent:x"}


def test_the_queue_is_everybodys_and_a_small_group_gets_in(background):
    async def run():
        line = turns(slots=0, queue=4)
        waiting = [
            asyncio.create_task(line.take(f"peer:p agent:{number}", deadline=soon()))
            for number in range(4)
        ]
        await asyncio.sleep(0)
        # A group that is alone has the whole queue, and not more.
        with pytest.raises(QueryUnavailable, match="Too many queries are waiting"):
            await line.take("peer:p agent:4", deadline=soon())
        other = asyncio.create_task(line.take("token:other", deadline=soon()))
        await asyncio.wait({waiting[-1]}, timeout=5)
        for slot in range(4):
            line.offer(slot)
        served = await asyncio.gather(*waiting[:-1], other)
        assert sorted(served) == [0, 1, 2, 3]
        await waiting[-1]

    assert "swarm or address" in refusal(background, run()).detail


def test_a_group_never_has_all_heavy_slots(background):
    async def run():
        line = with_lanes(light=2, heavy=1, heavy_beside=1)
        await line.take("swarm:s token:1", deadline=soon(), heavy=True)
        second = asyncio.create_task(line.take("swarm:s token:2", deadline=soon(), heavy=True))
        await asyncio.sleep(0.01)
        assert not second.done()
        slot = await line.take("token:other", deadline=soon(), heavy=True)
        second.cancel()
        return slot

    assert background.run(run()) in {0, 1}


def test_whom_a_long_query_keeps_waiting_is_known(background):
    async def run():
        line = turns(slots=1)
        await line.take("a", deadline=soon())
        waiting = [asyncio.create_task(line.take("a", deadline=soon()))]
        await asyncio.sleep(0.02)
        assert not line.is_awaited("a", longer_than_s=0)
        waiting.append(asyncio.create_task(line.take("b", deadline=soon())))
        await asyncio.sleep(0.02)
        assert line.is_awaited("a", longer_than_s=0.01)
        assert not line.is_awaited("a", longer_than_s=10)
        for task in waiting:
            task.cancel()

    background.run(run())


def test_one_agent_leaves_a_slot_for_others(background):
    async def run():
        line = turns(slots=2, agent_running=1)
        await line.take("heavy", deadline=soon())
        waiting = asyncio.create_task(line.take("heavy", deadline=soon()))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        slot = await line.take("light", deadline=soon())
        line.leave("heavy", 0)
        line.offer(0)
        assert await waiting == 0
        return slot

    assert background.run(run()) == 1


def refusal(background, work) -> QueryUnavailable:
    with pytest.raises(QueryUnavailable) as caught:
        background.run(work)
    assert (caught.value.code, caught.value.retry) == ("too_busy", True)
    return caught.value


def test_a_full_queue_refuses_at_once(background):
    async def run():
        line = turns(slots=0, queue=1)
        first = asyncio.create_task(line.take("a", deadline=soon()))
        await asyncio.sleep(0)
        try:
            await line.take("b", deadline=soon())
        finally:
            first.cancel()

    assert refusal(background, run()).retry_after_s == 1


def test_an_agent_has_a_limit_of_its_own(background):
    async def run():
        line = turns(slots=3, agent_limit=2)
        await line.take("a", deadline=soon())
        await line.take("a", deadline=soon())
        await line.take("b", deadline=soon())
        await line.take("a", deadline=soon())

    refusal(background, run())


def test_nobody_waits_beyond_the_deadline(background):
    async def run():
        line = turns(slots=0)
        try:
            await line.take("a", deadline=time.monotonic() + 0.05)
        finally:
            line.offer(0)
            # Who gave up holds nothing.
            assert await line.take("b", deadline=soon()) == 0

    refusal(background, run())


def test_a_turn_that_comes_while_leaving_is_passed_on(background):
    async def run():
        line = turns(slots=0)
        leaving = asyncio.create_task(line.take("a", deadline=soon()))
        await asyncio.sleep(0)
        line.offer(7)
        leaving.cancel()
        await asyncio.wait({leaving})
        return leaving.cancelled(), await line.take("b", deadline=soon())

    assert background.run(run()) == (True, 7)


def test_a_withdrawn_slot_is_not_given(background):
    async def run():
        line = turns(slots=1)
        line.withdraw(0)
        await line.take("a", deadline=time.monotonic() + 0.05)

    refusal(background, run())


def with_lanes(*, light: int, heavy: int, heavy_beside: int) -> Turns[int]:
    made: Turns[int] = Turns(
        queue=100,
        agent_limit=100,
        agent_running=100,
        heavy_slots=range(light, light + heavy),
        heavy_beside=heavy_beside,
    )
    for slot in range(light + heavy):
        made.offer(slot)
    return made


def test_heavy_queries_of_many_agents_leave_a_slot_for_light_ones(background):
    async def run():
        line = with_lanes(light=2, heavy=1, heavy_beside=1)
        first = await line.take("a", deadline=soon(), heavy=True)
        second = await line.take("b", deadline=soon(), heavy=True)
        third = asyncio.create_task(line.take("c", deadline=soon(), heavy=True))
        light = await line.take("d", deadline=soon())
        assert not third.done()
        line.leave("d", light)
        line.offer(light)
        await asyncio.sleep(0.01)
        assert not third.done()
        assert (line.running, line.waiting) == (2, 1)
        line.leave("b", second)
        line.offer(second)
        assert await third in {0, 1}
        return first, {second, light}

    # Its own slot first, then all of the others but one.
    assert background.run(run()) == (2, {0, 1})


def test_light_queries_never_take_the_slot_of_heavy_ones(background):
    async def run():
        line = with_lanes(light=1, heavy=1, heavy_beside=0)
        assert await line.take("a", deadline=soon()) == 0
        waiting = asyncio.create_task(line.take("b", deadline=soon()))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        line.leave("a", 0)
        line.offer(0)
        return await waiting

    assert background.run(run()) == 0
