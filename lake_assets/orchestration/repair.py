"""The job that writes days again whose statistics readers misread.

Belongs here: which datasets a run looks through, and what it says on the way.
Does not belong here: finding and replacing objects (`storage.repair`).
"""

import time

import dagster as dg

from lake_assets.catalog import Catalog, Dataset
from lake_assets.orchestration.resources import LakeResource
from lake_assets.storage.repair import Repair, repair_dataset

_SAY_EVERY_S = 2.0


def build_repair(catalog: Catalog) -> dg.JobDefinition:
    """The job of the task `lake.repair` over a catalogue."""

    @dg.op(
        required_resource_keys={"lake"},
        config_schema={
            "datasets": dg.Field(
                [str], default_value=[], description="Partitions to look through; all when empty."
            ),
            "dry_run": dg.Field(bool, default_value=False, description="Only look."),
        },
        description=(
            "Look at the footer of every stored day, and write those again whose columns of floats "
            "have statistics: the same rows, without these."
        ),
        retry_policy=dg.RetryPolicy(max_retries=2, delay=2, backoff=dg.Backoff.EXPONENTIAL),
    )
    def repair_days(context: dg.OpExecutionContext) -> None:
        names: list[str] = context.op_config["datasets"]
        unknown = [name for name in names if name not in catalog]
        if unknown:
            raise dg.Failure(f"There is no dataset {unknown[0]}.", allow_retries=False)
        datasets = [catalog[name] for name in names] or list(catalog)
        for number, dataset in enumerate(datasets, start=1):
            dry_run: bool = context.op_config["dry_run"]
            said = _repaired(context, dataset, of=f"{number}/{len(datasets)}", dry_run=dry_run)
            if said.misread or said.foreign or said.unreadable:
                context.log_event(_observation(said))

    @dg.job(
        name="repair",
        description="Task lake.repair: days whose statistics leave NaN out are written again.",
    )
    def repair() -> None:
        repair_days()

    return repair


def _repaired(
    context: dg.OpExecutionContext, dataset: Dataset, *, of: str, dry_run: bool
) -> Repair:
    lake: LakeResource = context.resources.lake
    said_at = time.monotonic()

    def say(repair: Repair) -> None:
        nonlocal said_at
        if time.monotonic() - said_at >= _SAY_EVERY_S:
            said_at = time.monotonic()
            context.log.info(f"[{of}] {_line(repair)}")

    repair = repair_dataset(lake.store(), dataset, dry_run=dry_run, on_progress=say)
    if repair.days:
        context.log.info(f"[{of}] {_line(repair)}")
    return repair


def _line(repair: Repair) -> str:
    return (
        f"{repair.dataset.partition}: {repair.looked:,} of {repair.days:,} days looked at, "
        f"{len(repair.misread):,} with statistics of floats, "
        f"{len(repair.rewritten):,} written again"
    )


def _observation(repair: Repair) -> dg.AssetObservation:
    others = {
        "changed": "written by another run meanwhile",
        "foreign": "not written by the lake, and left as they are",
        "unreadable": "unreadable",
    }
    return dg.AssetObservation(
        asset_key=dg.AssetKey(repair.dataset.asset_key),
        description="; ".join(
            [_line(repair)]
            + [
                f"{', '.join(map(str, days[:5]))}{' and more' * (len(days) > 5)} {text}"
                for name, text in others.items()
                if (days := getattr(repair, name))
            ]
        ),
        metadata={
            "looked_at": repair.looked,
            "misread": len(repair.misread),
            "rewritten": len(repair.rewritten),
            **{name: len(getattr(repair, name)) for name in others},
        },
    )
