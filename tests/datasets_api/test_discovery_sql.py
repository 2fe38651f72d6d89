"""The texts that discovery runs: all of them pass the guard, and read only what they should."""

from datetime import UTC, date, datetime, timedelta

import pytest

from lake_api.datasets.calendar import Days
from lake_api.datasets.profile import covered, measure_queries, top_values_queries
from lake_api.datasets.sample import SampleMode, SampleOrder, newest_within, sample_queries
from lake_api.query.guard import Guard
from lake_api.query.plan import prune_days
from lake_api.query.snapshot import Snapshot, StoredPartition
from lake_assets.catalog import Dataset, Kind, load_catalog

CATALOG = load_catalog()
GUARD = Guard(CATALOG)
NEWEST = date(2026, 11, 21)


def stored(dataset: Dataset, sizes: list[int]) -> Snapshot:
    """A dataset with so many days, of these sizes, oldest first."""
    first = NEWEST - timedelta(days=len(sizes) - 1)
    return Snapshot(
        dataset=dataset,
        version="v",
        partitions=tuple(
            StoredPartition(
                day=first + timedelta(days=number), key="k", etag="e", size_bytes=size,
                written_at=datetime(2026, 11, 22, tzinfo=UTC),
            )
            for number, size in enumerate(sizes)
        ),
    )  # fmt: skip


@pytest.mark.parametrize("mode", SampleMode)
def test_samples_of_every_dataset_pass_the_guard_and_read_few_days(mode: SampleMode) -> None:
    for dataset in CATALOG:
        snapshot = stored(dataset, [10] * 100)
        order = SampleOrder(mode=mode, rows=100, seed=2**31 - 1)
        for query in sample_queries(snapshot, order):
            checked = GUARD.check(query.sql)
            assert checked.datasets == (dataset,)
            assert checked.has_limit
            assert not checked.volatile
            assert len(prune_days(checked, dataset, snapshot.days)) <= 7


def test_profiles_of_every_dataset_pass_the_guard_and_measure_every_column() -> None:
    for dataset in CATALOG:
        snapshot = stored(dataset, [10] * 100)
        partitions = covered(snapshot)
        assert len(partitions) == (1 if dataset.kind is Kind.SNAPSHOT else 30)
        days = Days(first=partitions[0].day, last=partitions[-1].day)
        measured = list(measure_queries(dataset, days))
        assert [one for columns, _ in measured for one in columns] == list(dataset.columns)
        texts = [sql for _, sql in measured]
        texts += top_values_queries(dataset, dataset.columns, days)
        for sql in texts:
            checked = GUARD.check(sql)
            assert checked.datasets == (dataset,)
            assert len(prune_days(checked, dataset, snapshot.days)) == len(partitions)


def test_the_newest_days_within_bytes() -> None:
    partitions = stored(next(iter(CATALOG)), [50, 5, 5, 5, 20]).partitions
    assert newest_within(partitions, days=3, size_bytes=1_000) == partitions[2:]
    assert newest_within(partitions, days=9, size_bytes=31) == partitions[2:]
    assert newest_within(partitions, days=9, size_bytes=1) == partitions[4:]
    assert newest_within((), days=9, size_bytes=1) == ()
