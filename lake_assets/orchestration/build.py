"""The one place where declarations become Dagster definitions.

Belongs here: wiring, with every part replaceable for tests.
Does not belong here: reading the environment by itself.
"""

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg
from dagster_duckdb import DuckDBResource

from lake_assets.catalog import Catalog, LakeSource
from lake_assets.catalog.settings import read_lake_setting
from lake_assets.orchestration.assets import Clock, build_asset, is_built
from lake_assets.orchestration.automation import automation_sensor
from lake_assets.orchestration.catch_up import catch_up_sensor
from lake_assets.orchestration.history import build_history
from lake_assets.orchestration.io_manager import S3ParquetIOManager
from lake_assets.orchestration.jobs import ensure_bucket, ensure_bucket_daily
from lake_assets.orchestration.late_rows import build_late_rows
from lake_assets.orchestration.lost_runs import lost_runs_sensor
from lake_assets.orchestration.repair import build_repair
from lake_assets.orchestration.resources import LakeResource, PlatformResource, ServiceResource
from lake_assets.orchestration.schedules import build_schedules
from lake_assets.orchestration.sensors import alert_sensors


def _now() -> datetime:
    return datetime.now(tz=UTC)


def build_defs(*, catalog: Catalog, env: Mapping[str, str], clock: Clock = _now) -> dg.Definitions:
    """All definitions of a catalogue.

    `env` is consulted when runs need a connection, and schedules a source; only `LAKE_SCHEDULES`
    (`on` starts schedules and sensors by default) is read here.
    """
    lake = LakeResource(env=env)
    running: bool = read_lake_setting("LAKE_SCHEDULES", env)
    with warnings.catch_warnings():
        # Backfill policies are marked beta; they are what makes a year one run. So are automation
        # conditions that only the code server knows.
        warnings.simplefilter("ignore", dg.BetaWarning)
        referred_to = {to.partition for dataset in catalog for to in dataset.references}
        assets = [
            build_asset(dataset, clock=clock, is_referred_to=dataset.partition in referred_to)
            for dataset in catalog
        ]
        computed = [
            dataset
            for dataset in catalog
            if isinstance(dataset.source, LakeSource) and is_built(dataset)
        ]
        sensors = [
            *([automation_sensor(computed, running=running)] if computed else []),
            *alert_sensors(catalog, running=running, env=env, clock=clock),
            lost_runs_sensor(catalog),
            catch_up_sensor(catalog, running=running, env=env, clock=clock),
        ]
    late_rows, late_rows_weekly = build_late_rows(catalog, running=running, clock=clock)
    prune_history, prune_history_daily = build_history(running=running, env=env, clock=clock)
    return dg.Definitions(
        assets=assets,
        schedules=[
            *build_schedules(catalog, running=running, env=env),
            ensure_bucket_daily(running=running),
            late_rows_weekly,
            prune_history_daily,
        ],
        sensors=sensors,
        jobs=[ensure_bucket, late_rows, build_repair(catalog), prune_history],
        resources={
            "lake": lake,
            "platform": PlatformResource(env=env),
            "service": ServiceResource(env=env),
            # One thread: sums of floating point numbers come out the same each time.
            "duckdb": DuckDBResource(database=":memory:", connection_config={"threads": 1}),
            "lake_io": S3ParquetIOManager(lake=lake, catalog=catalog),
        },
        # A second process per step would cost seconds and isolate nothing that a run does not.
        executor=dg.in_process_executor,
    )
