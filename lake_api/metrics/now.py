"""What is measured when `/metrics` is read: jobs in the database, days in the lake.

Belongs here: these measurements, each bounded in time and left out where it fails.
Does not belong here: what is counted while the service works (`metrics`).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from lake_api.audit.log import AuditLog
from lake_api.clock import Clock
from lake_assets.catalog import Catalog

_MAX_AGE_S = 600.0
_BUDGET_S = 2.0

_log = logging.getLogger("lake_api.metrics")


async def measured_now(
    engine: Any, jobs: Any, audit: AuditLog, *, catalog: Catalog, clock: Clock
) -> tuple[Metric, ...]:
    """The metrics; storage or a database that does not answer leaves its own out."""
    found = await asyncio.gather(_jobs(jobs), _datasets(engine, catalog, clock))
    return (*_audit(audit), *(one for part in found for one in part))


def _audit(audit: AuditLog) -> Iterator[Metric]:
    yield CounterMetricFamily(
        "lake_audit_rows", "Entries of the audit that were committed.", value=audit.recorded
    )
    yield CounterMetricFamily(
        "lake_audit_refusals",
        "Answers that were held back because they could not be recorded.",
        value=audit.refused,
    )


async def _jobs(jobs: Any) -> list[Metric]:
    """Jobs and exports that are kept, by state."""
    if jobs is None:
        return []
    try:
        async with asyncio.timeout(_BUDGET_S):
            counts: Counter[tuple[str, str]] = await jobs.store.counts()
    except Exception as error:  # noqa: BLE001 - metrics are read most when something fails
        _log.warning("not measured", extra={"what": "jobs", "reason": type(error).__name__})
        return []
    metric = GaugeMetricFamily(
        "lake_jobs", "Jobs and exports that are kept, by state.", labels=["kind", "state"]
    )
    for (kind, state), count in sorted(counts.items()):
        metric.add_metric([kind, state], count)
    return [metric]


async def _datasets(engine: Any, catalog: Catalog, clock: Clock) -> list[Metric]:
    """How many days lie between today and the newest day of each dataset that has one."""
    datasets = tuple(catalog)
    try:
        async with asyncio.timeout(_BUDGET_S):
            snapshots = await engine.snapshots(datasets, max_age_s=_MAX_AGE_S)
    except Exception as error:  # noqa: BLE001 - metrics are read most when something fails
        _log.warning("not measured", extra={"what": "datasets", "reason": type(error).__name__})
        return []
    metric = GaugeMetricFamily(
        "lake_dataset_age_days", "Days since the newest day of a dataset.", labels=["dataset"]
    )
    today = clock().date()
    for snapshot in snapshots:
        newest = max((one.day for one in snapshot.partitions), default=None)
        if newest is not None:
            metric.add_metric([snapshot.dataset.partition], (today - newest).days)
    return [metric]
