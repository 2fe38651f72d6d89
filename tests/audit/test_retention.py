"""Old audit rows go once the lake has them; newer ones the database itself refuses to delete."""

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import msgspec
import pytest
from litestar import Litestar
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from lake_api.app import create_app
from lake_api.audit.retention import AuditRetention, DayRows, archive_of, pruning
from lake_api.database.database import Database
from lake_api.errors import QueryUnavailable
from lake_api.query.guard import Guard
from lake_api.settings import Settings, SettingsError
from lake_assets.catalog import Catalog, Dataset, LakeLocation
from lake_assets.orchestration.build import build_defs
from lake_assets.sources.errors import SourceMismatch
from lake_assets.sources.service import open_service_export
from lake_assets.storage.store import LakeStore
from lake_assets.storage.writer import PartitionWriter
from tests.api.conftest import KEY, ScriptedEngine, database_in
from tests.audit.conftest import record
from tests.conftest import settings_of

KEEP = 40
Archive = Callable[[date], Awaitable[DayRows | None]]
NOW = datetime.now(UTC)
"""For all of a run, which may go on over midnight."""


def now() -> datetime:
    return NOW


def ago(days: int) -> datetime:
    return NOW.replace(hour=12) - timedelta(days=days)


def sql(url: str, statement: str) -> Any:
    """What a statement gives on a connection of its own, committed."""
    driver = url.replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(driver)
    try:
        with engine.begin() as connection:
            done = connection.execute(text(statement))
            return done.all() if done.returns_rows else done.rowcount
    finally:
        engine.dispose()


def days(url: str) -> list[int]:
    """How many days ago each row that is there was recorded, oldest first."""
    moments = [one for (one,) in sql(url, "SELECT asked_at FROM audit ORDER BY asked_at")]
    dates = [datetime.fromisoformat(str(one)).date() for one in moments]
    return [(NOW.date() - one).days for one in dates]


def prune(url: str, archive: Archive, *, keep_days: int = KEEP) -> int:
    async def work() -> int:
        database = await Database.open(url)
        try:
            retention = AuditRetention(database, archive=archive, keep_days=keep_days, clock=now)
            return await retention.prune()
        finally:
            await database.close()

    return asyncio.run(work())


def exact(url: str, *, without: int | None = None) -> Archive:
    """A lake that has every day as it is in the database, but one."""

    async def look(day: date) -> DayRows | None:
        if without is not None and day == ago(without).date():
            return DayRows(count=0, first_id=None, last_id=None)
        begin, end = day, day + timedelta(days=1)
        [(count, first, last)] = await asyncio.to_thread(
            sql,
            url,
            "SELECT count(*), min(id), max(id) FROM audit "
            f"WHERE asked_at >= '{begin} 00:00:00' AND asked_at < '{end} 00:00:00'",
        )
        return DayRows(count=count, first_id=first, last_id=last)

    return look


def test_the_database_lets_old_rows_go_and_no_others(url: str) -> None:
    record(url, ago(31), ago(29), ago(1))
    for statement in (
        "DELETE FROM audit",
        f"DELETE FROM audit WHERE asked_at > '{ago(30).date()}'",
        "UPDATE audit SET asked_at = '2020-01-01 00:00:00'",
        f"UPDATE audit SET caller = 'x' WHERE asked_at < '{ago(30).date()}'",
    ):
        with pytest.raises(DBAPIError, match="append-only"):
            sql(url, statement)
    assert days(url) == [31, 29, 1]
    assert sql(url, f"DELETE FROM audit WHERE asked_at < '{ago(30).date()}'") == 1
    assert days(url) == [29, 1]


def test_days_that_are_old_and_in_the_lake_go(url: str, dataset: Dataset) -> None:
    record(url, ago(KEEP + 50), ago(KEEP + 50), ago(KEEP + 3), ago(KEEP + 1), ago(KEEP), ago(1))
    assert prune(url, exact(url, without=KEEP + 3)) == 3
    assert days(url) == [KEEP + 3, KEEP, 1]
    # What is gone is not exported again: that would replace the day in the lake by nothing.
    with open_service_export(url, dataset) as export:
        with pytest.raises(SourceMismatch, match="the day stays there as it is"):
            list(export.read(ago(KEEP + 1).date()))
        assert sum(batch.num_rows for batch in export.read(ago(KEEP + 3).date())) == 1
    assert prune(url, exact(url)) == 1
    assert days(url) == [KEEP, 1]


def test_a_lake_that_is_away_or_has_other_rows_keeps_them_all(url: str) -> None:
    record(url, ago(KEEP + 5), ago(KEEP + 5))

    async def away(_: date) -> None:
        return None

    async def of_another(day: date) -> DayRows:
        found = await exact(url)(day)
        assert found is not None
        return DayRows(count=found.count, first_id="0", last_id=found.last_id)

    assert prune(url, away) == prune(url, of_another) == 0
    assert prune(url, exact(url), keep_days=0) == 0
    assert days(url) == [KEEP + 5] * 2


def test_a_day_that_was_begun_is_ended_though_it_is_not_whole_any_more(url: str) -> None:
    record(url, ago(KEEP + 5), ago(KEEP + 5))
    day = ago(KEEP + 5).date()
    sql(url, f"INSERT INTO audit_pruned VALUES ('{day}', 3, '{day} 00:00:00')")

    async def asked(_: date) -> None:
        raise AssertionError("the lake was asked before")

    assert prune(url, asked) == 2
    assert days(url) == []


def test_a_day_whose_rows_are_there_again_is_compared_again(url: str) -> None:
    record(url, ago(KEEP + 5), ago(KEEP + 5))
    day = ago(KEEP + 5).date()
    sql(url, f"INSERT INTO audit_pruned VALUES ('{day}', 2, '{day} 00:00:00')")
    assert prune(url, exact(url, without=KEEP + 5)) == 0
    assert days(url) == [KEEP + 5] * 2
    record(url, ago(KEEP + 5))
    assert prune(url, exact(url)) == 3
    assert sql(url, "SELECT rows FROM audit_pruned") == [(3,)]


def test_a_lake_that_can_not_be_asked_is_asked_again_soon(
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, day = database_in(tmp_path), ago(KEEP + 5).date()
    record(url, ago(KEEP + 5))
    monkeypatch.setattr("lake_api.audit.retention._AGAIN_S", 0.01)
    engine = ScriptedEngine()
    engine.failure = QueryUnavailable("Too many queries.", code="too_busy")
    look = archive_of(engine, Guard(Catalog([dataset])))

    async def prune_until_gone() -> None:
        found = await exact(url)(day)
        assert found is not None
        engine.rows_json = msgspec.json.encode([[found.count, found.first_id, found.last_id]])
        database = await Database.open(url)
        retention = AuditRetention(database, archive=look, keep_days=KEEP, clock=now)
        try:
            async with asyncio.timeout(60), pruning(retention):
                while len(engine.agents) < 2:
                    await asyncio.sleep(0.01)
                engine.failure = None
                while await asyncio.to_thread(days, url):
                    await asyncio.sleep(0.01)
        finally:
            await database.close()
        # What it does not know it does not have.
        assert await archive_of(engine, Guard(Catalog([])))(day) is None

    asyncio.run(prune_until_gone())
    assert "waits: too_busy" in caplog.text


def test_many_rows_of_a_day_go(tmp_path: Path) -> None:
    url = database_in(tmp_path)
    record(url, ago(KEEP + 1))
    with closing(sqlite3.connect(tmp_path / "service.db")) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(audit)")]
        rest = ", ".join(name for name in names if name != "id")
        connection.execute(
            "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 4999) "
            f"INSERT INTO audit (id, {rest}) SELECT v, {rest} FROM audit, n"
        )
        connection.commit()
    assert prune(url, exact(url)) == 5_000
    assert days(url) == []


def test_less_than_a_month_can_not_be_asked_for() -> None:
    assert Settings.from_mapping({}).audit_days == 400
    assert Settings.from_mapping({"LAKE_AUDIT_DAYS": "0"}).audit_days == 0
    for days in ("29", "36501"):
        with pytest.raises(SettingsError, match="at least 30"):
            Settings.from_mapping({"LAKE_AUDIT_DAYS": days})


def test_a_range_leaves_removed_days_as_they_are_and_one_alone_is_refused_once(
    bucket: LakeLocation, dataset: Dataset, tmp_path: Path
) -> None:
    url = database_in(tmp_path)
    record(url, ago(3), ago(1))
    first, gone, last = (ago(back).date() for back in (3, 2, 1))
    sql(url, f"INSERT INTO audit_pruned VALUES ('{gone}', 3, '{last} 00:00:00')")
    env = {**settings_of(bucket), "LAKE_DATABASE_URL": url}
    defs = build_defs(catalog=Catalog([dataset]), env=env, clock=now)
    job = defs.resolve_implicit_global_asset_job_def()
    ends = {
        "dagster/asset_partition_range_start": f"{first}",
        "dagster/asset_partition_range_end": f"{last}",
    }
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as instance:
        ranged = job.execute_in_process(instance=instance, tags=ends, raise_on_error=False)
        alone = job.execute_in_process(
            instance=instance, partition_key=f"{gone}", raise_on_error=False
        )

    assert ranged.success
    written = [event.materialization for event in ranged.get_asset_materialization_events()]
    assert [one.partition for one in written] == [f"{first}", f"{last}"]
    assert [one.metadata["rows"].value for one in written] == [1, 1]
    assert LakeStore(bucket).days(dataset) == [first, last]
    [seen] = ranged.get_asset_observation_events()
    told = seen.asset_observation_data.asset_observation
    assert told.partition == f"{gone}"
    assert "the day stays there as it is" in (told.description or "")

    assert not alone.success
    assert not [event for event in alone.all_events if event.is_step_up_for_retry]
    [failed] = [event for event in alone.all_events if event.is_step_failure]
    assert failed.step_failure_data.error is not None
    assert f"removed its rows of {gone}" in failed.step_failure_data.error_display_string


def test_the_service_removes_what_it_finds_in_the_lake(
    bucket: LakeLocation,
    dataset: Dataset,
    tmp_path: Path,
    serve: Callable[[Litestar], AbstractContextManager[str]],
) -> None:
    url = database_in(tmp_path)
    record(url, *[ago(KEEP + 2)] * 3, ago(KEEP + 1), ago(1))
    store, archived = LakeStore(bucket), ago(KEEP + 2).date()
    with open_service_export(url, dataset) as export:
        PartitionWriter(store, run_id="r", code_version="1").write(
            dataset, archived, export.read(archived)
        )
    store.bump_version(dataset, [archived])
    env = {
        **settings_of(bucket),
        "AINATIVE_INTERNAL_API_KEY": KEY,
        "LAKE_DATABASE_URL": url,
        "LAKE_CACHE_DIR": str(tmp_path / "cache"),
        "LAKE_QUERY_WORKERS": "1",
        "LAKE_HEAVY_WORKERS": "0",
        "LAKE_AUDIT_DAYS": str(KEEP),
    }
    app = create_app(
        settings=Settings.from_mapping(env),
        catalog=Catalog([dataset]),
        location=bucket,
        clock=now,
    )
    with serve(app) as address:
        assert httpx.get(f"{address}/healthz", trust_env=False).status_code == 200
        end = time.monotonic() + 120
        while days(url) != [KEEP + 1, 1]:
            assert time.monotonic() < end, days(url)
            time.sleep(0.1)
