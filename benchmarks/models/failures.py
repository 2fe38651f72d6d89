"""The check `failure_rate` against planted failures, day by day as a night would write them.

Belongs here: measuring and judging sample days in order, which verdicts are right.
Does not belong here: the check itself (`lake_assets.orchestration.judge`), other alarms (`alarms`).

An event is a planted error rate of rows whose dataset declares its failures. A verdict is right
when it is about such a dataset on a day of the event; every day of all such datasets is judged.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from datetime import date

from benchmarks.models.alarms import LAST_DAY, Tally
from benchmarks.models.sample import nothing_planted
from lake_assets.catalog import Dataset, load_catalog
from lake_assets.orchestration.judge import COMPARED_DAYS, unusual_failures
from lake_assets.sample_data.frame import Frames
from lake_assets.sample_data.load import batch
from lake_assets.sample_data.planted import PLANTED, Metric
from lake_assets.sample_data.resolve import make
from lake_assets.sample_data.spec import SampleSpec
from lake_assets.sample_data.tables import sample_tables
from lake_assets.storage.conform import conform
from lake_assets.storage.day_facts import DayFacts
from lake_assets.storage.measure import RowMeasure

_Verdict = tuple[int, str, date]
"""Seed, partition and day."""


def watched() -> list[str]:
    """The datasets that declare what a failure is."""
    return [dataset.partition for dataset in load_catalog() if dataset.failures]


def on_sample(
    *, seeds: Sequence[int], days: int, planted: bool = True, partitions: Sequence[str] = ()
) -> list[Tally]:
    """Sample data with its planted failures, or without any; of these datasets or all watched."""
    catalog = load_catalog()
    judged = partitions or watched()
    verdicts: dict[_Verdict, bool] = {}
    for seed in seeds:
        with nullcontext() if planted else nothing_planted():
            frames = Frames(
                sample_tables(catalog),
                SampleSpec(last_day=LAST_DAY, days=days, seed=seed),
                make,
            )
            for partition in judged:
                for day, is_flagged in _flagged_days(frames, catalog[partition]):
                    verdicts[seed, partition, day] = is_flagged
    truths = [
        {(seed, each.dataset, day) for day in each.days(LAST_DAY)}
        for each in PLANTED
        for seed in seeds
        if planted and each.metric is Metric.ERRORS and each.dataset in judged
    ]
    flagged = {verdict for verdict, failed in verdicts.items() if failed}
    true_days = set[_Verdict]().union(*truths)
    return [
        Tally(
            detector="check `failure_rate`",
            alarms=len(flagged),
            right=len(flagged & true_days),
            events=len(truths),
            found=sum(bool(flagged & truth) for truth in truths),
            rows=len(verdicts.keys() - true_days),
            ordinary_flagged=len(flagged - true_days),
        )
    ]


def _flagged_days(frames: Frames, dataset: Dataset) -> Iterator[tuple[date, bool]]:
    """Every day of a dataset in order, and whether its failures are unusual."""
    table = sample_tables(load_catalog())[dataset.partition]
    history: list[DayFacts] = []
    for day in frames.days(table):
        measure = RowMeasure(dataset)
        for part, rows in enumerate(frames.parts(table, day)):
            if rows:
                measure.add(conform(batch(frames.frame(table, day, part)), dataset))
        failures = measure.failures or 0
        yield day, unusual_failures(failures, measure.rows, history[-COMPARED_DAYS:]) is not None
        history.append(DayFacts(etag="", rows=measure.rows, failures=failures))
