"""Asset checks in Dagster: their specs, and the verdicts of a run.

Belongs here: what Dagster is told about checks.
Does not belong here: the verdicts themselves (`judge`), measuring rows (`storage.measure`).

Dagster's own blocking checks fail the step that wrote the day, which would write it again and
again. Here a failed check fails nothing that is written: `derive` leaves the day out.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

import dagster as dg

from lake_assets.catalog import Dataset
from lake_assets.orchestration.judge import LATE_ROWS, checks_of
from lake_assets.storage.day_facts import DayFacts


def check_specs(dataset: Dataset) -> Sequence[dg.AssetCheckSpec]:
    """The checks that a dataset's declaration asks for."""
    return [
        dg.AssetCheckSpec(
            name=check.name,
            asset=dg.AssetKey(dataset.asset_key),
            description=f"{check.sentence} {_EFFECT[check.blocks]}",
        )
        for check in checks_of(dataset)
    ]


_EFFECT = {
    True: "A day that fails it is no input of derived datasets.",
    False: "It warns.",
}


def check_results(
    dataset: Dataset,
    facts: Mapping[date, DayFacts],
    *,
    known: Mapping[date, DayFacts] | None = None,
) -> Iterator[dg.AssetCheckResult | dg.Output[None]]:
    """The verdict of each check over all days that a run wrote; failing days are named.

    Of `known` days, also those that were written before, the last word on late rows goes on.
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
