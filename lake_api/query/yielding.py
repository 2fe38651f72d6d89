"""When a running query gives up its worker, and what it is told when no other became free.

Belongs here: how long each run of a query may take while others wait.
Does not belong here: who is next (`turns`), how a query is stopped and begun again (`pool`).

A query that yields begins again from its first row, so each run may take twice as long as the one
before, and a query yields only while it has as much time left as the run has taken: what it could
not finish any more, it does not begin.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from lake_api.doors import START_JOB
from lake_api.errors import QueryUnavailable
from lake_api.query.turns import Turns

CHECK_S = 0.25
"""Seconds between two looks at who waits."""

FIRST_CHECK_S = 0.5
"""No query yields earlier: most have ended by then."""

_PATIENCE_S = 0.5
_MOST_DOUBLINGS = 10

Slot = TypeVar("Slot", bound=Hashable)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run(Generic[Slot]):
    """One run of a query on a worker; `heavy_runs` counts those as a heavy query, with this one."""

    agent: str
    slot: Slot
    heavy_runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class YieldRule(Generic[Slot]):
    """Which runs yield.

    Args:
        turns: Who waits for a worker, and who has one.
        heavy_after_s: A light query may take so long while a light query of another agent waits.
        only_slot: The slot that light and heavy queries share, where there is no other.
    """

    turns: Turns[Slot]
    heavy_after_s: float
    only_slot: Slot | None

    def is_to_yield(self, run: Run[Slot], *, ran_s: float, left_s: float) -> bool:
        """Whether the run must end for others; `left_s` is what its query has before its end."""
        if left_s < ran_s:
            return False
        if not run.heavy_runs:
            return self.turns.is_over_share(run.agent, longer_than_s=_PATIENCE_S) or (
                ran_s >= self.heavy_after_s
                and self.turns.is_awaited(run.agent, longer_than_s=_PATIENCE_S)
            )
        is_in_the_way = run.slot == self.only_slot and ran_s >= 2 * self.heavy_after_s
        # Not longer with each run: light queries must not wait for minutes.
        if is_in_the_way and self.turns.is_awaited(run.agent, longer_than_s=_PATIENCE_S):
            return True
        slice_s = self.heavy_after_s * 2 ** min(run.heavy_runs, _MOST_DOUBLINGS)
        return ran_s >= slice_s and self.turns.is_owed_heavy(run.agent, longer_than_s=_PATIENCE_S)


def yielded_in_vain(*, runs: int, ran_s: float) -> QueryUnavailable:
    """What a query is told that has yielded, and got no worker again before its deadline."""
    times = "once" if runs == 1 else f"{runs} times"
    return QueryUnavailable(
        f"The query ran {times}, for {ran_s:.1f} s at most, and gave up its worker to queries of "
        "other callers. No worker for long queries became free before its time was over.",
        code="too_busy",
        hint="Make it shorter: filter on `date`, aggregate before joining. Or start it as a job, "
        f"which may wait for longer: {START_JOB}.",
        retry=True,
        retry_after_s=10,
    )
