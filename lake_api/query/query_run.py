"""One run of a checked query: what it is, what it plans to read, how long its stages took.

Belongs here: what the engine works on between its steps.
Does not belong here: the steps and their order (`engine`), which days are planned (`plan`).
"""

import asyncio
import time
from bisect import bisect_left, bisect_right
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import TypeVar

from lake_api.errors import QueryUnavailable
from lake_api.query.cached_files import Wanted
from lake_api.query.file_book import Part
from lake_api.query.guard import CheckedQuery
from lake_api.query.messages import Form
from lake_api.query.plan import prune_days
from lake_api.query.pool import Ran
from lake_api.query.results import Freshness, ResultKey
from lake_api.query.snapshot import Snapshot
from lake_api.query.stored_days import utc_today
from lake_assets.catalog.due import newest_day_of, stale_from

_MANY_DAYS = 64
_PARTS_KEPT = 32

_T = TypeVar("_T")


class Stages:
    """Milliseconds that each stage of one query took."""

    def __init__(self) -> None:
        self.taken_ms: dict[str, float] = {}
        self._since = time.perf_counter()

    def add(self, name: str) -> None:
        """The stage that began with the last call ends now."""
        now = time.perf_counter()
        self._add(name, (now - self._since) * 1_000)
        self._since = now

    def merge(self, ran: Ran) -> None:
        """The stages of a worker's run; what they leave over is the pipe's."""
        inside = ran.answer.stages_ms
        self._add("queue", ran.queue_ms)
        for name, taken_ms in inside.items():
            self._add(name, taken_ms)
        self._add("pipe", ran.worker_ms - sum(inside.values()))
        self._since = time.perf_counter()

    def _add(self, name: str, taken_ms: float) -> None:
        self.taken_ms[name] = self.taken_ms.get(name, 0.0) + taken_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryRun:
    """One run of a checked query."""

    checked: CheckedQuery
    row_cap: int
    deadline: float
    agent: str
    form: Form
    stages: Stages


async def before_deadline(deadline: float, work: Awaitable[_T]) -> _T:
    """What `work` gives, before the deadline.

    Raises:
        QueryUnavailable: it was not done by then (`query_timeout`).
    """
    try:
        async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
            return await work
    except TimeoutError:
        raise QueryUnavailable(
            "The stored data could not be fetched in time.",
            code="query_timeout",
            hint="Narrow the days with a filter on `date`, or try again: what was fetched is kept.",
            retry=True,
        ) from None


_Run = tuple[date, date, tuple[date, ...]]
"""The first and the last of stored days that follow each other, and the days missing of them."""


class Planner:
    """Which objects queries need, each set of many made once for as long as the snapshot is."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Snapshot, dict[_Run, Part]]] = {}

    def part(self, checked: CheckedQuery, snapshot: Snapshot) -> Part:
        """What the query may need of a dataset."""
        days = prune_days(checked, snapshot.dataset, snapshot.days)
        missing = snapshot.missing and prune_days(checked, snapshot.dataset, snapshot.missing)
        if len(days) < _MANY_DAYS or not _is_run(days, snapshot.days):
            return _part(snapshot, days, missing)
        name = snapshot.dataset.sql_name
        known_snapshot, parts = self._known.get(name, (None, {}))
        if known_snapshot is not snapshot or len(parts) >= _PARTS_KEPT:
            parts = {}
            self._known[name] = snapshot, parts
        part = parts.get((days[0], days[-1], missing))
        if part is None:
            part = parts[days[0], days[-1], missing] = _part(snapshot, days, missing)
        return part


def _part(snapshot: Snapshot, days: Sequence[date], missing: tuple[date, ...]) -> Part:
    dataset, by_day = snapshot.dataset, snapshot.by_day
    return Part(
        snapshot=snapshot,
        wanted=tuple(Wanted(dataset=dataset, partition=by_day[day]) for day in days),
        missing=missing,
    )


def _is_run(days: Sequence[date], of: Sequence[date]) -> bool:
    """Whether the days follow each other in `of`; both are ascending."""
    return bisect_right(of, days[-1]) - bisect_left(of, days[0]) == len(days)


def size_bytes(wanted: Sequence[Wanted]) -> int:
    """Bytes of stored objects."""
    return sum(one.partition.size_bytes for one in wanted)


def newest_days(part: Part, count: int) -> Part:
    """The newest of the planned days only."""
    if len(part.wanted) <= count:
        return part
    wanted = part.wanted[-count:]
    since = wanted[0].partition.day
    return replace(part, wanted=wanted, missing=tuple(day for day in part.missing if day > since))


def result_key(query: QueryRun, parts: Sequence[Part]) -> ResultKey:
    """What the answer depends on."""
    # With the version: an answer given before a write is not given after it.
    return ResultKey(
        sql=query.checked.sql,
        row_cap=query.row_cap,
        form=query.form,
        objects=b"".join(part.digest for part in parts),
    )


def _stale_from(part: Part) -> datetime | None:
    snapshot = part.snapshot
    newest = newest_day_of(snapshot.dataset, snapshot.days, now=datetime.now(tz=UTC))
    return None if newest is None else stale_from(snapshot.dataset, newest)


def freshness_of_parts(parts: Sequence[Part]) -> tuple[Freshness, ...]:
    """How new the data of each dataset is."""
    today = utc_today()
    return tuple(_freshness(part, today) for part in parts)


def _freshness(part: Part, today: date) -> Freshness:
    snapshot = part.snapshot
    newest = next(reversed(snapshot.possible(today)), None)
    return Freshness(
        partition=snapshot.dataset.partition,
        sql_name=snapshot.dataset.sql_name,
        newest_day=newest.day if newest else None,
        written_at=newest.written_at if newest else None,
        stale_from=_stale_from(part),
    )
