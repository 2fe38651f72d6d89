"""When a running query gives up its worker; the clock of waiting is real, so waits are made old."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from lake_api.query import yielding
from lake_api.query.turns import Turns
from lake_api.query.yielding import Run, YieldRule, yielded_in_vain

Background = Any


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yielding, "_PATIENCE_S", 0.0)


def soon() -> float:
    return time.monotonic() + 5


def lanes(*, light: int, heavy: int) -> Turns[int]:
    made: Turns[int] = Turns(
        queue=100,
        agent_limit=100,
        agent_running=100,
        heavy_slots=range(light, light + heavy),
        heavy_beside=max(light - 1, 0 if heavy else 1),
    )
    for slot in range(light + heavy):
        made.offer(slot)
    return made


def judged(
    background: Background,
    line: Turns[int],
    *,
    running: list[tuple[str, bool]],
    waiting: list[tuple[str, bool]],
    judge: Callable[[list[int]], bool],
) -> bool:
    """What `judge` says of the slots of `running`, while `waiting` wait."""

    async def run() -> bool:
        slots = [await line.take(agent, deadline=soon(), heavy=heavy) for agent, heavy in running]
        tasks = [
            asyncio.create_task(line.take(agent, deadline=soon(), heavy=heavy))
            for agent, heavy in waiting
        ]
        await asyncio.sleep(0.01)
        assert not any(task.done() for task in tasks)
        said = judge(slots)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return said

    work: Coroutine[Any, Any, bool] = run()
    return background.run(work)


LIGHT_PAIR = [("swarm:s token:1", False), ("swarm:s token:2", False)]


@pytest.mark.parametrize(
    ("waiting", "ran_s", "expected"),
    [
        # A group without a worker is served early; one of the same group waits for its turn.
        ("token:other", 0.6, True),
        ("swarm:s token:3", 0.6, False),
        ("swarm:s token:3", 2.1, True),
    ],
)
def test_a_group_over_its_share_yields_early(
    background: Background, waiting: str, ran_s: float, expected: bool
) -> None:
    line = lanes(light=2, heavy=0)
    rule = YieldRule(turns=line, heavy_after_s=2, only_slot=None)

    def judge(slots: list[int]) -> bool:
        run = Run(agent="swarm:s token:1", slot=slots[0], heavy_runs=0)
        return rule.is_to_yield(run, ran_s=ran_s, left_s=20)

    said = judged(background, line, running=LIGHT_PAIR, waiting=[(waiting, False)], judge=judge)
    assert said is expected


@pytest.mark.parametrize(
    ("heavy_runs", "ran_s", "left_s", "expected"),
    [(1, 3.9, 20, False), (1, 4.1, 20, True), (3, 4.1, 20, True), (1, 4.1, 4.0, False)],
)
def test_a_heavy_query_on_the_only_worker_yields(
    background: Background, heavy_runs: int, ran_s: float, left_s: float, expected: bool
) -> None:
    line = lanes(light=1, heavy=0)
    rule = YieldRule(turns=line, heavy_after_s=2, only_slot=0)

    def judge(slots: list[int]) -> bool:
        run = Run(agent="a", slot=slots[0], heavy_runs=heavy_runs)
        return rule.is_to_yield(run, ran_s=ran_s, left_s=left_s)

    said = judged(background, line, running=[("a", True)], waiting=[("b", False)], judge=judge)
    assert said is expected


@pytest.mark.parametrize(
    ("waiting", "heavy_runs", "ran_s", "expected"),
    [
        ("token:other", 1, 3.9, False),
        ("token:other", 1, 4.1, True),
        # Each run may take twice as long as the one before.
        ("token:other", 2, 4.1, False),
        ("token:other", 2, 8.1, True),
        ("swarm:s token:2", 1, 4.1, False),
    ],
)
def test_the_heavy_worker_goes_to_the_next_group(
    background: Background, waiting: str, heavy_runs: int, ran_s: float, expected: bool
) -> None:
    line = lanes(light=1, heavy=1)
    rule = YieldRule(turns=line, heavy_after_s=2, only_slot=None)

    def judge(slots: list[int]) -> bool:
        run = Run(agent="swarm:s token:1", slot=slots[0], heavy_runs=heavy_runs)
        return rule.is_to_yield(run, ran_s=ran_s, left_s=20)

    said = judged(
        background,
        line,
        running=[("swarm:s token:1", True)],
        waiting=[(waiting, True)],
        judge=judge,
    )
    assert said is expected


def test_without_anybody_waiting_nothing_yields(background: Background) -> None:
    line = lanes(light=1, heavy=0)
    rule = YieldRule(turns=line, heavy_after_s=2, only_slot=0)

    def judge(slots: list[int]) -> bool:
        return any(
            rule.is_to_yield(Run(agent="a", slot=slots[0], heavy_runs=runs), ran_s=50, left_s=100)
            for runs in range(4)
        )

    assert not judged(background, line, running=[("a", True)], waiting=[], judge=judge)


def test_what_a_query_is_told_that_yielded_in_vain() -> None:
    once, often = yielded_in_vain(runs=1, ran_s=2.04), yielded_in_vain(runs=3, ran_s=4.0)
    assert once.detail.startswith("The query ran once, for 2.0 s at most, and gave up its worker")
    assert often.detail.startswith("The query ran 3 times, for 4.0 s at most")
    assert (once.code, once.retry, once.retry_after_s) == ("too_busy", True, 10)
