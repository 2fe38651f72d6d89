"""Asset checks in Dagster: their specs, and the verdicts of a run.

Belongs here: what Dagster is told about checks.
Does not belong here: the verdicts themselves (`judge`), measuring rows (`storage.measure`).

Dagster's own blocking checks fail the step that wrote the day, which would write it again and
again. Here a failed check fails nothing that is written: `derive` leaves the day out.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

import dagster as dg

from lake_assets.catalog import Dataset
from lake_assets.catalog.due import due_days, newest_day_of, stale_from
from lake_assets.orchestration.judge import LATE_ROWS, checks_of
from lake_assets.storage.day_facts import DayFacts

NEWEST_DAY = "newest_day"
"""The check of the dataset as a whole: by its newest day, not by when something was written."""

_NEWEST_DAY_SENTENCE = "The newest day is as new as the schedule promises. It warns."


def check_specs(dataset: Dataset) -> Sequence[dg.AssetCheckSpec]:
    """The checks that a dataset's declaration asks for."""
    key = dg.AssetKey(dataset.asset_key)
    return [
        *(
            dg.AssetCheckSpec(
                name=check.name,
                asset=key,
                description=f"{check.sentence} {_EFFECT[check.blocks]}",
            )
            for check in checks_of(dataset)
        ),
        dg.AssetCheckSpec(name=NEWEST_DAY, asset=key, description=_NEWEST_DAY_SENTENCE),
    ]


_EFFECT = {
    True: "A day that fails it is no input of derived datasets.",
    False: "It warns.",
}


def check_results(
    dataset: Dataset,
    facts: Mapping[date, DayFacts],
    *,
    stored: Iterable[date],
    now: datetime,
    known: Mapping[date, DayFacts] | None = None,
) -> Iterator[dg.AssetCheckResult | dg.Output[None]]:
    """The verdict of each check over all days that a run wrote; failing days are named.

    `stored` are the days that were there before. Of `known` days, also those that were written
    before, the last word on late rows goes on.
    """
    if not facts:
        # What Dagster wants of checks that had nothing to judge.
        for spec in check_specs(dataset):
            yield dg.Output(None, output_name=spec.get_python_identifier())
        return
    for check in checks_of(dataset):
        reasons = {
            day.isoformat(): found.failed[check.name]
            for day, found in (known or facts if check.name == LATE_ROWS else facts).items()
            if check.name in found.failed
        }
        first = next(iter(reasons.items()), None)
        yield dg.AssetCheckResult(
            check_name=check.name,
            asset_key=dg.AssetKey(dataset.asset_key),
            passed=not reasons,
            severity=(dg.AssetCheckSeverity.ERROR if check.blocks else dg.AssetCheckSeverity.WARN),
            description=f"{first[0]}: {first[1]}" if first else check.sentence,
            metadata={"days_checked": len(facts), "failing_days": reasons},
        )
    days = sorted({*stored, *facts})
    why = why_stale(dataset, days, now=now)
    yield dg.AssetCheckResult(
        check_name=NEWEST_DAY,
        asset_key=dg.AssetKey(dataset.asset_key),
        passed=not why,
        severity=dg.AssetCheckSeverity.WARN,
        description=why or _NEWEST_DAY_SENTENCE,
        metadata={"newest_day": str(newest_day_of(dataset, days, now=now))},
    )


def newest_day_verdict(dataset: Dataset, why: str) -> dg.AssetCheckEvaluation:
    """The verdict of the check of the newest day as an event of no run; it fails with a reason."""
    return dg.AssetCheckEvaluation(
        asset_key=dg.AssetKey(dataset.asset_key),
        check_name=NEWEST_DAY,
        passed=not why,
        metadata={},
        severity=dg.AssetCheckSeverity.WARN,
        description=why or _NEWEST_DAY_SENTENCE,
    )


def why_stale(dataset: Dataset, days: Sequence[date], *, now: datetime) -> str:
    """Why a dataset with these ascending days is stale, for people; empty if it is not.

    One without any day is not stale: nobody has begun to rely on it.
    """
    newest = newest_day_of(dataset, days, now=now)
    if newest is None or now <= (since := stale_from(dataset, newest)):
        return ""
    due = due_days(dataset, first=newest, last=now.date(), now=now)
    missing = [day for day in due if day > newest]
    expected = f", and {missing[-1]} is due" if missing else ""
    return (
        f"its newest day is {newest}{expected}; it is stale since {since:%Y-%m-%d %H:%M} UTC, "
        f"{dataset.freshness_h} hours after that day was due"
    )
