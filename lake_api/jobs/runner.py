"""Takes jobs and exports, runs them, and takes them up again where a process was lost.

Belongs here: when one is begun, given up, tried again and swept.
Does not belong here: how rows are made (`lake_api.query.engine`), its states (`states`).

Each job is one task. While it runs, its lease is renewed; a lease that is over says that the
process is gone, and the job waits again. Every attempt has an object key of its own, so that what
an attempt left behind is told from what another one made.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Protocol
from uuid import UUID

from msgspec import structs

from lake_api.errors import (
    Forbidden,
    LakeError,
    NotFound,
    Problem,
    QueryRejected,
    QueryUnavailable,
    ServiceUnavailable,
)
from lake_api.exports.objects import ExportObjects, Upload
from lake_api.jobs.asked import EXPORT, JOB, Progress
from lake_api.jobs.authority import asker_of, owner_of
from lake_api.jobs.costs import JobCosts, Run
from lake_api.jobs.kept_files import KeptFiles
from lake_api.jobs.results import (
    Result,
    file_type_of,
    object_key,
    objects_prefix,
    owner_of_key,
    result_of,
    stored_result,
    stored_rows,
    to_stored,
)
from lake_api.jobs.states import State
from lake_api.jobs.store import JobStore
from lake_api.jobs.table import JobRow
from lake_api.query.guard import Guard
from lake_api.query.messages import Chunk, Compression, FileForm
from lake_api.query.results import Extract, ExtractOrder
from lake_api.settings import Settings
from lake_api.tokens.store import TokenStore

_LEASE_S = 12.0
_BEAT_S = 1.0
_POLL_S = 1.0
_SWEEP_S = 300.0
_RETRY_S = 2.0
_SWEPT_AT_ONCE = 200
# A job has its place for so long before it yields to another owner's.
_SHARE_S = 60.0
_OPERATIONS = {JOB: "jobs", EXPORT: "exports"}
_PASSING = frozenset(
    {"too_busy", "worker_lost", "storage_unavailable", "cached_data_damaged", "cache_full"}
)
"""Why a job may fail that would succeed a little later."""

_LOST = Problem(
    status=503,
    code="job_lost",
    title="Job lost",
    detail="The process that ran it ended, as often as a job is tried again.",
    hint="Ask for it again; if it happens again, the query may need too much memory.",
    retry=True,
)

_LOG = logging.getLogger("lake_api.jobs")


class Extractor(Protocol):
    """What the runner needs of the engine."""

    async def extract(
        self, order: ExtractOrder, *, write: Callable[[Chunk], Awaitable[None]]
    ) -> Extract:
        """Stream rows as one file."""
        ...


@dataclass(slots=True, kw_only=True)
class _Running:
    """A job that this process runs."""

    job: JobRow
    run: Run
    task: asyncio.Task[None] | None = None
    stage: str = "reading"
    rows: int = 0
    bytes: int = 0
    is_lost: bool = False
    is_stopping: bool = False
    yields: bool = False
    """Whether it makes room for somebody else's, and waits again."""
    denied: LakeError | None = None
    """Why its owner may not have its rows any more."""
    since: float = field(default_factory=time.monotonic)
    is_whole: bool = False
    """Whether its object is there: the store may then say that it succeeded, heard here or not."""


@dataclass(slots=True, kw_only=True)
class JobRunner:
    """Runs jobs of the store. Made once per process; `start` and `close` belong together."""

    store: JobStore
    engine: Extractor
    guard: Guard
    tokens: TokenStore
    objects: ExportObjects
    kept: KeptFiles
    costs: JobCosts
    settings: Settings
    deployment: UUID
    _running: dict[UUID, _Running] = field(default_factory=dict[UUID, _Running])
    _loops: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    _awake: asyncio.Event = field(default_factory=asyncio.Event)
    _sweep_now: asyncio.Event = field(default_factory=asyncio.Event)
    _closing: bool = False

    def start(self) -> None:
        """Begin to take jobs, those that an earlier process left included."""
        self._loops = [
            asyncio.create_task(loop)
            for loop in (
                _forever(self._take, self._awake, every_s=_POLL_S),
                _forever(self._beat, asyncio.Event(), every_s=_BEAT_S),
                _forever(self._sweep, self._sweep_now, every_s=_SWEEP_S),
            )
        ]

    async def close(self) -> None:
        """Stop; what runs waits for the next process."""
        self._closing = True
        tasks = [*self._loops, *(one.task for one in self._running.values() if one.task)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """There may be a job."""
        self._awake.set()

    def stop(self, job_id: UUID) -> None:
        """Somebody else has ended the job: stop the engine, if it is here that it runs."""
        running = self._running.get(job_id)
        if running is not None and self._break_off(running):
            running.is_lost = True

    def _break_off(self, running: _Running) -> bool:
        """Cancel what runs, once: another time would break off the cleaning up."""
        if running.task is None or running.is_stopping:
            return False
        running.is_stopping = True
        running.task.cancel()
        return True

    def sweep_soon(self) -> None:
        """There is something to remove."""
        self._sweep_now.set()

    # ---- loops

    async def _take(self) -> None:
        await self.store.recover(_LOST, beside=lambda job: self.costs.lost(job, _LOST.code))
        while len(self._running) < self.settings.job_concurrency:
            job = await self.store.claim(lease_s=_LEASE_S)
            if job is None:
                return
            running = _Running(job=job, run=Run(job=job, asker=owner_of(job)))
            self._running[job.id] = running
            running.task = asyncio.create_task(self._run(running))

    async def _beat(self) -> None:
        for running in list(self._running.values()):
            job = running.job
            progress = Progress(stage=running.stage, rows=running.rows, bytes=running.bytes)
            if not await self.store.renew(job.id, job.attempt, progress, lease_s=_LEASE_S):
                self.stop(job.id)
                continue
            denied = await self._denied(job)
            if denied is not None and self._break_off(running):
                running.denied = denied
        await self._make_room()

    async def _denied(self, job: JobRow) -> LakeError | None:
        """Why the job's owner may not have its rows any more; None while it may."""
        try:
            asker = await asker_of(job, self.tokens)
            operation = _OPERATIONS[job.kind]
            if not asker.grant.may(operation):
                return Forbidden(
                    f"The token that asked for it does not allow `{operation}` any more.",
                    code="operation_not_allowed",
                )
            self.guard.check(job.sql, may_read=asker.may_read)
        except (Forbidden, QueryRejected) as error:
            return error
        return None

    async def _make_room(self) -> None:
        """Where all places are taken and another owner waits, the job that had most time yields.

        It starts again later and may then run twice as long before it yields, so that each ends.
        """
        if len(self._running) < self.settings.job_concurrency:
            return
        over = [
            running
            for running in self._running.values()
            if time.monotonic() - running.since > _SHARE_S * 2 ** (running.job.attempt - 1)
            and not running.is_whole
        ]
        if not over or not await self.store.others_wait([one.job for one in over]):
            return
        longest = min(over, key=lambda running: running.since)
        if self._break_off(longest):
            longest.yields = True

    async def _sweep(self) -> None:
        for job in await self.store.doomed(count=_SWEPT_AT_ONCE):
            await self._clean(job, attempts=job.attempt)
            await self.store.remove(job.id)
        for job in await self.store.unfinished_uploads():
            await self._clean(job, attempts=job.attempt)
        await self._remove_orphans()

    async def _remove_orphans(self) -> None:
        """Remove objects of this deployment that no job has."""
        found = [key async for key in self.objects.keys(objects_prefix(self.deployment))]
        for start in range(0, len(found), _SWEPT_AT_ONCE):
            owners = {key: owner_of_key(key) for key in found[start : start + _SWEPT_AT_ONCE]}
            ids = {owner[0] for owner in owners.values() if owner is not None}
            known = await self.store.with_objects(ids)
            for key, owner in owners.items():
                if owner not in known:
                    await self.objects.delete(key)
                    _LOG.info("an object that no job has was removed", extra={"key": key})

    # ---- one job

    async def _run(self, running: _Running) -> None:
        job = running.job
        key = object_key(self.deployment, job)
        upload = Upload(
            self.objects,
            key,
            content_type=file_type_of(job).media_type,
            on_begin=lambda upload_id: self.store.note_upload(job.id, job.attempt, upload_id),
        )
        try:
            await self._clean(job, attempts=job.attempt - 1)
            result = await self._extract(running, upload)
            await upload.finish()
            running.is_whole = True
            result = structs.replace(result, bytes=upload.size_bytes)
            is_mine = await self.store.succeed(
                job.id,
                job.attempt,
                to_stored(result),
                kind=job.kind,
                beside=self.costs.done(running.run, result),
            )
            if not is_mine:
                await upload.abort()
        except asyncio.CancelledError:
            if running.denied is not None and not self._closing:
                await self._fail(running, upload, running.denied)
            else:
                await self._leave(running, upload)
            if self._closing:
                raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the job must say so
            await self._fail(running, upload, error)
        finally:
            self._running.pop(job.id, None)
            self.wake()

    async def _extract(self, running: _Running, upload: Upload) -> Result:
        job = running.job

        async def write(chunk: Chunk) -> None:
            await upload.write(chunk.data)
            running.rows, running.bytes = chunk.rows, upload.size_bytes

        run = running.run
        run.asker = await asker_of(job, self.tokens)
        order = await self.costs.bind(run, self._order(running))
        checked = self.guard.check(job.sql, may_read=run.asker.may_read)
        if job.source_id is None:
            extract = await self.engine.extract(replace(order, checked=checked), write=write)
            return result_of(self.costs.explain(run, extract), source=None)
        source = await self.store.find(job.source_id)
        if source is None or source.state != State.SUCCEEDED.value:
            raise _source_gone()
        try:
            async with self.kept.file(object_key(self.deployment, source)) as file:
                order = replace(order, stored=stored_rows(source, file))
                extract = await self.engine.extract(order, write=write)
        except FileNotFoundError:
            raise _source_gone() from None
        return result_of(self.costs.explain(run, extract), source=stored_result(source))

    def _order(self, running: _Running) -> ExtractOrder:
        job, settings = running.job, self.settings
        is_job = job.kind == JOB

        def begin() -> None:
            running.stage = "running"
            running.run.start()

        return ExtractOrder(
            form=FileForm(job.form),
            compression=Compression(job.compression),
            row_cap=job.row_cap,
            byte_cap=settings.job_bytes if is_job else settings.export_bytes,
            timeout_s=settings.job_timeout_s if is_job else settings.export_timeout_s,
            # Not the caller's own turns: its queries go on beside its jobs, and whose job is next
            # was decided when it was claimed.
            agent="",
            on_start=begin,
        )

    async def _leave(self, running: _Running, upload: Upload) -> None:
        """Stopped from outside: by its owner, or with the process."""
        job = running.job
        # What may be somebody's result is left for sweeping, which knows whether it is.
        is_kept = running.is_whole
        with contextlib.suppress(ServiceUnavailable):
            found = await self.store.find(job.id)
            is_kept = (
                found is not None
                and found.state == State.SUCCEEDED.value
                and found.attempt == job.attempt
            )
            # One that is gone was removed by its owner; one that runs, another process has.
            if found is None or found.state == State.CANCELLED.value:
                await self.costs.cancelled(running.run)
        if not is_kept:
            await self._drop(job, upload)
        if (self._closing or running.yields) and not running.is_lost:
            await self.store.retry(job.id, job.attempt, after_s=0, counts=False)

    async def _fail(self, running: _Running, upload: Upload, error: Exception) -> None:
        job = running.job
        error = self.costs.excuse(running.run, error)
        is_away = isinstance(error, ServiceUnavailable)
        if not (is_away and running.is_whole):
            await self._drop(job, upload)
        if is_away:
            # The database: the lease runs out, and the job waits again.
            _LOG.warning("a job was left: the database does not answer")
            return
        if isinstance(error, LakeError) and error.code in _PASSING:
            pause_s = _RETRY_S * 2**job.retries
            if await self.store.retry(job.id, job.attempt, after_s=pause_s, counts=True):
                return
        if not isinstance(error, LakeError):
            _LOG.error("a job failed inside", exc_info=error, extra={"job_id": str(job.id)})
            error = LakeError("Something went wrong inside the service.", retry=True)
        await self.store.fail(
            job.id,
            job.attempt,
            error.to_problem(),
            kind=job.kind,
            beside=self.costs.failed(running.run, error),
        )

    async def _drop(self, job: JobRow, upload: Upload) -> None:
        """Drop what was written so far; what can't be dropped now, sweeping drops."""
        with contextlib.suppress(QueryUnavailable, ServiceUnavailable):
            await upload.abort()
            await self.store.note_upload(job.id, job.attempt, None)

    async def _clean(self, job: JobRow, *, attempts: int) -> None:
        """Remove what the first attempts of a job have in the bucket."""
        for attempt in range(1, attempts + 1):
            key = object_key(self.deployment, job, attempt=attempt)
            if job.upload_id is not None:
                await self.objects.abort(key, job.upload_id)
            await self.objects.delete(key)
        if job.upload_id is not None:
            await self.store.note_upload(job.id, job.attempt, None)


def _source_gone() -> NotFound:
    return NotFound(
        "The job whose result was asked for is gone.",
        code="unknown_job",
        hint="Run the job again.",
    )


async def _forever(
    work: Callable[[], Awaitable[None]], wake: asyncio.Event, *, every_s: float
) -> None:
    """Do it now, whenever it is woken, and every so often; what fails is tried the next time."""
    while True:
        wake.clear()
        try:
            await work()
        except LakeError as error:
            _LOG.warning("work on jobs waits: %s", error.code)
        except Exception:  # noqa: BLE001 - it is logged, and without the loop every job would wait
            _LOG.exception("work on jobs failed")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(every_s):
                await wake.wait()
