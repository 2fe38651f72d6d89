"""What a job or an export may take of the day of whoever asked for it, and what it took.

Belongs here: caps from budgets, the charge, and the audit row of how one ended.
Does not belong here: budgets and sums (`lake_api.usage.day_sums`), running (`runner`).

An export hands all of its rows out when it is done, so it is cut where the rows or bytes of the day
end. A job keeps its rows: they are charged page by page, as they are read, and only its seconds
when it ends. Seconds are those that a worker had it. What runs at the same time does not see each
other's use until it ends, so that together it may go beyond.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from lake_api.audit.log import AuditEntry, AuditLog
from lake_api.database.group_writer import Write
from lake_api.errors import LakeError, QueryUnavailable
from lake_api.identity import Caller
from lake_api.jobs.asked import JOB
from lake_api.jobs.authority import owner_of
from lake_api.jobs.results import Result
from lake_api.jobs.table import JobRow
from lake_api.query.results import Extract, ExtractOrder
from lake_api.usage.day_sums import Budget, DaySums, Spent

_ROWS, _BYTES, _SECONDS = "rows_per_day", "bytes_per_day", "seconds_per_day"
_MOSTLY = 0.9
"""How much of its seconds a worker must have had it, that these and no wait ended it."""


@dataclass(slots=True, kw_only=True)
class Run:
    """One run of a job: whose it is, since when a worker has it, what binds it."""

    job: JobRow
    asker: Caller
    budgets: Mapping[str, Budget] = field(default_factory=dict[str, Budget])
    started: float | None = None

    def start(self) -> None:
        """A worker has it."""
        self.started = time.monotonic()

    @property
    def ms(self) -> int:
        """Milliseconds that a worker has had it."""
        return 0 if self.started is None else max(1, round((time.monotonic() - self.started) * 1e3))


class JobCosts:
    """Holds jobs to the budgets of their callers, and charges them."""

    def __init__(self, sums: DaySums, audit: AuditLog) -> None:
        self._sums = sums
        self._audit = audit

    async def bind(self, run: Run, order: ExtractOrder) -> ExtractOrder:
        """The order, with no more than what is left of the day.

        Raises:
            RateLimited: nothing is left (`quota_exceeded`).
        """
        await self._sums.admit(run.asker)
        tightest: dict[str, Budget] = {}
        for budget in await self._sums.budgets_of(run.asker):
            known = tightest.get(budget.name)
            if known is None or budget.left < known.left:
                tightest[budget.name] = budget
        is_job = run.job.kind == JOB
        bound: dict[str, int] = {
            name: budget.left for name, budget in tightest.items() if name == _SECONDS or not is_job
        }
        caps = {
            _ROWS: float(order.row_cap),
            _BYTES: float(order.byte_cap),
            _SECONDS: order.timeout_s,
        }
        run.budgets = {name: tightest[name] for name in bound if bound[name] < caps[name]}
        return replace(
            order,
            row_cap=min(order.row_cap, bound.get(_ROWS, order.row_cap)),
            byte_cap=min(order.byte_cap, bound.get(_BYTES, order.byte_cap)),
            timeout_s=min(order.timeout_s, bound.get(_SECONDS, order.timeout_s)),
        )

    def explain(self, run: Run, extract: Extract) -> Extract:
        """The file's facts, with the reason when it was the day's budget that cut it."""
        rows = run.budgets.get(_ROWS)
        cut_by = rows if rows and extract.row_count >= rows.left else run.budgets.get(_BYTES)
        if not extract.truncated or cut_by is None:
            return extract
        told = (
            f"cut after {extract.row_count} rows: that is what the day of this {cut_by.of} had "
            f"left ({cut_by.name}: {cut_by.allowed}); it begins anew at "
            f"{self._sums.next_day:%Y-%m-%dT%H:%M:%SZ}"
        )
        return replace(extract, warnings=(*extract.warnings, told))

    def excuse(self, run: Run, error: Exception) -> Exception:
        """The error, or the budget where it had all the seconds that this had left.

        Listing, fetching and waiting for a worker take of the same time and cost nothing: what
        they let run out of it is late, and may be tried again today.
        """
        seconds = run.budgets.get(_SECONDS)
        is_late = isinstance(error, QueryUnavailable) and error.code == "query_timeout"
        if not is_late or seconds is None or run.ms < _MOSTLY * seconds.left * 1e3:
            return error
        return self._sums.used_up(replace(seconds, used=seconds.allowed))

    def done(self, run: Run, result: Result) -> Sequence[Write]:
        """What must be written together with its success."""
        is_job = run.job.kind == JOB
        spent = Spent(
            rows=0 if is_job else result.row_count,
            bytes=0 if is_job else result.bytes,
            ms=run.ms,
        )
        entry = self._entry(run, "ok", rows=result.row_count, size_bytes=result.bytes)
        return [*self._sums.charge(run.asker, spent), self._audit.write_of(entry)]

    def failed(self, run: Run, error: LakeError) -> Sequence[Write]:
        """What must be written together with its failure."""
        entry = self._entry(run, "error", code=error.code)
        charged = self._sums.charge(run.asker, Spent(ms=run.ms)) if run.started else []
        return [*charged, self._audit.write_of(entry)]

    def lost(self, job: JobRow, code: str) -> Sequence[Write]:
        """What must be written with the failure of a job whose process is gone.

        How long a worker had it nobody knows any more: it is not charged.
        """
        run = Run(job=job, asker=owner_of(job))
        return [self._audit.write_of(self._entry(run, "error", code=code))]

    def cancelled_waiting(self, job: JobRow) -> Sequence[Write]:
        """What must be written with the end of a job that nobody had begun."""
        run = Run(job=job, asker=owner_of(job))
        return [self._audit.write_of(self._entry(run, "cancelled"))]

    async def cancelled(self, run: Run) -> None:
        """Record and charge what was stopped by its owner.

        Raises:
            ServiceUnavailable: the database does not answer.
        """
        charged = self._sums.charge(run.asker, Spent(ms=run.ms)) if run.started else []
        await self._audit.record(self._entry(run, "cancelled"), beside=charged)

    def _entry(
        self,
        run: Run,
        outcome: str,
        *,
        code: str | None = None,
        rows: int = 0,
        size_bytes: int = 0,
    ) -> AuditEntry:
        job = run.job
        return AuditEntry(
            action=f"run_{job.kind}",
            caller=run.asker,
            outcome=outcome,
            code=code,
            subject=str(job.id),
            sql=job.sql,
            datasets=tuple(job.datasets),
            form=job.form,
            rows=rows,
            answer_bytes=size_bytes,
            elapsed_ms=run.ms,
        )
