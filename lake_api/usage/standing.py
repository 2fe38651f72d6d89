"""How a caller stands in all of its limits.

Belongs here: gathering windows, queries at once and budgets into one answer.
Does not belong here: who may ask (`controller`), counting (`query.rate_limit`, `slots`,
`day_sums`).
"""

from datetime import datetime, timedelta

from limits.errors import StorageError

from lake_api.clock import Clock
from lake_api.identity import Caller
from lake_api.query.rate_limit import CallCount, CallCounter, counting_unavailable
from lake_api.usage.day_sums import DaySums, budgets
from lake_api.usage.holders import Holder, holders
from lake_api.usage.schemas import LimitStanding, Usage, UsedToday
from lake_api.usage.slots import Slots


class UsageBook:
    """Where everyone's use is looked up."""

    def __init__(self, *, calls: CallCounter, slots: Slots, sums: DaySums, clock: Clock) -> None:
        self._calls = calls
        self._slots = slots
        self._sums = sums
        self._clock = clock

    async def usage(self, caller: Caller) -> Usage:
        """How a caller stands now.

        Raises:
            ServiceUnavailable: the database or the store of the counts does not answer.
        """
        now = self._clock()
        windows = [_of_window(one, now) for one in await self._calls.standing(caller)]
        rest = [one for holder in holders(caller) for one in await self._of_holder(holder)]
        return Usage(
            caller=caller.name,
            role=caller.role.value,
            token_id=caller.token_id,
            swarm_id=caller.swarm_id,
            day=now.date(),
            today=await self._today(caller),
            limits=(*windows, *rest),
        )

    async def _today(self, caller: Caller) -> UsedToday | None:
        if caller.token_id is None:
            return None
        spent = await self._sums.spent(caller.token_id)
        return UsedToday(rows=spent.rows, bytes=spent.bytes, seconds=spent.ms / 1_000)

    async def _of_holder(self, holder: Holder) -> list[LimitStanding]:
        spent = await self._sums.spent(holder.token_id)
        of_day = [
            LimitStanding(
                limit=budget.name,
                of=budget.of,
                allowed=budget.allowed,
                used=budget.used,
                left=budget.left,
                resets_at=self._sums.next_day if budget.used else None,
            )
            for budget in budgets(holder, spent)
        ]
        return [*await self._at_once(holder), *of_day]

    async def _at_once(self, holder: Holder) -> list[LimitStanding]:
        allowed = holder.limits.concurrent_queries
        if allowed is None:
            return []
        try:
            used = await self._slots.taken(holder)
        except StorageError as error:
            raise counting_unavailable() from error
        return [
            LimitStanding(
                limit="concurrent_queries",
                of=holder.of,
                allowed=allowed,
                used=used,
                left=max(0, allowed - used),
                resets_at=None,
            )
        ]


def _of_window(count: CallCount, now: datetime) -> LimitStanding:
    used = max(0, count.limit - count.remaining)
    return LimitStanding(
        limit=count.window.name,
        of=count.window.of,
        allowed=count.limit,
        used=used,
        left=count.remaining,
        resets_at=now + timedelta(seconds=count.reset_s) if used else None,
    )
