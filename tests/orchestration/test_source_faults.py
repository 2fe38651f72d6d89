"""Exports of a database at fault: values without a place, locks, late rows."""

import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lake_assets.catalog import Catalog, data_key, event
from lake_assets.orchestration.build import build_defs
from lake_assets.orchestration.retries import RETRY
from lake_assets.storage.day_facts import read_facts
from lake_assets.storage.store import LakeStore
from tests.conftest import settings_of
from tests.orchestration.conftest import first_error

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)
DAYS = ("2026-11-21", "2026-11-22")
COLUMNS = """
    order_id     int64!      One id.
    valid_until  timestamp   Until when; null without an end.
    created_at   timestamp!
"""


@dataclass
class Shop:
    schema: str
    url: str
    catalog: Catalog
    store: LakeStore
    defs: dg.Definitions
    instance: dg.DagsterInstance

    def sql(self, statement: str) -> list[tuple]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.format(s=self.schema))
            return cursor.fetchall() if cursor.description else []

    def night(self, first: str = DAYS[0], last: str = DAYS[1]):
        return self.run("platform_events", first, last)

    def run(self, job: str, first: str = "", last: str = ""):
        tags = {
            "dagster/asset_partition_range_start": first,
            "dagster/asset_partition_range_end": last,
        }
        return self.defs.resolve_job_def(job).execute_in_process(
            instance=self.instance, raise_on_error=False, tags=tags if first else {}
        )

    def day(self, name: str, day: str) -> pa.Table | None:
        try:
            with self.store.open(data_key(self.catalog[name], date.fromisoformat(day))) as file:
                return pq.read_table(file)
        except FileNotFoundError:
            return None


@pytest.fixture
def shop(postgres, bucket, tmp_path) -> Iterator[Shop]:
    schema = f"shop_{uuid.uuid4().hex[:8]}"
    catalog = Catalog(
        event(
            f"shop/{name}",
            f"{name}.",
            group="Shop",
            table=f"{schema}.{name}",
            tasks=f"lake.export_{name}",
            key="order_id",
            columns=COLUMNS,
        )
        for name in ("orders", "returns")
    )
    env = settings_of(bucket) | {
        "PLATFORM_DATABASE_URL": postgres.url,
        "LAKE_PLATFORM_LOCK_TIMEOUT_S": "0.2",
    }
    shop = Shop(
        schema=schema,
        url=postgres.url,
        catalog=catalog,
        store=LakeStore(bucket),
        defs=build_defs(catalog=catalog, env=env, clock=lambda: NOW),
        instance=dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)),
    )
    shop.sql("CREATE SCHEMA {s}")
    for name in ("orders", "returns"):
        shop.sql(
            f"CREATE TABLE {{s}}.{name} (order_id bigint, valid_until timestamptz,"
            " created_at timestamptz)"
        )
        shop.sql(
            f"INSERT INTO {{s}}.{name} SELECT i, NULL, timestamptz '2026-11-20 12:00Z' +"
            " i * interval '1 h' FROM generate_series(1, 48) i"
        )
    shop.sql("CREATE INDEX ON {s}.orders (created_at)")
    yield shop
    shop.sql("DROP SCHEMA {s} CASCADE")


def checks(result, name: str) -> dict[str, Any]:
    return {
        "/".join(one.asset_key.path): one
        for one in result.get_asset_check_evaluations()
        if one.check_name == name
    }


def test_values_that_became_null_are_counted_and_told(shop):
    shop.sql("UPDATE {s}.orders SET valid_until = 'infinity' WHERE order_id IN (13, 14)")
    shop.sql("UPDATE {s}.orders SET valid_until = '0044-03-15 BC' WHERE order_id = 15")

    result = shop.night()

    assert result.success
    assert shop.day("shop/orders", "2026-11-21")["valid_until"].null_count == 23
    told = checks(result, "unfit_values")
    assert told["shop/returns"].passed
    assert not told["shop/orders"].passed
    assert told["shop/orders"].severity is dg.AssetCheckSeverity.WARN
    assert told["shop/orders"].description == (
        "2026-11-21: `valid_until` has 2 values that its type can't hold, stored as null: first "
        "infinity in the row with order_id=13"
    )
    counted = {
        (event.asset_key.path[-1], event.partition): event.step_materialization_data
        .materialization.metadata.get("unfit_values")
        for event in result.get_asset_materialization_events()
    }  # fmt: skip
    assert counted["orders", "2026-11-21"].value == {"valid_until": 2}
    assert counted["orders", "2026-11-22"] is None


@pytest.mark.parametrize("name", ["orders", "returns"])
def test_rows_that_no_day_has_are_counted_and_told(shop, name):
    """One of the tables has an index on its watermark, which is another statement."""
    shop.sql(
        f"INSERT INTO {{s}}.{name} VALUES (90, NULL, NULL), (91, NULL, 'infinity'),"
        " (92, NULL, '-infinity'), (93, NULL, '2999-01-01'), (94, NULL, '2026-11-24 23:59Z'),"
        " (95, NULL, '1970-01-01')"
    )

    result = shop.night()

    assert result.success
    told = checks(result, "rows_without_day")[f"shop/{name}"]
    assert not told.passed
    assert told.description == (
        "2026-11-21: no day has some rows of the table: 1 row have no `created_at`, 2 rows have it "
        "at infinity, 1 row have it on 2026-11-25 or later"
    ).replace("1 row have", "1 row has")
    metadata = next(
        event.step_materialization_data.materialization.metadata
        for event in result.get_asset_materialization_events()
        if event.asset_key.path[-1] == name
    )
    assert metadata["rows_without_day"].value == {
        "without": 1, "endless": 2, "future": 1, "before_first_day": 1
    }  # fmt: skip
    other = {"orders": "returns", "returns": "orders"}[name]
    assert checks(result, "rows_without_day")[f"shop/{other}"].passed


def test_a_row_that_does_not_fit_is_named_and_not_tried_again(shop):
    shop.sql("ALTER TABLE {s}.orders ALTER order_id TYPE numeric")
    shop.sql("UPDATE {s}.orders SET order_id = 20.5 WHERE order_id = 20")

    result = shop.night()

    assert not result.success
    assert first_error(result).endswith(
        "2026-11-21: shop/orders: column `order_id` is declared int64 (`numeric` in Postgres), and "
        "the row with order_id=20.5 has 20.5, which that can't hold exactly; correct that row in "
        "the source, or declare the column otherwise"
    )
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert shop.day("shop/returns", DAYS[0]).num_rows == 24


def until(condition: Callable[[], object], seconds: float = 30.0) -> object:
    """What a condition gives, once it gives something."""
    pause = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if found := condition():
            return found
        pause.wait(0.05)
    raise AssertionError("it did not come to hold")


def test_a_locked_table_waits_by_itself_and_is_tried_again(shop):
    with psycopg.connect(shop.url) as locking, ThreadPoolExecutor(1) as pool:
        locking.execute(f"LOCK TABLE {shop.schema}.orders IN ACCESS EXCLUSIVE MODE")
        running = pool.submit(shop.night)
        until(lambda: shop.day("shop/returns", DAYS[1]))
        assert shop.day("shop/orders", DAYS[0]) is None
        locking.rollback()
        result = running.result(timeout=60)

    assert result.success
    retried = [event for event in result.all_events if event.is_step_up_for_retry]
    assert retried
    said = retried[0].step_retry_data.error.cause.message
    assert f"{shop.schema}.orders is locked by another session" in said
    assert "LAKE_PLATFORM_LOCK_TIMEOUT_S" in said
    assert shop.day("shop/orders", DAYS[0]).num_rows == 24


def test_a_cancelled_statement_is_not_tried_again(shop):
    shop.sql("ALTER TABLE {s}.orders RENAME TO kept")
    shop.sql(
        "CREATE VIEW {s}.orders AS SELECT order_id, valid_until,"
        " created_at + pg_sleep(2)::text::interval AS created_at FROM {s}.kept"
    )
    cancel = (
        "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name ="
        " 'lake-export' AND state = 'active' AND query LIKE '%{s}%orders%'"
    )
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(shop.night)
        until(lambda: shop.sql(cancel))
        result = running.result(timeout=60)

    assert not result.success
    assert "the platform database cancelled the statement" in first_error(result)
    assert not [event for event in result.all_events if event.is_step_up_for_retry]
    assert shop.day("shop/returns", DAYS[0]).num_rows == 24


def test_an_interrupt_ends_a_run_at_once(shop):
    attempts: list[int] = []

    @dg.op(retry_policy=RETRY)
    def interrupted() -> None:
        attempts.append(1)
        raise KeyboardInterrupt

    @dg.job(executor_def=dg.in_process_executor)
    def job() -> None:
        interrupted()

    with pytest.raises(KeyboardInterrupt):
        job.execute_in_process(instance=shop.instance)
    assert attempts == [1]


def test_rows_that_came_late_are_found_until_their_day_is_written_again(shop):
    shop.night()
    assert all(one.passed for one in checks(shop.run("late_rows"), "late_rows").values())
    shop.sql("INSERT INTO {s}.orders VALUES (100, NULL, '2026-11-21 01:00Z')")
    shop.sql("DELETE FROM {s}.returns WHERE order_id < 30")

    found = checks(shop.run("late_rows"), "late_rows")

    late = found["shop/orders"]
    assert not late.passed
    assert late.severity is dg.AssetCheckSeverity.WARN
    assert late.description == (
        "2026-11-21: 1 rows came after the day was written: 25 in the source, 24 in the lake; "
        "lake trigger lake.export_orders --date 2026-11-21"
    ).replace("1 rows", "1 row")
    assert late.metadata["late_days"].value == {"2026-11-21": {"in_source": 25, "in_lake": 24}}
    gone = found["shop/returns"]
    assert gone.passed
    assert gone.metadata["late_days"].value == {}
    assert gone.metadata["deleted_or_purged_days"].value["2026-11-21"] == {
        "in_source": 6, "in_lake": 24
    }  # fmt: skip
    facts = read_facts(shop.store, shop.catalog["shop/orders"])
    assert "25 in the source, 24 in the lake" in facts[date(2026, 11, 21)].failed["late_rows"]

    other_day = shop.night(DAYS[1], DAYS[1])
    assert not checks(other_day, "late_rows")["shop/orders"].passed, "it is not forgotten"
    refilled = shop.night(DAYS[0], DAYS[0])
    assert checks(refilled, "late_rows")["shop/orders"].passed
    assert checks(shop.run("late_rows"), "late_rows")["shop/orders"].passed


def test_a_table_that_is_locked_does_not_keep_others_from_being_compared(shop):
    shop.night()
    with psycopg.connect(shop.url) as locking:
        locking.execute(f"LOCK TABLE {shop.schema}.orders IN ACCESS EXCLUSIVE MODE")
        result = shop.run("late_rows")

    assert "1 of 2 datasets could not be compared: shop/orders" in first_error(result)
    assert set(checks(result, "late_rows")) == {"shop/returns"}


def test_days_before_the_window_are_not_compared(shop):
    old = date(2026, 11, 23) - timedelta(days=29)
    shop.sql(f"INSERT INTO {{s}}.orders VALUES (100, NULL, '{old} 01:00Z')")
    shop.night(old.isoformat(), old.isoformat())
    shop.sql(f"INSERT INTO {{s}}.orders VALUES (101, NULL, '{old} 01:00Z')")

    found = checks(shop.run("late_rows"), "late_rows")["shop/orders"]

    assert found.passed
    assert found.metadata["days_checked"].value == 0
