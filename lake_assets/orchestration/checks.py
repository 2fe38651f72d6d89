"""Asset checks that follow from a declaration, judged on what was just written.

Belongs here: which checks a dataset has, and their verdicts.
Does not belong here: measuring rows (`storage.writer`), refusing rows (`storage.conform`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import dagster as dg

from lake_assets.catalog import Dataset, Kind
from lake_assets.orchestration.io_manager import stored_schema_matches
from lake_assets.orchestration.resources import LakeResource
from lake_assets.storage.writer import WrittenPartition


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredCheck:
    """One check: its name, its sentence, whom it concerns, and when a day fails it."""

    name: str
    sentence: str
    applies: Callable[[Dataset], bool]
    fails: Callable[[LakeResource, WrittenPartition], str | None]


def _schema(lake: LakeResource, written: WrittenPartition) -> str | None:
    if stored_schema_matches(lake, written.dataset, written.day):
        return None
    return "the stored columns differ from the declaration"


def _not_empty(_lake: LakeResource, written: WrittenPartition) -> str | None:
    return None if written.rows else "no rows"


def _watermark(_lake: LakeResource, written: WrittenPartition) -> str | None:
    low, high = _utc_day(written.watermark_min), _utc_day(written.watermark_max)
    if low is None or high is None or low == high == written.day:
        return None
    return f"watermarks from {low} to {high}"


def _unique_key(_lake: LakeResource, written: WrittenPartition) -> str | None:
    if not written.duplicate_keys:
        return None
    return f"{written.duplicate_keys:,} rows repeat a key"


def _utc_day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.astimezone(UTC).date()
    return value if isinstance(value, date) else None


CHECKS = (
    DeclaredCheck(
        name="schema",
        sentence="The stored object has exactly the declared columns and types.",
        applies=lambda _: True,
        fails=_schema,
    ),
    DeclaredCheck(
        name="not_empty",
        sentence="The day has rows.",
        applies=lambda dataset: dataset.expect_rows,
        fails=_not_empty,
    ),
    DeclaredCheck(
        name="watermark_in_day",
        sentence="Every watermark lies within the partition's UTC day.",
        applies=lambda dataset: dataset.kind is Kind.EVENT,
        fails=_watermark,
    ),
    DeclaredCheck(
        name="unique_key",
        sentence="No two rows of the day share the declared key.",
        applies=lambda dataset: bool(dataset.key),
        fails=_unique_key,
    ),
)


def check_specs(dataset: Dataset) -> Sequence[dg.AssetCheckSpec]:
    """The checks that a dataset's declaration asks for."""
    return [
        dg.AssetCheckSpec(
            name=check.name, asset=dg.AssetKey(dataset.asset_key), description=check.sentence
        )
        for check in CHECKS
        if check.applies(dataset)
    ]


def check_results(
    dataset: Dataset, lake: LakeResource, written: Sequence[WrittenPartition]
) -> Iterator[dg.AssetCheckResult]:
    """The verdict of each check over all days that a run wrote; failing days are named."""
    for check in CHECKS:
        if not check.applies(dataset):
            continue
        reasons = {
            partition.day.isoformat(): reason
            for partition in written
            if (reason := check.fails(lake, partition))
        }
        first = next(iter(reasons.items()), None)
        yield dg.AssetCheckResult(
            check_name=check.name,
            asset_key=dg.AssetKey(dataset.asset_key),
            passed=not reasons,
            severity=dg.AssetCheckSeverity.ERROR,
            description=f"{first[0]}: {first[1]}" if first else check.sentence,
            metadata={"days_checked": len(written), "failing_days": reasons},
        )
