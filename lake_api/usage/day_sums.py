"""What tokens used today, and refusing who has used it up.

Belongs here: the sums, adding to them, the budgets of a day.
Does not belong here: requests in a window (`query.rate_limit`), queries at once (`slots`).

The sums are in the service's database and not beside the counts of requests: a day is long, and a
restart or a lost Redis must not give its budget away again. They cost no transaction of their own:
they are added to in the one that commits the call's audit row. A call is refused once a budget is
used up and counted when it is over, so the last one let in may go beyond.
"""

import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Executable, select
from sqlalchemy.dialects import postgresql, sqlite

from lake_api.clock import Clock
from lake_api.database.database import Database
from lake_api.database.group_writer import Write
from lake_api.errors import RateLimited
from lake_api.identity import Caller
from lake_api.tokens.grants import TokenLimits
from lake_api.usage.holders import Holder, Whose, holders
from lake_api.usage.table import DayRow

_TRUSTED_S = 2.0
_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was used on one day. `bytes` are those of answers."""

    rows: int = 0
    bytes: int = 0
    ms: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(
            rows=self.rows + other.rows, bytes=self.bytes + other.bytes, ms=self.ms + other.ms
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """One budget of a day."""

    name: str
    of: Whose
    allowed: int
    used: int

    @property
    def left(self) -> int:
        """What may still be used."""
        return max(0, self.allowed - self.used)


class DaySums:
    """The sums of all tokens. What was read is trusted for two seconds, and added to meanwhile."""

    def __init__(self, database: Database, *, clock: Clock, dialect: str) -> None:
        self._database = database
        self._clock = clock
        self._add = _adding(dialect)
        self._known: OrderedDict[tuple[UUID, date], tuple[float, Spent]] = OrderedDict()

    async def admit(self, caller: Caller) -> None:
        """Let a call in while no budget of its day is used up.

        Raises:
            RateLimited: one is (`quota_exceeded`); `retry_after_s` leads to the next UTC day.
            ServiceUnavailable: the database does not answer.
        """
        for budget in await self.budgets_of(caller):
            if budget.left == 0:
                raise self.used_up(budget)

    async def budgets_of(self, caller: Caller) -> Sequence[Budget]:
        """The budgets that bind a caller, its token's own first, as far as they are used.

        Raises:
            ServiceUnavailable: the database does not answer.
        """
        return [
            budget
            for holder in holders(caller)
            if _has_budget(holder.limits)
            for budget in budgets(holder, await self.spent(holder.token_id))
        ]

    async def spent(self, token_id: UUID) -> Spent:
        """What a token used today."""
        known = self._known.get((token_id, self._today()))
        if known is not None and time.monotonic() - known[0] <= _TRUSTED_S:
            return known[1]
        day = self._today()
        wanted = select(DayRow).where(DayRow.token_id == token_id, DayRow.day == day)
        async with self._database.session() as session:
            row = (await session.execute(wanted)).scalar_one_or_none()
        spent = Spent() if row is None else Spent(rows=row.rows, bytes=row.bytes, ms=row.ms)
        self._remember(token_id, day, spent)
        return spent

    def charge(self, caller: Caller, spent: Spent) -> list[Write]:
        """What must be written for a call that is over; nothing for callers without a token."""
        writes: list[Write] = []
        day = self._today()
        for holder in holders(caller):
            known = self._known.get((holder.token_id, day))
            if known is not None:
                self._known[holder.token_id, day] = known[0], known[1] + spent
            row: dict[str, Any] = {
                "token_id": holder.token_id,
                "day": day,
                "rows": spent.rows,
                "bytes": spent.bytes,
                "ms": spent.ms,
            }
            writes.append(Write(statement=self._add, row=row, key=holder.token_id.hex))
        return writes

    @property
    def next_day(self) -> datetime:
        """When all budgets are whole again."""
        tomorrow = self._today() + timedelta(days=1)
        return datetime.combine(tomorrow, datetime.min.time(), tzinfo=UTC)

    def _today(self) -> date:
        return self._clock().astimezone(UTC).date()

    def _remember(self, token_id: UUID, day: date, spent: Spent) -> None:
        self._known[token_id, day] = time.monotonic(), spent
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)

    def used_up(self, budget: Budget) -> RateLimited:
        """What is told whoever has used a budget up."""
        until = self.next_day
        what = budget.name.removesuffix("_per_day")
        return RateLimited(
            f"The {what} of today are used up: {budget.used} of {budget.allowed} that this "
            f"{budget.of} has for each UTC day.",
            code="quota_exceeded",
            hint=f"They come back at {until:%Y-%m-%dT%H:%M:%SZ}.",
            field=budget.name,
            retry=True,
            retry_after_s=max(1, math.ceil((until - self._clock()).total_seconds())),
        )


def budgets(holder: Holder, spent: Spent) -> Sequence[Budget]:
    """The budgets that a holder has, as far as they are used."""
    return [
        Budget(name=name, of=holder.of, allowed=max(0, allowed), used=used)
        for name, allowed, used in (
            ("rows_per_day", holder.limits.rows_per_day, spent.rows),
            ("bytes_per_day", holder.limits.bytes_per_day, spent.bytes),
            ("seconds_per_day", holder.limits.seconds_per_day, spent.ms // 1_000),
        )
        if allowed is not None
    ]


def _has_budget(limits: TokenLimits) -> bool:
    return (limits.rows_per_day, limits.bytes_per_day, limits.seconds_per_day) != (None,) * 3


def _adding(dialect: str) -> Executable:
    insert = (postgresql if dialect == "postgresql" else sqlite).insert(DayRow)
    return insert.on_conflict_do_update(
        index_elements=[DayRow.token_id, DayRow.day],
        set_={
            "rows": DayRow.rows + insert.excluded.rows,
            "bytes": DayRow.bytes + insert.excluded.bytes,
            "ms": DayRow.ms + insert.excluded.ms,
        },
    )
