"""Days that somebody else put into the bucket make no dataset new, stale or full of gaps."""

from datetime import UTC, date, datetime, timedelta

import msgspec

from lake_api.datasets.describe import dataset_info, dataset_line
from lake_api.datasets.profile import covered
from lake_api.datasets.sample import SampleMode, SampleOrder, sample_queries
from lake_api.datasets.visible import Visibility
from lake_api.query.snapshot import Look
from lake_api.query.stored_partition import Snapshot, StoredPartition
from lake_assets.catalog import load_catalog

NOW = datetime(2026, 11, 23, 5, tzinfo=UTC)
REAL = [date(2026, 11, 20) + timedelta(days=number) for number in range(3)]
ODD = [date(1, 1, 1), date(2999, 1, 1), date(9999, 12, 31)]
CATALOG = load_catalog()
DATASET = CATALOG["agent_run_log"]


def stored(days: list[date]) -> Snapshot:
    return Snapshot(
        dataset=DATASET,
        version="v",
        partitions=tuple(
            StoredPartition(
                day=day, key="k", etag="e", size_bytes=10,
                written_at=NOW if day in ODD else NOW - timedelta(days=1),
            )
            for day in sorted(days)
        ),
    )  # fmt: skip


def test_they_are_described_as_if_they_were_not_there() -> None:
    visible = Visibility(CATALOG).of(lambda _: True)
    with_odd, without = stored([*REAL, *ODD]), stored(REAL)
    lines = [
        dataset_line(
            Look(dataset=DATASET, snapshot=one, as_of=NOW, is_current=True),
            visible,
            now=NOW,
            rows=None,
        )
        for one in (with_odd, without)
    ]
    assert lines[0].newest_day == REAL[-1]
    for name in ("newest_day", "days", "written_at", "stale"):
        assert getattr(lines[0], name) == getattr(lines[1], name), name
    infos = [
        dataset_info(one, visible, now=NOW, may_trigger=False, rows=None, top_values={})
        for one in (with_odd, without)
    ]
    for name in ("days", "newest_size_bytes", "written_at", "stale"):
        assert getattr(infos[0], name) == getattr(infos[1], name), name


def test_polls_are_told_with_the_schedule_and_only_where_there_are_some() -> None:
    visible = Visibility(CATALOG).of(lambda _: True)
    told = [
        msgspec.to_builtins(
            dataset_info(
                Snapshot(dataset=CATALOG[name], version="v", partitions=()),
                visible,
                now=NOW,
                may_trigger=False,
                rows=None,
                top_values={},
            ).schedule
        )
        for name in ("github_events", "stripe_events")
    ]
    assert told[0]["polls"] == CATALOG["github_events"].schedule.polls == "20 * * * *"
    assert "polls" not in told[1]


def test_samples_and_profiles_are_of_real_days() -> None:
    snapshot = stored([*REAL, *ODD])
    assert [one.day for one in covered(snapshot)] == REAL
    [first, *_] = sample_queries(snapshot, SampleOrder(mode=SampleMode.FIRST))
    assert first.days is not None
    assert first.days.last == REAL[-1]
