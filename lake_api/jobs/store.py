"""The life of jobs and exports, over the table.

Belongs here: every change of a job, each one statement that happens or does not.
Does not belong here: running them (`runner`), who may see which over HTTP (`controller`).

A change names the states that it may start from, and whoever runs a job also the attempt that it
was given: of two processes that think they run it, only one can bring it to an end.
"""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import (
    ColumnElement,
    String,
    and_,
    case,
    cast,
    delete,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import IntegrityError

from lake_api.clock import Clock
from lake_api.database.database import Database, take_turn
from lake_api.database.group_writer import Write
from lake_api.errors import Conflict, Problem, RateLimited
from lake_api.identity import Caller, Role
from lake_api.jobs.asked import NewJob, Progress
from lake_api.jobs.states import Event, State, sources, target
from lake_api.jobs.table import DeploymentRow, JobRow

_LIVE = [state.value for state in State if not state.is_over]


class JobStore:
    """The jobs and exports of the service.

    Args:
        database: Where they are.
        clock: The current time in UTC.
        live_limit: How many of one caller may wait or run.
        retries: How often one that ended by accident is begun again.
        lives: How long each kind is kept once it is over.
    """

    def __init__(
        self,
        database: Database,
        *,
        clock: Clock,
        live_limit: int,
        retries: int,
        lives: dict[str, timedelta],
    ) -> None:
        self._database = database
        self._clock = clock
        self._live_limit = live_limit
        self._retries = retries
        self._lives = lives

    async def deployment(self) -> UUID:
        """The mark of this database."""
        async with self._database.session() as session:
            return (await session.execute(select(DeploymentRow.id))).scalar_one()

    # ---- asking

    async def create(self, caller: Caller, new: NewJob) -> tuple[JobRow, bool]:
        """The job, and whether it is new: a repeat with the same key is the job of the first.

        Raises:
            Conflict: the key was used for something else (`idempotency_conflict`).
            RateLimited: the caller has as many live jobs as it may (`too_many_jobs`).
        """
        known = await self._repeated(caller, new)
        if known is not None:
            return known, False
        now = self._clock()
        row = JobRow(
            kind=new.kind,
            owner=caller.key,
            token_id=caller.token_id,
            swarm_id=caller.swarm_id,
            sql=new.sql,
            source_id=new.source_id,
            form=new.form.value,
            compression=new.compression.value,
            row_cap=new.row_cap,
            datasets=list(new.datasets),
            state=State.QUEUED.value,
            stage="waiting",
            rows_done=0,
            bytes_done=0,
            attempt=0,
            retries=0,
            not_before=now,
            idempotency_key=new.idempotency_key,
            request_hash=new.request_hash,
            created_at=now,
        )
        try:
            async with self._database.session() as session:
                await take_turn(session, f"jobs {caller.key}")
                # Written first, counted then: of two that would both fit, one sees the other.
                session.add(row)
                await session.flush()
                mine = and_(JobRow.owner == caller.key, JobRow.state.in_(_LIVE))
                live = await session.scalar(select(func.count()).where(mine))
                if (live or 0) > self._live_limit:
                    raise _too_many(self._live_limit)
        except IntegrityError:
            # The same key, at the same moment.
            known = await self._repeated(caller, new)
            if known is None:
                raise
            return known, False
        return row, True

    async def _repeated(self, caller: Caller, new: NewJob) -> JobRow | None:
        if new.idempotency_key is None:
            return None
        wanted = select(JobRow).where(
            JobRow.owner == caller.key,
            JobRow.kind == new.kind,
            JobRow.idempotency_key == new.idempotency_key,
        )
        async with self._database.session() as session:
            row = (await session.execute(wanted)).scalar_one_or_none()
        if row is not None and row.expires_at is not None and row.expires_at <= self._clock():
            # Its time is over, and with it that of its key; it was not swept yet.
            await self.discard(row)
            return None
        if row is not None and row.request_hash != new.request_hash:
            raise Conflict(
                "This Idempotency-Key was used for another request.",
                code="idempotency_conflict",
                hint="Use a new key for a new request.",
                field="Idempotency-Key",
            )
        return row

    # ---- looking

    async def get(self, kind: str, job_id: UUID, caller: Caller) -> JobRow | None:
        """A job that the caller may see, or None."""
        wanted = select(JobRow).where(JobRow.id == job_id, *self._visible(kind, caller))
        async with self._database.session() as session:
            return (await session.execute(wanted)).scalar_one_or_none()

    async def find(self, job_id: UUID) -> JobRow | None:
        """A job, whoever's it is."""
        async with self._database.session() as session:
            return await session.get(JobRow, job_id)

    async def listed(
        self, kind: str, caller: Caller, *, first: int, count: int
    ) -> tuple[Sequence[JobRow], int]:
        """Some of the jobs that the caller may see, newest first, and how many there are."""
        seen = self._visible(kind, caller)
        wanted = select(JobRow).where(*seen).order_by(JobRow.created_at.desc(), JobRow.id.desc())
        async with self._database.session() as session:
            rows = (await session.execute(wanted.offset(first).limit(count))).scalars().all()
            total = await session.scalar(select(func.count()).select_from(JobRow).where(*seen))
        return rows, total or 0

    async def counts(self) -> Counter[tuple[str, str]]:
        """How many there are, by kind and state."""
        wanted = select(JobRow.kind, JobRow.state, func.count()).group_by(JobRow.kind, JobRow.state)
        async with self._database.session() as session:
            rows = (await session.execute(wanted)).all()
        return Counter({(kind, state): count for kind, state, count in rows})

    def _visible(self, kind: str, caller: Caller) -> list[ColumnElement[bool]]:
        """Its own for an agent, those of all of its agents for a swarm, all for the admin."""
        there = or_(JobRow.expires_at.is_(None), JobRow.expires_at > self._clock())
        seen = [JobRow.kind == kind, there]
        if caller.role is Role.SWARM:
            seen.append(JobRow.swarm_id == caller.swarm_id)
        elif caller.role is Role.AGENT:
            seen.append(JobRow.owner == caller.key)
        return seen

    # ---- running

    async def claim(self, *, lease_s: float) -> JobRow | None:
        """The next job, now running, or None when none waits.

        Groups of owners take turns, and in each its owners: a swarm with many tokens, or one that
        changes its name with each request, has one group's share.
        """
        begun = select(_GROUP.label("name"), func.max(JobRow.started_at).label("last"))
        groups = begun.group_by(_GROUP).subquery()
        begun = select(JobRow.owner, func.max(JobRow.started_at).label("last"))
        owners = begun.group_by(JobRow.owner).subquery()
        now = self._clock()
        order = [
            key for turns in (groups, owners) for key in (turns.c.last.is_not(None), turns.c.last)
        ]
        wanted = (
            select(JobRow)
            .join(groups, groups.c.name == _GROUP)
            .join(owners, owners.c.owner == JobRow.owner)
            .where(JobRow.state == State.QUEUED.value, JobRow.not_before <= now)
            .order_by(*order, JobRow.created_at, JobRow.id)
            .limit(1)
        )
        while True:
            async with self._database.session() as session:
                row = (await session.execute(wanted)).scalar_one_or_none()
            if row is None:
                return None
            is_mine = await self._move(
                Event.START,
                JobRow.id == row.id,
                JobRow.attempt == row.attempt,
                attempt=row.attempt + 1,
                stage="reading",
                rows_done=0,
                bytes_done=0,
                started_at=now,
                lease_until=now + timedelta(seconds=lease_s),
            )
            # Another replica may have been quicker: the next one, then.
            if is_mine:
                return await self.find(row.id)

    async def others_wait(self, jobs: Sequence[JobRow]) -> bool:
        """Whether a job waits whose group of owners has none of these."""
        running = select(_GROUP).where(JobRow.id.in_([job.id for job in jobs]))
        waiting = select(func.count()).where(
            JobRow.state == State.QUEUED.value,
            JobRow.not_before <= self._clock(),
            _GROUP.not_in(running),
        )
        async with self._database.session() as session:
            return bool(await session.scalar(waiting))

    async def renew(
        self, job_id: UUID, attempt: int, progress: Progress, *, lease_s: float
    ) -> bool:
        """Say that it still runs, and how far it is; False when it is not one's own any more."""
        until = self._clock() + timedelta(seconds=lease_s)
        return await self._change(
            _held(job_id, attempt),
            lease_until=until,
            stage=progress.stage,
            rows_done=progress.rows,
            bytes_done=progress.bytes,
        )

    async def note_upload(self, job_id: UUID, attempt: int, upload_id: str | None) -> None:
        """Write down an upload that is not complete, or that there is none."""
        mine = and_(JobRow.id == job_id, JobRow.attempt == attempt)
        await self._change(mine, upload_id=upload_id)

    async def succeed(
        self,
        job_id: UUID,
        attempt: int,
        result: dict[str, Any],
        *,
        kind: str,
        beside: Sequence[Write] = (),
    ) -> bool:
        """It has its result, and `beside` is written; False when somebody else has ended it."""
        return await self._move(
            Event.SUCCEED,
            _held(job_id, attempt),
            beside=beside,
            result=result,
            stage="done",
            rows_done=result["row_count"],
            bytes_done=result["bytes"],
            upload_id=None,
            **self._over(kind),
        )

    async def fail(
        self,
        job_id: UUID,
        attempt: int,
        problem: Problem,
        *,
        kind: str,
        beside: Sequence[Write] = (),
    ) -> bool:
        """It can't have a result, and says why; `beside` is written with it."""
        return await self._move(
            Event.FAIL,
            JobRow.id == job_id,
            JobRow.attempt == attempt,
            beside=beside,
            error=msgspec.to_builtins(problem),
            stage="done",
            **self._over(kind),
        )

    async def retry(self, job_id: UUID, attempt: int, *, after_s: float, counts: bool) -> bool:
        """It waits again; False when it was tried often enough, or is not one's own any more."""
        held = _held(job_id, attempt)
        if counts:
            held = and_(held, JobRow.retries < self._retries)
        return await self._move(
            Event.RETRY,
            held,
            stage="waiting",
            retries=JobRow.retries + int(counts),
            not_before=self._clock() + timedelta(seconds=after_s),
            lease_until=None,
        )

    async def recover(
        self, problem: Problem, *, beside: Callable[[JobRow], Sequence[Write]]
    ) -> None:
        """Take back jobs whose process does not say any more that it runs them.

        One that was tried often enough fails with the problem, and `beside` of it is written.
        """
        now = self._clock()
        lost = and_(JobRow.state == State.RUNNING.value, JobRow.lease_until < now)
        async with self._database.session() as session:
            jobs = (await session.execute(select(JobRow).where(lost))).scalars().all()
        for job in jobs:
            one = and_(lost, JobRow.id == job.id, JobRow.attempt == job.attempt)
            if job.retries < self._retries:
                await self._move(
                    Event.RETRY,
                    one,
                    stage="waiting",
                    retries=job.retries + 1,
                    not_before=now,
                    lease_until=None,
                )
            else:
                over = {"error": msgspec.to_builtins(problem), **self._over(job.kind)}
                await self._move(Event.FAIL, one, beside=beside(job), stage="done", **over)

    async def cancel(self, job: JobRow, beside: Sequence[Write] = ()) -> bool:
        """It will have no result; False when it is over already.

        `beside` is written for one that waits: of one that runs, its process writes what it took.
        """
        # It may begin meanwhile, or wait again.
        for state, with_it in ((State.QUEUED, beside), (State.RUNNING, ()), (State.QUEUED, beside)):
            which = and_(JobRow.id == job.id, JobRow.state == state.value)
            over = self._over(job.kind)
            if await self._move(Event.CANCEL, which, beside=with_it, stage="done", **over):
                return True
        return False

    async def discard(self, job: JobRow, beside: Sequence[Write] = ()) -> bool:
        """It is gone for everybody, and will be swept; False when it was over already."""
        is_cancelled = await self.cancel(job, beside)
        await self._change(JobRow.id == job.id, expires_at=self._clock(), idempotency_key=None)
        return is_cancelled

    # ---- sweeping

    async def doomed(self, *, count: int) -> Sequence[JobRow]:
        """Jobs whose time is over."""
        wanted = select(JobRow).where(JobRow.expires_at <= self._clock()).limit(count)
        async with self._database.session() as session:
            return (await session.execute(wanted)).scalars().all()

    async def unfinished_uploads(self) -> Sequence[JobRow]:
        """Jobs that do not run, and whose upload nobody has dropped."""
        wanted = select(JobRow).where(
            JobRow.upload_id.is_not(None), JobRow.state != State.RUNNING.value
        )
        async with self._database.session() as session:
            return (await session.execute(wanted)).scalars().all()

    async def with_objects(self, ids: Collection[UUID]) -> set[tuple[UUID, int]]:
        """Which of the jobs, in which attempt, may have an object."""
        has_one = JobRow.state.in_((State.RUNNING.value, State.SUCCEEDED.value))
        wanted = select(JobRow.id, JobRow.attempt).where(JobRow.id.in_(ids), has_one)
        async with self._database.session() as session:
            return {(row[0], row[1]) for row in (await session.execute(wanted)).all()}

    async def remove(self, job_id: UUID) -> None:
        """Forget it."""
        async with self._database.session() as session:
            await session.execute(delete(JobRow).where(JobRow.id == job_id))

    # ---- changing

    def _over(self, kind: str) -> dict[str, Any]:
        now = self._clock()
        return {"finished_at": now, "expires_at": now + self._lives[kind], "lease_until": None}

    async def _move(
        self,
        event: Event,
        *which: ColumnElement[bool],
        beside: Sequence[Write] = (),
        **values: Any,
    ) -> bool:
        begins = JobRow.state.in_([state.value for state in sources(event)])
        which_ones = and_(begins, *which)
        return await self._change(which_ones, beside, state=target(event).value, **values)

    async def _change(
        self, which: ColumnElement[bool], beside: Sequence[Write] = (), /, **values: Any
    ) -> bool:
        statement = update(JobRow).where(which).values(**values)
        statement = statement.execution_options(synchronize_session=False)
        async with self._database.session() as session:
            done = await session.execute(statement)
            is_changed = isinstance(done, CursorResult) and done.rowcount > 0
            if is_changed and beside:
                connection = await session.connection()
                for write in sorted(beside, key=lambda one: one.key):
                    await connection.execute(write.statement, write.row)
        return is_changed


_GROUP = case(
    (JobRow.swarm_id.is_not(None), cast(JobRow.swarm_id, String)),
    (JobRow.token_id.is_not(None), JobRow.owner),
    # All that are known by network alone are one group: any of them may take another name.
    else_=func.substr(JobRow.owner, literal_column("1"), literal_column("6")),
)
"""Whose share of the places a job takes."""


def _held(job_id: UUID, attempt: int) -> ColumnElement[bool]:
    """The job, while this attempt is the one that runs."""
    return and_(JobRow.id == job_id, JobRow.attempt == attempt, JobRow.state == State.RUNNING.value)


def _too_many(limit: int) -> RateLimited:
    return RateLimited(
        f"At most {limit} jobs and exports of one caller wait or run at a time.",
        code="too_many_jobs",
        hint="Wait for some of them, or cancel them.",
        retry=True,
        retry_after_s=5,
    )
