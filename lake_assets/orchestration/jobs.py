"""Jobs that write no dataset.

Belongs here: maintenance of the bucket.
Does not belong here: asset jobs, which schedules make for themselves.
"""

from datetime import UTC, datetime

import dagster as dg

from lake_assets.orchestration.resources import LakeResource
from lake_assets.orchestration.retries import UninterruptedRetries
from lake_assets.storage.bucket import ensure_bucket as ensure
from lake_assets.storage.bucket import sweep_exports


@dg.op(
    required_resource_keys={"lake"},
    description="Create or verify the bucket and the rule that expires exports/; expire the rest.",
    retry_policy=UninterruptedRetries(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL),
)
def ensure_lake_bucket(context: dg.OpExecutionContext) -> None:
    """Make sure that the bucket and its lifecycle rule are there, and expire what it left."""
    lake: LakeResource = context.resources.lake
    client, bucket = lake.s3_client(), lake.location.bucket
    report = ensure(client, bucket)
    rule = "written" if report.lifecycle_written else "in place"
    if report.lifecycle_refused:
        rule = f"refused by the store ({report.lifecycle_refused})"
    removed = sweep_exports(client, bucket, now=datetime.now(tz=UTC))
    context.log.info(
        f"Bucket {'created' if report.created else 'found'}; lifecycle rule {rule}; "
        f"{removed} expired exports removed"
    )


@dg.job(description="Task lake.ensure_bucket: the bucket and its 7-day rule on exports/.")
def ensure_bucket() -> None:
    """Create or verify the bucket."""
    ensure_lake_bucket()


def ensure_bucket_daily(*, running: bool) -> dg.ScheduleDefinition:
    """The schedule that looks after the bucket, shortly before the night's writes."""
    return dg.ScheduleDefinition(
        name="ensure_bucket_daily",
        job=ensure_bucket,
        cron_schedule="0 0 * * *",
        execution_timezone="UTC",
        description="Runs lake.ensure_bucket.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
    )
