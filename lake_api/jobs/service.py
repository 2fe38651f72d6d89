"""Jobs and exports as the application has them: the parts together, and what routes ask of them.

Belongs here: starting and stopping the parts, asking, seeing, cancelling, reading pages.
Does not belong here: HTTP (`controller`), running (`runner`).
"""

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Protocol
from uuid import UUID

from lake_api.clock import Clock
from lake_api.database.database import Database
from lake_api.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    QueryUnavailable,
    ServiceUnavailable,
)
from lake_api.exports.objects import ExportObjects
from lake_api.files.links import FileLinks, StoredFile
from lake_api.identity import Caller, Role
from lake_api.jobs.asked import EXPORT, JOB, NewJob
from lake_api.jobs.costs import JobCosts
from lake_api.jobs.kept_files import DAMAGED, KeptFiles
from lake_api.jobs.results import file_type_of, object_key, stored_result, stored_rows
from lake_api.jobs.runner import JobRunner
from lake_api.jobs.states import State
from lake_api.jobs.store import JobStore
from lake_api.jobs.table import JobRow
from lake_api.query.guard import Guard
from lake_api.query.messages import Answer, Chunk, Compression, FileForm, StoredRows
from lake_api.query.results import Extract, ExtractOrder
from lake_api.settings import Settings
from lake_api.tokens.store import TokenStore
from lake_assets.catalog import Catalog, LakeLocation

_PAGE_BYTES = 16 * 1024 * 1024
_KEPT_SHARE = 5
_IDEMPOTENCY_KEY = re.compile(r"[!-~]{1,255}")


class ExtractEngine(Protocol):
    """What jobs need of the engine."""

    @property
    def kept_directory(self) -> Path:
        """Where copies of kept results must be."""
        ...

    async def extract(
        self, order: ExtractOrder, *, write: Callable[[Chunk], Awaitable[None]]
    ) -> Extract:
        """Stream rows as one file."""
        ...

    async def page(
        self,
        stored: StoredRows,
        *,
        first_row: int,
        rows: int,
        byte_cap: int,
        text_columns: tuple[int, ...] = (),
        agent: str = "",
    ) -> Answer:
        """Some rows of a kept result."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows of a job's result, as the worker encoded them."""

    rows_json: bytes
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobService:
    """Jobs and exports. Made by `serving_jobs`."""

    store: JobStore
    runner: JobRunner
    objects: ExportObjects
    links: FileLinks
    kept: KeptFiles
    costs: JobCosts
    engine: ExtractEngine
    guard: Guard
    catalog: Catalog
    settings: Settings
    clock: Clock
    deployment: UUID

    async def ask(
        self,
        kind: str,
        caller: Caller,
        sql: str,
        *,
        max_rows: int | None,
        form: FileForm = FileForm.ROWS,
        compression: Compression = Compression.NONE,
        idempotency_key: str | None = None,
    ) -> tuple[JobRow, bool]:
        """A job or an export of a query, and whether it is a new one.

        Raises:
            QueryRejected: the guard refuses the text.
            Conflict: the key was used for something else.
            RateLimited: the caller has as many as it may.
        """
        checked = self.guard.check(sql, may_read=caller.may_read)
        most = self.settings.job_rows if kind == JOB else self.settings.export_rows
        return await self._create(
            caller,
            NewJob(
                kind=kind,
                sql=sql,
                datasets=tuple(dataset.partition for dataset in checked.datasets),
                form=form,
                compression=compression,
                row_cap=min(max_rows or most, most),
                idempotency_key=_checked_key(idempotency_key),
            ),
        )

    async def export_job(
        self,
        caller: Caller,
        job: JobRow,
        *,
        form: FileForm,
        compression: Compression,
        idempotency_key: str | None = None,
    ) -> tuple[JobRow, bool]:
        """An export of a job's result.

        Raises:
            Conflict: the job has no result, or the key was used for something else.
        """
        _check_succeeded(job)
        return await self._create(
            caller,
            NewJob(
                kind=EXPORT,
                sql=job.sql,
                source_id=job.id,
                datasets=tuple(job.datasets),
                form=form,
                compression=compression,
                row_cap=self.settings.export_rows,
                idempotency_key=_checked_key(idempotency_key),
            ),
        )

    async def _create(self, caller: Caller, new: NewJob) -> tuple[JobRow, bool]:
        job, is_new = await self.store.create(caller, new)
        self.runner.wake()
        return job, is_new

    async def get(self, kind: str, job_id: UUID, caller: Caller) -> JobRow:
        """A job or an export that the caller may see.

        Raises:
            NotFound: there is none, or none that it may see.
        """
        job = await self.store.get(kind, job_id, caller)
        if job is None or not self._may_read(caller, job):
            raise unknown(kind)
        return job

    def _may_read(self, caller: Caller, job: JobRow) -> bool:
        """Whether the caller may read all that the job has read, now."""
        return all(
            name in self.catalog and caller.may_read(self.catalog[name]) for name in job.datasets
        )

    async def cancel(self, job: JobRow) -> JobRow:
        """The job, with its engine stopped; one that is over stays as it is."""
        if await self.store.cancel(job, self.costs.cancelled_waiting(job)):
            self.runner.stop(job.id)
        return await self.store.find(job.id) or job

    async def listed(
        self, kind: str, caller: Caller, *, page: int, page_size: int
    ) -> tuple[Sequence[JobRow], int]:
        """Jobs or exports that the caller may see, newest first, and how many there are."""
        first = (page - 1) * page_size
        rows, total = await self.store.listed(kind, caller, first=first, count=page_size)
        return [job for job in rows if self._may_read(caller, job)], total

    async def discard(self, caller: Caller, job: JobRow) -> None:
        """Stop it, and remove it with its result.

        Raises:
            Forbidden: it is another's, which a swarm sees and does not own.
        """
        if caller.role is not Role.ADMIN and job.owner != caller.key:
            raise Forbidden(f"Only its owner may remove this {job.kind}.", code="not_the_owner")
        if await self.store.discard(job, self.costs.cancelled_waiting(job)):
            self.runner.stop(job.id)
        self.runner.sweep_soon()

    async def page(self, caller: Caller, job: JobRow, *, page: int, page_size: int) -> Page:
        """Rows of a job's result.

        Raises:
            Conflict: it has none.
            InvalidRequest: the page has too many bytes.
            QueryUnavailable: it can't be read at the moment.
        """
        _check_succeeded(job)
        result = stored_result(job)
        first_row = (page - 1) * page_size
        rows = min(page_size, result.row_count - first_row)
        if rows <= 0:
            return Page(rows_json=b"[]", warnings=())

        async def read() -> Answer:
            async with self.kept.file(object_key(self.deployment, job)) as file:
                return await self.engine.page(
                    stored_rows(job, file),
                    first_row=first_row,
                    rows=rows,
                    byte_cap=_PAGE_BYTES,
                    text_columns=result.text_columns,
                    agent=caller.share,
                )

        try:
            try:
                answer = await read()
            except QueryUnavailable as error:
                if error.code != DAMAGED:
                    raise
                answer = await read()
        except FileNotFoundError:
            raise unknown(job.kind) from None
        if answer.truncated:
            raise InvalidRequest(
                f"These rows have more than {_PAGE_BYTES} bytes of JSON.",
                code="page_too_large",
                hint="Ask for a smaller page_size.",
                field="page_size",
            )
        return Page(rows_json=answer.rows_json, warnings=answer.warnings)

    def file_of(self, export: JobRow) -> StoredFile:
        """An export's file.

        Raises:
            NotFound: it has none.
        """
        if State(export.state) is not State.SUCCEEDED:
            raise unknown(export.kind)
        kind = file_type_of(export)
        return StoredFile(
            kind=export.kind,
            id=export.id,
            key=object_key(self.deployment, export),
            name=f"lake-{export.created_at:%Y-%m-%d}-{str(export.id)[-8:]}.{kind.ending}",
            media_type=kind.media_type,
            size_bytes=stored_result(export).bytes,
            etag=f'"{export.id}-{export.attempt}"',
            expires_at=export.expires_at,
            datasets=tuple(export.datasets),
            form=export.form,
        )


def unknown(kind: str) -> NotFound:
    """There is none, or none that the caller may see: the two are told alike."""
    return NotFound(f"There is no such {kind}.", code=f"unknown_{kind}")


def _check_succeeded(job: JobRow) -> None:
    state = State(job.state)
    if state is State.SUCCEEDED:
        return
    if not state.is_over:
        raise Conflict(
            f"The job is {state.value}; it has no rows yet.",
            code="job_not_finished",
            hint="Ask for its state until it is succeeded.",
            retry=True,
            retry_after_s=1,
        )
    raise Conflict(
        f"The job is {state.value}; it has no rows.",
        code=f"job_{state.value}",
        hint="Its state tells why." if state is State.FAILED else None,
    )


def _checked_key(key: str | None) -> str | None:
    if key is not None and not _IDEMPOTENCY_KEY.fullmatch(key):
        raise InvalidRequest(
            "Idempotency-Key must be 1 to 255 printable ASCII characters without spaces.",
            field="Idempotency-Key",
        )
    return key


@asynccontextmanager
async def serving_jobs(
    *,
    settings: Settings,
    location: LakeLocation | None,
    engine: ExtractEngine,
    guard: Guard,
    catalog: Catalog,
    database: Database,
    tokens: TokenStore,
    costs: JobCosts,
    clock: Clock,
) -> AsyncGenerator[JobService | None]:
    """The service of jobs and exports until the block is left; None without an identity for it."""
    if location is None or not settings.export_access_key:
        yield None
        return
    writer = replace(
        location, access_key=settings.export_access_key, secret_key=settings.export_secret_key
    )
    linked = replace(writer, endpoint=settings.export_url or writer.endpoint)
    objects = ExportObjects(writer, link_location=linked)
    try:
        store = JobStore(
            database,
            clock=clock,
            live_limit=settings.jobs_per_agent,
            retries=settings.job_retries,
            lives={
                JOB: timedelta(seconds=settings.job_ttl_s),
                EXPORT: timedelta(seconds=settings.export_ttl_s),
            },
        )
        kept = KeptFiles(
            objects,
            directory=engine.kept_directory,
            budget_bytes=settings.cache_bytes // _KEPT_SHARE,
        )
        deployment = await store.deployment()
        runner = JobRunner(
            store=store,
            engine=engine,
            guard=guard,
            tokens=tokens,
            objects=objects,
            kept=kept,
            costs=costs,
            settings=settings,
            deployment=deployment,
        )
        runner.start()
        try:
            yield JobService(
                store=store,
                runner=runner,
                objects=objects,
                links=FileLinks(objects, settings=settings, clock=clock),
                kept=kept,
                costs=costs,
                engine=engine,
                guard=guard,
                catalog=catalog,
                settings=settings,
                clock=clock,
                deployment=deployment,
            )
        finally:
            await runner.close()
    finally:
        await objects.close()


def disabled(what: str) -> ServiceUnavailable:
    """What is told where the service has no identity to write results with."""
    return ServiceUnavailable(
        f"{what.capitalize()} are off: this service has no identity to write results with.",
        code=f"{what}_disabled",
        hint="Whoever runs it must set LAKE_EXPORT_ACCESS_KEY and LAKE_EXPORT_SECRET_KEY.",
        retry=False,
    )
