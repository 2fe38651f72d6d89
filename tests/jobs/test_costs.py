"""When it is the seconds of the day that ended a job, and when only its wait for them."""

import asyncio
import time
from pathlib import Path

import pytest
from uuid_utils.compat import uuid7

from lake_api.audit.log import AuditLog
from lake_api.clock import utc_now
from lake_api.database.database import Database
from lake_api.database.group_writer import GroupWriter
from lake_api.errors import LakeError, QueryUnavailable, RateLimited
from lake_api.identity import Caller, Role
from lake_api.jobs.asked import JOB
from lake_api.jobs.costs import JobCosts, Run
from lake_api.jobs.table import JobRow
from lake_api.query.messages import FileForm
from lake_api.query.results import ExtractOrder
from lake_api.tokens.grants import Grant, TokenLimits
from lake_api.usage.day_sums import DaySums
from tests.api.conftest import database_in

LEFT_S = 30


def told(url: str, *, ran_s: float | None) -> Exception:
    """What is told of a job that had half a minute and was late, after a worker had it so long."""
    limits = TokenLimits(seconds_per_day=LEFT_S)
    asker = Caller(role=Role.AGENT, name="one", grant=Grant(limits=limits), token_id=uuid7())
    run = Run(job=JobRow(kind=JOB), asker=asker)
    order = ExtractOrder(form=FileForm.ROWS, row_cap=1, byte_cap=1, timeout_s=600, agent="")

    async def work() -> Exception:
        database = await Database.open(url)
        try:
            async with GroupWriter(url) as writer:
                sums = DaySums(database, clock=utc_now, dialect=writer.dialect)
                costs = JobCosts(sums, AuditLog(writer, clock=utc_now, with_sql=False))
                assert (await costs.bind(run, order)).timeout_s == LEFT_S
                run.started = None if ran_s is None else time.monotonic() - ran_s
                return costs.excuse(run, QueryUnavailable("late", code="query_timeout"))
        finally:
            await database.close()

    return asyncio.run(work())


@pytest.mark.parametrize("ran_s", [None, 0.0, LEFT_S / 2])
def test_time_that_went_by_without_a_worker_is_not_used_up(
    tmp_path: Path, ran_s: float | None
) -> None:
    error = told(database_in(tmp_path), ran_s=ran_s)
    assert isinstance(error, LakeError)
    assert error.code == "query_timeout"


def test_seconds_that_a_worker_took_are_used_up(tmp_path: Path) -> None:
    error = told(database_in(tmp_path), ran_s=LEFT_S - 0.5)
    assert isinstance(error, RateLimited)
    assert (error.code, error.field) == ("quota_exceeded", "seconds_per_day")
    assert f"used up: {LEFT_S} of {LEFT_S}" in error.detail
