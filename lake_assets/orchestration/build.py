"""The one place where declarations become Dagster definitions.

Belongs here: wiring, with every part replaceable for tests.
Does not belong here: reading the environment by itself.
"""

import warnings
from collections.abc import Mapping
from datetime import UTC, datetime

import dagster as dg

from lake_assets.catalog import Catalog
from lake_assets.orchestration.assets import Clock, build_asset
from lake_assets.orchestration.io_manager import S3ParquetIOManager
from lake_assets.orchestration.jobs import ensure_bucket, ensure_bucket_daily
from lake_assets.orchestration.resources import LakeResource, PlatformResource
from lake_assets.orchestration.schedules import build_schedules


def _now() -> datetime:
    return datetime.now(tz=UTC)


def build_defs(*, catalog: Catalog, env: Mapping[str, str], clock: Clock = _now) -> dg.Definitions:
    """All definitions of a catalogue.

    `env` is consulted when runs need a connection, and schedules a source; only `LAKE_SCHEDULES` (`on` starts schedules
    by default) is read here.
    """
    lake = LakeResource(env=env)
    running = env.get("LAKE_SCHEDULES", "").strip().lower() == "on"
    with warnings.catch_warnings():
        # Backfill policies are marked beta; they are what makes a year one run.
        warnings.simplefilter("ignore", dg.BetaWarning)
        assets = [build_asset(dataset, clock=clock) for dataset in catalog]
    return dg.Definitions(
        assets=assets,
        schedules=[
            *build_schedules(catalog, running=running, env=env),
            ensure_bucket_daily(running=running),
        ],
        jobs=[ensure_bucket],
        resources={
            "lake": lake,
            "platform": PlatformResource(env=env),
            "lake_io": S3ParquetIOManager(lake=lake, catalog=catalog),
        },
        # A second process per step would cost seconds and isolate nothing that a run does not.
        executor=dg.in_process_executor,
    )
