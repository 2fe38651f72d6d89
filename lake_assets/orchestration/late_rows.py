"""Rows that came after their day was written: found once a week by counting.

Belongs here: comparing a table's rows by day with those in the lake; the job and its schedule.
Does not belong here: the counts themselves (`lake_assets.sources.unplaced`), writing days again.

A day whose table has more rows than the lake is late: it fails the check `late_rows` until it is
written again, and whoever queries it is warned. Fewer rows are rows that were deleted or purged in
the source after they were stored: that is told, and is no fault. A day with as many late rows as
deleted ones is not noticed, nor is a row that only changed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta

import dagster as dg
import msgspec
import pyarrow.parquet as pq

from lake_assets.catalog import Dataset, Kind, PostgresSource, data_key
from lake_assets.orchestration.assets import Clock
from lake_assets.orchestration.judge import LATE_ROWS
from lake_assets.orchestration.partitions import ranges_of
from lake_assets.orchestration.resources import LakeResource, PlatformResource
from lake_assets.orchestration.retries import UninterruptedRetries
from lake_assets.sources.errors import SourceError
from lake_assets.storage.day_facts import DayFacts, change_facts, read_facts
from lake_assets.storage.store import LakeStore, StorageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The days of a dataset whose counts differ: rows in the table, then rows in the lake."""

    dataset: Dataset
    days: int
    late: Mapping[date, tuple[int, int]]
    gone: Mapping[date, tuple[int, int]]

    @property
    def commands(self) -> Sequence[str]:
        """What writes the late days again."""
        task = self.dataset.daily_task
        return [
            f"lake trigger {task} --date {first}"
            if first == last
            else f"lake trigger {task} --from {first} --to {last}"
            for first, last in ranges_of(sorted(self.late))
        ]


def build_late_rows(
    datasets: Iterable[Dataset], *, running: bool, clock: Clock
) -> tuple[dg.JobDefinition, dg.ScheduleDefinition]:
    """The job that compares every event dataset of the platform database, and its weekly time."""
    compared = [
        dataset
        for dataset in datasets
        if dataset.kind is Kind.EVENT and isinstance(dataset.source, PostgresSource)
    ]

    @dg.op(
        required_resource_keys={"lake", "platform"},
        description="Compare rows of recent days in the platform database with those in the lake.",
        retry_policy=UninterruptedRetries(max_retries=1, delay=30),
    )
    def find_late_rows(
        context: dg.OpExecutionContext,
    ) -> Iterator[dg.AssetCheckEvaluation | dg.Output[None]]:
        lake: LakeResource = context.resources.lake
        platform: PlatformResource = context.resources.platform
        today = clock().astimezone(UTC).date()
        store, url = lake.store(), platform.url
        limits = (platform.lock_timeout_s, platform.late_rows_days)
        failed: list[str] = []
        for dataset in compared:
            try:
                found = compare(
                    store, url, dataset, today, lock_timeout_s=limits[0], days=limits[1]
                )
            except (SourceError, StorageError) as error:
                # One table that is locked or gone does not keep the others from being compared.
                failed.append(dataset.partition)
                context.log.error(f"{dataset.partition}: not compared: {error}")
                continue
            for line in _lines(found):
                context.log.warning(line)
            # One by one: events that are only logged are lost when the op fails.
            yield _evaluation(found)
        if failed:
            raise dg.Failure(
                f"{len(failed)} of {len(compared)} datasets could not be compared: "
                f"{', '.join(failed)}",
                allow_retries=False,
            )
        yield dg.Output(None)

    @dg.job(name="late_rows", description="Task lake.late_rows: rows that came after their day.")
    def late_rows() -> None:
        find_late_rows()

    schedule = dg.ScheduleDefinition(
        name="late_rows_weekly",
        job=late_rows,
        cron_schedule="0 6 * * 0",
        execution_timezone="UTC",
        description="Runs lake.late_rows.",
        default_status=(
            dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED
        ),
    )
    return late_rows, schedule


def compare(
    store: LakeStore,
    url: str,
    dataset: Dataset,
    today: date,
    *,
    lock_timeout_s: float,
    days: int,
) -> Compared:
    """Compare the last `days` that are over, of those that the lake has; late ones are marked.

    Raises:
        SourceError: the table can't be counted.
        StorageError: the store did not answer.
    """
    # The driver imports pandas where that is installed: half a second for runs that need it.
    from lake_assets.sources.platform import open_export  # noqa: PLC0415
    from lake_assets.sources.unplaced import rows_by_day  # noqa: PLC0415

    first, last = today - timedelta(days=days), today - timedelta(days=1)
    in_lake = [day for day in store.days(dataset) if first <= day <= last]
    if not in_lake:
        return Compared(dataset=dataset, days=0, late={}, gone={})
    with open_export(url, dataset, lock_timeout_s=lock_timeout_s) as source:
        in_table = rows_by_day(source, first=in_lake[0], last=in_lake[-1])
    facts = read_facts(store, dataset)
    stored = {day: _stored_rows(store, dataset, day) for day in in_lake}
    both = {day: (in_table[day], rows) for day, rows in stored.items()}
    found = Compared(
        dataset=dataset,
        days=len(both),
        late={day: counts for day, counts in both.items() if counts[0] > counts[1]},
        gone={day: counts for day, counts in both.items() if counts[0] < counts[1]},
    )
    changes = {
        day: (one, _marked(one, found.late.get(day)))
        for day, one in facts.items()
        if day in both and (day in found.late or LATE_ROWS in one.failed)
    }
    if changes and (changed := change_facts(store, dataset, changes)):
        # Verdicts are read with the days that they are about.
        store.bump_version(dataset, changed)
    return found


def _stored_rows(store: LakeStore, dataset: Dataset, day: date) -> int:
    # Of the object itself: somebody else may have replaced it since its facts were gathered.
    with store.open(data_key(dataset, day)) as file:
        return pq.read_metadata(file).num_rows


def _marked(facts: DayFacts, late: tuple[int, int] | None) -> DayFacts:
    failed = {name: reason for name, reason in facts.failed.items() if name != LATE_ROWS}
    if late:
        failed[LATE_ROWS] = _said(*late)
    return msgspec.structs.replace(facts, failed=failed)


def _said(in_table: int, in_lake: int) -> str:
    more = in_table - in_lake
    return (
        f"{more:,} row{'' if more == 1 else 's'} came after the day was written: {in_table:,} in "
        f"the source, {in_lake:,} in the lake"
    )


def _lines(found: Compared) -> Iterator[str]:
    for day, counts in found.late.items():
        yield f"{found.dataset.partition} {day}: {_said(*counts)}"
    for command in found.commands:
        yield f"{found.dataset.partition}: `{command}` writes them"
    for day, (in_table, in_lake) in found.gone.items():
        yield (
            f"{found.dataset.partition} {day}: {in_table:,} rows in the source, {in_lake:,} in the "
            "lake: they were deleted or purged there since, and the lake keeps what it has"
        )


def _evaluation(found: Compared) -> dg.AssetCheckEvaluation:
    first = next(iter(found.late.items()), None)
    said = "The source has no more rows of these days than the lake."
    if first:
        said = f"{first[0]}: {_said(*first[1])}; {'; '.join(found.commands)}"
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(found.dataset.asset_key),
        check_name=LATE_ROWS,
        passed=not found.late,
        severity=dg.AssetCheckSeverity.WARN,
        description=said,
        metadata={
            "days_checked": dg.MetadataValue.int(found.days),
            "late_days": dg.MetadataValue.json(_counts(found.late)),
            "deleted_or_purged_days": dg.MetadataValue.json(_counts(found.gone)),
            "commands": dg.MetadataValue.json(list(found.commands)),
        },
    )


def _counts(days: Mapping[date, tuple[int, int]]) -> dict[str, dict[str, int]]:
    return {
        day.isoformat(): {"in_source": counts[0], "in_lake": counts[1]}
        for day, counts in days.items()
    }
