"""While a job runs: rights are asked again, and others get their share of the places."""

import asyncio
from pathlib import Path

import pytest

from lake_api.clock import utc_now
from lake_api.identity import Caller, Role
from lake_api.jobs import runner
from lake_api.jobs.asked import JOB
from lake_api.jobs.table import JobRow
from lake_api.tokens.grants import Grant
from lake_api.tokens.secret import TokenKind
from lake_api.tokens.store import Token, TokenStore
from lake_assets.catalog import LakeLocation
from tests.jobs.test_stopping import Held, held, run

GRANT = Grant(datasets=("*",), operations=frozenset({"jobs", "query"}))


async def token_of(one: Held, name: str, *, swarm: Token | None = None) -> Token:
    store = TokenStore(one.database, clock=utc_now)
    kind = TokenKind.AGENT if swarm is not None or name.startswith("agent") else TokenKind.SWARM
    token, _ = await store.create(
        kind=kind,
        name=name,
        grant=GRANT,
        swarm_id=swarm.id if swarm else None,
        expires_at=None,
    )
    return token


def caller_of(token: Token) -> Caller:
    return Caller(
        role=Role.AGENT,
        name=token.name,
        grant=token.grant,
        token_id=token.id,
        swarm_id=token.swarm_id,
    )


async def ask(one: Held, caller: Caller) -> JobRow:
    job, _ = await one.jobs.ask(JOB, caller, "SELECT 1 AS n", max_rows=None)
    return job


def test_a_revoked_token_ends_what_it_runs(bucket: LakeLocation, tmp_path: Path) -> None:
    async def work() -> None:
        async with held(bucket, tmp_path, size_bytes=10) as one:
            token = await token_of(one, "agent-a")
            job = await ask(one, caller_of(token))
            await one.engine.written.wait()
            await TokenStore(one.database, clock=utc_now).revoke(token.id)
            await one.until(job, "failed")
            found = await one.jobs.store.find(job.id)
            assert found is not None
            assert found.error is not None
            assert found.error["code"] == "invalid_token"
            assert one.objects() == []
            # The place is free for the next one, which does not wait for a lease.
            one.engine.written.clear()
            following = await one.ask()
            assert await one.state(following) == "running"

    run(work())


def test_owners_of_a_swarm_have_one_turn_of_many(bucket: LakeLocation, tmp_path: Path) -> None:
    async def work() -> None:
        async with held(bucket, tmp_path, size_bytes=10) as one:
            swarm = await token_of(one, "swarm")
            many = [
                await ask(one, caller_of(await token_of(one, f"agent-{number}", swarm=swarm)))
                for number in range(4)
            ]
            other = await ask(one, caller_of(await token_of(one, "agent-other")))
            one.engine.may_end.set()
            for job in (*many, other):
                await one.until(job, "succeeded")
            ended = [await one.jobs.store.find(job.id) for job in (*many, other)]
            started = [job.started_at for job in ended if job is not None and job.started_at]
            # The first of the swarm had begun when the other one came.
            assert sorted(started).index(started[-1]) == 1

    run(work())


def test_a_long_job_yields_to_another_owner_and_ends_later(
    bucket: LakeLocation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "_SHARE_S", 0.3)

    async def work() -> None:
        async with held(bucket, tmp_path, size_bytes=10, retries=0) as one:
            first = await one.ask()
            mine = await one.ask()
            # Others of its own group do not take its place.
            await asyncio.sleep(2.5)
            assert await one.state(first) == "running"
            other = await ask(one, caller_of(await token_of(one, "agent-other")))
            await one.until(other, "running")
            assert await one.state(first) == "queued"
            one.engine.may_end.set()
            for job in (first, mine, other):
                await one.until(job, "succeeded")
            assert len(one.objects()) == 3

    run(work())
