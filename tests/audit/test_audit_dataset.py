"""`platform/lake_query_audit`: from the service's table through Dagster to SQL over HTTP."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import dagster as dg
import httpx
import pytest
from litestar import Litestar

from lake_api.app import create_app
from lake_api.settings import Settings
from lake_assets.catalog import Catalog, Dataset, LakeLocation
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.schedules import why_not
from lake_assets.sources.errors import SourceMismatch, SourceUnavailable
from lake_assets.sources.service import open_service_export
from tests.api.conftest import ADMIN, KEY, QUERY, database_in
from tests.audit.conftest import record
from tests.conftest import settings_of
from tests.usage.asking import TOKENS

DAY = date(2026, 11, 21)
MIDNIGHT = datetime.combine(DAY, time(), tzinfo=UTC)


def read(url: str, dataset: Dataset, day: date = DAY) -> list[dict[str, Any]]:
    with open_service_export(url, dataset) as export:
        return [row for batch in export.read(day) for row in batch.to_pylist()]


def test_a_day_is_the_half_open_utc_day_in_order(url: str, dataset: Dataset) -> None:
    hour = timedelta(hours=1)
    moments = [
        MIDNIGHT - timedelta(microseconds=1),
        MIDNIGHT,
        MIDNIGHT + timedelta(microseconds=5),
        # The same moment in another zone is of the same UTC day.
        (MIDNIGHT + 23 * hour).astimezone(datetime.now().astimezone().tzinfo),
        MIDNIGHT + 24 * hour,
    ]
    record(url, *reversed(moments), sql="SELECT 'secret'", datasets=("a", "b"), rows=3)
    rows = read(url, dataset)
    assert [row["asked_at"] for row in rows] == moments[1:4]
    first = rows[0]
    assert list(first) == list(dataset.column_names)
    assert (first["datasets"], first["row_count"]) == ('["a", "b"]', 3)
    assert (first["elapsed_ms"], first["caller"]) == (0.0, None)
    assert "secret" not in str(rows)
    assert read(url, dataset, DAY - timedelta(days=30)) == []


def test_many_rows_come_in_bounded_batches(tmp_path: Path, dataset: Dataset) -> None:
    url = database_in(tmp_path)
    record(url, MIDNIGHT)
    with closing(sqlite3.connect(tmp_path / "service.db")) as connection:
        names = [row[1] for row in connection.execute("PRAGMA table_info(audit)")]
        rest = ", ".join(name for name in names if name != "id")
        connection.execute(
            "WITH RECURSIVE n(v) AS (SELECT 1 UNION ALL SELECT v + 1 FROM n WHERE v < 12000) "
            f"INSERT INTO audit (id, {rest}) SELECT v, {rest} FROM audit, n"
        )
        connection.commit()
    with open_service_export(url, dataset) as export:
        sizes = [batch.num_rows for batch in export.read(DAY)]
    assert sum(sizes) == 12_001
    assert max(sizes) <= 5_000


def test_all_days_of_an_export_come_from_one_state(url: str, dataset: Dataset) -> None:
    record(url, MIDNIGHT, MIDNIGHT + timedelta(days=1))
    with open_service_export(url, dataset) as export:
        assert sum(batch.num_rows for batch in export.read(DAY)) == 1
        record(url, MIDNIGHT + timedelta(days=1, hours=1))
        assert sum(batch.num_rows for batch in export.read(DAY + timedelta(days=1))) == 1
    assert len(read(url, dataset, DAY + timedelta(days=1))) == 2


def test_what_can_not_be_read_is_said(tmp_path: Path, dataset: Dataset) -> None:
    with pytest.raises(SourceUnavailable, match="when the service starts"):
        read(database_in(tmp_path), dataset)
    with closing(sqlite3.connect(tmp_path / "service.db")) as connection:
        connection.execute("CREATE TABLE audit (id TEXT)")
    with pytest.raises(SourceMismatch, match="no column `asked_at`"):
        read(database_in(tmp_path), dataset)
    (tmp_path / "service.db").write_bytes(b"no database at all, but long enough to be one" * 100)
    with pytest.raises(SourceUnavailable, match="did not answer"):
        read(database_in(tmp_path), dataset)
    with pytest.raises(SourceMismatch, match="LAKE_DATABASE_URL"):
        read("mysql://somewhere", dataset)


def test_a_schedule_without_the_url_says_so(dataset: Dataset) -> None:
    assert "LAKE_DATABASE_URL" in why_not([dataset], {})
    assert why_not([dataset], {"LAKE_DATABASE_URL": "sqlite:///x"}) == ""


def test_calls_are_asked_for_in_sql_the_next_day(
    bucket: LakeLocation,
    dataset: Dataset,
    tmp_path: Path,
    serve: Callable[[Litestar], AbstractContextManager[str]],
) -> None:
    catalog = Catalog([dataset])
    yesterday = datetime.now(tz=UTC) - timedelta(days=1)
    day = yesterday.date().isoformat()
    env = {**settings_of(bucket), "LAKE_DATABASE_URL": database_in(tmp_path)}
    settings = Settings.from_mapping(
        {
            **env,
            "AINATIVE_INTERNAL_API_KEY": KEY,
            "LAKE_CACHE_DIR": str(tmp_path / "cache"),
            "LAKE_SNAPSHOT_CHECK_S": "0.1",
            "LAKE_QUERY_WORKERS": "1",
        }
    )
    app = create_app(settings=settings, catalog=catalog, location=bucket, clock=lambda: yesterday)
    asked = {
        "sql": "SELECT caller, outcome, code, json_extract_string(datasets, '$[0]') AS first "
        f"FROM platform_lake_query_audit WHERE date = '{day}' AND action = 'query' "
        "ORDER BY asked_at, id"
    }
    with serve(app) as url, httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        none_yet = client.post(QUERY, json=asked, headers={"X-Agent-ID": "aurora"})
        assert none_yet.json()["rows"] == []
        wrong = {"sql": "SELECT nonsense FROM platform_lake_query_audit"}
        assert client.post(QUERY, json=wrong, headers={"X-Agent-ID": "sage"}).status_code == 400
        made = {"kind": "agent", "name": "blind", "datasets": ["*", f"!{dataset.partition}"]}
        token = client.post(TOKENS, json=made, headers=ADMIN).json()["token"]

        result = (
            build_defs(catalog=catalog, env=env, clock=lambda: datetime.now(tz=UTC))
            .resolve_implicit_global_asset_job_def()
            .execute_in_process(
                instance=dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)), partition_key=day
            )
        )
        assert result.success
        checks = result.get_asset_check_evaluations()
        assert checks
        assert all(check.passed for check in checks)

        def rows() -> list[list[Any]]:
            answer = client.post(QUERY, json=asked, headers={"X-Agent-ID": "auditor"}).json()
            assert answer["source"] == "lake", answer
            return answer["rows"]

        until = monotonic() + 20
        while not (told := rows()) and monotonic() < until:
            sleep(0.05)
        blind = {"Authorization": f"Bearer {token}"}
        hidden = client.post(QUERY, json=asked, headers=blind).json()
    assert told == [
        ["aurora", "ok", None, dataset.partition],
        ["sage", "rejected", "unknown_column", dataset.partition],
    ]
    assert hidden["code"] == "unknown_table"
