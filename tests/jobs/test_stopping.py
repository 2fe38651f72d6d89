"""A job that is stopped at an awkward moment: its result is kept or gone, and its end recorded."""

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import obstore
import pytest
from sqlalchemy import update

from lake_api.audit.log import AuditLog
from lake_api.clock import utc_now
from lake_api.database.database import Database
from lake_api.database.group_writer import GroupWriter
from lake_api.errors import ServiceUnavailable
from lake_api.exports.objects import PART_BYTES
from lake_api.identity import Caller, Role
from lake_api.jobs.asked import JOB
from lake_api.jobs.costs import JobCosts
from lake_api.jobs.service import JobService, serving_jobs
from lake_api.jobs.store import JobStore
from lake_api.jobs.table import JobRow
from lake_api.query.guard import Guard
from lake_api.query.messages import Answer, Chunk, StoredRows
from lake_api.query.reader_store import open_small
from lake_api.query.results import Extract, ExtractOrder
from lake_api.settings import Settings
from lake_api.tokens.grants import EVERYTHING
from lake_api.tokens.store import TokenStore
from lake_api.usage.day_sums import DaySums
from lake_assets.catalog import Catalog, LakeLocation
from tests.api.conftest import database_in
from tests.conftest import boto3_client, settings_of

CALLER = Caller(role=Role.AGENT, name="one", grant=EVERYTHING)


@dataclass(kw_only=True)
class HeldEngine:
    """Writes some bytes, and then stays where it is until it may go on."""

    kept_directory: Path
    size_bytes: int
    written: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)

    async def extract(
        self, order: ExtractOrder, *, write: Callable[[Chunk], Awaitable[None]]
    ) -> Extract:
        order.on_start()
        await write(Chunk(id=1, data=bytes(self.size_bytes), rows=1))
        self.written.set()
        await self.may_end.wait()
        return Extract(
            columns=("n",),
            column_types=("BIGINT",),
            row_count=1,
            truncated=False,
            text_columns=(),
            freshness=(),
            warnings=(),
        )

    async def page(self, stored: StoredRows, **_: Any) -> Answer:
        raise AssertionError(stored)


@dataclass(kw_only=True)
class Held:
    """Jobs over a real database and a real bucket; what becomes of them is up to the test."""

    jobs: JobService
    engine: HeldEngine
    database: Database
    bucket: LakeLocation

    async def ask(self) -> JobRow:
        job, _ = await self.jobs.ask(JOB, CALLER, "SELECT 1 AS n", max_rows=None)
        await self.engine.written.wait()
        return job

    async def state(self, job: JobRow) -> str:
        found = await self.jobs.store.find(job.id)
        assert found is not None
        return found.state

    async def until(self, job: JobRow, state: str) -> None:
        while await self.state(job) != state:
            await asyncio.sleep(0.02)

    def objects(self) -> list[str]:
        listed = obstore.list(open_small(self.bucket), "exports/").collect()
        return [item["path"] for item in listed]

    def uploads(self) -> list[Any]:
        client = boto3_client(self.bucket)
        return client.list_multipart_uploads(Bucket=self.bucket.bucket).get("Uploads", [])


@asynccontextmanager
async def held(
    bucket: LakeLocation, folder: Path, *, size_bytes: int, retries: int = 2
) -> AsyncGenerator[Held]:
    url = database_in(folder)
    settings = Settings.from_mapping(
        {
            **settings_of(bucket),
            "LAKE_EXPORT_ACCESS_KEY": bucket.access_key,
            "LAKE_EXPORT_SECRET_KEY": bucket.secret_key,
            "LAKE_JOB_CONCURRENCY": "1",
            "LAKE_JOB_RETRIES": str(retries),
        }
    )
    database = await Database.open(url)
    engine = HeldEngine(kept_directory=folder, size_bytes=size_bytes)
    try:
        async with GroupWriter(url) as writer:
            sums = DaySums(database, clock=utc_now, dialect=writer.dialect)
            audit = AuditLog(writer, clock=utc_now, with_sql=False)
            async with serving_jobs(
                settings=settings,
                location=bucket,
                engine=engine,
                guard=Guard(Catalog([])),
                catalog=Catalog([]),
                database=database,
                tokens=TokenStore(database, clock=utc_now),
                costs=JobCosts(sums, audit),
                clock=utc_now,
            ) as jobs:
                assert jobs is not None
                yield Held(jobs=jobs, engine=engine, database=database, bucket=bucket)
    finally:
        await database.close()


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(60):
            await work

    asyncio.run(bounded())


@pytest.mark.parametrize("how", ["cancel", "stop"])
def test_what_has_just_succeeded_keeps_its_object(
    bucket: LakeLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    committed, may_return = asyncio.Event(), asyncio.Event()
    succeed = JobStore.succeed

    async def slow(self: JobStore, *args: Any, **kwargs: Any) -> bool:
        is_mine = await succeed(self, *args, **kwargs)
        committed.set()
        await may_return.wait()
        return is_mine

    monkeypatch.setattr(JobStore, "succeed", slow)

    async def work() -> None:
        async with held(bucket, tmp_path, size_bytes=10) as one:
            job = await one.ask()
            one.engine.may_end.set()
            await committed.wait()
            if how == "cancel":
                assert (await one.jobs.cancel(job)).state == "succeeded"
            else:
                # As when its lease can't be renewed, because it is over.
                one.jobs.runner.stop(job.id)
            may_return.set()
            # One runs at a time: when the next one is over, nothing of the first runs any more.
            following = await one.ask()
            await one.until(following, "succeeded")
            assert await one.state(job) == "succeeded"
            assert len(one.objects()) == 2

    run(work())


def test_what_is_stopped_while_the_database_is_away_leaves_no_upload(
    bucket: LakeLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: Any) -> None:
        raise ServiceUnavailable("The service's database does not answer.")

    async def work() -> None:
        async with held(bucket, tmp_path, size_bytes=PART_BYTES) as one:
            job = await one.ask()
            assert len(one.uploads()) == 1
            monkeypatch.setattr(JobStore, "find", away)
        monkeypatch.undo()
        assert one.uploads() == []
        async with held(bucket, tmp_path, size_bytes=1) as one:
            # It waited for the next process, and not until its lease was over.
            await one.engine.written.wait()
            assert await one.state(job) == "running"

    run(work())


def recorded(folder: Path) -> list[tuple[Any, ...]]:
    """How jobs ended, each as often as that was recorded."""
    with closing(sqlite3.connect(folder / "service.db")) as connection:
        return connection.execute(
            "SELECT subject, action, caller, outcome, code FROM audit"
        ).fetchall()


@pytest.mark.parametrize("how", ["cancel", "discard"])
def test_what_is_cancelled_while_it_waits_is_recorded_once(
    bucket: LakeLocation, tmp_path: Path, how: str
) -> None:
    async def work() -> None:
        async with held(bucket, tmp_path, size_bytes=1) as one:
            await one.ask()
            waiting = await one.ask()
            assert await one.state(waiting) == "queued"
            for _ in range(2):
                if how == "cancel":
                    await one.jobs.cancel(waiting)
                else:
                    await one.jobs.discard(CALLER, waiting)
            assert recorded(tmp_path) == [(str(waiting.id), "run_job", "one", "cancelled", None)]

    run(work())


def test_what_was_lost_too_often_is_recorded(bucket: LakeLocation, tmp_path: Path) -> None:
    async def work() -> None:
        async with held(bucket, tmp_path, size_bytes=1, retries=0) as one:
            job = await one.ask()
            while await one.state(job) != "failed":
                # As of a process that is gone; this one says every second that it is not.
                async with one.database.session() as session:
                    await session.execute(update(JobRow).values(lease_until=job.created_at))
                one.jobs.runner.wake()
                await asyncio.sleep(0.02)
        assert recorded(tmp_path) == [(str(job.id), "run_job", "one", "error", "job_lost")]

    run(work())
